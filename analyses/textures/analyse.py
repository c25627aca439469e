"""Whether patches of one photograph of a texture lie together in φ, nearer than in what it is compared with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypedDict, Unpack

import numpy as np
import xarray as xr

from analyses.descriptors import as_representation
from analyses.ground import Estimate, Findings, Variable, along, check_options, estimated_mean, repeats, resampling
from analyses.semantics import per_image
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["CURVE", "DISTANCES", "FINDINGS", "PLACE", "TABLE", "Options", "analyse", "curve"]

# Photographs that an interval over them needs.
PHOTOGRAPHS = 10
DISTANCES = {
    "euclidean": "‖a − b‖",
    "standardised": "‖(a − b)/s‖, s_c the standard deviation of channel c over patches; constant channels left out",
}
PLACE = ("representation", "sigma", "block", "distance")
RESAMPLED = "photographs resampled, the patches searched held fixed"
RATES = {
    "rate": Variable(PLACE, "share of patches whose nearest neighbour is of the same photograph", "1", RESAMPLED),
    "difference": Variable(PLACE, "the reference's rate less this one's", "1", "the same photographs resampled"),
    "chance": Variable((), "the rate of neighbours drawn at random"),
}
COORDS = {
    "representation": "network, untrained twin or descriptor",
    "block": "block, by the tap at its output",
    "distance": "distance between two patches",
}
FINDINGS = Findings("textures", RATES, coords=COORDS)
TABLE = Findings(
    "textures.table",
    {
        **{name: variable._replace(dims=("form", "subset", *variable.dims)) for name, variable in RATES.items()},
        "training_rate": Variable(
            ("form", "sigma", "block", "distance"),
            "the reference's rate on training photographs",
            "1",
            RESAMPLED,
            optional=True,
        ),
        **{
            f"{name}_by_{what}": variable._replace(
                dims=("form", f"n_{what}", *variable.dims), long_name=f"{variable.long_name}, of networks"
            )
            for what in ("draws", "patches")
            for name, variable in RATES.items()
        },
    },
    coords=COORDS
    | {
        "form": "colour, or grey of equal mean and contrast",
        "subset": "the photographs that are searched",
        "n_draws": "number of noise draws",
        "n_patches": "patches of each photograph",
    },
)
CURVE = Findings(
    "textures.curve",
    {name: variable._replace(dims=("count", *variable.dims)) for name, variable in RATES.items()},
    coords=COORDS | {"count": "number of noise draws, or of patches a photograph"},
)


class Options(TypedDict, total=False):
    """Options of `analyse` that other functions hand on."""

    reference: str | None
    label: str
    distances: Sequence[str]
    resamples: int
    level: float
    seed: int


@FINDINGS.described
def analyse(
    representations: Mapping[str, xr.Dataset | xr.DataArray],
    *,
    reference: str | None = None,
    label: str = "label",
    distances: Sequence[str] = tuple(DISTANCES),
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """How often a patch's nearest neighbour is of the same photograph: in φ, and in what φ is compared with.

    Neighbours are exact, among all other patches (`semantics.per_image`). Photographs are resampled with all their
    patches, the same ones for all representations, so that differences are paired. Patches that a representation does
    not tell apart are each other's neighbours at random: its rate is chance.

    Parameters
    ----------
    representations
        By name, of the same patches in any order: Datasets with phi (image, sigma, channel) at the same noise levels,
        or arrays (image, feature), which are the same at all levels.
    reference
        The one that all others are compared with, a Dataset; by default the first.
    label
        Coordinate along image with the photograph of each patch; at least 10, of two patches or more.
    distances
        "euclidean", "standardised", or both.
    resamples, level, seed
        Of the bootstrap over photographs: number ≥ 100, coverage in (0, 1).

    Returns
    -------
    Dataset
        {findings}

        Blocks are the reference's. What has a single block, or is an array, is compared with each of them, and its rate
        is the same at all; what lacks a block is NaN there. Attrs `reference`, `photographs`, `patches`, and
        `patches_least`, those of the photograph that has fewest.

    Raises
    ------
    InputError
        If representations are not of the same patches, noise levels or photographs, one has several blocks that the
        reference lacks, photographs are too few or have one patch, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data = union_of_subspaces(100, seed=1).data
    >>> names = [str(k % 20) for k in range(100)]
    >>> findings = analyse({"φ": data.assign_coords(label=("image", names))}, resamples=100)
    >>> dict(findings.rate.sizes), round(findings.chance.item(), 3)
    ({'representation': 1, 'sigma': 1, 'block': 1, 'distance': 2}, 0.04)
    """
    resamples, level, seed = resampling(resamples, level, seed)
    metrics = [checks.choice("distances", one, DISTANCES) for one in _names("distances", distances)]
    given = _given(representations)
    first = checks.choice("reference", next(iter(given)) if reference is None else reference, given)
    data = given[first]
    if not isinstance(data, xr.Dataset):
        raise InputError(
            f"the reference {first!r} is an array: give φ as the reference, a Dataset of what a tap returns"
        )
    data = _checked(data, first)
    order = labels.by_id(data)
    names = labels.classes(data, label, of=f"{first!r}", least=PHOTOGRAPHS)[order]
    photographs, codes, sizes = np.unique(names.astype(str), return_inverse=True, return_counts=True)
    if (sizes < 2).any():
        alone = photographs[sizes < 2]
        raise InputError(
            f"{len(alone)} photographs have one patch, such as {alone[0]}: leave them out, none is beside it"
        )
    ids = labels.strings(data["image"].values)[order]
    chances = (sizes[codes] - 1) / (len(codes) - 1)
    blocks = labels.blocks(data)
    shape = (len(codes), len(given), data.sizes["sigma"], len(blocks), len(metrics))
    hits = np.full(shape, np.nan)
    for r, (name, one) in enumerate(given.items()):
        alike = _alike(name, one, data, ids, names, label)
        hits[:, r] = _hits(name, alike, data, blocks, metrics, chances)
    how: dict[str, Any] = {"clusters": names, "resamples": resamples, "level": level, "seed": seed}
    at = list(given).index(first)
    values = {
        "rate": estimated_mean(hits, span=(0, 1), **how),
        "difference": _of_itself_0(estimated_mean(hits[:, at, None] - hits, span=(-1, 1), **how), at),
        "chance": float(chances.mean()),
    }
    return FINDINGS.label(
        values,
        data[["phi"]],
        coords={
            "representation": list(given),
            "block": blocks,
            "distance": along("distance", metrics, COORDS["distance"], **{m: DISTANCES[m] for m in metrics}),
        },
        reference=first,
        photographs=len(photographs),
        patches=len(codes),
        patches_least=int(sizes.min()),
        label=label,
        resamples=resamples,
        level=level,
        analysis_seed=seed,
    )


def _of_itself_0(difference: Estimate, reference: int) -> Estimate:
    for end in difference[1:]:
        end[reference] = np.where(np.isnan(end[reference]), np.nan, 0.0)
    return difference


@CURVE.described
def curve(
    representations: Mapping[str, xr.Dataset | xr.DataArray],
    *,
    over: str = "draws",
    counts: Sequence[int] = (1, 2, 4, 8),
    **options: Unpack[Options],
) -> xr.Dataset:
    """The rates of `analyse` with fewer noise draws, or fewer patches of each photograph.

    Parameters
    ----------
    representations
        As for `analyse`; Datasets with phi_draws where draws are counted.
    over
        "draws": φ is the mean of the first so many; arrays, which have none, stay as they are. "patches": so many of
        each photograph, drawn at random, those of a smaller count among those of a larger one; photographs that have
        fewer keep all.
    counts
        How many, rising; of patches at least 2.
    options
        Those of `analyse`.

    Returns
    -------
    Dataset
        {findings}

        Attr `over`.

    Raises
    ------
    InputError
        As `analyse` raises; also if there are not so many draws.
    TypeError
        If there is no such option.
    """
    check_options("curve", options, Options.__annotations__)
    checks.choice("over", over, ("draws", "patches"))
    least = 1 if over == "draws" else 2
    many = [repeats("counts", one, least=least) for one in checks.counts("counts", counts)]
    if not many or any(b <= a for a, b in pairwise(many)):
        raise InputError(f"{checks.given('counts', counts)}: give whole numbers that rise, e.g. (1, 2, 4)")
    given = _given(representations)
    if over == "draws":
        parts = [analyse({n: _of_draws(n, one, c) for n, one in given.items()}, **options) for c in many]
    else:
        label, seed = options.get("label", "label"), checks.seeded(options.get("seed", 0))
        parts = [analyse({n: _of_patches(one, c, label, seed) for n, one in given.items()}, **options) for c in many]
    found = xr.concat(parts, "count", combine_attrs="drop_conflicts", data_vars="all")
    return CURVE.label(
        {
            "rate": Estimate(*(found[f"rate{end}"].values for end in ("", "_low", "_high"))),
            "difference": Estimate(*(found[f"difference{end}"].values for end in ("", "_low", "_high"))),
            "chance": found["chance"].values,
        },
        found,
        coords={"count": many},
        over=over,
    )


def _names(option: str, value: Any) -> list[str]:
    found = checks.names(option, value, f"some of {', '.join(DISTANCES)}")
    if not found:
        raise InputError(f"{option} is empty: give some of {', '.join(DISTANCES)}")
    return list(dict.fromkeys(found))


def _given(representations: Any) -> dict[str, Any]:
    """Representations by name, at least one, each of a kind that is taken."""
    what = "a mapping from names to what a tap returns, or to arrays (image, feature)"
    if isinstance(representations, xr.Dataset):
        # A Dataset is a mapping too, from its variables.
        raise InputError(f'representations is one Dataset: give {what}, such as {{"φ": data}}')
    found = checks.mapping("representations", representations, what)
    if not found:
        raise InputError(f"representations is empty: give {what}")
    for name, one in found.items():
        checks.text("a representation's name", name, "a text")
        if not isinstance(one, xr.Dataset | xr.DataArray):
            raise InputError(
                f"representations[{name!r}] is a {type(one).__name__}: give what a tap returns, or an array"
            )
    return dict(found)


def _checked(data: xr.Dataset, name: str) -> xr.Dataset:
    try:
        labels.check(data, "phi")
        labels.check_ids(data)
    except InputError as error:
        raise InputError(f"representations[{name!r}]: {error}") from None
    return data


def _alike(name: str, one: Any, data: xr.Dataset, ids: np.ndarray, photographs: np.ndarray, label: str) -> xr.Dataset:
    """A representation of the reference's patches, in the order of their ids, with their photographs."""
    made = _checked(one if isinstance(one, xr.Dataset) else as_representation(one), name)
    own = labels.strings(made["image"].values)
    if set(own) != set(ids):
        odd = next(iter(sorted(set(own) ^ set(ids))))
        raise InputError(
            f"representations[{name!r}] is of other patches than the reference, such as {odd}: give the same"
        )
    if isinstance(one, xr.Dataset) and not (
        made.sizes["sigma"] == data.sizes["sigma"] and np.allclose(made["sigma"].values, data["sigma"].values)
    ):
        raise InputError(
            f"representations[{name!r}] has noise levels {', '.join(f'{s:g}' for s in made['sigma'].values)}: give "
            f"those of the reference, {', '.join(f'{s:g}' for s in data['sigma'].values)}, or an array (image, feature)"
        )
    made = made.isel(image=labels.by_id(made))
    if label in made.coords and (labels.strings(made[label].values) != photographs).any():
        raise InputError(
            f"representations[{name!r}] has patches of other photographs than the reference: give the same"
        )
    # Nothing else that is said of patches is needed, nor may it be mistaken for the search's own.
    return xr.Dataset(
        {"phi": made["phi"]}, {c: made[c] for c in ("image", "sigma", "channel", "tap", "unit") if c in made.coords}
    ).assign_coords(photograph=("image", photographs))


def _hits(
    name: str, alike: xr.Dataset, data: xr.Dataset, blocks: list[str], metrics: list[str], chances: np.ndarray
) -> np.ndarray:
    """Whether each patch's neighbour is of its photograph (patch, sigma, block, distance), in expectation over ties."""
    own = labels.blocks(alike)
    single = len(own) == 1 and own[0] not in blocks
    if not single and set(own) - set(blocks):
        raise InputError(
            f"representations[{name!r}] has blocks {', '.join(own)}: give those of the reference, {', '.join(blocks)}, "
            "or a single one"
        )
    with warnings.catch_warnings():
        # What tells no patches apart is at chance, which is no undefined number.
        warnings.filterwarnings("ignore", ".*the same for all images", RuntimeWarning)
        found = per_image(alike, reference=None, k=1, label="photograph", distances=metrics)["precision"]
    values = found.transpose("image", "sigma", "block", "distance").values
    values = np.where(np.isnan(values), chances[:, None, None, None], values)
    out = np.full((len(chances), data.sizes["sigma"], len(blocks), len(metrics)), np.nan)
    where = range(len(blocks)) if single else [blocks.index(block) for block in own]
    for place, block in enumerate(where):
        out[:, :, block] = values[:, :, 0 if single else place]
    return out


def _of_draws(name: str, one: Any, count: int) -> Any:
    if isinstance(one, xr.DataArray):
        return one
    held = one.sizes.get("draw", 0) if "phi_draws" in one else 0
    if held < count:
        raise InputError(
            f"representations[{name!r}] keeps {held} draws, of which {count} were asked: measure it with "
            "keep_draws=True and as many draws, or give smaller counts"
        )
    mean = one["phi_draws"].isel(draw=slice(count)).mean("draw").transpose(*one["phi"].dims)
    return one[["phi"]].assign(phi=mean.assign_attrs(one["phi"].attrs))


def _of_patches(one: Any, count: int, label: str, seed: int) -> Any:
    """So many patches of each photograph; which ones follows ids, so that all representations keep the same."""
    if "image" not in one.coords or label not in one.coords:
        raise InputError(f"a representation lacks the coordinate image or {label}: give it both, to take patches by")
    order = labels.by_id(one)
    order = order[np.random.default_rng(seed).permutation(len(order))]
    names = labels.strings(one[label].values).tolist()
    taken: dict[str, int] = {}
    kept = []
    for i in order:
        taken[names[i]] = taken.get(names[i], 0) + 1
        if taken[names[i]] <= count:
            kept.append(int(i))
    return one.isel(image=sorted(kept))
