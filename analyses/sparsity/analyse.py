"""How many channels share the activity of an image: sparsity along the network, and which measures agree on it."""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import t as student

from analyses import ground
from analyses.ground import check_numbers, check_resampling, check_seed, interval, resampled_means, variable, widened
from analyses.sparsity.figure import plot
from analyses.sparsity.kernels import MEASURES, group_moments, kendall, measures, pooled, spectrum_moments
from probekit import labels
from probekit.errors import InputError
from probekit.labels import strings

__all__ = ["analyse", "main", "plot"]

# Activities held in double precision at once.
CHUNK = 4_000_000
# Groups of images left out in turn for the interval of the dimension.
GROUPS = 20
ORIENTATION = np.array([direction for direction, _ in MEASURES.values()])
# Images or clusters that an interval needs.
MIN_UNITS = 10
Inputs = Mapping[str, str | Sequence[str] | None]


def analyse(
    data: xr.Dataset,
    *,
    block_inputs: Inputs | None = None,
    clusters: str | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Measure how sparse each image's channel averages are, at every tap and noise level, and how blocks change it.

    For a non-negative a in R^C: the participation ratio PR = (Σa)²/(C Σa²) of Kadkhodaie, Mallat &
    Simoncelli (arXiv:2506.01912); Hoyer's, Gini's and Treves & Rolls' sparseness; the effective number by
    entropy exp(H)/C. PR and the effective number lie in [1/C, 1] and are *smaller* for sparser vectors; the
    others lie in [0, 1] and are *larger*. Of one vector, Hoyer's is (1 − √PR) √C/(√C − 1) and Treves & Rolls'
    (1 − PR)/(1 − 1/C), so these can rank differently from PR only by averaging over images or between blocks of
    different C; Gini's and the entropy's carry information of their own. The exact formulas stand in the attrs
    of `sparsity`.

    The dimension of a block is (Σλ)²/Σλ² of the eigenvalues λ of φ's covariance over images, the two
    sums estimated without bias (Himeno & Yamada 2014), so that it does not shrink with few images as the plain
    ratio does. It counts linear dimensions, measurement error of φ included.

    Parameters
    ----------
    data
        phi (image, sigma, channel), non-negative, of one or several taps; phi_draws where the sparsity of
        ā of single noise draws is wanted too.
    block_inputs
        From a tap to its block's input, a tap or several that are concatenated, e.g.
        ``{"mid": "enc3", "dec3": ("mid", "enc3")}``; by default, or where it is None, the tap before it in the data.
        Average pooling between blocks keeps channel averages, so enc3's are those of mid's input. A decoder block is
        fed by an up-convolution and an encoder block: say so here where both are to count.
    clusters
        Coordinate along `image`, such as "label", whose groups are resampled whole: for images that are not
        independent, as crops of one photograph. By default images are.
    resamples, level, seed
        Of the bootstrap over images: number ≥ 100, coverage in (0, 1), seed ≥ 0.

    Returns
    -------
    Dataset
        Over `vector` ("phi", and "draw": mean over draws of each ā's measure), `measure`, `sigma`, `block`:
        `sparsity`, the mean over images, and its interval `sparsity_low`, `sparsity_high`; `change` (output
        less input of the block, paired over images) with `change_low`, `change_high`, NaN for a block without
        input, which coordinate `input` names;
        `per_image`, which adds dim `image`; `zero_vectors`, the number of images without any
        activity, whose measures are NaN and which means leave out.
        `dimension` (sigma, block), its interval from a jackknife over 20 groups of images, and
        `dimension_plain`; NaN with fewer than 4 images, the interval with fewer than 40 or under `clusters`.
        `agreement` (vector, sigma, measure, other_measure) is Kendall's τ between two measures' rankings of
        the blocks, `contradictions` the number of pairs of blocks that both order significantly, and oppositely;
        `agreement_over_sigma`, `contradictions_over_sigma` (vector, block, …) the same for noise levels. The attr
        `disagreement` says it in words.
        Intervals of means are percentiles of the bootstrap, moved outwards as Student's t asks, and NaN for fewer than
        10 images or clusters. Of simulated intervals of 95 %, 94 to 95 % cover the truth from
        10 images on where measures vary evenly; where 1 image in 20 is dense and all others sparse, 60 % do of 10
        images, 79 % of 20, 86 % of 40 and 93 % of 100.
        Images are resampled and left out by their ids, so their order changes nothing but `per_image`'s.

    Raises
    ------
    InputError
        If phi is missing, mislabelled, not finite or negative, a block or coordinate is unknown, or an option
        is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> findings = analyse(union_of_subspaces(200, seed=1).data)
    >>> float(findings.sparsity.sel(measure="participation_ratio", vector="phi").item()) < 0.6
    True
    """
    check_resampling(resamples, level)
    check_seed(seed)
    _check(data)
    data = data.compute()
    groups = _clusters(data, clusters)
    order = by_id(data["image"].values)
    units = data.sizes["image"] if groups is None else len(np.unique(groups))
    taps = tuple(dict.fromkeys(map(str, data["tap"].values)))
    inputs = _inputs(taps, block_inputs)
    per_image, zero = _measured(data, [(name,) for name in taps])
    fed = [name for name in taps if inputs[name]]
    before = _fed(data, per_image, taps, inputs, fed)
    change = np.full_like(per_image, np.nan)
    outputs = [taps.index(name) for name in fed]
    change[:, :, :, outputs] = per_image[:, :, :, outputs] - before

    drawn = partial(resampled_means, clusters=None if groups is None else groups[order], resamples=resamples, seed=seed)
    boot = Bootstrap(drawn(per_image[order]), drawn(change[order]), level, units)
    results = {**_means(per_image, change, zero, boot), **_agreements(per_image, boot)}
    results |= _dimensions(data, taps, level, order if groups is None else None)
    findings = ground.findings(
        results,
        data,
        analysis="sparsity",
        coords=_coords(data, per_image.shape[1], taps, inputs),
        clusters=clusters or "none: images are independent",
        resamples=resamples,
        level=level,
        bootstrap_seed=seed,
    )
    return findings.assign_attrs(disagreement=_disagreement(findings))


class Bootstrap(NamedTuple):
    """Resampled means of values and of changes, (resamples, vector, sigma, block, measure)."""

    means: np.ndarray
    changes: np.ndarray
    level: float
    units: int

    def interval(self, resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.units < MIN_UNITS:
            unknown = np.full(resampled.shape[1:], np.nan)
            return unknown, unknown
        return interval(resampled, widened(self.level, self.units))


def by_id(ids: np.ndarray) -> np.ndarray:
    """An order of images that depends on their ids alone, and on nothing that ids may be sorted by."""
    names = list(map(str, ids))
    return np.array(sorted(range(len(names)), key=lambda i: (zlib.crc32(names[i].encode()), names[i])), np.int64)


def _check(data: xr.Dataset) -> None:
    check_numbers(data, "phi", "phi_draws")
    labels.check(data, "phi")
    names = ["phi"]
    if "phi_draws" in data:
        labels.check(data, "phi_draws")
        names.append("phi_draws")
    if not all(data["phi"].sizes.values()):
        raise InputError(f"phi has sizes {dict(data['phi'].sizes)}: give at least one image, noise level and channel")
    for name in names:
        if float(data[name].min()) < 0:
            raise InputError(
                f"{name} is negative in places, down to {float(data[name].min()):.3g}, and sparsity is defined for "
                "non-negative activity: tap after a ReLU, or take reduce='energy'"
            )


def _clusters(data: xr.Dataset, name: str | None) -> np.ndarray | None:
    if name is None:
        return None
    if name not in data.coords or data[name].dims != ("image",):
        known = [str(c) for c in data.coords if data[c].dims == ("image",)]
        raise InputError(f"clusters={name!r} is no coordinate along image: give one of {', '.join(known)}, or None")
    return strings(data[name].values)


def _inputs(taps: tuple[str, ...], given: Inputs | None) -> dict[str, tuple[str, ...]]:
    """The taps that feed each block; () for the first, which nothing measured feeds."""
    inputs = {name: taps[max(k - 1, 0) : k] for k, name in enumerate(taps)}
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f'block_inputs={given!r}: give a mapping from a tap to its input, e.g. {{"mid": "enc3"}}')
    for block, fed_by in (given or {}).items():
        if fed_by is None and block in inputs:
            continue
        if not isinstance(fed_by, str | Sequence | None):
            raise InputError(f"block_inputs: {fed_by!r} feeds {block!r}: name a tap, or several in a tuple")
        names = () if fed_by is None else (fed_by,) if isinstance(fed_by, str) else tuple(fed_by)
        unknown = [name for name in (block, *names) if name not in taps]
        if unknown or not names:
            what = f"{unknown[0]!r} is no tap of the data" if unknown else f"nothing feeds {block!r}"
            raise InputError(f"block_inputs: {what}: name taps among {', '.join(taps)}")
        inputs[block] = names
    return inputs


def _measured(data: xr.Dataset, blocks: Sequence[tuple[str, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Measures (image, vector, sigma, block, measure) and numbers of zero vectors (vector, sigma, block).

    A block of several taps is their concatenation.
    """
    vectors = ["phi", *(["phi_draws"] if "phi_draws" in data else [])]
    taps = strings(data["tap"].values)
    sizes = (data.sizes["image"], len(vectors), data.sizes["sigma"], len(blocks))
    found, zero = np.empty((*sizes, len(MEASURES)), np.float32), np.zeros(sizes[1:], np.int64)
    for v, name in enumerate(vectors):
        for b, block in enumerate(blocks):
            columns = np.flatnonzero(np.isin(taps, block))
            for s in range(sizes[2]):
                for rows, a in _chunks(data[name].isel(sigma=s), columns):
                    with np.errstate(invalid="ignore"):
                        values = measures(a)
                    silent = (a == 0).all(axis=-1)
                    if name == "phi_draws":
                        # Draws without activity are left out, as images are; an image without any active draw is NaN.
                        active = (~silent).sum(axis=1)
                        values = np.where(silent[..., None], 0, values).sum(axis=1)
                        values /= np.where(active, active, np.nan)[:, None]
                        silent = active == 0
                    found[rows, v, s, b] = values
                    zero[v, s, b] += silent.sum()
    return found, zero


def _chunks(phi: xr.DataArray, columns: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Some images at a time, (images, …, columns)."""
    values = phi.values
    step = max(1, CHUNK // (values[0].size // values.shape[-1] * len(columns)))
    contiguous = slice(int(columns[0]), int(columns[-1]) + 1)
    chosen = contiguous if len(columns) == columns[-1] - columns[0] + 1 else columns
    for start in range(0, len(values), step):
        rows = slice(start, min(start + step, len(values)))
        yield rows, values[rows][..., chosen].astype(np.float64)


def _fed(
    data: xr.Dataset, per_image: np.ndarray, taps: tuple[str, ...], inputs: dict[str, tuple[str, ...]], fed: list[str]
) -> np.ndarray:
    """Measures of what feeds each of the blocks; a single tap's are known already."""
    parts = [
        per_image[:, :, :, [taps.index(inputs[name][0])]]
        if len(inputs[name]) == 1
        else _measured(data, [inputs[name]])[0]
        for name in fed
    ]
    return np.concatenate([*parts, per_image[:, :, :, :0]], axis=3)


def _means(per_image: np.ndarray, change: np.ndarray, zero: np.ndarray, boot: Bootstrap) -> dict[str, Any]:
    dims = ("vector", "sigma", "block", "measure")
    formulas = {name: formula for name, (_, formula) in MEASURES.items()}
    low, high = boot.interval(boot.means)
    change_low, change_high = boot.interval(boot.changes)
    percent = f"{100 * boot.level:g} % interval"
    return {
        "per_image": variable(("image", *dims), per_image, "sparsity measure of each image", **formulas),
        "sparsity": variable(dims, _mean(per_image), "sparsity measure, mean over images", **formulas),
        "sparsity_low": variable(dims, low, f"sparsity: lower end of its {percent}"),
        "sparsity_high": variable(dims, high, f"sparsity: upper end of its {percent}"),
        "change": variable(dims, _mean(change), "measure of the block's output less that of its input"),
        "change_low": variable(dims, change_low, f"change: lower end of its {percent}"),
        "change_high": variable(dims, change_high, f"change: upper end of its {percent}"),
        "zero_vectors": variable(dims[:3], zero, "images without any activity", "images"),
    }


def _mean(values: np.ndarray) -> np.ndarray:
    known = (~np.isnan(values)).sum(axis=0)
    return np.nansum(values, axis=0, dtype=np.float64) / np.where(known, known, np.nan)


def _agreements(per_image: np.ndarray, boot: Bootstrap) -> dict[str, Any]:
    mean, resampled = _mean(per_image) * ORIENTATION, boot.means * ORIENTATION
    results: dict[str, Any] = {}
    for axis, over, kept, suffix in ((2, "blocks", "sigma", ""), (1, "noise levels", "block", "_over_sigma")):
        pairs = list(combinations(range(mean.shape[axis]), 2))
        first, second = np.array(pairs, int).reshape(-1, 2).T
        order = np.sign(mean.take(first, axis) - mean.take(second, axis))
        low, high = boot.interval(resampled.take(first, axis + 1) - resampled.take(second, axis + 1))
        sure = np.where(low > 0, 1, np.where(high < 0, -1, 0))
        order, sure = (np.moveaxis(signs, axis, -2) for signs in (order, sure))
        opposed = (sure[..., :, None] * sure[..., None, :] < 0).sum(axis=-3)
        dims = ("vector", kept, "measure", "other_measure")
        results[f"agreement{suffix}"] = variable(
            dims, kendall(np.nan_to_num(order)), f"Kendall's τ between two measures' rankings of {over}"
        )
        results[f"contradictions{suffix}"] = variable(
            dims, opposed, f"pairs of {over} that two measures order oppositely, both significantly", "pairs"
        )
    return results


def _dimensions(data: xr.Dataset, taps: tuple[str, ...], level: float, order: np.ndarray | None) -> dict[str, Any]:
    names = strings(data["tap"].values)
    found = np.empty((4, data.sizes["sigma"], len(taps)))
    for b, tap in enumerate(taps):
        columns = np.flatnonzero(names == tap)
        for s in range(data.sizes["sigma"]):
            found[:, s, b] = dimension(data["phi"].isel(sigma=s), columns, level, order)
    dims, percent = ("sigma", "block"), f"{100 * level:g} % interval"
    return {
        "dimension": variable(dims, found[0], "(Σλ)²/Σλ² of the covariance over images, sums estimated without bias"),
        "dimension_low": variable(dims, found[1], f"dimension: lower end of its {percent}, jackknife over images"),
        "dimension_high": variable(dims, found[2], f"dimension: upper end of its {percent}, jackknife over images"),
        "dimension_plain": variable(dims, found[3], "(Σλ)²/Σλ² of the sample covariance, biased low by few images"),
    }


def dimension(phi: xr.DataArray, columns: np.ndarray, level: float, order: np.ndarray | None) -> list[float]:
    """The dimension, its interval by leaving out every so many images of this order, and the plain ratio."""
    n = len(phi)
    mean = sum(a.sum(axis=0) for _, a in _chunks(phi, columns)) / n
    count = GROUPS if order is not None and n >= 2 * GROUPS else 1
    groups = [
        pooled(group_moments((a for _, a in _chunks(part, columns)), np.asarray(mean)))
        for part in ((phi[order[k::count]] for k in range(count)) if order is not None and count > 1 else [phi])
    ]
    whole = pooled(groups)
    estimate = _ratio(*spectrum_moments(whole))
    # About the mean, the second moment is the covariance times n.
    plain = _ratio(np.trace(whole.second) ** 2, (whole.second**2).sum())
    low = high = float("nan")
    if count > 1 and np.isfinite(estimate):
        left_out = np.array([_ratio(*spectrum_moments(pooled(groups, without=k))) for k in range(count)])
        # Of 1/dimension: its sampling error is close to linear in the moments.
        inverse = 1 / left_out
        error = np.sqrt((count - 1) * np.mean((inverse - inverse.mean()) ** 2)) * student.ppf(
            (1 + level) / 2, count - 1
        )
        low = 1 / (1 / estimate + error)
        high = 1 / (1 / estimate - error) if error * estimate < 1 else float("inf")
    return [estimate, low, high, plain]


def _ratio(squared_trace: float, trace_square: float) -> float:
    return squared_trace / trace_square if trace_square > 0 and squared_trace > 0 else float("nan")


def _coords(
    data: xr.Dataset, vectors: int, taps: tuple[str, ...], inputs: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    names = list(MEASURES)
    sparser = ["smaller" if direction < 0 else "larger" for direction, _ in MEASURES.values()]
    channels = [int((strings(data["tap"].values) == name).sum()) for name in taps]

    def text(dim: str, values: Sequence[str], long_name: str) -> tuple[str, np.ndarray, dict[str, str]]:
        return dim, np.array(values, dtype=object), {"long_name": long_name}

    return {
        "vector": text("vector", ["phi", "draw"][:vectors], "what is measured: φ, or each draw's ā, then averaged"),
        "block": text("block", taps, "block, by the tap at its output"),
        "input": text("block", ["+".join(inputs[name]) for name in taps], "taps that feed the block"),
        "channels": ("block", np.array(channels), {"long_name": "number of channels", "units": "channels"}),
        "measure": text("measure", names, "measure of sparsity"),
        "other_measure": text("other_measure", names, "measure of sparsity"),
        "sparser_when": text("measure", sparser, "values that mean sparser"),
    }


def _disagreement(findings: xr.Dataset) -> str:
    """Which measures contradict each other, in words."""
    said = []
    phi = findings.sel(vector="phi")
    for suffix, over in (("", "blocks"), ("_over_sigma", "noise levels")):
        counts = phi[f"contradictions{suffix}"].sum("block" if suffix else "sigma")
        said += [
            f"{a} and {b} order {int(counts.sel(measure=a, other_measure=b))} pairs of {over} oppositely"
            for a, b in combinations(MEASURES, 2)
            if int(counts.sel(measure=a, other_measure=b))
        ]
    return "; ".join(said) or "no two measures order any two blocks or noise levels oppositely beyond doubt"


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.sparsity phi.zarr -o out/``."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--clusters", help="coordinate along image whose groups are resampled whole, e.g. label")
        parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
        parser.add_argument("--level", type=float, default=0.95, help="coverage of intervals (default: 0.95)")
        parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")

    return ground.run(
        analyse,
        plot,
        name="sparsity",
        description="How many channels share the activity of an image, at each tap and noise level.",
        options=options,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
