"""One palette, one drawer of pictures."""

import numpy as np
from matplotlib.figure import Figure

from analyses.ground import block_colours, level_colours, picture, shown_range


def drawn(image: np.ndarray, **options: object) -> np.ndarray:
    axis = Figure().subplots()
    picture(axis, image, "a picture", **options)
    assert axis.get_title() == "a picture"
    return np.asarray(axis.images[0].get_array())


def test_three_bands_are_colour_and_one_is_grey() -> None:
    image = np.random.default_rng(0).random((3, 4, 5))
    np.testing.assert_allclose(drawn(image), np.moveaxis(image, 0, -1))
    np.testing.assert_allclose(drawn(image[:1]), image[0])
    np.testing.assert_allclose(drawn(np.concatenate([image, image])), np.moveaxis(image, 0, -1))


def test_intensities_beyond_the_range_are_clipped_and_another_range_is_stretched() -> None:
    image = np.linspace(-1, 3, 12).reshape(1, 3, 4)
    assert drawn(image).min() == 0
    assert drawn(image).max() == 1
    np.testing.assert_allclose(drawn(image, limits=(-1, 3)), (image[0] + 1) / 4)


def test_the_range_shown_is_0_to_1_unless_values_are_of_another() -> None:
    assert shown_range(np.array([-0.2, 1.3])) == (0.0, 1.0)
    assert shown_range(np.array([-1.0, 1.0])) == (-1.0, 1.0)
    low, high = shown_range(np.array([7.0, 7.0]))
    assert high > low


def test_blocks_are_coloured_by_their_side_of_the_network_and_levels_differ() -> None:
    colours = block_colours(["enc1", "enc2", "mid", "dec1", "other"])
    assert colours[2] == "black"
    assert len(set(colours)) == 5
    assert len({tuple(c) for c in level_colours(7)}) == 7
