"""What does each ingredient of conditional sampling do? The default method beside all that lacks one, in numbers."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from torch import nn

import probekit
from analyses import densities, ground, sampling
from analyses.densities import LEAST_SAMPLES
from analyses.ground import as_network, drawn_images, folder_of, variable
from analyses.sampling import method_of
from analyses.variants.figure import plot, sheet
from analyses.variants.numbers import COPIES, copies, per_image, summary
from analyses.variants.rows import Making, Variant, rows, samples_of
from probekit import images as image_sources
from probekit.capture.survey import network_of
from probekit.checks import fraction, listed, mapping, number, resampling, whole
from probekit.checks import names as checks_names
from probekit.cli.arguments import images_called
from probekit.errors import InputError, ModelError
from probekit.machine.files import prepared
from probekit.phi.averages import noise_levels

__all__ = ["Variant", "laws", "main", "plot", "sheet", "table"]

DISTANCES = ("patch_wasserstein", "gaussian_wasserstein_debiased", "energy")


def table(
    images: Any,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    block: str = "mid",
    n_samples: int = 2,
    n_images: int | None = 24,
    sigmas: Sequence[float] | None = None,
    levels: int = 20,
    reference: Any = None,
    held_out: Sequence[str] = ("enc2", "dec3"),
    sigma: float = 0.1,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    further: Sequence[Variant] = (),
    draws: int = 10,
    quantile: float = 0.01,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    batch_size: int | None = None,
    store: str | Path | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Sample images by the default method, by what lacks one of its ingredients, and by its controls.

    Rows: the default method of `sampling.reconstruct` at `block`; the paper's Algorithm 1
    (Kadkhodaie, Mallat & Simoncelli, arXiv:2506.01912), its guidance alone and its score steps alone; the default
    without a condition; the same network untrained with its own φ, and without a condition (where the network is one of
    the package's); the default at each other tap that the network declares. All rows share the conditions and the
    noise, so that rows differ by what was done only.

    With the defaults, which are for under an hour on one core, photo32 takes 1 to 5 s a sample and row, and 24 images
    of 2 samples in 12 rows some half an hour.

    Parameters
    ----------
    images
        Conditions: anything that `probekit.images.load` takes.
    denoiser
        Bundled name, path or module that declares the tap `block`.
    block
        The tap whose φ is held.
    n_samples
        Samples of each condition and row; diversity needs two.
    n_images
        At most so many conditions, drawn at random; None for all.
    sigmas, levels
        Noise levels of all rows; without, so many of each method's own.
    reference
        Training images, near copies of which are counted; anything that `probekit.images.load` takes. Time is
        proportional to their number times that of samples: some thousand are a matter of a minute.
    held_out
        Other taps, in whose φ samples are compared with their conditions.
    sigma
        Noise level at which they are.
    options
        Further options of methods, e.g. ``{"algorithm1": {"guidance": "rescale"}}``.
    further
        More rows.
    draws
        Noise draws of φ.
    quantile
        Share of pairs of different images that would count as copies, as in `sampling.describe`.
    resamples, level, seed
        Of the bootstrap over images; coverage of intervals; seed of everything drawn.
    batch_size, progress
        As for `sampling.reconstruct`.
    store
        Folder in which samples are kept, in a folder for each row: a call that was stopped goes on, and one made
        again is quick.

    Returns
    -------
    Dataset
        Over (variant, measure): `value`, `low`, `high`, and `difference` from the first row, with `difference_low`
        and `difference_high`, paired over images; over (variant, measure, image) `per_image`. Measures: "error of φ",
        the median over samples of ‖φ(x) − φ*‖/‖φ*‖ at the row's own block and last noise level, also where φ was not
        held; "diversity", root mean square difference of two samples of a condition, in intensity units, and
        "diversity (SSIM)", 1 less their structural similarity; shares of "near copies" of the condition and "near
        copies of references" (intervals by Wilson's formula with as many trials as images); "distance in …" of φ to
        the condition's, relative to its norm, in the row's own network, at the held-out blocks and at `block`, and
        "nearer in …", the mean such distance of the same network's unconditional samples less it; "seconds" (no
        interval), "gradients" and "passes" of a sample. `samples` (variant, image, sample, band, row, col) and `match`
        (variant, image, sample); `condition`. Coordinates `what`, `method`, `block`, `network` ("trained", "untrained"
        or a name) along variant. A row whose network gives no finite images is left out, with a warning.

    Raises
    ------
    InputError
        If a tap is not declared, an option is out of its range, or the store is of another plan.
    ModelError
        If the first row fails.

    Examples
    --------
    >>> from probekit.synthetic.patch_model import PatchModel
    >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]])
    >>> images = model.draw(3, rows=8, cols=8, seed=0).images
    >>> found = table(images, denoiser=model, held_out=(), levels=3, resamples=100)
    >>> found.value.sel(measure="error of φ", variant=["langevin", "unconditional"]).values.argmin()
    np.int64(0)
    """
    resampling(resamples, level, seed)
    fraction("quantile", quantile, "a share of pairs, between 0 and 1")
    number("sigma", sigma, "one noise standard deviation ≥ 0", good=lambda s: s >= 0)
    options = mapping(
        "options", {} if options is None else options, 'options by method, e.g. {"langevin": {"step": 0.5}}'
    )
    for method, settings in options.items():
        method_of(method, mapping(f"options of {method!r}", settings, "options by name"))
    further = listed("further", further, "a list of variants.Variant")
    if not all(isinstance(row, Variant) for row in further):
        raise InputError("further= holds what is no row: give a list of variants.Variant")
    held_out = checks_names("held_out", held_out, "a list of names of taps")
    # Whatever is wrong with the references shows before hours of sampling.
    reference = None if reference is None else image_sources.load(reference)
    trained = as_network(denoiser)
    known = list(getattr(network_of(trained), "tap_aliases", {}))
    missing = [name for name in held_out if name not in known]
    if missing:
        raise InputError(f"held_out={list(held_out)}: there is no tap {', '.join(missing)} among {', '.join(known)}")
    source = drawn_images(image_sources.load(images), n_images, seed)
    if reference is not None and reference.shape != source.shape:
        raise InputError(f"references are {reference.shape} and images {source.shape}: bring them to one size")
    variants = [*rows(trained, block, options=options, seed=seed), *further]
    if len({v.name for v in variants}) < len(variants):
        raise InputError("two rows have one name: give those under further= names of their own")
    making = Making(
        source,
        whole("n_samples", n_samples, least=1),
        sigmas,
        levels,
        draws,
        seed,
        batch_size,
        folder_of(store),
        progress,
    )
    made, seconds = _made(variants, making)
    variants = [v for v in variants if v.name in made]
    free = {id(v.network): made[v.name] for v in variants if v.method == "unconditional"}
    blocks = list(dict.fromkeys([*(name for name in known if name in held_out), block]))
    each = [
        per_image(made[v.name], network=v.network, blocks=blocks, free=free.get(id(v.network)), sigma=sigma, seed=seed)
        for v in variants
    ]
    for name, shares in copies(made, reference, quantile, seed).items():
        for v, share in enumerate(shares):
            each[v][name] = share
    for v, one in enumerate(each):
        one["seconds"] = np.full(len(source), seconds[variants[v].name])
    names = [n for n in _order(list(each[0]), blocks) if reference is not None or "references" not in n]
    numbers = np.array([[one[name] for name in names] for one in each])
    match = np.stack([made[v.name]["match"].values for v in variants])
    found = summary(numbers, match, names, resamples=resamples, level=level, seed=seed)
    # One time was measured for all images: nothing to resample.
    for name in set(found) - {"value", "difference"}:
        found[name][:, names.index("seconds")] = np.nan
    how = {"held_out": ", ".join(held_out), "phi_sigma": sigma, "quantile": quantile, "resamples": resamples}
    return _labelled(found, numbers, names, variants, made, trained, {**how, "level": level, "n_samples": n_samples})


def _made(variants: Sequence[Variant], making: Making) -> tuple[dict[str, xr.Dataset], dict[str, float]]:
    """Samples and seconds of each variant, by name."""
    made, seconds = {}, {}
    for n, variant in enumerate(variants):
        try:
            made[variant.name], seconds[variant.name] = samples_of(variant, making)
        except ModelError as error:
            if not n:
                raise
            warnings.warn(f"the row {variant.name!r} is left out: {error}", stacklevel=3)
    return made, seconds


def _order(names: list[str], blocks: Sequence[str]) -> list[str]:
    """Measures in the order in which they are read: the match, the variety, copies, other blocks, cost."""
    by_block = [f"{kind} in {b}" for kind in ("distance", "nearer") for b in blocks]
    first = ["error of φ", "diversity", "diversity (SSIM)", *COPIES, *by_block]
    return [*first, *(n for n in ("seconds", "gradients", "passes") if n in names)]


def _labelled(
    found: Mapping[str, np.ndarray],
    numbers: np.ndarray,
    names: Sequence[str],
    variants: Sequence[Variant],
    made: Mapping[str, xr.Dataset],
    trained: nn.Module,
    how: Mapping[str, Any],
) -> xr.Dataset:
    first = next(iter(made.values()))
    over = ("variant", "measure")
    percent = f"{100 * how['level']:g} % interval over images"
    texts = {
        "value": "the measure",
        "low": f"lower end of its {percent}",
        "high": f"upper end of its {percent}",
        "difference": f"the measure less that of {variants[0].name}",
        "difference_low": f"difference: lower end of its {percent}, paired",
        "difference_high": f"difference: upper end of its {percent}, paired",
    }
    pixels = ("band", "row", "col")
    variables = {name: variable(over, found[name], text) for name, text in texts.items()}
    variables["per_image"] = variable((*over, "image"), numbers, "the measure of one condition")
    for name, dims in (("samples", pixels), ("match", ())):
        values = np.stack([made[v.name][name].values for v in variants])
        attrs = first[name].attrs
        variables[name] = variable(("variant", "image", "sample", *dims), values, attrs["long_name"], attrs["units"])
    variables["condition"] = variable(("image", *pixels), first["condition"].values, "condition", "intensity")

    def along(texts: Sequence[str]) -> tuple[str, np.ndarray]:
        return "variant", np.array(texts, dtype=object)

    roles = {id(trained): "trained"} | {id(v.network): "untrained" for v in variants if v.name == "untrained"}
    named = [roles.get(id(v.network), str(getattr(v.network, "name", type(v.network).__name__))) for v in variants]
    coords = {
        "variant": along([v.name for v in variants]),
        "what": along([v.what for v in variants]),
        "method": along([v.method for v in variants]),
        "block": along([v.block for v in variants]),
        "network": along(named),
        "measure": ("measure", np.array(names, dtype=object)),
    }
    # Of one row each; levels, methods and settings of the others are not these.
    own = ("method", "method_settings", "sigmas", "targets_sha256", "trajectory")
    bare = first.drop_attrs(deep=False).assign_attrs({k: v for k, v in first.attrs.items() if k not in own})
    return ground.findings(variables, bare, analysis="variants", coords=coords, **how)


def laws(
    images: Any,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    block: str = "mid",
    n_samples: int = 8,
    n_images: int | None = 24,
    sigma: float = 0.1,
    sigmas: Sequence[float] | None = None,
    levels: int = 20,
    method: str = sampling.DEFAULT,
    options: Mapping[str, Any] | None = None,
    draws: int = 10,
    seed: int = 0,
    batch_size: int | None = None,
    store: str | Path | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Samples of the conditional laws of some images beside the φ of each, as `densities.analyse` takes them.

    24 conditions make 276 pairs. With 8 samples of each, "patch_wasserstein" ranks pairs as the exact W₂ does where it
    is known; other measures need more samples (see `densities.distance`). The untrained control is
    ``laws(…, denoiser=probekit.models.zoo.untrained(denoiser))``.

    Parameters
    ----------
    images, denoiser, block, n_images, sigmas, levels, draws, seed, batch_size, store, progress
        As for `table`; with the same `n_images` and seed, the same conditions. The folder is that of this one row.
    n_samples
        Samples of each condition, ≥ 4.
    sigma
        Noise level at which φ of the conditions is measured.
    method, options
        As for `sampling.reconstruct`.

    Returns
    -------
    Dataset
        `samples` (image, sample, band, row, col), `condition` (image, band, row, col), `phi` (image, sigma, channel).

    Raises
    ------
    InputError
        As for `sampling.reconstruct`.

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
    net = as_network(denoiser)
    whole("n_samples", n_samples, least=LEAST_SAMPLES)
    noise_levels(sigma)
    options = mapping("options", {} if options is None else options, "options of the method by name")
    source = drawn_images(image_sources.load(images), n_images, seed)
    row = Variant(method, "", net, block, method, options)
    folder = folder_of(store)
    samples, _ = samples_of(row, Making(source, n_samples, sigmas, levels, draws, seed, batch_size, folder, progress))
    phi = probekit.tap(net, block)(source, sigma=sigma, draws=draws, seed=seed, progress=False)["phi"]
    return samples[["samples", "condition"]].assign(phi=phi.drop_vars("label", errors="ignore"))


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.variants VAL.zip --reference TRAIN.zip -o out/``."""
    parser = argparse.ArgumentParser(
        prog="python -m analyses.variants", description="What each ingredient of conditional sampling does."
    )
    parser.add_argument("images", nargs="+", help='folders or zips of images, or "samples" and ids of built-in ones')
    parser.add_argument("--reference", nargs="+", default=[], help="training images, to look for near copies of")
    parser.add_argument("--n-reference", type=int, default=5000, help="at most so many of them (default: 5000)")
    parser.add_argument("--denoiser", default="photo32", help="bundled name or .safetensors path (default: photo32)")
    parser.add_argument("--block", default="mid", help="whose φ is held (default: mid)")
    parser.add_argument("--held-out", nargs="*", default=["enc2", "dec3"], help="taps compared in (default: enc2 dec3)")
    parser.add_argument("--size", type=int, default=32, help="side of the images (default: 32)")
    parser.add_argument("--n-images", type=int, default=24, help="conditions, at most (default: 24)")
    parser.add_argument("--samples", type=int, default=2, help="of each condition and row (default: 2)")
    parser.add_argument("--levels", type=int, default=20, help="noise levels (default: 20)")
    parser.add_argument("--laws", type=int, help="samples of each condition for distances between laws (default: none)")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for results and stores (default: here)")
    given = parser.parse_args(arguments)
    return ground.command(parser, lambda: _written(given))


def _written(given: argparse.Namespace) -> list[Path]:
    images = images_called(given.images, size=given.size, crop=None if given.images[0] == "samples" else given.size)
    reference = None
    if given.reference:
        reference = drawn_images(
            images_called(
                given.reference, size=given.size, crop=None if given.reference[0] == "samples" else given.size
            ),
            given.n_reference,
            given.seed,
        )
    prepared(given.out)
    same = {"block": given.block, "n_images": given.n_images, "levels": given.levels, "seed": given.seed}
    stores = given.out / "variants-stores"
    net = as_network(given.denoiser)
    found = table(
        images,
        denoiser=net,
        n_samples=given.samples,
        reference=reference,
        held_out=given.held_out,
        store=stores,
        **same,
    )
    figures = ("variants", plot(found)), ("variants-sheet", sheet(found))
    written = ground.saved(given.out, ("variants", found), *figures)
    if given.laws is None:
        return written
    twin = [v.network for v in rows(net, given.block, options={}, seed=given.seed) if v.name == "untrained"]
    for role, one in zip(("trained", "untrained"), (net, *twin), strict=False):
        data = laws(images, denoiser=one, n_samples=given.laws, store=stores / f"laws-{role}", **same)
        written += _distances(data, given.out, role)
    return written


def _distances(data: xr.Dataset, out: Path, role: str) -> list[Path]:
    """Findings of `densities` by each measure, and the figure of the first."""
    written = []
    for measure in DISTANCES:
        found = densities.analyse(data, measure=measure)
        name = f"densities-{measure.replace('_', '-')}-{role}"
        written += ground.saved(out, (name, found), (name, densities.plot(found)))
    return written


if __name__ == "__main__":
    sys.exit(main())
