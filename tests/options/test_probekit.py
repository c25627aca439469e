"""Bad options of everything public in probekit but models, evaluation and train: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from probekit.errors import ProbeError
from probekit.images import concatenate, load
from probekit.models.unet import UNet
from probekit.noise import from_bits, random_bits, standard_normal
from probekit.synthetic import shapes
from probekit.synthetic.patch_laws import EnergyLaw, SplitLaw, coefficient_law, on_spheres, wasserstein2
from probekit.synthetic.patch_model import PatchModel
from probekit.synthetic.shape_distances import distance, factor_distances
from probekit.synthetic.subspaces import union_of_subspaces


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape or (2, 3, 8, 8), dtype=np.float32)


def network() -> UNet:
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))


def called(**options: Any) -> Any:
    return probekit.tap(network(), "mid")(**{"images": pictures(), "sigma": [0.1], "draws": 1, **options})


def maps(**options: Any) -> Any:
    return probekit.tap(network(), "mid").maps(**{"images": pictures(), "sigma": 0.1, **options})


def wrapped(**options: Any) -> Any:
    return probekit.Denoiser(nn.Identity(), **options)


def denoised(y: Any, sigma: Any = None, **settings: Any) -> Any:
    return wrapped(**settings)(y, sigma)


def edited(edit: Callable[[probekit.Tap], Any]) -> Any:
    net = network()
    with edit(probekit.tap(net, "mid")):
        return net(torch.zeros(1, 3, 8, 8))


def scheduled(**parts: Any) -> Any:
    return probekit.Denoiser.from_diffusers(nn.Conv2d(1, 1, 1), type("Scheduler", (), parts)())


def noise(**options: Any) -> Any:
    return standard_normal(**{"shape": (2,), "seed": 0, "ids": ["a"], "draws": [0], **options})


def bits(**options: Any) -> Any:
    return random_bits(**{"shape": (2,), "seed": 0, "ids": ["a"], "draws": [0], **options})


def patches(**options: Any) -> PatchModel:
    return PatchModel(**{"weights": [0.4, 0.6], "variances": [[0.2, 0.05, 0, 0], [0.2, 0, 0.1, 0]], **options})


def drawn(**options: Any) -> Any:
    return patches().draw(**{"n": 1, "rows": 4, "cols": 4, "seed": 0, **options})


def conditional(**options: Any) -> Any:
    return patches().conditional(**{"phi": [0.2, 0.1, 0, 0], "n": 1, "rows": 4, "cols": 4, "seed": 0, **options})


Y, LARGE = torch.zeros(1, 3, 8, 8), torch.zeros(2, 1, 4, 4)
SETTINGS = shapes.draw_settings(2, seed=0)
NOT_A_PATH: Any = 3.5

# What is called, and words of the error.
BAD: dict[str, list[tuple[Callable[[], Any], str]]] = {
    "load": [
        (lambda: load(3), "cannot be read from a int"),
        (lambda: load([1, 2]), "stack lists with numpy.stack"),
        (lambda: load("nowhere"), "nowhere does not exist"),
        (lambda: load(pictures(3, 8, 8)), "write images\\[None\\]"),
        (lambda: load(pictures().astype(int)), "images are int64: give floats"),
        (lambda: load(xr.DataArray(pictures())), "the DataArray has dims"),
        (lambda: load("samples", size=48), "size=48: give 64 or 32"),
        (lambda: load("samples", crop=8), "crop=8 does not apply here"),
        (lambda: load(pictures(), size=8), "size=8 does not apply here"),
        (lambda: load(".", size=0), "size=0: give a positive int"),
        (lambda: load(".", size="big"), "size='big'"),  # pyright: ignore[reportArgumentType]
        (lambda: load(".", crop=(1, 2, 3)), "crop=\\(1, 2, 3\\)"),  # pyright: ignore[reportArgumentType]
        (lambda: load(pictures(), bands=2), "bands=2: give 1 to read"),  # pyright: ignore[reportArgumentType]
        (lambda: load(pictures(), bands=1), "bands=1 does not apply here"),
        (lambda: load(pictures(), ids=["a"]), "1 ids for 2 images"),
        (lambda: load(pictures(), ids=["a", "a"]), "ids a of .* occur more than once"),
        (lambda: load(pictures(), ids=7), "ids=7: give a list of ids, one per image"),  # pyright: ignore
        (lambda: load(pictures(), labels=["a"]), "1 labels for 2 images"),
        (lambda: load(pictures(), labels=7), "labels=7: give a list of labels"),  # pyright: ignore
        (lambda: load(pictures(), skip_bad=True), "skip_bad=True does not apply here"),
        (lambda: load(".", skip_bad="yes"), "skip_bad='yes': give True or False"),  # pyright: ignore
    ],
    "concatenate": [
        (lambda: concatenate([]), "there is no image set"),
        (lambda: concatenate(7), "sets=7: give a list of image sets"),  # pyright: ignore[reportArgumentType]
        (lambda: concatenate([pictures()]), "sets hold a ndarray"),  # pyright: ignore[reportArgumentType]
        (lambda: concatenate([load(pictures())] * 2), "names more than one set"),
        (lambda: concatenate([load(pictures()), load(pictures(2, 3, 4, 4))]), "differ in \\(bands, rows, cols\\)"),
    ],
    "taps": [
        (lambda: probekit.taps(3, (3, 8, 8)), "wraps a torch.nn.Module, not int"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.taps(network(), (8, 8)), "shape=\\(8, 8\\): give \\(channels, rows, cols\\)"),
        (lambda: probekit.taps(network(), (3, 0, 8)), "shape=0: give a whole number ≥ 1"),
        (lambda: probekit.taps(network(), 8), "shape=8: give \\(channels"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.taps(network(), (3, 8.5, 8)), "shape=8.5"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.taps(network(), (1, 8, 8)), "takes images of 3 channels"),
        (lambda: probekit.taps(network(), (3, 8, 8), label=3), "cannot be called with the image and label"),
    ],
    "draw": [
        (lambda: probekit.draw(3, (3, 8, 8)), "wraps a torch.nn.Module, not int"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.draw(network(), (8, 8)), "shape=\\(8, 8\\): give \\(channels, rows, cols\\)"),
        (lambda: probekit.draw(network(), (3, 8.5, 8)), "shape=8.5"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.draw(network(), (1, 8, 8)), "takes images of 3 channels"),
        (lambda: probekit.draw(network(), (3, 8, 8), label=3), "cannot be called with the image and label"),
        (lambda: probekit.draw(network(), (3, 8, 8), depth=0), "depth=0: give a whole number ≥ 1"),
        (lambda: probekit.draw(network(), (3, 8, 8), depth=1.5), "depth=1.5"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.draw(network(), (3, 8, 8), max_boxes=0), "max_boxes=0: give a whole number ≥ 1"),
        (lambda: probekit.draw(network(), (3, 8, 8), max_boxes=None), "max_boxes"),  # pyright: ignore
        (lambda: probekit.draw(network(), (3, 8, 8), expand=3), "expand=3: give the names"),  # pyright: ignore
        (lambda: probekit.draw(network(), (3, 8, 8), expand="middel"), "did you mean .*'middle'"),
        (lambda: probekit.draw(network(), (3, 8, 8), expand="middle.0"), "there is nothing to open"),
    ],
    "tap": [
        (lambda: probekit.tap(3, "mid"), "wraps a torch.nn.Module, not int"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.tap(network()), "name at least one tap"),
        (lambda: probekit.tap(network(), "middel"), "did you mean .*'middle'"),
        (lambda: probekit.tap(network(), 3), "has no tap 3"),  # pyright: ignore[reportArgumentType]
        (lambda: probekit.tap(network(), "mid", "middle"), "are one place \\(middle\\): name it once"),
        (lambda: probekit.tap(network(), "mid", reduce="median"), "reduce='median': give one of mean, relu_mean, max"),
        (lambda: probekit.tap(network(), "mid", reduce=3), "reduce=3"),  # pyright: ignore[reportArgumentType]
    ],
    "Tap()": [
        (lambda: called(images=3.0), "cannot be read from a float"),
        (lambda: called(images=pictures(2, 1, 8, 8)), "takes images of 3 channels"),
        (lambda: called(sigma=-0.1), "sigma holds \\[-0.1\\]"),
        (lambda: called(sigma=[]), "sigma is empty"),
        (lambda: called(sigma=[0.1, 0.1]), "names a noise level twice"),
        (lambda: called(sigma="loud"), "sigma='loud'"),
        (lambda: called(draws=0), "draws=0: give a whole number from 1 to"),
        (lambda: called(draws=2.5), "draws=2.5"),
        (lambda: called(seed="one"), "seed='one': give a whole number"),
        (lambda: called(seed=0.5), "seed=0.5"),
        (lambda: called(ids=["a", "a"]), "ids a of .* occur more than once"),
        (lambda: called(ids=7), "ids=7"),
        (lambda: called(batch_size=0), "batch_size=0: give a whole number from 1 to"),
        (lambda: called(batch_size="all"), "batch_size='all'"),
        (lambda: called(keep_draws="yes"), "keep_draws='yes': give True or False"),
        (lambda: called(store=NOT_A_PATH), "store=3.5: give the path of a folder"),
        (lambda: called(progress="bar"), "progress='bar': give True or False"),
    ],
    "Tap.maps": [
        (lambda: maps(images="nowhere"), "nowhere does not exist"),
        (lambda: maps(sigma=[np.nan]), "sigma holds \\[nan\\]"),
        (lambda: maps(draw=-1), "draw=-1: give a whole number ≥ 0"),
        (lambda: maps(seed=None), "seed=None: give a whole number"),
        (lambda: maps(ids=["a"]), "1 ids for 2 images"),
        (lambda: maps(batch_size=0), "batch_size=0"),
        (lambda: probekit.tap(network(), "mid", "enc1").maps(pictures(), sigma=0.1), "one tap at a time"),
    ],
    "Tap.features": [
        (lambda: probekit.tap(network(), "mid").features(pictures()), "y is a ndarray"),  # pyright: ignore
        (lambda: probekit.tap(network(), "mid").features(Y[0]), "write y\\[None\\]"),
        (lambda: probekit.tap(network(), "mid").features(Y.double()), "y is torch.float64"),
        (lambda: probekit.tap(network(), "mid").features(Y, "loud"), "sigma='loud'"),
        (lambda: probekit.tap(network(), "mid").features(Y, label=3), "cannot be called with the image and label"),
    ],
    "edits": [
        (lambda: edited(lambda tap: tap.ablate(8)), "channels \\[8\\] do not exist here: the map has channels 0…7"),
        (
            lambda: edited(lambda tap: tap.ablate("first")),
            "channels='first' is no channel of this tap: give whole numbers",
        ),  # pyright: ignore
        (lambda: edited(lambda tap: tap.ablate(0.5)), "channels=0.5"),  # pyright: ignore[reportArgumentType]
        (lambda: edited(lambda tap: tap.scale([-1], 2)), "channels \\[-1\\] do not exist"),
        (lambda: edited(lambda tap: tap.scale(0, "twice")), "factor='twice': give a finite number"),  # pyright: ignore
        (lambda: edited(lambda tap: tap.scale(0, np.inf)), "factor=inf"),
        (lambda: edited(lambda tap: tap.replace(9, 0)), "channels \\[9\\] do not exist"),
        (lambda: edited(lambda tap: tap.replace(0, "red")), "value='red': give a finite number, or a tensor"),
        (lambda: edited(lambda tap: tap.replace([0, 1], torch.zeros(3, 1, 1))), "does not fit 2 channels"),
        (lambda: edited(lambda tap: tap.edit(3)), "function=3: give a function"),  # pyright: ignore
        (lambda: edited(lambda tap: tap.edit(lambda a: a[:, :1])), "keep its shape"),
        (lambda: probekit.tap(network(), "mid", "enc1").ablate(0), "edits are made at one tap at a time"),
    ],
    "Denoiser": [
        (lambda: probekit.Denoiser(3), "wraps a torch.nn.Module, not int"),  # pyright: ignore[reportArgumentType]
        (lambda: wrapped(predicts="x0"), "predicts='x0': give one of 'clean'"),
        (lambda: wrapped(sigma_to="time"), "sigma_to='time'"),
        (lambda: wrapped(sigma_to=[0.1, 0.1]), "strictly rising or strictly falling"),
        (lambda: wrapped(scaling="ddpm"), "scaling='ddpm': give None, 'vp', 'edm'"),
        (lambda: wrapped(data_range=(1, 0)), "data_range=\\(1, 0\\)"),
        (lambda: wrapped(data_range="unit"), "data_range='unit'"),
        (lambda: wrapped(sigma_data=0), "sigma_data=0"),
        (lambda: wrapped(sigma_data="half"), "sigma_data='half'"),
        (lambda: wrapped(interpolate=True), "interpolate=True is for a table"),
        (lambda: wrapped(interpolate="no"), "interpolate='no': give True or False"),
        (lambda: wrapped(name=3), "name=3: give a name"),
        (lambda: scheduled(), "has no alphas_cumprod"),
        (lambda: scheduled(alphas_cumprod=torch.ones(3), config={"prediction_type": "x"}), "prediction_type is 'x'"),
    ],
    "Denoiser()": [
        (lambda: denoised([1.0]), "y is a list"),
        (lambda: denoised(Y[0]), "write y\\[None\\]"),
        (lambda: denoised(Y.long()), "y is torch.int64"),
        (lambda: denoised(Y, -0.1), "sigma=-0.1"),
        (lambda: denoised(Y, torch.ones(2)), "for a batch of 1"),
        (lambda: denoised(Y, predicts="noise"), "pass sigma"),
        (lambda: wrapped()(Y, 0.1, label=3), "cannot be called with the image and label"),
        (lambda: wrapped().score(Y, 0.0), "the score needs sigma > 0"),
        (lambda: wrapped().score(Y, None), "the score needs sigma > 0"),
    ],
    "open": [
        (lambda: probekit.open("nowhere.zarr"), "nowhere.zarr does not exist: give the path of a store"),
        (lambda: probekit.open(NOT_A_PATH), "path=3.5: give the path of a store"),
    ],
    "noise": [
        (lambda: noise(shape=3), "shape=3: give the shape of one array"),
        (lambda: noise(shape=(3, 0)), "shape=0: give a whole number ≥ 1"),
        (lambda: noise(seed="one"), "seed='one': give a whole number"),
        (lambda: noise(seed=True), "seed=True"),
        (lambda: noise(ids="a"), "ids='a': give a list of image ids"),
        (lambda: noise(draws=0), "draws=0: give a list of draw numbers"),
        (lambda: noise(draws=[0.5]), "draws=0.5: give a whole number"),
        (lambda: noise(draws=[0, 1]), "1 ids and 2 draws"),
        (lambda: bits(shape=(-1,)), "shape=-1"),
        (lambda: bits(seed=0.5), "seed=0.5"),
        (lambda: bits(ids=5), "ids=5"),
        (lambda: bits(draws=["x"]), "draws='x'"),
        (lambda: from_bits(bits(), (5,)), "for the shape \\(5,\\), torch.int32 \\(n, 6\\)"),
        (lambda: from_bits([1, 2], (2,)), "bits are a list"),  # pyright: ignore[reportArgumentType]
        (lambda: from_bits(bits(), 2), "shape=2"),  # pyright: ignore[reportArgumentType]
    ],
    "subspaces": [
        (lambda: union_of_subspaces(0), "n_images=0"),
        (lambda: union_of_subspaces(n_channels=3), "n_channels=3"),
        (lambda: union_of_subspaces(n_subspaces=0), "n_subspaces=0"),
        (lambda: union_of_subspaces(support=0), "support=0"),
        (lambda: union_of_subspaces(dimension=9), "dimension=9"),
        (lambda: union_of_subspaces(overlap=9), "overlap=9"),
        (lambda: union_of_subspaces(common=-1), "common=-1"),
        (lambda: union_of_subspaces(noise=-1), "noise=-1"),
        (lambda: union_of_subspaces(rest=-1), "rest=-1"),
        (lambda: union_of_subspaces(draws=0), "draws=0"),
        (lambda: union_of_subspaces(sigma=-1), "sigma"),
        (lambda: union_of_subspaces(weights=[1.0]), "weights=\\[1.0\\]"),
        (lambda: union_of_subspaces(seed=-1), "seed=-1"),
    ],
    "PatchModel": [
        (lambda: patches(weights=[0.5, 0.6]), "weights"),
        (lambda: patches(weights="most"), "weights"),
        (lambda: patches(variances=[[0.2, -1, 0, 0]] * 2), "variances"),
        (lambda: patches(variances=[[0.2, 0.1, 0]] * 2), "variances"),
        (lambda: patches(pool=[[0, 1], [1, 2, 3]]), "pool"),
        (lambda: patches(pool=3), "pool"),
        (lambda: patches()(LARGE, None), "pass sigma"),
        (lambda: patches()(LARGE[0], 0.1), "y has shape"),
        (lambda: patches().phi(LARGE, -1), "sigma=-1"),
        (lambda: patches().phi_variance(LARGE[:, :, :3], 0.1), "cannot be cut|multiples"),
        (lambda: patches().posterior(LARGE, "loud"), "sigma='loud'"),
        (lambda: patches().posterior_variance(LARGE.double(), 0.1), "y is torch.float64"),
        (lambda: patches().wiener_error(0.0), "finite noise standard deviation > 0"),
        (lambda: patches().log_density(LARGE, 0.0), "the density needs sigma > 0"),
        (lambda: drawn(n=0), "n=0"),
        (lambda: drawn(rows=3), "3×4 cannot be cut"),
        (lambda: drawn(cols=0), "4×0 cannot be cut"),
        (lambda: drawn(seed=-1), "seed=-1"),
        (lambda: conditional(phi=[0.2]), "phi has shape \\(1,\\)"),
        (lambda: conditional(phi="much"), "phi"),
        (lambda: conditional(n=0), "n=0"),
        (lambda: conditional(rows=5), "5×4 cannot be cut"),
        (lambda: conditional(cols="four"), "cols='four'"),
        (lambda: conditional(seed="one"), "seed='one'"),
        (lambda: patches().posterior_given_phi([0.2], rows=4, cols=4), "phi has shape"),
        (lambda: patches().posterior_given_phi([0.2, 0.1, 0, 0], rows=3, cols=4), "3×4 cannot be cut"),
    ],
    "patch laws": [
        (lambda: coefficient_law(-0.1, positions=4), "energy=-0.1"),
        (lambda: coefficient_law(0.1, positions=1), "positions=1"),
        (lambda: on_spheres([-0.1], positions=4, rng=np.random.default_rng(0)), "energies"),
        (lambda: on_spheres([0.1], positions=0, rng=np.random.default_rng(0)), "positions=0"),
        (lambda: wasserstein2([-0.1], [0.1], positions=4), "energies"),
        (lambda: wasserstein2([0.1], [0.1], positions=0), "positions=0"),
        (lambda: EnergyLaw([0.1, 0.0], positions=4), "variances=\\[0.1, 0.0\\]"),
        (lambda: EnergyLaw([0.1], positions=0), "positions=0"),
        (lambda: SplitLaw([0.1], phi=0.1, positions=4), "at least two variances"),
        (lambda: SplitLaw([0.1, 0.2], phi=-1.0, positions=4), "phi=-1\\.0"),
        (lambda: SplitLaw([0.1, 0.2], phi=0.1, positions=0), "positions=0"),
        (lambda: SplitLaw([0.1, 0.2], phi=0.1, positions=4, component=2), "component=2"),
    ],
    "shapes": [
        (lambda: shapes.draw(0, seed=0), "n=0"),
        (lambda: shapes.draw(1, size=8, seed=0), "size=8"),
        (lambda: shapes.draw(1, seed=-1), "seed=-1"),
        (lambda: shapes.draw(1, seed=0, colour="red"), "colour"),
        (lambda: shapes.draw(1, seed=0, shape="cube"), "shape"),
        (lambda: shapes.draw_settings(0, seed=0), "n=0"),
        (lambda: shapes.draw_settings(1, seed="one"), "seed='one'"),
        (lambda: shapes.draw_settings(1, seed=0, count=9), "count"),
        (lambda: shapes.render(SETTINGS, size="big"), "size='big'"),  # pyright: ignore[reportArgumentType]
        (lambda: shapes.render({"shape": "disc"}), "the settings lack"),
        (lambda: shapes.render(3), "settings"),  # pyright: ignore[reportArgumentType]
        (lambda: factor_distances(SETTINGS, SETTINGS, factors=["size"]), "size"),
        (lambda: factor_distances(SETTINGS, SETTINGS, factors=3), "factors=3"),  # pyright: ignore[reportArgumentType]
        (lambda: factor_distances(3, SETTINGS), "settings"),  # pyright: ignore[reportArgumentType]
        (lambda: distance(SETTINGS, 3), "settings"),  # pyright: ignore[reportArgumentType]
        (lambda: distance(SETTINGS, SETTINGS, factors=[]), "factors=\\[\\]"),
        (lambda: distance(SETTINGS, SETTINGS, weights={"hue": -1}), "the weight of hue=-1"),
        (lambda: distance(SETTINGS, SETTINGS, weights=3), "weights=3"),  # pyright: ignore[reportArgumentType]
    ],
}
CASES = [pytest.param(*case, id=f"{name} {n}") for name, cases in BAD.items() for n, case in enumerate(cases)]


@pytest.mark.parametrize(("call", "says"), CASES)
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(ProbeError, match=says):
        call()
