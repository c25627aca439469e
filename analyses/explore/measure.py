"""What the explorer shows of a network: φ at every tap, what analyses say of channels, and passes of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from analyses import selectivity, sparsity
from analyses.ground import block_names, repeats
from probekit import checks, labels
from probekit.capture.reductions import reduction
from probekit.denoising.conditions import Conditions, conditions_for
from probekit.denoising.denoiser import settings_shown
from probekit.errors import InputError, ProbeError
from probekit.labels import blocks, strings
from probekit.machine.modes import evaluating, flushed_denormals
from probekit.machine.place import place_of
from probekit.machine.progress import at_work_on, bar
from probekit.phi.averages import clean_and_noise
from probekit.phi.tap import tap

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.capture.reductions import Reduction
    from probekit.images import ImageSet

__all__ = ["Measured", "Measuring", "denoised", "maps_of", "measured", "reduced", "without_channel"]

SIGMA = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
# Maps and effects are shown at so many of the noise levels; maps have at most so many rows and columns.
MAP_LEVELS, MAP_SIZE = 3, 32
# Passes through the network for maps are dear, and few draws show where a channel sees what it likes.
MAP_DRAWS = 4
TOGETHER = 64


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How an explorer measures.

    Attributes
    ----------
    sigma
        Noise levels in intensity units, > 0, at least one.
    draws, seed
        Noise draws that φ is averaged over, and the seed of the noise.
    taps
        Places in the network; by default those that it declares, else its middle.
    reduce
        What is made of a map, as for `probekit.tap`.
    detailed
        Images of which a page holds noisy, denoised and maps, spread evenly over the set, whose classes take turns.
    conditions
        What else the networks take of each image, as for calling a tap.
    progress
        Whether to show how far it is; None for in a terminal.

    Raises
    ------
    InputError
        If one is out of its range.
    """

    sigma: Sequence[float] = SIGMA
    draws: int = 4
    seed: int = 0
    taps: Sequence[str] | None = None
    reduce: str | Reduction = "mean"
    detailed: int = 24
    conditions: Mapping[str, Any] | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        checks.settle(self)
        levels = sorted(checks.noise_levels(self.sigma))
        if not levels or levels[0] <= 0:
            raise InputError(f"{checks.given('sigma', self.sigma)}: give noise levels above 0, e.g. [0.1, 0.3, 1.0]")
        object.__setattr__(self, "sigma", tuple(levels))
        object.__setattr__(self, "draws", repeats("draws", self.draws, least=1))
        object.__setattr__(self, "seed", checks.seeded(self.seed))
        object.__setattr__(self, "detailed", checks.whole("detailed", self.detailed, least=0))
        if self.taps is not None:
            wanted = 'names of taps, e.g. ["enc1", "mid"]'
            given = checks.names("taps", self.taps, wanted)
            if not given:
                raise InputError(f"{checks.given('taps', self.taps)}: give {wanted}")
            object.__setattr__(self, "taps", tuple(given))
        reduction(self.reduce)
        if self.progress is not None:
            checks.flag("progress", self.progress)

    @property
    def map_draws(self) -> int:
        """Noise draws that maps are averaged over."""
        return min(self.draws, MAP_DRAWS)

    @property
    def shown(self) -> list[int]:
        """Positions of the noise levels that maps and effects are shown at."""
        count = min(MAP_LEVELS, len(self.sigma))
        return np.unique(np.linspace(0, len(self.sigma) - 1, count + 2)[1:-1].round().astype(int)).tolist()


@dataclass(frozen=True)
class Measured:
    """One network of an explorer.

    Attributes
    ----------
    name
        Unique among the networks of the explorer.
    denoiser
        What was measured.
    data
        What its taps return.
    sparsity
        Participation ratio of each block (sigma, block), mean over images.
    types
        Findings of `analyses.selectivity`, or None, and
    refused
        why there are none; "" where there are.
    sizes
        Of each tap the map's (rows, cols).
    settings
        What the denoiser was told to be, as results state it.
    """

    name: str
    denoiser: nn.Module
    data: xr.Dataset
    sparsity: xr.DataArray
    types: xr.Dataset | None
    refused: str
    sizes: Mapping[str, tuple[int, int]]
    settings: str

    @property
    def blocks(self) -> list[str]:
        """Names of the taps."""
        return blocks(self.data)

    def channels(self, block: str) -> np.ndarray:
        """Positions of a tap's channels."""
        return np.flatnonzero(strings(self.data["tap"].values) == block)


def measured(
    name: str, denoiser: nn.Module, images: ImageSet, settings: Measuring, known: xr.Dataset | None = None
) -> Measured:
    """Measure one network at every tap, and let the analyses say what they can of it.

    Parameters
    ----------
    name
        What the explorer calls it.
    denoiser, images, settings
        What, on what, how.
    known
        φ of this network on these images, measured before in this way.

    Raises
    ------
    InputError, TapError, CapacityError
        As for calling a tap.
    """
    names = settings.taps or block_names(denoiser)
    options = {"sigma": settings.sigma, "seed": settings.seed}
    with at_work_on(f"φ of {name}"), flushed_denormals():
        read = tap(denoiser, *names, reduce=settings.reduce)
        if known is None:
            how = {**options, "draws": settings.draws, "progress": settings.progress}
            data = read(images, conditions=settings.conditions, **how)
        else:
            few = _of(settings.conditions, denoiser, images, [0])
            one = read(images.subset([0]), draws=1, conditions=few, progress=False, **options)
            data = _same(name, known, one, images, settings)
    if not np.isfinite(data["phi"].values).all():
        bad = strings(data["image"].values)[~np.isfinite(data["phi"].values).all(axis=(1, 2))]
        raise InputError(
            f"φ of {name} holds NaN or infinite values, of {len(bad)} images such as {bad[0]}: leave these out, or "
            "mend the network"
        )
    types, refused = None, ""
    try:
        with at_work_on(f"types of channel of {name}"):
            types = selectivity.analyse(data)
    except ProbeError as error:
        refused = str(error)
    return Measured(
        name,
        denoiser,
        data,
        _participation(data),
        types,
        refused,
        _sizes(denoiser, names, images, settings),
        settings_shown(denoiser),
    )


def _same(name: str, known: xr.Dataset, one: xr.Dataset, images: ImageSet, settings: Measuring) -> xr.Dataset:
    """φ measured before, if it is of this network, these images and settings; `one` is φ of the first image."""
    labels.check(known, "phi", "phi_se", "rest", "rest_se", finite=False)
    own = {"images": list(images.ids), "sigma": list(settings.sigma), "taps": labels.blocks(one)}
    given = {
        "images": strings(known["image"].values).tolist(),
        "sigma": known["sigma"].values.tolist(),
        "taps": labels.blocks(known),
    }
    for key in ("weights_sha256", "reduce", "seed"):
        own[key], given[key] = one.attrs[key], known.attrs.get(key)
    own["draws"], given["draws"] = settings.draws, known.attrs.get("draws")
    wrong = [key for key in own if own[key] != given[key]]
    if wrong:
        raise InputError(
            f"data of {name}: its {wrong[0]} are {checks.shown(given[wrong[0]])}, and the explorer's "
            f"{checks.shown(own[wrong[0]])}: give φ of this network on the same images, with the same settings, "
            "or none"
        )
    return known


def _participation(data: xr.Dataset) -> xr.DataArray:
    """Participation ratio of φ, mean over images (sigma, block); NaN where φ is signed, of which there is none."""
    phi, taps = data["phi"].values.astype(np.float64), strings(data["tap"].values)
    found = np.full((data.sizes["sigma"], len(blocks(data))), np.nan)
    for k, block in enumerate(blocks(data)):
        here = phi[..., taps == block]
        if here.min(initial=0) >= -1e-6 * np.abs(here).max(initial=0):
            for s in range(len(found)):
                # A block that is silent on an image has no ratio there.
                ratios = sparsity.participation_ratio(np.maximum(here[:, s], 0))
                found[s, k] = np.nanmean(ratios) if np.isfinite(ratios).any() else np.nan
    return xr.DataArray(found, dims=("sigma", "block"), coords={"sigma": data["sigma"], "block": blocks(data)})


def _sizes(
    denoiser: nn.Module, names: Sequence[str], images: ImageSet, settings: Measuring
) -> dict[str, tuple[int, int]]:
    """Rows and columns of each tap's maps, as one pass shows them."""
    found = {}
    for name in names:
        maps = tap(denoiser, name).maps(
            images.subset([0]),
            sigma=settings.sigma[:1],
            seed=settings.seed,
            conditions=_of(settings.conditions, denoiser, images, [0]),
        )
        found[name] = (maps.sizes["row"], maps.sizes["col"])
    return found


def _of(conditions: Any, denoiser: nn.Module, images: ImageSet, positions: Sequence[int]) -> Conditions | None:
    return None if conditions is None else conditions_for(denoiser, conditions, images).subset(positions)


def maps_of(
    one: Measured, images: ImageSet, settings: Measuring, positions: Sequence[int] | None = None
) -> Iterator[tuple[Sequence[int], dict[str, np.ndarray]]]:
    """Maps of images, so many at a time: their positions, and of each tap (image, shown level, channel, row, col).

    They are averaged over the first 4 draws of φ, so that their means are φ of these, and reduced to 32 rows and
    columns at most; float32. `positions` are those of all images unless given.
    """
    known, levels = _known(one, images, settings), [settings.sigma[s] for s in settings.shown]
    relu = isinstance(settings.reduce, str) and settings.reduce.startswith("relu")
    read = tap(one.denoiser, *one.blocks, reduce=_whole_relu if relu else _whole)
    wanted = range(len(images)) if positions is None else positions
    shown = False if positions is not None else settings.progress
    with bar(len(wanted), "img", shown, f"maps of {one.name}") as told, flushed_denormals():
        for start in range(0, len(wanted), TOGETHER):
            where = wanted[start : start + TOGETHER]
            data = read(
                images.subset(where),
                sigma=levels,
                draws=settings.map_draws,
                seed=settings.seed,
                conditions=None if settings.conditions is None else known.subset(where),
                progress=False,
            )
            taps, values = strings(data["tap"].values), data["phi"].values
            yield (
                where,
                {
                    block: values[..., taps == block].reshape(len(where), len(levels), -1, *reduced(one.sizes[block]))
                    for block in one.blocks
                },
            )
            told.update(len(where))


def reduced(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns that a map is shown with."""
    return min(size[0], MAP_SIZE), min(size[1], MAP_SIZE)


def _whole(a: Tensor) -> Tensor:
    """A reduction that keeps the map, made smaller where it is larger; each map's numbers one after another."""
    size = reduced((a.shape[2], a.shape[3]))
    if tuple(a.shape[2:]) != size:
        a = torch.nn.functional.adaptive_avg_pool2d(a, size)
    return a.flatten(1)


def _whole_relu(a: Tensor) -> Tensor:
    return _whole(a.relu())


def _known(one: Measured, images: ImageSet, settings: Measuring) -> Conditions:
    return conditions_for(one.denoiser, settings.conditions, images)


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    return min(size[0], MAP_SIZE), min(size[1], MAP_SIZE)


def _flat(size: tuple[int, int], relu: bool) -> Any:
    """A reduction that keeps the whole map, made smaller where it is larger, each map's numbers one after another."""

    def flat(a: Tensor) -> Tensor:
        a = a.relu() if relu else a
        if tuple(a.shape[2:]) != size:
            a = torch.nn.functional.adaptive_avg_pool2d(a, size)
        return a.flatten(1)

    return flat


def denoised(
    one: Measured, images: ImageSet, positions: Sequence[int], settings: Measuring
) -> tuple[np.ndarray, np.ndarray]:
    """The denoised images at every noise level (image, sigma, band, row, col), and the noise of draw 0.

    Noisy is the image plus σ times the noise, one z for all σ.
    """
    place, known = place_of(one.denoiser), _known(one, images, settings)
    clean, noise = [], []
    with torch.no_grad(), evaluating(one.denoiser), flushed_denormals():
        for k in positions:
            x, z = clean_and_noise(images, [k], [0], seed=settings.seed, place=place)
            own = known.at([k], x)
            clean.append(torch.cat([one.denoiser(x + s * z, s, **own) for s in settings.sigma]).float().cpu().numpy())
            noise.append(z[0].float().cpu().numpy())
    shape = images.shape
    return (
        np.stack(clean) if clean else np.empty((0, len(settings.sigma), *shape), np.float32),
        np.stack(noise) if noise else np.empty((0, *shape), np.float32),
    )


def without_channel(
    one: Measured, images: ImageSet, block: str, positions: np.ndarray, settings: Measuring
) -> tuple[np.ndarray, np.ndarray]:
    """What silencing each channel of a tap does to the denoised image, at the middle of the shown noise levels.

    Parameters
    ----------
    one, images, block, settings
        Of which network, which images, which tap.
    positions
        (channel, k): images that each channel is tried on.

    Returns
    -------
    change : ndarray
        (channel, k, band, row, col): denoised without the channel, less denoised with it.
    psnr : ndarray
        (channel, k): PSNR in dB without, less with; NaN where either has no error.
    """
    place, known = place_of(one.denoiser), _known(one, images, settings)
    level = settings.sigma[settings.shown[len(settings.shown) // 2]]
    used, inverse = np.unique(positions, return_inverse=True)
    inverse = inverse.reshape(positions.shape)
    edited, handle = [], tap(one.denoiser, block)
    with torch.no_grad(), evaluating(one.denoiser), flushed_denormals():
        x, z = clean_and_noise(images, used.tolist(), [0] * len(used), seed=settings.seed, place=place)
        y = x + level * z
        plain = []
        for start in range(0, len(used), TOGETHER):
            rows = slice(start, start + TOGETHER)
            plain.append(one.denoiser(y[rows].clone(), level, **known.at(used[rows].tolist(), x)))
        plain = torch.cat(plain)
        with bar(len(positions), "channel", settings.progress, f"without each channel of {block}") as told:
            for channel, rows in enumerate(inverse):
                with handle.ablate([channel]):
                    edited.append(one.denoiser(y[rows].clone(), level, **known.at(used[rows].tolist(), x)))
                told.update(1)
    other = torch.stack(edited).float()
    before, truth = plain[inverse].float(), x[inverse].float()
    errors = [(a - truth).square().flatten(2).mean(dim=2).double().cpu().numpy() for a in (before, other)]
    with np.errstate(divide="ignore", invalid="ignore"):
        psnr = 10 * np.log10(errors[0] / errors[1])
    return (other - before).cpu().numpy(), np.where(np.isfinite(psnr), psnr, np.nan)
