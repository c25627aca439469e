"""What groups of channels cause: denoised images with and without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

import numpy as np
import torch
import xarray as xr

from analyses.attribution.inputs import batches, same_network
from analyses.ground import (
    Findings,
    Variable,
    check_options,
    chosen_channels,
    estimated_mean,
    labels_of,
    repeats,
    resampling,
)
from probekit import checks
from probekit import images as image_sources
from probekit.denoising.conditions import conditions_for
from probekit.errors import InputError
from probekit.machine.modes import evaluating
from probekit.machine.place import place_of
from probekit.machine.progress import bar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from probekit.denoising.conditions import Conditions
    from probekit.phi.tap import Tap

__all__ = ["EFFECTS", "effects"]

OVER, EACH, SQUARE, IMAGES = ("group", "sigma"), ("image", "group", "sigma"), "squared intensity", "images resampled"
EFFECTS = Findings(
    "attribution",
    {
        "change": Variable(OVER, "mean squared change of the denoised image", SQUARE, IMAGES),
        "error_change": Variable(OVER, "mean squared error, edited less plain", SQUARE, IMAGES),
        "psnr_change": Variable(OVER, "PSNR, edited less plain; images of no error left out", "dB", IMAGES),
        "excess": Variable(
            OVER, "change less the mean of the controls'; NaN for groups without", SQUARE, IMAGES, optional=True
        ),
        "per_image_change": Variable(EACH, "mean squared change of the denoised image", SQUARE),
        "per_image_error_change": Variable(EACH, "mean squared error, edited less plain", SQUARE),
        "error": Variable(("image", "sigma"), "mean squared error of the plain network", SQUARE),
        "size": Variable(("group",), "number of channels", "channels"),
    },
    coords={"group": "group of channels"},
    source="attribution.effects",
)


class Options(TypedDict, total=False):
    """Further options of `effects` by name."""

    ids: Sequence[Any] | None
    conditions: Mapping[str, Any] | None
    batch_size: int
    resamples: int
    level: float


class Settings(NamedTuple):
    """The same with their defaults, checked."""

    ids: Sequence[Any] | None = None
    conditions: Mapping[str, Any] | None = None
    batch_size: int = 64
    resamples: int = 1000
    level: float = 0.95


@EFFECTS.described
def effects(
    denoiser: nn.Module,
    tap: Tap,
    images: Any,
    *,
    groups: Mapping[str, Sequence[int]],
    sigma: float | Sequence[float],
    factor: float = 0.0,
    controls: Mapping[str, Sequence[str]] | None = None,
    draws: int = 1,
    seed: int = 0,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Measure what groups of channels cause: the denoised image with the group silenced or scaled, against without.

    Of each image, averaged over draws: the change is the mean over pixels of (D'(y) − D(y))², D' being the
    edited network, and the error the mean of (D(y) − x)².

    Parameters
    ----------
    denoiser, tap
        A denoiser, and one tap of it.
    images
        Clean images, as `probekit.images.load` takes them.
    groups
        Channels of each group by name, numbered within the tap; none empty.
    sigma
        Noise levels in intensity units.
    factor
        What the group's maps are multiplied by; 0 silences them.
    controls
        From a group to the groups that it is compared with, as `matched_groups` gives.
    draws, seed
        Noise draws, and seed of the noise, which is that of `tap`, and of the bootstrap.
    options
        `ids` of the images, unique, which address the noise; `conditions`, what else the network takes of each image,
        as for calling a tap; `batch_size`, noisy images in one forward pass (64); of the bootstrap over images, which
        all groups share, `resamples` ≥ 100 (1000) and the coverage `level` (0.95).

    Returns
    -------
    Dataset
        {findings}

        Intervals are NaN for one image.

    Raises
    ------
    InputError
        If a group is empty, names a channel twice or one that does not exist, or a control is unknown; if the tap
        is of another network; if images or options cannot be used.
    TapError
        If there are several taps.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> from probekit import tap
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([0.5, 0.5], [[0.2, 0.05, 0, 0], [0.2, 0, 0.05, 0]])
    >>> images = model.draw(20, rows=8, cols=8, seed=0).images
    >>> found = effects(model, tap(model, "mid"), images, groups={"split": [1, 2], "none": [3]}, sigma=0.2)
    >>> bool(found.error_change.sel(group="split").item() > 0)
    True
    """
    given, seed = _checked(options, seed), checks.seeded(seed)
    draws = repeats("draws", draws, least=1)
    silent = "a finite number, 0 to silence"
    factor = checks.number("factor", factor, silent, good=lambda f: abs(f) <= checks.LOUDEST)
    groups = checks.mapping("groups", groups, "channels of each group by name, e.g. {'a': [0, 1]}")
    wanted = "names of groups to compare each group with"
    controls = checks.mapping("controls", {} if controls is None else controls, wanted)
    denoiser = same_network(denoiser, tap)
    levels = checks.noise_levels(sigma)
    source = image_sources.load(images, ids=given.ids)
    known = conditions_for(denoiser, given.conditions, source)
    reference = tap.maps(source.subset([0]), sigma=levels, seed=seed, conditions=known.subset([0]))
    compared = _checked_groups(groups, controls, reference.sizes["channel"])
    groups = {name: np.atleast_1d(group).tolist() for name, group in groups.items()}
    noisy = batches(source, draws, seed, given.batch_size, place_of(denoiser))
    change, edited, plain = _edited(
        denoiser, tap, noisy, list(groups.values()), known, levels=levels, factor=factor, draws=draws
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        psnr = 10 * np.log10(plain[:, None] / edited)
    measured = {
        "change": change,
        "error_change": edited - plain[:, None],
        "psnr_change": np.where(np.isfinite(psnr), psnr, np.nan),
    }
    if compared:
        names = list(groups)
        measured["excess"] = np.full_like(change, np.nan)
        for group, others in compared.items():
            of = [names.index(other) for other in others]
            measured["excess"][:, names.index(group)] = change[:, names.index(group)] - change[:, of].mean(axis=1)
    drawn = {"resamples": given.resamples, "level": given.level, "seed": seed}
    return EFFECTS.label(
        {
            **{name: estimated_mean(values, **drawn) for name, values in measured.items()},
            "per_image_change": measured["change"],
            "per_image_error_change": measured["error_change"],
            "error": plain,
            "size": [len(group) for group in groups.values()],
        },
        labels_of(source, reference),
        coords={"group": list(groups)},
        factor=factor,
        draws=draws,
        resamples=given.resamples,
        level=given.level,
        analysis_seed=seed,
    )


def _checked(options: Options, seed: int) -> Settings:
    check_options("effects", options, Settings._fields)
    given = Settings._make(map(checks.plain, Settings(**options)))
    resampling(given.resamples, given.level, seed)
    checks.whole("batch_size", given.batch_size, least=1)
    return given


def _edited(
    denoiser: nn.Module,
    tap: Tap,
    noisy: Iterator[tuple[slice, Tensor, Tensor]],
    groups: Sequence[Sequence[int]],
    known: Conditions,
    *,
    levels: Sequence[float],
    factor: float,
    draws: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Change and error with each group edited (image, group, sigma), and error without (image, sigma)."""
    change, edited = np.zeros((2, len(known), len(groups), len(levels)))
    plain = np.zeros((len(known), len(levels)))
    told = bar(draws * len(known), "img", None, "effects")
    with torch.no_grad(), evaluating(denoiser), told as shown:
        for where, x, z in noisy:
            own = known.at(range(where.start, where.stop), x)
            for s, level in enumerate(levels):
                y = x + level * z
                # A network may change its input in place, and y is used again.
                clean = denoiser(y.clone(), level, **own)
                plain[where, s] += _mean_square(clean - x) / draws
                for g, channels in enumerate(groups):
                    with tap.scale(list(channels), factor) if factor else tap.ablate(list(channels)):
                        other = denoiser(y.clone(), level, **own)
                    change[where, g, s] += _mean_square(other - clean) / draws
                    edited[where, g, s] += _mean_square(other - x) / draws
            shown.update(len(x))
    return change, edited, plain


def _mean_square(x: Tensor) -> np.ndarray:
    return x.double().square().flatten(1).mean(dim=1).cpu().numpy()


def _checked_groups(
    groups: Mapping[str, Sequence[int]], controls: Mapping[str, Sequence[str]], channels: int
) -> Mapping[str, Sequence[str]]:
    if not groups:
        raise InputError("groups is empty: give at least one group of channels by name")
    for name, group in groups.items():
        chosen_channels(group, channels, f"group {name!r}")
    for name, others in controls.items():
        others = checks.listed(f"controls of {name!r}", others, "a list of names of groups")
        if not all(isinstance(other, str) for other in others):
            raise InputError(f"{checks.given(f'controls of {name!r}', others)}: give a list of names of groups")
        unknown = [other for other in (name, *others) if other not in groups]
        if unknown or not others:
            named = ", ".join(map(checks.shown, unknown[:5])) or "nothing"
            raise InputError(f"controls of {name!r} name {named}: give names of the groups, {', '.join(groups)}")
    return controls
