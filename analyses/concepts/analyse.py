"""Whether selective channels are concepts: hold what excites one, and see whether samples show the rest of it."""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from sklearn.linear_model import LogisticRegression
from torch import nn

import probekit
from analyses import ground, sampling, selectivity
from analyses.concepts.figure import plot
from analyses.concepts.held import concept, hold_concept
from analyses.ground import as_network, check_findings, chosen_channels, drawn_images, folder_of, holm, variable
from analyses.sampling import same
from probekit import images as image_sources
from probekit import labels
from probekit.checks import fraction, listed, number, resampling, whole
from probekit.cli.arguments import images_called
from probekit.errors import InputError
from probekit.machine.files import prepared

if TYPE_CHECKING:
    from probekit.images import ImageSet
    from probekit.phi.tap import Tap

__all__ = ["analyse", "main", "most_selective", "plot"]

FREE, OTHERS = "free samples", "samples of other concepts"
LEAST_ACTIVE = 0.05
# Share of images that a classifier is taught to tell as those that excite a channel.
EXCITED = 0.1


class Held(NamedTuple):
    """One concept: its channel, all channels held with it, and the positions of the images that excite it."""

    channel: int
    channels: list[int]
    images: list[int]


def analyse(
    images: Any,
    data: xr.Dataset,
    *,
    denoiser: str | Path | nn.Module = "photo32",
    findings: xr.Dataset | None = None,
    channels: Sequence[int] | None = None,
    n_channels: int = 10,
    together: int = 4,
    n_images: int = 3,
    n_samples: int = 4,
    sigma: float = 0.1,
    sigmas: Sequence[float] | None = None,
    levels: int = 20,
    draws: int = 10,
    permutations: int = 999,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    store: str | Path | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Hold selective channels at what their most exciting images make of them, and test what else samples share.

    For each channel images are sampled with it held (`attribution.hold_concept`), for each of the images that excite it
    most, and compared with the image by three witnesses: the channels held (that sampling did as told), all other
    channels of the block, and a classifier that reads from the other channels alone whether an image is among the tenth
    that excite the channel most. The statistic is the probability that a held sample is nearer to its image than
    a sample it is compared with: samples without a condition, and samples of the other concepts (is what is shared
    this concept's own?).

    With the defaults photo32 takes some 3 to 5 s a held sample on one core: 10 channels, 3 images and 4 samples take
    some eight minutes.

    Parameters
    ----------
    images
        Where the most exciting images are found; of the ids that `data` has.
    data
        φ of these images at one block, as `probekit.tap` returns it; at `sigma` among others.
    denoiser
        Bundled name, path or module: the network that `data` are of.
    findings
        What `selectivity.analyse` returns of `data`; by default made here.
    channels
        Channels to hold, by their number in `data`; by default the `n_channels` most selective, see `most_selective`.
    together
        Channels held at once: the channel, and those others of type selective that its images raise most, in standard
        deviations over images. A channel that is silent in a sample has no gradient, so that one held alone is often
        not reached; see `reached`.
    n_images
        Most exciting images of each channel that samples are made of.
    n_samples
        Samples of each image, ≥ 2.
    sigma, draws
        Noise level and draws at which channels are ranked and samples compared.
    sigmas, levels
        Noise levels of the samples, as for `variants.table`.
    permutations, resamples, level, seed
        As for `attribution.concept`.
    store
        Folder in which samples are kept.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    Dataset
        Over (concept, against, witness): `nearer`, `nearer_low`, `nearer_high` (interval over images; NaN for one) and
        `p`, one-sided; `p_holm`, the same after Holm's correction over concepts. Over concept: `channel`, `held` (all
        channels held), `sparseness`. Over (concept, exciting, …): `exciting_image`, `exciting` (the images),
        `held_samples`, `free_samples`, and `reached`, a held sample's φ of the channel as a share of the image's.
        `against`: "free samples", "samples of other concepts" (NaN for one concept).

    Raises
    ------
    InputError
        If data are not of these images, of this network or of one tap, σ is not among the data's, channels are too
        few or none is selective, or an option is out of its range.
    """
    for name, value, least in (("together", together, 1), ("n_images", n_images, 1), ("n_samples", n_samples, 2)):
        whole(name, value, least=least)
    resampling(resamples, level, seed)
    whole("permutations", permutations, least=100)
    labels.check(data, "phi")
    folder = folder_of(store)
    source, at = image_sources.load(images), _position(data, sigma)
    if n_images > len(source):
        raise InputError(
            f"n_images={n_images}: there are {len(source)} images: give fewer exciting ones, or more images"
        )
    if tuple(labels.strings(data["image"].values)) != tuple(source.ids):
        raise InputError("data are of other images than those given, or of another order: give φ of these images")
    names = list(dict.fromkeys(labels.strings(data["tap"].values)))
    if len(names) > 1:
        raise InputError(
            f"data are of the taps {', '.join(names)}: give φ of one, e.g. tap(denoiser, 'mid')(images, …)"
        )
    net = as_network(denoiser)
    tap = probekit.tap(net, names[0])
    own = tap(source.subset([0]), sigma=sigma, draws=1, seed=seed, progress=False)
    other = [key for key in ("weights_sha256", "taps", "reduce") if not same(data, own, key)]
    if other or data.sizes["channel"] != own.sizes["channel"]:
        raise InputError(
            f"data are of another denoiser or tap than {net.__class__.__name__} at {names[0]!r} "
            f"({', '.join(other) or 'other channels'} differ): measure φ with it, tap(images, sigma=…)"
        )
    found = selectivity.analyse(data, resamples=100) if findings is None else findings
    _check_findings(found)
    if found.sizes["channel"] != data.sizes["channel"]:
        raise InputError(
            f"findings of {found.sizes['channel']} channels and φ of {data.sizes['channel']}: give the same"
        )
    if channels is None:
        channels = most_selective(found, sigma=sigma, n_channels=n_channels)
    given = listed("channels", channels, "a list of channels' numbers")
    held = chosen_channels(given, data.sizes["channel"]).tolist()
    phi = data["phi"].values[:, at].astype(float)
    selective = np.flatnonzero(labels.strings(found["type"].values[_position(found, sigma)]) == "selective")
    concepts = [_held(phi, c, selective, together, n_images) for c in held]
    options = {"sigma": sigma, "draws": draws, "permutations": permutations, "resamples": resamples, "level": level}
    settings = {
        "sigmas": sampling.schedule(sampling.DEFAULT, sigmas, levels),
        "draws": draws,
        "progress": False if progress is None else progress,
    }
    made = [
        _tested(net, tap, source.subset(one.images), one, phi, n_samples, settings, {**options, "seed": seed}, folder)
        for one in concepts
    ]
    others = _against_others(tap, concepts, made, {**options, "seed": seed})
    return _labelled(concepts, made, others, found, _position(found, sigma))


def most_selective(
    findings: xr.Dataset, *, sigma: float, n_channels: int = 10, least_active: float = LEAST_ACTIVE
) -> list[int]:
    """The channels of type selective of largest lifetime sparseness (Vinje & Gallant), the sparsest first.

    Of those that are clearly above rest on a share of the images at least: rarer ones are silent, without a gradient,
    in almost every image on the way to a sample, so that they cannot be held.

    Parameters
    ----------
    findings
        What `selectivity.analyse` returns of one tap.
    sigma
        Noise level.
    n_channels
        At most so many.
    least_active
        Least share of images, in (0, 1).

    Returns
    -------
    list[int]
        Their numbers along dim `channel`.

    Raises
    ------
    InputError
        If there is no selective channel, or no such noise level.
    """
    whole("n_channels", n_channels, least=1)
    _check_findings(findings)
    at = _position(findings, sigma)
    fraction("least_active", least_active, "a share of the images, between 0 and 1, e.g. 0.05")
    active = findings["activity_fraction"].values[at] >= least_active
    selective = np.flatnonzero(active & (labels.strings(findings["type"].values[at]) == "selective"))
    if not len(selective):
        raise InputError(
            f"no channel that is active on {100 * least_active:g} % of the images is selective at σ = {sigma:g}: give "
            "channels= to hold, or more images"
        )
    sparseness = findings["lifetime_sparseness"].values[at, selective]
    return selective[np.argsort(-sparseness, kind="stable")][:n_channels].tolist()


def _check_findings(findings: Any) -> None:
    check_findings(
        findings, "selectivity", ["type", "activity_fraction", "lifetime_sparseness"], dims=["sigma", "channel"]
    )


def _position(data: xr.Dataset, sigma: float) -> int:
    number("sigma", sigma, "one noise standard deviation of the data")
    levels = data["sigma"].values
    if not np.isclose(levels, sigma).any():
        raise InputError(f"sigma={sigma}: give one of the data's noise levels, {levels.tolist()}")
    return int(np.abs(levels - sigma).argmin())


def _held(phi: np.ndarray, channel: int, selective: np.ndarray, together: int, n_images: int) -> Held:
    """A channel with those held beside it: raised most by its most exciting images."""
    images = np.argsort(-phi[:, channel], kind="stable")[:n_images]
    spread = phi.std(axis=0)
    raised = np.divide(
        (phi[images] - phi.mean(axis=0)).mean(axis=0), spread, out=np.zeros(len(spread)), where=spread > 0
    )
    others = [int(c) for c in selective[np.argsort(-raised[selective], kind="stable")] if c != channel]
    if len(others) < together - 1:
        raise InputError(
            f"together={together}: there are {len(others)} other selective channels: give a smaller number"
        )
    return Held(channel, sorted([channel, *others[: together - 1]]), images.tolist())


def _excitement(phi: np.ndarray, one: Held) -> Callable[[np.ndarray], np.ndarray]:
    """Probabilities (n, 2) that an image leaves the channel at rest, or excites it, read from channels not held."""
    free = np.setdiff1d(np.arange(phi.shape[1]), one.channels)
    middle, spread = phi[:, free].mean(axis=0), phi[:, free].std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    excited = np.zeros(len(phi), bool)
    excited[np.argsort(-phi[:, one.channel], kind="stable")[: math.ceil(EXCITED * len(phi))]] = True
    # Few images for many channels: a strong penalty keeps the classifier from learning single images.
    fitted = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    fitted.fit((phi[:, free] - middle) / spread, excited)
    return lambda given: fitted.predict_proba((given[:, free] - middle) / spread)


def _tested(
    net: nn.Module,
    tap: Tap,
    images: ImageSet,
    one: Held,
    phi: np.ndarray,
    n_samples: int,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    store: Path | None,
) -> dict[str, Any]:
    """What holding a concept does, with its samples."""
    kept: dict[str, Any] = {}

    def sampler(*given: Any, method: str = sampling.DEFAULT, **more: Any) -> xr.Dataset:
        part = "free" if method == "unconditional" else "held"
        name = f"{'-'.join(map(str, one.channels))}-{part}"
        folder = None if store is None else store / name
        kept[part] = sampling.reconstruct(*given, method=method, store=folder, **more)
        return kept[part]

    run = partial(hold_concept, net, tap, images, channels=one.channels, n_samples=n_samples, sampler=sampler)
    kept["classifier"] = _excitement(phi, one)
    kept["found"] = run(settings=settings, classifier=kept["classifier"], **options)
    kept["images"] = images
    kept["reached"] = _reached(tap, images, kept["held"]["samples"].values, one.channel, options)
    return kept


def _reached(tap: Tap, images: ImageSet, samples: np.ndarray, channel: int, options: Mapping[str, Any]) -> np.ndarray:
    """φ (image, sample) of a channel as a share of the image's."""
    noise = {name: options[name] for name in ("sigma", "draws", "seed")}
    with warnings.catch_warnings():
        # That samples leave the range of clean images a little is no fault of the caller's.
        warnings.filterwarnings("ignore", message="images of .* reach from")
        phi = tap(samples.reshape(-1, *samples.shape[2:]), progress=False, **noise)["phi"].values[:, 0, channel]
    wanted = tap(images, progress=False, **noise)["phi"].values[:, 0, channel]
    with np.errstate(invalid="ignore", divide="ignore"):
        return phi.reshape(samples.shape[:2]) / wanted[:, None]


def _against_others(
    tap: Tap, chosen: Sequence[Held], made: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> list[xr.Dataset | None]:
    """Each concept's samples compared with those of the other concepts, of images of the same rank."""
    if len(chosen) < 2:
        return [None]
    found: list[xr.Dataset | None] = []
    for c, (one, own) in enumerate(zip(chosen, made, strict=True)):
        others = np.concatenate([m["held"]["samples"].values for k, m in enumerate(made) if k != c], axis=1)
        held = own["held"]["samples"]
        other = xr.DataArray(others, dims=held.dims)
        found.append(
            concept(tap, held, other, own["images"], channels=one.channels, classifier=own["classifier"], **options)
        )
    return found


def _labelled(
    chosen: Sequence[Held],
    made: Sequence[Mapping[str, Any]],
    others: Sequence[xr.Dataset | None],
    findings: xr.Dataset,
    at: int,
) -> xr.Dataset:
    first = made[0]["found"]
    over = ("concept", "against", "witness")
    names = ("nearer", "nearer_low", "nearer_high", "p")
    unknown = np.full(first.sizes["witness"], np.nan)
    values = {
        name: np.array(
            [
                [own["found"][name].values, unknown if other is None else other[name].values]
                for own, other in zip(made, others, strict=True)
            ]
        )
        for name in names
    }
    variables = {name: variable(over, values[name], first[name].attrs["long_name"]) for name in names}
    variables["p_holm"] = variable(over, holm(values["p"]), "p after Holm's correction over concepts")
    pixels = ("band", "row", "col")
    for part in ("held", "free"):
        stacked = np.stack([m[part]["samples"].values for m in made])
        text = f"samples with the concept {'held' if part == 'held' else 'free'}"
        variables[f"{part}_samples"] = variable(("concept", "exciting", "sample", *pixels), stacked, text, "intensity")
    images = np.stack([m["held"]["condition"].values for m in made])
    variables["exciting"] = variable(("concept", "exciting", *pixels), images, "images that excite most", "intensity")
    text = "φ of the channel as a share of the image's"
    variables["reached"] = variable(("concept", "exciting", "sample"), [m["reached"] for m in made], text)
    ids = np.array([list(m["images"].ids) for m in made], dtype=object)
    variables["exciting_image"] = variable(("concept", "exciting"), ids, "ids of the images that excite most")
    channels = [one.channel for one in chosen]
    sparseness = findings["lifetime_sparseness"].values[at, channels]
    variables["sparseness"] = variable("concept", sparseness, "lifetime sparseness of the channel")
    coords = {
        "concept": np.arange(len(chosen)),
        "channel": ("concept", np.array(channels), {"long_name": "the channel that is the concept"}),
        "held": ("concept", np.array([", ".join(map(str, one.channels)) for one in chosen], dtype=object)),
        "against": ("against", np.array([FREE, OTHERS], dtype=object)),
        "witness": ("witness", labels.strings(first["witness"].values)),
    }
    bare = xr.Dataset(attrs={k: v for k, v in first.attrs.items() if k != "channels"})
    return ground.findings(variables, bare, analysis="concepts", coords=coords, together=len(chosen[0].channels))


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.concepts VAL.zip -o out/``."""
    parser = argparse.ArgumentParser(
        prog="python -m analyses.concepts", description="Whether samples with a selective channel held show a concept."
    )
    parser.add_argument("images", nargs="+", help='folders or zips of images, or "samples" and ids of built-in ones')
    parser.add_argument("--denoiser", default="photo32", help="bundled name or .safetensors path (default: photo32)")
    parser.add_argument("--block", default="mid", help="whose channels are held (default: mid)")
    parser.add_argument("--size", type=int, default=32, help="side of the images (default: 32)")
    parser.add_argument("--n-images", type=int, help="images that exciting ones are looked for among (default: all)")
    parser.add_argument("--sigma", type=float, default=0.1, help="noise level of φ (default: 0.1)")
    parser.add_argument("--phi-draws", type=int, default=2, help="noise draws of φ of all images (default: 2)")
    parser.add_argument("--channels", type=int, default=10, help="channels, the most selective (default: 10)")
    parser.add_argument("--together", type=int, default=4, help="channels held at once (default: 4)")
    parser.add_argument("--exciting", type=int, default=3, help="most exciting images of each channel (default: 3)")
    parser.add_argument("--samples", type=int, default=4, help="of each such image (default: 4)")
    parser.add_argument("--levels", type=int, default=20, help="noise levels of the samples (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for results and stores (default: here)")
    given = parser.parse_args(arguments)
    return ground.command(parser, lambda: _written(given))


def _written(given: argparse.Namespace) -> list[Path]:
    images = drawn_images(
        images_called(given.images, size=given.size, crop=None if given.images[0] == "samples" else given.size),
        given.n_images,
        given.seed,
    )
    net = as_network(given.denoiser)
    prepared(given.out)
    data = probekit.tap(net, given.block)(images, sigma=given.sigma, draws=given.phi_draws, seed=given.seed)
    found = analyse(
        images,
        data,
        denoiser=net,
        n_channels=given.channels,
        together=given.together,
        n_images=given.exciting,
        n_samples=given.samples,
        sigma=given.sigma,
        levels=given.levels,
        seed=given.seed,
        store=given.out / "concepts-stores",
    )
    return ground.saved(given.out, ("concepts", found), ("concepts", plot(found)))


if __name__ == "__main__":
    sys.exit(main())
