"""Claim 9 for a network: the network, its untrained twins and descriptors, in colour and on equalised grey."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from torch import nn

from analyses import descriptors
from analyses.descriptors import CONTRAST, equalised
from analyses.ground import (
    TWINS,
    Estimate,
    Kept,
    as_network,
    block_names,
    code_sha256,
    folder_of,
    repeats,
    resampling,
    untrained_twins,
    workers_of,
)
from analyses.textures.analyse import DISTANCES, PHOTOGRAPHS, TABLE, analyse, curve
from analyses.textures.judging import FORMS, RIVALS, best_block, verdict
from analyses.textures.patches import patches
from probekit import checks, labels, tap
from probekit.capture.reductions import reduction
from probekit.capture.survey import network_of
from probekit.denoising.inputs import input_channels
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.naming import named
from probekit.phi.averages import noise_levels
from probekit.phi.job import beside, told_of

if TYPE_CHECKING:
    from distributed import Client

    from probekit.capture.reductions import Reduction
    from probekit.distribute import Workers

__all__ = ["Settings", "representations", "table"]

*_, MOMENTS, GABOR = RIVALS
OF_PATCHES = {"pixels": "pixels", "gist": "gist", GABOR: "gabor", MOMENTS: "colour_moments"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a table of textures is made.

    Attributes
    ----------
    size, side, each
        Patches; see `patches`.
    sd
        Contrast of equalised patches; see `equalised`.
    sigma, draws
        Noise levels, and noise draws of φ: ten, since with two the noise left in φ hides which patch is the nearest.
    reduce
        What is made of the networks' maps, as for `probekit.tap`.
    distance
        The distance that the verdict rests on; both are measured.
    resamples, level
        Of the bootstrap over photographs.

    Raises
    ------
    InputError
        If one is out of its range.
    """

    size: int = 64
    side: int | None = 192
    each: int = 8
    sd: float = CONTRAST
    sigma: float | Sequence[float] = (0.1,)
    draws: int = 10
    reduce: str | Reduction = "mean"
    distance: str = "euclidean"
    resamples: int = 1000
    level: float = 0.95

    def __post_init__(self) -> None:
        checks.settle(self)
        checks.whole("size", self.size, least=1)
        if self.side is not None:
            checks.whole("side", self.side, least=1)
        checks.whole("each", self.each, least=2)
        checks.number("sd", self.sd, "a standard deviation of intensities in (0, 1]", good=lambda v: 0 < v <= 1)
        object.__setattr__(self, "sigma", tuple(noise_levels(self.sigma)))
        repeats("draws", self.draws, least=1)
        reduction(self.reduce)
        checks.choice("distance", self.distance, DISTANCES)
        resampling(self.resamples, self.level)


def representations(
    images: Any,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    settings: Settings | None = None,
    store: str | Path | None = None,
    seed: int = 0,
    client: Client | Workers | None = None,
    progress: bool | None = None,
) -> dict[str, xr.Dataset | xr.DataArray]:
    """φ of patches by a network at all its blocks, and by all that claim 9 compares it with.

    Parameters
    ----------
    images
        Patches, such as `patches` and `equalised` give.
    denoiser
        Bundled name, path or module.
    settings
        `sigma`, `draws` and `reduce` are used.
    store
        Folder in which φ is kept, in a store of its own for each network, and the other descriptions of patches.
    seed
        Of noise and of untrained weights.
    client
        With `store`: whose workers measure φ, as for `controls.table`.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    dict
        The trained network under its name; "untrained", its twin as training starts it, and of the package's networks
        "untrained, paper's gains"; and of the patches without noise, so that noise does not weaken them: "pixels",
        "gist", "Gabor bank" and "colour moments".

    Raises
    ------
    InputError
        If the network cannot take the patches, has no untrained twin, or an option is out of its range.
    """
    from probekit import images as image_sources

    how = _settings(settings)
    seed, folder = checks.seeded(seed), folder_of(store)
    progress = None if progress is None else checks.flag("progress", progress)
    source = image_sources.load(images)
    trained = as_network(denoiser)
    workers = told_of(workers_of(client, store), trained)
    networks = {_name(trained): trained} | untrained_twins(trained, seed=seed)
    found: dict[str, xr.Dataset | xr.DataArray] = {
        name: _phi(network, source, how, None if folder is None else folder / name, seed, workers, progress)
        for name, network in networks.items()
    }
    return found | {name: _described(kind, source, folder) for name, kind in OF_PATCHES.items()}


def _described(kind: str, source: ImageSet, folder: Path | None) -> xr.DataArray:
    """Patches described without a network; kept, but for pixels, which are the patches once more."""
    describe = getattr(descriptors, kind)
    if folder is None or kind == "pixels":
        return describe(source)
    of = source.fingerprint(), source.ids, source.labels, code_sha256()
    return Kept(folder / "descriptors").made(kind, lambda: describe(source).to_dataset(name=kind), *of)[kind]


@TABLE.described
def table(
    photographs: Any,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    train: Any = None,
    groups: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    store: str | Path | None = None,
    seed: int = 0,
    client: Client | Workers | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Measure claim 9, "φ is a texture descriptor", for a network: all rates, differences, and the verdict.

    Patches are cut from the photographs (`patches`), and measured in colour and with colour, brightness and contrast
    taken away (`equalised`): by the network, its untrained twins, pixels, gist, a Gabor bank and moments of colour
    (`representations`). The rates are those of `analyse`.

    Parameters
    ----------
    photographs
        Unseen photographs of textures, as for `patches`.
    denoiser
        Bundled name, path or module.
    train
        Other photographs, on which the block is chosen that the verdict is about; without, there is no verdict.
    groups
        Photographs' groups by their ids: rates are given for each group alone too, neighbours being searched in it.
    settings
        How it is measured; by default as `Settings` has it.
    store
        Folder in which φ is kept: a call that was stopped goes on, and one made again is quick.
    seed
        Of everything drawn.
    client
        With `store`: whose workers measure φ, as for `controls.table`.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    Dataset
        {findings}

        Attr `twins`: the untrained networks that there can be, with "; " between them. With `train`, attrs `block`, the
        one with the highest rate on training photographs (the mean of both forms and all noise levels), and `verdict`,
        what `verdict` says of it.

    Raises
    ------
    InputError
        If photographs are too few or are in both sets, a group's are not named, or an option is out of its range.

    Warns
    -----
    UserWarning
        If photographs, or groups of fewer than 10, are left out.

    Examples
    --------
    >>> from analyses import textures
    >>> found = textures.table("unseen.zip", train="train.zip", store="stores")  # doctest: +SKIP
    """
    how = _settings(settings)
    seed, folder = checks.seeded(seed), folder_of(store)
    progress = None if progress is None else checks.flag("progress", progress)
    named_groups = None if groups is None else checks.mapping("groups", groups, "a mapping from photographs to groups")
    trained = as_network(denoiser)
    workers = told_of(workers_of(client, store), trained)
    test, forms = _forms(photographs, trained, how, seed)
    on = None if train is None else _forms(train, trained, how, seed)
    if on is not None:
        both = sorted(set(test.labels or ()) & set(on[0].labels or ()))
        if both:
            raise InputError(
                f"{len(both)} photographs are in both sets, such as {both[0]}: choose the block on other photographs"
            )
    subsets = {"all": list(range(len(test)))} | _subsets(test, named_groups)
    noise: dict[str, Any] = {"settings": how, "seed": seed, "client": workers, "progress": progress}
    options: dict[str, Any] = {"resamples": how.resamples, "level": how.level, "seed": seed}
    parts = []
    for form, images in forms.items():
        own = None if folder is None else folder / form
        measured = representations(images, denoiser=trained, store=own, **noise)
        found = [
            analyse({n: _part(one, images, kept) for n, one in measured.items()}, **options)
            for kept in subsets.values()
        ]
        part = xr.concat(found, "subset", combine_attrs="override", data_vars="all").assign_coords(subset=list(subsets))
        networks = {name: one for name, one in measured.items() if isinstance(one, xr.Dataset)}
        for over, counts in (("draws", _doubled(1, how.draws)), ("patches", _doubled(2, how.each))):
            curved = curve(networks, over=over, counts=counts, **options).rename(count=f"n_{over}")
            curved = curved.reindex(representation=list(measured))
            part = part.assign({_by(str(name), over): curved[name] for name in curved.data_vars})
        if on is not None:
            learnt = _phi(trained, on[1][form], how, None if own is None else own / "training", seed, workers, progress)
            chosen = analyse({_name(trained): learnt}, **options).isel(representation=0, drop=True)
            ends = ("rate", "rate_low", "rate_high")
            part = part.assign({f"training_{end}": chosen[end] for end in ends})
        parts.append(part)
    found = xr.concat(parts, "form", combine_attrs="override", data_vars="all").assign_coords(form=list(forms))
    return _labelled(found, test, how, on)


def _by(name: str, over: str) -> str:
    """Name of a variable of a curve in the table: the ends of its interval come last."""
    for end in ("_low", "_high"):
        if name.endswith(end):
            return f"{name.removesuffix(end)}_by_{over}{end}"
    return f"{name}_by_{over}"


def _labelled(found: xr.Dataset, test: ImageSet, how: Settings, on: Any) -> xr.Dataset:
    names = [name for name in TABLE.variables if name in found]
    values = {
        name: Estimate(
            *(found[f"{name}{end}"].transpose(*TABLE.variables[name].dims).values for end in ("", "_low", "_high"))
        )
        if TABLE.variables[name].interval
        else found[name].values
        for name in names
    }
    own = {str(n): found[n].variable for n in found.dims if n in TABLE.coords}
    labelled = TABLE.label(
        values,
        found,
        coords=own,
        image_source=test.name,
        preparation=test.preparation,
        size=how.size,
        sd=how.sd,
        patches_each=how.each,
        patches_least=min(Counter(test.labels or ()).values()),
        verdict_distance=how.distance,
        twins="; ".join(twin for twin in TWINS if twin in found["representation"].values),
    )
    if on is None:
        return labelled
    # Of the training rates alone: whatever else is in the findings is of the photographs that it is tested on.
    chosen = xr.Dataset({f"rate{end}": labelled[f"training_rate{end}"] for end in ("", "_low", "_high")})
    reference = [labelled.attrs["reference"]]
    chosen = chosen.expand_dims(representation=reference, axis=1)
    chosen = chosen.assign({f"difference{end}": 0 * chosen["rate"] for end in ("", "_low", "_high")})
    block = best_block(chosen.assign_attrs(labelled.attrs), distance=how.distance)
    said = verdict(labelled, block, distance=how.distance)
    return labelled.assign_attrs(block=block, verdict=said, train_source=on[0].name)


def _settings(settings: Any) -> Settings:
    if settings is None:
        return Settings()
    return checks.instance("settings", settings, Settings, "textures.Settings(…), or None")


def _name(network: nn.Module) -> str:
    return str(getattr(network, "name", type(network).__name__))


def _forms(photographs: Any, network: nn.Module, how: Settings, seed: int) -> tuple[ImageSet, dict[str, ImageSet]]:
    """The patches, and both forms of them in as many bands as the network takes."""
    bands = input_channels(network_of(network))
    bands = bands if bands in (1, 3) else None
    cut = patches(photographs, size=how.size, side=how.side, each=how.each, bands=bands, seed=seed)
    count = len(set(cut.labels or ()))
    if count < PHOTOGRAPHS:
        raise InputError(
            f"{count} photographs give patches: give {PHOTOGRAPHS} at least, and some dozens for narrow intervals"
        )
    return cut, dict(zip(FORMS, (cut, equalised(cut, sd=how.sd)), strict=True))


def _phi(
    network: nn.Module,
    source: ImageSet,
    how: Settings,
    store: Path | None,
    seed: int,
    workers: Workers | None,
    progress: bool | None,
) -> xr.Dataset:
    path = None if store is None else store.with_name(f"{store.name.replace(' ', '-')}.zarr")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    read = tap(network, *block_names(network), reduce=how.reduce)
    with warnings.catch_warnings():
        # Equal mean and contrast are more than a range of intensities.
        warnings.filterwarnings("ignore", "images of .* reach from", UserWarning)
        noise: dict[str, Any] = {"sigma": how.sigma, "draws": how.draws, "seed": seed, "keep_draws": how.draws > 1}
        data = read(source, **noise, store=path, client=beside(workers, network), progress=progress)
    kept = data[["phi", "phi_draws"] if "phi_draws" in data else ["phi"]].load()
    if "phi_draws" in kept:
        return kept
    return kept.assign(phi_draws=kept["phi"].expand_dims(draw=[0], axis=2))


def _part(one: xr.Dataset | xr.DataArray, images: ImageSet, kept: list[int]) -> Any:
    if len(kept) == len(images):
        return one
    wanted = {images.ids[i] for i in kept}
    return one.isel(image=[i for i, name in enumerate(labels.strings(one["image"].values)) if name in wanted])


def _subsets(images: ImageSet, groups: Mapping[str, Any] | None) -> dict[str, list[int]]:
    """Positions of the patches of each group of photographs that is large enough."""
    if groups is None:
        return {}
    photographs = images.labels or ()
    unknown = sorted(set(photographs) - set(groups))
    if unknown:
        raise InputError(f"groups lacks {named(unknown)}: give the group of every photograph")
    of = [str(groups[name]) for name in photographs]
    found, few = {}, []
    for group in sorted(set(of)):
        kept = [i for i, own in enumerate(of) if own == group]
        count = len({photographs[i] for i in kept})
        if group == "all":
            raise InputError("groups: 'all' stands for all photographs: give this group another name")
        if count < PHOTOGRAPHS:
            few.append(f"{group} ({count})")
        else:
            found[group] = kept
    if few:
        warnings.warn(f"left out groups of fewer than {PHOTOGRAPHS} photographs: {named(few)}", stacklevel=3)
    return found


def _doubled(first: int, last: int) -> list[int]:
    """Powers of two times `first` up to the last, which is among them."""
    powers = first * 2 ** np.arange(0, 21)
    return sorted({*[int(n) for n in powers if n < last], last})
