"""What does each ingredient of conditional sampling do? The default method beside all that lacks one, in numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from torch import nn

import probekit
from analyses import sampling
from analyses.densities import LEAST_SAMPLES
from analyses.ground import TWINS, Findings, SampleSettings, Variable, as_network, drawn_images, noise_level, resampling
from analyses.sampling import method_of
from analyses.variants.kernels import summary
from analyses.variants.measured import Comparison, measured
from analyses.variants.recipes import Made, Variant, declared_taps, on_either_side, sampled, variants_of
from probekit import checks
from probekit import images as image_sources
from probekit.errors import InputError, ModelError
from probekit.images import ImageSet
from probekit.phi.averages import noise_levels
from probekit.phi.job import told_of

__all__ = ["FINDINGS", "LawSettings", "Settings", "laws", "table"]

OVER, PIXELS = ("variant", "measure"), ("band", "row", "col")
PAIRED = "images resampled, paired"
FINDINGS = Findings(
    "variants",
    {
        "value": Variable(OVER, "the measure, over all images"),
        "low": Variable(OVER, "lower end of value's interval, images resampled; Wilson's for shares of copies"),
        "high": Variable(OVER, "upper end of value's interval"),
        "difference": Variable(OVER, "the measure less that of the first variant", interval=PAIRED),
        "per_image": Variable((*OVER, "image"), "the measure of one image"),
        "samples": Variable(("variant", "image", "sample", *PIXELS), "samples given phi", "intensity"),
        "match": Variable(("variant", "image", "sample"), "relative error of phi at the last noise level"),
        "condition": Variable(("image", *PIXELS), "images conditioned on", "intensity"),
    },
    coords={
        "variant": "way to make samples",
        "what": "what it does",
        "method": "method of sampling",
        "block": "tap whose phi is held",
        "network": "trained, untrained with gains of 1 or the paper's, or the name of another",
        "measure": "what is measured of samples",
    },
    source="variants.table",
)


@dataclass(frozen=True, kw_only=True)
class Settings(SampleSettings):
    """How `table` makes and judges samples: what `ground.SampleSettings` says, and the bootstrap over images.

    Attributes
    ----------
    n_images
        Conditions at most, drawn at random; None for all.
    n_samples
        Samples of each condition and variant; diversity needs two.
    resamples, level
        Number of resamples ≥ 100; coverage of intervals, in (0, 1).
    """

    n_images: int | None = 24
    n_samples: int = 2
    resamples: int = 1000
    level: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        resampling(self.resamples, self.level, self.seed)


@dataclass(frozen=True, kw_only=True)
class LawSettings(SampleSettings):
    """How `laws` makes samples: what `ground.SampleSettings` says, with as many samples as a distance needs."""

    least_samples: ClassVar[int] = LEAST_SAMPLES

    n_images: int | None = 24
    n_samples: int = 8


@FINDINGS.described
def table(
    images: Any,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    block: str = "mid",
    held_out: Sequence[str] | None = None,
    sigma: float = 0.1,
    reference: Any = None,
    quantile: float = 0.01,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    further: Sequence[Variant] = (),
    **settings: Any,
) -> xr.Dataset:
    """Sample images by the default method, by what lacks one of its ingredients, and by its controls.

    Variants are those of `RECIPES`: the default method of `sampling.reconstruct` at `block`; the paper's Algorithm 1
    (Kadkhodaie, Mallat & Simoncelli, arXiv:2506.01912), its guidance alone and its score steps alone; the default
    without a condition; the same network untrained with its own φ, and without a condition, with gains of 1 and with
    gains as the paper's code draws them (where there are such controls, see `ground.untrained_twins`); the default
    at each other tap that the network declares. All share the conditions and the noise, so that they differ by what
    was done only.

    With the defaults, which are for under an hour on one core, photo32 takes 1 to 5 s a sample and variant, and 24
    images of 2 samples in 12 variants some half an hour.

    Parameters
    ----------
    images
        Conditions: anything that `probekit.images.load` takes.
    denoiser
        Bundled name, path or module that declares the tap `block`.
    block
        The tap whose φ is held.
    held_out, sigma
        Other taps, in whose φ samples are compared with their conditions (by default one on the way to the block and
        one after it, where the network declares such), and the noise level at which they are.
    reference, quantile
        Training images, near copies of which are counted (anything that `probekit.images.load` takes), and the share
        of pairs of different images that would count as copies, as in `sampling.describe`. Time is proportional to
        their number times that of samples: some thousand are a matter of a minute.
    options
        Further options of methods, e.g. ``{"algorithm1": {"guidance": "rescale"}}``.
    further
        More variants.
    settings
        How samples are made and judged, see `Settings`: n_images (24), n_samples (2), sigmas, levels (20), draws (10),
        reduce ("mean"), seed, store, client, progress, batch_size, resamples (1000), level (0.95). The store has a
        folder for each variant.

    Returns
    -------
    Dataset
        {findings}

        Measures: "error of φ", the median over samples of ‖φ(x) − φ*‖/‖φ*‖ at the variant's own block and last noise
        level, also where φ was not held; "diversity", root mean square difference of two samples of a condition, in
        intensity units, and "diversity (SSIM)", 1 less their structural similarity; shares of "near copies" of the
        condition and "near copies of references"; "distance in …" of φ to the condition's, relative to its norm, in
        the variant's own network, at the held-out blocks and at `block`, and "nearer in …", the mean such distance of
        the same network's unconditional samples less it; "seconds" (no interval), "gradients" and "passes" of a
        sample. Intervals are NaN for one image. A variant whose network gives no finite images is left out, with a
        warning.

    Raises
    ------
    InputError
        If a tap is not declared, an option is out of its range, or the store is of another plan.
    ModelError
        If the first variant fails.

    Examples
    --------
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> images = model.draw(3, rows=8, cols=8, seed=0).images
    >>> found = table(images, denoiser=model, held_out=(), levels=3, resamples=100)
    >>> found.value.sel(measure="error of φ", variant=["langevin", "unconditional"]).values.argmin()
    np.int64(0)
    """
    given = Settings(**settings)
    quantile = checks.fraction("quantile", quantile, "a share of pairs, between 0 and 1")
    sigma = noise_level(sigma)
    further = checks.listed("further", further, "a list of variants.Variant")
    if not all(isinstance(variant, Variant) for variant in further):
        raise InputError("further= holds what is no variant: give a list of variants.Variant")
    further = [variant.checked() for variant in further]
    block = checks.text("block", block, "the name of a tap, such as 'mid'")
    trained = as_network(denoiser)
    given = replace(given, client=told_of(given.client, trained))
    variants = [
        *variants_of(trained, block, options=_of_methods(options), seed=given.seed, reduce=given.reduce),
        *further,
    ]
    if len({variant.name for variant in variants}) < len(variants):
        raise InputError("two variants have one name: give those under further= names of their own")
    known = declared_taps(trained)
    if held_out is None:
        held_out = on_either_side(known, block)
    held_out = checks.names("held_out", held_out, "a list of names of taps")
    blocks = _compared_in(held_out, block, known)
    source = drawn_images(image_sources.load(images), given.n_images, given.seed)
    # Whatever is wrong with the references shows before hours of sampling.
    references = None if reference is None else image_sources.load(reference)
    if references is not None and references.shape != source.shape:
        raise InputError(f"references are {references.shape} and images {source.shape}: bring them to one size")
    made = _made(variants, source, given)
    names, numbers = measured(made, Comparison(blocks, sigma, references, quantile, given.seed))
    match = np.stack([one.samples["match"].values for one in made])
    value, difference = summary(numbers, match, names, resamples=given.resamples, level=given.level, seed=given.seed)
    return FINDINGS.label(
        {
            **dict(zip(("value", "low", "high"), value, strict=True)),
            "difference": difference,
            "per_image": numbers,
            "samples": np.stack([one.samples["samples"].values for one in made]),
            "match": match,
            "condition": made[0].samples["condition"].values,
        },
        _shared(made[0].samples),
        coords={**_coords([one.variant for one in made], trained), "measure": names},
        held_out=", ".join(held_out),
        phi_sigma=sigma,
        quantile=quantile,
        untrained_controls="; ".join(variant.name for one in made if (variant := one.variant).name in TWINS),
        resamples=given.resamples,
        level=given.level,
        analysis_seed=given.seed,
        n_samples=given.n_samples,
    )


def _of_methods(options: Any) -> dict[str, dict[str, Any]]:
    """Options by method, each known to its method."""
    shape = 'options by method, e.g. {"langevin": {"step": 0.5}}'
    found = {
        method: checks.mapping(f"options of {method!r}", of_one, "options by name")
        for method, of_one in checks.mapping("options", {} if options is None else options, shape).items()
    }
    for method, of_one in found.items():
        method_of(method, of_one)
    return found


def _compared_in(held_out: Sequence[str], block: str, known: Sequence[str]) -> list[str]:
    """Taps whose φ is compared: those held out, in the network's order, and the block."""
    missing = [name for name in held_out if name not in known]
    if missing:
        said = ", ".join(map(checks.shown, missing[:5]))
        raise InputError(f"held_out: there is no tap {said} among {', '.join(known)}: give names of these")
    return list(dict.fromkeys([*(name for name in known if name in held_out), block]))


def _made(variants: Sequence[Variant], images: ImageSet, settings: Settings) -> list[Made]:
    """Samples by each variant that gives any."""
    made = []
    for variant in variants:
        try:
            made.append(sampled(variant, images, settings))
        except ModelError as error:
            if not made:
                raise
            warnings.warn(f"the variant {variant.name!r} is left out: {error}", stacklevel=3)
    return made


def _shared(samples: xr.Dataset) -> xr.Dataset:
    """What the samples of all variants have in common: coordinates, and attributes but those of one method."""
    own = ("method", "method_settings", "sigmas", "targets_sha256", "trajectory")
    return xr.Dataset(coords=samples.coords, attrs={k: v for k, v in samples.attrs.items() if k not in own})


def _coords(variants: Sequence[Variant], trained: nn.Module) -> dict[str, Any]:
    roles = {id(trained): "trained"} | {id(v.network): v.name for v in variants if v.name in TWINS}
    networks = [roles.get(id(v.network), str(getattr(v.network, "name", type(v.network).__name__))) for v in variants]
    return {
        "variant": [v.name for v in variants],
        "what": ("variant", [v.what for v in variants]),
        "method": ("variant", [v.method for v in variants]),
        "block": ("variant", [v.block for v in variants]),
        "network": ("variant", networks),
    }


def laws(
    images: Any,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    block: str = "mid",
    sigma: float | Sequence[float] = 0.1,
    method: str = sampling.DEFAULT,
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Samples of the conditional laws of some images beside the φ of each, as `densities.analyse` takes them.

    24 conditions make 276 pairs. With 8 samples of each, "patch_wasserstein" ranks pairs as the exact W₂ does where it
    is known; other measures need more samples (see `densities.distance`). The untrained controls are
    ``laws(…, denoiser=probekit.models.zoo.untrained(denoiser, gains=…))``, gains "one" and "paper".

    Parameters
    ----------
    images, denoiser, block
        As for `table`; with the same `n_images` and seed, the same conditions.
    sigma
        Noise level, or several, at which φ of the conditions is measured.
    method, options
        As for `sampling.reconstruct`.
    settings
        How samples are made, see `ground.SampleSettings`: n_images (24), n_samples (8, at least 4), sigmas, levels
        (20), draws (10), reduce ("mean"), seed, store, client, progress, batch_size. In the store samples have a folder
        named by the method.

    Returns
    -------
    Dataset
        `samples` (image, sample, band, row, col), `condition` (image, band, row, col), `phi` (image, sigma, channel)
        and its standard error over draws, `phi_se`.

    Raises
    ------
    InputError
        As for `sampling.reconstruct`.
    TapError
        If the network has no such tap.

    Examples
    --------
    >>> from analyses import densities
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> images = model.draw(9, rows=8, cols=8, seed=0).images
    >>> data = laws(images, denoiser=model, n_samples=4, levels=5)
    >>> found = densities.analyse(data, measure="patch_wasserstein", least_pairs=36, permutations=100, resamples=100)
    >>> found.sizes["pair"]
    36
    """
    given = LawSettings(**settings)
    sigma = noise_levels(sigma)
    of_method = checks.mapping("options", {} if options is None else options, "options of the method by name")
    method_of(method, of_method)
    network = as_network(denoiser)
    given = replace(given, client=told_of(given.client, network))
    source = drawn_images(image_sources.load(images), given.n_images, given.seed)
    samples = sampled(Variant(method, "", network, block, method, of_method, given.reduce), source, given).samples
    tap = probekit.tap(network, block, reduce=given.reduce)
    measured = tap(source, sigma=sigma, draws=given.draws, seed=given.seed, progress=False)
    phi = {name: measured[name].drop_vars("label", errors="ignore") for name in ("phi", "phi_se")}
    return samples[["samples", "condition"]].assign(phi)
