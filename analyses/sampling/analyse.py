"""Stochastic reconstruction: images sampled from p(x | φ) by the network that φ was measured in."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import xarray as xr

from analyses.ground import Findings, Kept, Variable, along, as_tap, repeats, workers_of
from analyses.sampling.conditions import PHI, condition_of
from analyses.sampling.kernels import Multiplying
from analyses.sampling.methods import (
    Match,
    method_of,
    registered,
    start_of,
)
from analyses.sampling.walk import Reconstruction, fitting, images_of, multiplying_in
from probekit import checks
from probekit.capture.survey import network_of
from probekit.checks import choice, seeded, whole
from probekit.denoising.denoiser import as_denoiser, settings_shown
from probekit.distribute.run import each
from probekit.errors import InputError
from probekit.labels import COORDINATES
from probekit.machine.identity import modules_of
from probekit.machine.place import place_of
from probekit.machine.precision import PRECISIONS, Arithmetic, checked_precision
from probekit.machine.progress import Bar, bar
from probekit.machine.weights import weights_sha256
from probekit.phi.averages import noise_levels
from probekit.phi.remade import Blank, Remade, remade
from probekit.phi.tap import Tap

if TYPE_CHECKING:
    from distributed import Client
    from torch import Tensor, nn

    from probekit.distribute import Workers
    from probekit.machine.precision import Precision

__all__ = ["DEFAULT", "SAMPLES", "levels", "reconstruct", "schedule"]

LOG = logging.getLogger("probekit")
DEFAULT = "langevin"
OF_SAMPLE, OF_LEVEL = ("image", "sample"), ("image", "sample", "level")
PIXELS = ("band", "row", "col")
SAMPLES = Findings(
    "sampling",
    {
        "samples": Variable((*OF_SAMPLE, *PIXELS), "samples given φ, not clipped", "intensity"),
        "loss_before": Variable(OF_LEVEL, "guidance loss, a weighted mean squared difference, before guidance"),
        "loss": Variable(
            OF_LEVEL,
            "the same after guidance; under langevin in units of one draw's variance, and in the end that of the clean "
            "estimate",
        ),
        "guidance_steps": Variable(OF_LEVEL, "gradient evaluations of guidance"),
        "noise_level": Variable(OF_LEVEL, "noise standard deviation", "intensity"),
        "evaluations": Variable(OF_SAMPLE, "passes through the whole network"),
        "match": Variable(
            OF_SAMPLE,
            "‖φ(x) − φ*‖/‖φ*‖ over the weighted channels at the last noise level; not finite, with a warning, where φ* "
            "is 0",
        ),
        "ess": Variable(OF_LEVEL, "effective number of particles, of a method that has some", optional=True),
        "trajectory": Variable(
            (*OF_LEVEL, *PIXELS), "clean estimate after each level, on request", "intensity", optional=True
        ),
        "condition": Variable(
            ("image", *PIXELS), "images conditioned on, where φ was measured on images", "intensity", optional=True
        ),
        "condition_image": Variable(
            ("image", "band", "condition_row", "condition_col"),
            "the same, where they are of another size than the samples",
            "intensity",
            optional=True,
        ),
    },
    coords={
        "sample": "conditional sample",
        "level": "level of the schedule",
        "band": "band of the image",
        "row": "row of the image",
        "col": "column of the image",
        "condition_row": "row of the image conditioned on",
        "condition_col": "column of the image conditioned on",
        "share": "how much of φ is of the second of the two that were mixed",
    },
    source="sampling.reconstruct",
)


def levels(method: str | Callable[..., Tensor] = DEFAULT) -> list[float]:
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
    return list(registered(method)[1].levels)


def schedule(method: str | Callable[..., Tensor], sigmas: Sequence[float] | None, count: int) -> list[float]:
    """The noise levels given, or so many of the method's own, from its first to its last, as densely spread."""
    if sigmas is not None:
        return noise_levels(sigmas)
    own = levels(method)
    places = np.linspace(0, len(own) - 1, repeats("levels", count, least=2))
    return [float(s) for s in np.interp(places, range(len(own)), own)]


@SAMPLES.described
def reconstruct(
    denoiser: nn.Module,
    tap: Tap,
    condition: Any,
    *,
    n_samples: int = 4,
    size: Sequence[int] | int | None = None,
    sigmas: Sequence[float] | None = None,
    method: str | Callable[..., Tensor] = DEFAULT,
    seed: int = 0,
    store: str | Path | None = None,
    match: Match | None = None,
    draws: int = 10,
    start: Any = None,
    trajectory: bool = False,
    batch_size: int | None = None,
    conditions: Mapping[str, Any] | None = None,
    precision: Precision | Literal["auto"] = "float32",
    client: Client | Workers | None = None,
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
        Clean images, anything that `probekit.images.load` takes, whose φ is measured here at all levels; or a
        `Condition`, of images with ids of their own or of φ that is measured, averaged, mixed or edited already.
    n_samples
        Samples of each condition, ≥ 1.
    size
        (rows, cols) of the samples, or one number for both; by default the condition's. φ is then held as it was
        measured, which needs a mean over positions and a network that takes images of both sizes.
    sigmas
        Noise levels, falling, in intensity units; by default those of the `Condition`, else the method's own.
    method
        "langevin", dynamics on the level sets of the features (options: correctors, last_correctors, step,
        guidance_steps, tolerance, tolerance_before, final_draws); "algorithm1", the paper's (options of `Guiding`);
        "adaptive", with σ estimated from the residual (the same, and h0, beta, until, most_levels); "guidance" and
        "score", Algorithm 1 without its other half; "unconditional", "langevin" without a condition; "particles", a
        reference right in the limit of many particles (particles, resample_below). Or a function of your own,
        see `sampler`.
    seed
        Of all noise, which is addressed by (seed, image id, sample, level), and of the draws of φ.
    store
        Folder in which finished images are kept, one netCDF file each, and φ of the condition, phi.nc, which is then
        not measured again; a call that was cut short is finished by making it again, on another machine too.
    match
        What of φ is matched; by default all channels.
    draws
        Noise draws that targets, and the final match, are averaged over.
    start
        Image (band, row, col), or number, to begin at; by default the middle of the denoiser's range.
    trajectory
        Whether to keep the clean estimate after each level.
    batch_size
        Samples at a time; by default what keeps the device busy within 1 GiB, 8 GiB on a GPU, and half of what is free.
    conditions
        What else the network takes of each image of the condition, as for calling a tap; it goes for all samples of the
        image. By default what the `Condition` was made with.
    precision
        In what the network's layers multiply at all levels but the last, which is float32, as are φ and the match:
        "float32"; "bfloat16", "bfloat16x2" or "tf32" (see probekit.machine.precision); or "auto", which a short trial
        finds fastest, at the levels where a step changes by less than a tenth of σ. Attrs say which, above which level
        (``precision_above``), and of the trial ``precision_gain``, how many times as fast passes are, and
        ``precision_error``, the largest change in σ. A store begun with "auto" goes on as it was begun.
    client
        With `store`: a ``distributed.Client``, or `probekit.Workers`, whose workers make the samples, those of one
        batch each, and keep them; the same as this process makes with as many threads. They load the network by what
        it was loaded by here, see `probekit.Workers`, and see the same folder.
    progress
        Whether to show a progress bar; by default only in a terminal.
    options
        Of the method.

    Returns
    -------
    Dataset
        {findings}

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
    >>> import probekit
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> images, truth = model.draw(1, rows=8, cols=8, seed=0)
    >>> tap = probekit.tap(model, "mid")
    >>> samples = reconstruct(model, tap, images, n_samples=2, sigmas=[1, 0.3, 0.1, 0.03, 0.01])
    >>> samples.samples.sizes["sample"], bool((samples.match < 0.05).all())
    (2, True)
    """
    _check_same_network(denoiser, tap)
    _check_match(match, options)
    chosen = method_of(method, options)
    n_samples, draws = repeats("n_samples", n_samples, least=1), repeats("draws", draws, least=1)
    seed, multiplied, workers = seeded(seed), _precision(precision, denoiser), workers_of(client, store)
    progress = None if progress is None else checks.flag("progress", progress)
    given = condition_of(
        tap,
        condition,
        sigmas,
        chosen.levels,
        draws=draws,
        seed=seed,
        size=size,
        conditions=conditions,
        progress=False if not progress else None,
        store=store,
    )
    made = Reconstruction(
        as_denoiser(denoiser),
        tap,
        given,
        (match or Match()).of(given.phi),
        start_of(start, given.shape, denoiser),
        chosen,
        n_samples,
        seed,
        draws,
        checks.flag("trajectory", trajectory),
        Arithmetic(network_of(as_denoiser(denoiser))),
    )
    together = fitting(made) if batch_size is None else whole("batch_size", batch_size, least=1)
    made = made._replace(multiplying=_multiplying(made, multiplied, together, store))
    attrs = _attrs(made)
    LOG.info(
        "%d images, %d samples of each by %s, %d noise levels: %d in one forward pass, on %s in %s, multiplied in %s",
        len(given.ids),
        n_samples,
        method,
        len(chosen.levels),
        together,
        place_of(denoiser).device,
        place_of(denoiser).dtype,
        made.multiplying.precision,
    )
    kept = None if store is None else Kept(store, attrs | _plan(made), what="samples")
    if kept is not None and given.fresh is not None:
        kept.keep(PHI, given.fresh)
    attrs |= made.multiplying.told()
    with bar(len(given.ids), "img", progress, "samples") as shown:
        found = _images(made, together, kept, shown, workers)
    # Adaptive schedules end at different levels: what a sample no longer took part in is missing.
    joined = xr.concat(found, "image", join="outer", coords="minimal", compat="override", combine_attrs="drop")
    _warn_of_no_match(joined)
    return _labelled(joined, made, attrs)


def _multiplying(made: Reconstruction, asked: str, size: int, store: Any) -> Multiplying:
    """How layers multiply; what a trial found when a store was begun holds on."""
    begun = Kept.begun(store) if store is not None and asked == "auto" else {}
    if not begun:
        return multiplying_in(made, asked, size)
    return multiplying_in(made, begun.get("precision", "float32"), size).as_told(begun)


def _images(
    made: Reconstruction, size: int, kept: Kept | None, shown: Bar, workers: Workers | None
) -> list[xr.Dataset]:
    """Samples of every image, made or read.

    Whole images at a time, so that each can be kept when it is done; an image of many samples in several batches.
    """
    together, count = max(1, size // made.n_samples), len(made.condition.ids)
    groups = [range(begin, min(begin + together, count)) for begin in range(0, count, together)]
    made_elsewhere: set[range] = set()
    if workers is not None and kept is not None:
        lacking = [group for group in groups if not all(kept.holds(_part(i)) for i in group)]
        if lacking:
            for group, _ in each(workers, _groups(made, size, kept, workers), lacking, shown):
                made_elsewhere.add(group)
                shown.update(len(group))
    found: list[xr.Dataset] = []
    for group in groups:
        found += _group(made, group, size, kept)
        shown.update(0 if group in made_elsewhere else len(group))
    return found


def _group(made: Reconstruction, group: range, size: int, kept: Kept | None) -> list[xr.Dataset]:
    """Samples of images that share batches, made or read; if one lacks them all are made, so that none differs."""
    read = [None if kept is None else kept.found(_part(i)) for i in group]
    there = [one for one in read if one is not None]
    if len(there) == len(group):
        return there
    LOG.debug("images %s: %d made, %d kept", group, len(group) - len(there), len(there))
    fresh = images_of(made, group, size)
    if kept is None:
        return fresh
    return [kept.keep(_part(i), new) if old is None else old for i, old, new in zip(group, read, fresh, strict=True)]


def _part(i: int) -> str:
    """What an image's samples are called in a store."""
    return f"{i:06d}"


@dataclass(frozen=True)
class Groups:
    """Groups of images, the samples of each made and kept by whichever worker is given it.

    Attributes
    ----------
    folder, plan_sum
        The store, which all workers see, and the sum of its plan.
    remade
        How they make the network and the tap.
    made
        All else, without these.
    size
        Samples at a time.
    """

    folder: Path
    plan_sum: str
    remade: Remade
    made: Reconstruction
    size: int

    def ready(self) -> Callable[[range], None]:
        denoiser, tap = self.remade.made()
        kept = Kept.joined(self.folder, self.plan_sum)
        made = self.made._replace(denoiser=denoiser, tap=tap, arithmetic=Arithmetic(network_of(denoiser)))

        def make(group: range) -> None:
            _group(made, group, self.size, kept)

        return make


def _groups(made: Reconstruction, size: int, kept: Kept, workers: Workers) -> Groups:
    given = made.condition
    again = remade(made.denoiser, made.tap, workers, Blank(given.shape, given.sigmas, given.given))
    # Of what is large only what samples are made of.
    needed = replace(given, images=None, fresh=None, labels=None)
    without = made._replace(condition=needed, **dict.fromkeys(("denoiser", "tap", "arithmetic")))
    return Groups(kept.folder.absolute(), kept.plan_sum, again, without, size)


def _warn_of_no_match(found: xr.Dataset) -> None:
    missing = ~np.isfinite(found["match"].values).all(axis=1)
    if missing.any():
        warnings.warn(
            f"φ at the last noise level is 0 in all channels matched for {int(missing.sum())} images, "
            f"{found['image'].values[missing][0]} among them: their match, an error relative to it, is not finite; "
            "hold channels or a tap that they excite",
            stacklevel=3,
        )


def _check_same_network(denoiser: nn.Module, tap: Any) -> None:
    mine, theirs = network_of(as_denoiser(denoiser)), network_of(as_tap(tap).denoiser)
    if mine is not theirs and weights_sha256(mine.state_dict()) != weights_sha256(theirs.state_dict()):
        raise InputError(
            f"the tap looks into another network ({type(theirs).__name__}) than the denoiser given "
            f"({type(mine).__name__}): make it of this one, probekit.tap(denoiser, {', '.join(map(repr, tap.names))})"
        )


def _precision(value: Any, denoiser: nn.Module) -> str:
    asked = choice("precision", value, ("auto", *PRECISIONS))
    return asked if asked == "auto" else checked_precision(asked, network_of(as_denoiser(denoiser)))


def _check_match(match: Any, options: Mapping[str, Any]) -> None:
    if match is not None and not isinstance(match, Match):
        raise InputError(f"{checks.given('match', match)}: give sampling.Match(channels=…), or None for all of φ")
    own = [field.name for field in fields(Match) if field.name in options]
    if own:
        raise InputError(f"{own[0]} is no option of a method: give match=sampling.Match({own[0]}=…)")


def _attrs(made: Reconstruction) -> dict[str, Any]:
    """Provenance of the samples; also what a store must have been begun with."""
    condition, (weight, basis) = made.condition, made.matched
    # In what φ was measured is in the targets; attrs of this name are the samples'.
    own = ("draws", "seed")
    measured = {k: v for k, v in condition.attrs.items() if k not in own and not k.startswith("precision")}
    parts = [weight, made.start, condition.phi] + ([] if basis is None else [basis])
    if condition.images is None:
        # Of images it follows from what is named above.
        parts.append(condition.spread)
    code = made.method.code
    given = {} if condition.given is None else condition.given.fingerprints()
    return {
        **measured,
        "denoiser_settings": settings_shown(made.denoiser),
        **({"conditions": ", ".join(given)} if given else {}),
        **{f"condition_{name}_sha256": digest for name, digest in given.items()},
        "analysis": SAMPLES.analysis,
        "method": made.method.name,
        "method_settings": ", ".join(f"{k}={v}" for k, v in made.method.settings.items()),
        **({} if code is None else {"method_sha256": hashlib.sha256(code.encode()).hexdigest()}),
        "sigmas": ", ".join(f"{s:.6g}" for s in condition.sigmas),
        "n_samples": made.n_samples,
        "draws": made.draws,
        "seed": made.seed,
        "trajectory": int(made.trajectory),
        **({} if condition.measured is None else {"size": f"{condition.shape[1]}×{condition.shape[2]}"}),
        "targets_sha256": weights_sha256({str(i): torch.from_numpy(np.array(a)) for i, a in enumerate(parts)}),
    }


def _plan(made: Reconstruction) -> dict[str, str]:
    """What else a store must have been begun with."""
    # The denoiser may tell the network σ otherwise, or take its output for something else, than the tap's does.
    told_apart = {**made.tap.identity(), "denoiser_modules": modules_of(made.denoiser)}
    noise = {} if made.condition.noise is None else {"noise_ids": json.dumps(made.condition.noise)}
    # Stores of float32 are those of versions that knew nothing else.
    lower = made.multiplying.told() if made.multiplying.precision != "float32" else {}
    return {
        "images": json.dumps(made.condition.ids),
        **noise,
        **{k: json.dumps(v) for k, v in told_apart.items()},
        **{k: str(v) for k, v in lower.items()},
    }


def _labelled(found: xr.Dataset, made: Reconstruction, attrs: Mapping[str, Any]) -> xr.Dataset:
    """Samples with their coordinates, names and units."""
    condition = made.condition
    values = {str(name): v.values for name, v in found.data_vars.items()}
    if condition.images is not None:
        values["condition" if condition.measured is None else "condition_image"] = condition.images
    coords: dict[str, Any] = {"image": along("image", found["image"].values, COORDINATES["image"])}
    if condition.labels is not None:
        coords["label"] = along("image", np.array(condition.labels, dtype=object), COORDINATES["label"])
    if condition.share is not None:
        coords["share"] = along("image", condition.share, SAMPLES.coords["share"])
    sizes = {"sample": made.n_samples, "level": found.sizes["level"], **dict(zip(PIXELS, condition.shape, strict=True))}
    if condition.measured is not None and condition.images is not None:
        sizes |= dict(zip(("condition_row", "condition_col"), condition.measured[1:], strict=True))
    own = {name: np.arange(size) for name, size in sizes.items()}
    return SAMPLES.label(values, xr.Dataset(coords=coords, attrs=dict(attrs)), coords=own)
