"""The bundled denoisers do on photographs what their cards say, and better than simple means."""

from pathlib import Path

import numpy as np
import pytest

import probekit
from probekit.evaluation.psnr import psnr_curve
from probekit.evaluation.references import GaussianBlur
from probekit.images import load
from probekit.models import zoo
from probekit.synthetic import shapes

LEVELS = [0.2, 0.5, 1.0]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("photo32", 32), ("photo32-sigma", 32), ("photo32-dncnn", 32), ("photo32-shallow", 32)),
        *(("texture48", 64), ("texture48-sigma", 64)),
    ],
)
def test_on_the_built_in_photographs_they_beat_the_best_blur(name: str, size: int) -> None:
    images = load("samples", size=size)
    mine = psnr_curve(probekit.load(name), images, sigma=[0.1, 0.2, 0.3])
    # The blur's width is chosen on these very images, which favours it.
    blur = psnr_curve(GaussianBlur(images, sigma=[0.1, 0.2, 0.3]), images, sigma=[0.1, 0.2, 0.3])
    assert (mine.mean("image") > blur.mean("image")).all()


@pytest.mark.photographs
@pytest.mark.parametrize("name", ["photo32", "photo32-sigma", "photo32-dncnn", "photo32-shallow"])
def test_on_validation_photographs_they_are_as_good_as_their_cards_say(name: str, photographs: Path) -> None:
    images = load(photographs / "val.zip", size=32)
    some = images.subset(range(0, len(images), 25))
    curve = psnr_curve(probekit.load(name), some, sigma=LEVELS)
    card = zoo.describe(name)["card"]["psnr"]
    said = [card["denoiser"][card["sigma"].index(level)] for level in LEVELS]
    # 200 of the card's images: their mean lies within 4 standard errors of the whole set's, or one time in 16,000 not.
    bound = 4 * curve.std("image", ddof=1).values / np.sqrt(len(some))
    assert (np.abs(curve.mean("image").values - said) < bound + 0.01).all()


def test_on_procedural_images_the_denoiser_trained_on_them_does_what_its_card_says() -> None:
    images = load(shapes.draw(200, size=32, seed=1).images)
    curve = psnr_curve(probekit.load("shapes32"), images, sigma=LEVELS)
    card = zoo.describe("shapes32")["card"]["psnr"]
    said = [card["denoiser"][card["sigma"].index(level)] for level in LEVELS]
    # The first 200 of the card's images, at 4 standard errors.
    bound = 4 * curve.std("image", ddof=1).values / np.sqrt(len(images))
    assert (np.abs(curve.mean("image").values - said) < bound + 0.01).all()
    assert all(mine > wiener for mine, wiener in zip(card["denoiser"][1:], card["patch_wiener"][1:], strict=True))
