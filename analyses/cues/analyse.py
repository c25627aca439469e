"""Whether a representation puts together images of one texture or of one shape, where these two disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.cues.exemplars import Codes, coded, named
from analyses.cues.kernels import chances, crossed_means, nearest_of_other_cells, sharing
from analyses.descriptors import as_representation
from analyses.ground import Estimate, Findings, Variable, interval, resampling, unlike
from analyses.semantics import per_image
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["DISTANCES", "FINDINGS", "PLACE", "VARIABLES", "analyse", "metrics_of"]

DISTANCES = ("euclidean", "standardised")
KNOWN = (*DISTANCES, "cosine")
WANTED = f"some of {', '.join(KNOWN)}"
PLACE = ("representation", "sigma", "block", "distance")
RESAMPLED = "textures and shapes resampled"
# Between which ends the numbers of single images lie.
SPANS = {"texture": (0, 1), "shape": (0, 1), "difference": (-1, 1), "gain": (-2, 2)}
VARIABLES = {
    "texture": Variable(PLACE, "share of images whose nearest neighbour has the same texture", interval=RESAMPLED),
    "shape": Variable(PLACE, "share of images whose nearest neighbour has the same shape", interval=RESAMPLED),
    "difference": Variable(PLACE, "`texture` less `shape`", interval=RESAMPLED),
    "gain": Variable(PLACE, "`difference` of the reference less that of the representation", interval=RESAMPLED),
    "texture_chance": Variable((), "`texture` of neighbours drawn at random"),
    "shape_chance": Variable((), "`shape` of neighbours drawn at random"),
    "texture_most": Variable((), "share of images that share their texture alone with another"),
    "shape_most": Variable((), "share of images that share their shape alone with another"),
}
FINDINGS = Findings(
    "cues",
    VARIABLES,
    coords={
        "representation": "what is compared",
        "block": "block of the reference, by the tap at its output",
        "distance": "distance between two images' representations",
    },
)


@FINDINGS.described
def analyse(
    representations: Mapping[str, xr.Dataset | xr.DataArray],
    *,
    exemplars: xr.Dataset | None = None,
    reference: str | None = None,
    distances: Sequence[str] = DISTANCES,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """How often an image's nearest neighbour shares its texture, and how often its shape.

    Cue-conflict images have the shape of one thing and the texture of another (Geirhos et al., ICLR 2019). A neighbour
    shares an image's texture exemplar, its shape exemplar, or neither; images that share both are no candidates. There
    are rarely as many candidates of one texture as of one shape: compare each share, and their difference, with chance.

    Parameters
    ----------
    representations
        By name, of the same images in any order: φ (image, sigma, channel) as a tap returns it, or a DataArray (image,
        feature) of clean images. What has one block, or one noise level, is the same beside all of the reference's.
    exemplars
        What `named` returns for these images; by default it is read from their ids.
    reference
        Name of what all others are taken off, and whose blocks and noise levels the findings have; by default the
        first.
    distances
        Some of "euclidean", "standardised" (by each channel's standard deviation over images) and "cosine".
    resamples, level, seed
        Of the bootstrap over two crossed factors, textures and shapes (Owen 2007; percentiles moved outwards as
        Student's t asks of the factor that has fewer exemplars), neighbours held fixed. It counts what is peculiar to
        single images about three times: intervals are rather too wide. The seed also says which of equally near
        images is the neighbour.

    Returns
    -------
    Dataset
        {findings}

        `gain` is paired: all representations are resampled together; the reference's is 0.

    Raises
    ------
    InputError
        If representations are of different images or lack blocks or noise levels of the reference, exemplars are not
        known or fewer than ten of a cue, or an option is out of its range.

    Warns
    -----
    RuntimeWarning
        Where a distance is undefined (NaN), as `semantics.per_image` warns.

    Examples
    --------
    >>> codes = np.indices((10, 10)).reshape(2, -1)
    >>> ids = [f"cat{s}-dog{t}" for s, t in codes.T]
    >>> pure = xr.DataArray(np.eye(10)[codes[1]], {"image": ids}, ("image", "feature"), "pure")
    >>> found = analyse({"pure": pure}, distances=["euclidean"])
    >>> found["texture"].item(), found["shape"].item()
    (1.0, 0.0)
    """
    wanted = "a mapping, e.g. {'trained': phi, 'pixels': pixels}"
    given = checks.mapping("representations", representations, wanted)
    if not given:
        raise InputError(f"representations is empty: give {wanted}")
    first = checks.choice("reference", next(iter(given)) if reference is None else reference, tuple(given))
    metrics = metrics_of(distances)
    resamples, level, seed = resampling(resamples, level, seed)
    data = {name: _representation(name, one) for name, one in given.items()}
    order = _order(data[first], seed)
    ids = labels.strings(data[first]["image"].values)[order]
    place = labels.blocks(data[first]), data[first]["sigma"].values
    data = {name: _matched(name, one, ids, place) for name, one in data.items()}
    codes = coded(named(data[first]) if exemplars is None else exemplars, ids)
    if codes.largest >= len(ids):
        raise InputError("all images share both cues: give images of several shapes and textures")
    scores = {name: _scores(one, codes, metrics, name) for name, one in data.items()}
    shape = (*np.broadcast_shapes(*(one.shape[2:4] for one in scores.values())), scores[first].shape[-1])
    # (cue, image, representation, sigma, block, distance)
    every = np.stack([np.broadcast_to(one, (*one.shape[:2], *shape)) for one in scores.values()], axis=2)
    values = _estimates(every, list(given).index(first), codes, resamples=resamples, level=level, seed=seed)
    by_chance = chances(codes.texture, codes.shape, codes.cell)
    return FINDINGS.label(
        values | by_chance._asdict(),
        data[first],
        coords={"representation": list(given), "block": place[0], "distance": metrics},
        images=len(ids),
        textures=len(codes.textures),
        shapes=len(codes.shapes),
        reference=first,
        resamples=resamples,
        level=level,
        analysis_seed=seed,
    )


def metrics_of(distances: Any) -> list[str]:
    """Names of distances, each known and at least one."""
    found = checks.names("distances", distances, WANTED)
    if not found or not set(found) <= set(KNOWN):
        raise InputError(f"{checks.given('distances', distances)}: give {WANTED}")
    return found


def _representation(name: str, one: Any) -> xr.Dataset:
    """φ alone, with no other coordinates of images."""
    try:
        data = as_representation(one) if isinstance(one, xr.DataArray) else one
        labels.check(data, "phi")
        labels.check_ids(data)
    except InputError as error:
        raise InputError(f"representations[{name!r}]: {error}") from error
    drop = [c for c in data.coords if data[c].dims == ("image",) and c != "image"]
    return data[["phi"]].drop_vars(drop)


def _order(data: xr.Dataset, seed: int) -> np.ndarray:
    """Positions of images in an order that depends on ids and seed alone: the first of equally near ones is chosen."""
    order = labels.by_id(data)
    return order[np.random.default_rng(seed).permutation(len(order))]


def _matched(name: str, data: xr.Dataset, ids: np.ndarray, place: tuple[list[str], np.ndarray]) -> xr.Dataset:
    """The same images, blocks and noise levels as the reference's, in its order; one block or level as it is."""
    own = {one: i for i, one in enumerate(labels.strings(data["image"].values))}
    if set(own) != set(ids):
        odd = sorted(set(own) ^ set(ids))[0]
        raise InputError(
            f"representations[{name!r}] is of other images than the reference, such as {odd}: give the same"
        )
    found = data.isel(image=[own[one] for one in ids])
    (wanted, sigma), taps = place, labels.strings(data["tap"].values)
    if len(set(taps)) > 1:
        lacking = [block for block in wanted if block not in taps]
        if lacking:
            raise InputError(
                f"representations[{name!r}] has no block {', '.join(lacking)} of the reference, but several others: "
                "give the same blocks, or one"
            )
        found = found.isel(channel=np.concatenate([np.flatnonzero(taps == block) for block in wanted]))
    if found.sizes["sigma"] > 1:
        levels = found["sigma"].values
        at = [np.flatnonzero(np.isclose(levels, one)) for one in sigma]
        if not all(map(len, at)):
            raise InputError(
                f"representations[{name!r}] has noise levels {levels}, the reference {sigma}: give the same, or one"
            )
        found = found.isel(sigma=[int(one[0]) for one in at])
    return found


def _scores(data: xr.Dataset, codes: Codes, distances: Sequence[str], name: str) -> np.ndarray:
    """Whether each image's neighbour shares texture, and shape: (cue, image, sigma, block, distance)."""
    try:
        found = per_image(data, reference=None, k=codes.largest, distances=distances)
    except InputError as error:
        raise InputError(f"representations[{name!r}]: {error}") from error
    neighbours = found["neighbor_index"].transpose("sigma", "block", "distance", "image", "neighbor").values
    nearest = nearest_of_other_cells(neighbours, codes.cell)
    both = [np.moveaxis(sharing(nearest, one), -1, 0) for one in (codes.texture, codes.shape)]
    return np.stack(both)


def _estimates(every: np.ndarray, reference: int, codes: Codes, **how: Any) -> dict[str, Estimate]:
    texture, shape = every
    difference = texture - shape
    gain = difference[:, reference, None] - difference
    each = {"texture": texture, "shape": shape, "difference": difference, "gain": gain}
    units = min(len(codes.textures), len(codes.shapes))
    found = {}
    for name, values in each.items():
        drawn = crossed_means(values, codes.texture, codes.shape, resamples=how["resamples"], seed=how["seed"])
        one = Estimate(values.mean(axis=0), *interval(drawn, how["level"], units=units))
        found[name] = unlike(one, SPANS[name], how["level"], units=units)
    for end in found["gain"][1:]:
        end[reference] = np.where(np.isnan(end[reference]), np.nan, 0.0)
    return found
