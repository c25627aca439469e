"""Stochastic reconstruction: images sampled from p(x | φ) by the network that φ was measured in."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

import probekit
from analyses import ground
from analyses.ground import Kept, variable
from analyses.sampling import schedules
from analyses.sampling.batches import Job, fitting, images_of
from analyses.sampling.conditions import (
    centroid,
    condition_of,
    interpolate,
    orthonormal_basis,
    project,
    real_numbers,
    weights_of,
)
from analyses.sampling.describe import check_samples, describe
from analyses.sampling.samplers import method_of
from probekit import checks
from probekit.capture.survey import network_of
from probekit.checks import seeded, whole
from probekit.cli.arguments import images_called
from probekit.denoising.denoiser import as_denoiser, clean_range
from probekit.errors import InputError
from probekit.labels import COORDINATES
from probekit.machine.files import prepared
from probekit.machine.weights import weights_sha256
from probekit.phi.averages import noise_levels
from probekit.phi.tap import Tap

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

__all__ = ["DEFAULT", "centroid", "interpolate", "levels", "main", "plot", "project", "reconstruct", "schedule"]

DEFAULT = "langevin"


def levels(method: str = DEFAULT) -> list[float]:
    """The noise levels that a method goes through unless told others.

    Parameters
    ----------
    method
        As for `reconstruct`.

    Returns
    -------
    list[float]
        Standard deviations in intensity units, falling.

    Raises
    ------
    InputError
        If there is no such method.

    Examples
    --------
    >>> len(levels("algorithm1")), round(levels("algorithm1")[-1], 2)
    (100, 0.03)
    """
    return method_of(method, {}).schedule()


def schedule(method: str, sigmas: Sequence[float] | None, count: int) -> list[float]:
    """The noise levels given, or so many of the method's own, from its first to its last, as densely spread."""
    if sigmas is not None:
        return noise_levels(sigmas)
    own = levels(method)
    places = np.linspace(0, len(own) - 1, whole("levels", count, least=2))
    return [float(s) for s in np.interp(places, range(len(own)), own)]


def reconstruct(
    denoiser: nn.Module,
    tap: Tap,
    condition: Any,
    *,
    n_samples: int = 4,
    sigmas: Sequence[float] | None = None,
    method: str = DEFAULT,
    seed: int = 0,
    store: str | Path | None = None,
    draws: int = 10,
    ids: Sequence[Any] | None = None,
    shape: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    top: int | None = None,
    weights: Any = None,
    basis: Any = None,
    start: Any = None,
    trajectory: bool = False,
    batch_size: int | None = None,
    progress: bool | None = None,
    **options: Any,
) -> xr.Dataset:
    """Sample images whose representation is that of the condition: p(x | φ(x_σ) = φ*).

    Stochastic reconstruction, Kadkhodaie, Mallat & Simoncelli (arXiv:2506.01912). Which methods draw from p(x | φ)
    is derived and measured in docs/sampling.md: "langevin" does where it is known, the paper's Algorithm 1 does not.

    Parameters
    ----------
    denoiser
        Gives clean estimates; the network that `tap` looks into.
    tap
        Places whose spatial averages are matched, one or several.
    condition
        Clean images, anything that `probekit.images.load` takes, whose φ is measured here at all levels; or φ as a
        tap returns it, at all levels or at one that serves for all (see `levels`), measured, averaged (`centroid`),
        mixed (`interpolate`), projected (`project`) or edited, with its attrs kept.
    n_samples
        Samples of each condition, ≥ 1.
    sigmas
        Noise levels, falling, in intensity units; by default the method's own.
    method
        "langevin", dynamics on the level sets of the features (options: correctors, step, guidance_steps,
        tolerance, final_draws); "algorithm1", the paper's, with its settings as defaults (guidance "adam" or "rescale",
        guidance_steps, tolerance, lr, eps, and average_loss, whether gradients are of the loss averaged over the batch
        as in the authors' script, in which case batches matter); "adaptive", with σ estimated from the residual
        (the same, and h0, beta, until, most_levels); "guidance" and "score", Algorithm 1 without its other half;
        "unconditional", "langevin" without a condition; "particles", a reference right in the limit of many
        particles (particles, resample_below), with their effective number as `ess`.
    seed
        Of all noise, which is addressed by (seed, image id, sample, level), and of the draws of φ.
    store
        Folder in which finished images are kept, one netCDF file each; a call that was cut short is finished by making
        it again.
    draws
        Noise draws that targets, and the final match, are averaged over.
    ids
        Ids of the condition's images.
    shape
        (bands, rows, cols) of the samples, where the condition is φ.
    channels, top, weights
        What is matched: some channels (numbers or a mask), the `top` channels of largest φ, weights (channel,).
    basis
        (r, channel): match φ only within the span of these rows.
    start
        Image (band, row, col), or number, to begin at; by default the middle of the denoiser's range.
    trajectory
        Whether to keep the clean estimate after each level.
    batch_size
        Samples at a time; by default as many as fit 1 GiB, or half of what is free.
    progress
        Whether to show a progress bar; by default only in a terminal.
    options
        Of the method.

    Returns
    -------
    Dataset
        `samples` (image, sample, band, row, col), in intensity units, not clipped. Along `level`: `loss_before`,
        `loss` (weighted mean squared difference; under "langevin" in units of one draw's variance, and in the end that
        of the clean estimate), `guidance_steps` (gradient evaluations) and `noise_level`. `evaluations` (image,
        sample), full passes. `match` (image,
        sample), ‖φ(x) − φ*‖/‖φ*‖ over the weighted channels at the last noise level, not finite (with a warning) where
        φ* is 0. `condition`, where it is images,
        and `trajectory` on request.

    Raises
    ------
    InputError
        If the condition is of another network, tap or size, an option is out of range, or the store is of another plan.
    ModelError
        If the network gives NaN or infinite values, or gradients; images finished before are in the store.
    TapError
        If what the tap sees has no gradient with respect to the image.
    CapacityError
        If the store cannot be written; images finished before are in it.

    Examples
    --------
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> images, truth = model.draw(1, rows=8, cols=8, seed=0)
    >>> tap = probekit.tap(model, "mid")
    >>> samples = reconstruct(model, tap, images, n_samples=2, sigmas=[1, 0.3, 0.1, 0.03, 0.01])
    >>> samples.samples.sizes["sample"], bool((samples.match < 0.05).all())
    (2, True)
    """
    _check_same_network(denoiser, tap)
    chosen = method_of(method, options)
    n_samples, draws = whole("n_samples", n_samples, least=1), whole("draws", draws, least=1)
    seeded(seed)
    if not isinstance(trajectory, bool | np.bool_):
        raise InputError(f"trajectory={trajectory!r}: give True or False")
    if basis is not None and any(option is not None for option in (channels, top, weights)):
        raise InputError("basis with channels, top or weights: give rows that are 0 at channels not to be matched")
    schedule = chosen.schedule() if sigmas is None else schedules.check(sigmas)
    given = condition_of(
        tap, condition, schedule, draws=draws, seed=seed, ids=ids, shape=shape, progress=False if not progress else None
    )
    job = Job(
        as_denoiser(denoiser),
        tap,
        given,
        chosen,
        schedule,
        weights_of(given, channels, top, weights),
        None if basis is None else orthonormal_basis(basis, given.phi.shape[2]),
        _start(start, given.shape, denoiser),
        n_samples,
        seed,
        draws,
        bool(trajectory),
    )
    attrs = _attrs(job, method)
    size = fitting(job) if batch_size is None else whole("batch_size", batch_size, least=1)
    pieces = None if store is None else Kept(store, attrs | {"images": json.dumps(given.ids)}, what="samples")
    # Whole images at a time, so that each can be kept when it is done; an image of many samples in several batches.
    together = max(1, size // n_samples)
    found: list[xr.Dataset] = []
    with tqdm(total=len(given.ids), disable=None if progress is None else not progress, unit="image") as bar:
        for begin in range(0, len(given.ids), together):
            group = range(begin, min(begin + together, len(given.ids)))
            todo = [i for i in group if pieces is None or not pieces.done(f"{i:06d}")]
            made = dict(zip(todo, images_of(job, todo, size), strict=True)) if todo else {}
            for i in group:
                if pieces is not None and i in made:
                    pieces.keep(f"{i:06d}", made[i])
                found.append(made[i] if i in made else pieces.read(f"{i:06d}"))  # pyright: ignore[reportOptionalMemberAccess]
            bar.update(len(group))
    # Adaptive schedules end at different levels: what a sample no longer took part in is missing.
    joined = xr.concat(found, "image", join="outer", coords="minimal", compat="override", combine_attrs="drop")
    _warn_of_no_match(joined)
    return _labelled(joined, job, attrs)


def _warn_of_no_match(found: xr.Dataset) -> None:
    lost = ~np.isfinite(found["match"].values).all(axis=1)
    if lost.any():
        warnings.warn(
            f"φ at the last noise level is 0 in all channels matched for {int(lost.sum())} images, "
            f"{found['image'].values[lost][0]} among them: their match, an error relative to it, is not finite; hold "
            "channels or a tap that they excite",
            stacklevel=3,
        )


def _start(start: Any, shape: tuple[int, int, int], denoiser: nn.Module) -> np.ndarray:
    if start is None:
        bounds = clean_range(as_denoiser(denoiser))
        start = 0.0 if bounds is None else (bounds[0] + bounds[1]) / 2
    given = real_numbers("start", start)
    try:
        found = np.broadcast_to(given, shape)
    except ValueError as error:
        raise InputError(
            f"start has shape {given.shape} and samples have {shape}: give a number or such an image"
        ) from error
    if not np.isfinite(found).all():
        raise InputError("start holds NaN or infinite values: give a finite image or number")
    return found


def _check_same_network(denoiser: nn.Module, tap: Any) -> None:
    if not isinstance(tap, Tap):
        raise InputError(f"{checks.given('tap', tap)}: give a tap, probekit.tap(denoiser, name)")
    mine, theirs = network_of(as_denoiser(denoiser)), network_of(tap.denoiser)
    if mine is not theirs and weights_sha256(mine.state_dict()) != weights_sha256(theirs.state_dict()):
        raise InputError(
            f"the tap looks into another network ({type(theirs).__name__}) than the denoiser given "
            f"({type(mine).__name__}): make it of this one, probekit.tap(denoiser, {', '.join(map(repr, tap.names))})"
        )


def _attrs(job: Job, method: str) -> dict[str, Any]:
    """Provenance of the samples; also what a store must have been begun with."""
    measured = {k: v for k, v in job.condition.attrs.items() if k not in ("draws", "seed")}
    settings = ", ".join(f"{k}={v}" for k, v in asdict(job.method).items())  # pyright: ignore[reportArgumentType]
    parts = [job.weight, job.start, job.condition.phi] + ([] if job.basis is None else [job.basis])
    if job.condition.images is None:
        # Of images it follows from what is named above.
        parts.append(job.condition.spread)
    return {
        **measured,
        "analysis": "sampling",
        "method": method,
        "method_settings": settings,
        "sigmas": ", ".join(f"{s:.6g}" for s in job.sigmas),
        "n_samples": job.n_samples,
        "draws": job.draws,
        "seed": job.seed,
        "trajectory": int(job.trajectory),
        "targets_sha256": weights_sha256({str(i): torch.from_numpy(np.array(a)) for i, a in enumerate(parts)}),
    }


def _labelled(data: xr.Dataset, job: Job, attrs: Mapping[str, Any]) -> xr.Dataset:
    """Samples with their coordinates, names and units."""
    long_names = {
        "samples": ("samples given phi", "intensity"),
        "loss_before": ("guidance loss before guidance", "1"),
        "loss": ("guidance loss after guidance", "1"),
        "guidance_steps": ("gradient evaluations of guidance", "1"),
        "noise_level": ("noise standard deviation", "intensity"),
        "evaluations": ("passes through the whole network", "1"),
        "ess": ("effective number of particles", "1"),
        "match": ("relative error of phi at the last noise level", "1"),
        "trajectory": ("clean estimate after each level", "intensity"),
    }
    variables = {
        name: variable(tuple(map(str, v.dims)), v.values, *long_names[str(name)]) for name, v in data.data_vars.items()
    }
    bands, rows, cols = job.condition.shape
    coords: dict[str, Any] = {
        "image": ("image", data["image"].values, {"long_name": COORDINATES["image"]}),
        "sample": ("sample", np.arange(job.n_samples), {"long_name": "conditional sample"}),
        "level": ("level", np.arange(data.sizes["level"]), {"long_name": "level of the schedule"}),
        "band": np.arange(bands),
        "row": np.arange(rows),
        "col": np.arange(cols),
    }
    if job.condition.labels is not None:
        coords["label"] = ("image", np.array(job.condition.labels, dtype=object), {"long_name": COORDINATES["label"]})
    if job.condition.images is not None:
        variables["condition"] = variable(
            ("image", "band", "row", "col"), job.condition.images, "images conditioned on", "intensity"
        )
    return xr.Dataset(variables, coords=coords, attrs=dict(attrs))


def plot(samples: xr.Dataset, *, most: int = 8) -> Figure:
    """Draw a sheet: in each row a condition, where it is an image, and its samples.

    Parameters
    ----------
    samples
        What `reconstruct` returns.
    most
        Samples shown of each condition.

    Returns
    -------
    Figure
        Intensities outside [0, 1] are clipped; where they are of no range, the extremes are black and white.

    Raises
    ------
    InputError
        If `samples` is not what `reconstruct` returns.
    """
    from matplotlib.figure import Figure

    check_samples(samples)
    shown = min(whole("most", most, least=1), samples.sizes["sample"])
    given = "condition" in samples
    count = samples.sizes["image"]
    figure = Figure(figsize=(1.3 * (shown + given) + 0.4, 1.45 * count + 0.5), layout="constrained")
    axes = figure.subplots(count, shown + given, squeeze=False)
    low, high = _range_of(samples)
    for i in range(count):
        row = [samples["condition"].isel(image=i)] if given else []
        row += [samples["samples"].isel(image=i, sample=k) for k in range(shown)]
        for n, (axis, image) in enumerate(zip(axes[i], row, strict=True)):
            pixels = np.clip((np.moveaxis(image.values.astype(float), 0, -1) - low) / (high - low), 0, 1)
            axis.imshow(pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            if n >= given:
                error = float(samples["match"].values[i, n - given])
                axis.set_xlabel(f"{100 * error:.1f} %", fontsize=7)
        axes[i][0].set_ylabel(str(samples["image"].values[i])[-18:], fontsize=6)
    if given:
        axes[0][0].set_title("condition", fontsize=8)
    axes[0][int(given)].set_title("samples; error of φ", fontsize=8)
    return figure


def _range_of(samples: xr.Dataset) -> tuple[float, float]:
    values = samples["condition" if "condition" in samples else "samples"].values
    low, high = float(values.min()), float(values.max())
    if low >= -0.5 and high <= 1.5:
        return 0.0, 1.0
    return low, high if high > low else low + 1


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.sampling IMAGES... --denoiser photo32 -o out/``."""
    parser = argparse.ArgumentParser(
        prog="python -m analyses.sampling", description="Images sampled from p(x | φ) of images, and what they share."
    )
    parser.add_argument("images", nargs="+", help='folders or zips of images, or "samples" and ids of built-in ones')
    parser.add_argument("--denoiser", default="photo32", help="bundled name or .safetensors path (default: photo32)")
    parser.add_argument("--tap", default="mid", help="what is matched (default: mid)")
    parser.add_argument("--size", type=int, default=32, help="side of the images (default: 32)")
    parser.add_argument("--samples", type=int, default=4, help="of each image (default: 4)")
    parser.add_argument("--method", default=DEFAULT)
    parser.add_argument("--levels", type=int, help="noise levels, between the method's first and last")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", type=Path, help="folder that finished images are kept in")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for the results (default: here)")
    given = parser.parse_args(arguments)
    return ground.command(parser, lambda: _made(given))


def _made(given: argparse.Namespace) -> list[Path]:
    denoiser = probekit.load(given.denoiser)
    tap = probekit.tap(denoiser, given.tap)
    prepared(given.out)
    images = images_called(given.images, size=given.size, crop=None if given.images[0] == "samples" else given.size)
    ends = levels(given.method)
    sigmas = None if given.levels is None else schedules.geometric(ends[0], ends[-1], given.levels)
    samples = reconstruct(
        denoiser,
        tap,
        images,
        n_samples=given.samples,
        sigmas=sigmas,
        method=given.method,
        seed=given.seed,
        store=given.store,
    )
    found = describe(samples)
    return ground.saved(given.out, ("samples", samples), ("sampling", found), ("sampling", plot(samples)))


if __name__ == "__main__":
    sys.exit(main())
