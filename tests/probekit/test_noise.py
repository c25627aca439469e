"""Noise depends on its address alone, and is white, Gaussian and of unit variance."""

import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import InputError
from probekit.noise import from_bits, random_bits, standard_normal

# Few characters, digits and the separator among them, so that carelessly joined addresses would collide.
names = st.text("01:a/é", max_size=4)
seeds = st.integers(-5, 2**70)
draws = st.integers(0, 30)


@given(
    seed=seeds,
    pairs=st.lists(st.tuples(names, draws), min_size=1, max_size=6),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_noise_of_an_image_and_draw_does_not_depend_on_its_batch(
    seed: int, pairs: list[tuple[str, int]], shape: list[int]
) -> None:
    together = standard_normal(shape, seed=seed, ids=[i for i, _ in pairs], draws=[d for _, d in pairs])
    for z, (name, draw) in zip(together, pairs, strict=True):
        assert torch.equal(z, standard_normal(shape, seed=seed, ids=[name], draws=[draw])[0])


@given(
    seed=seeds,
    pairs=st.lists(st.tuples(names, draws), min_size=1, max_size=6),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_noise_made_of_its_bits_elsewhere_is_the_same_up_to_rounding(
    seed: int, pairs: list[tuple[str, int]], shape: list[int]
) -> None:
    address: dict[str, Any] = {"seed": seed, "ids": [i for i, _ in pairs], "draws": [d for _, d in pairs]}
    z = from_bits(random_bits(shape, **address), shape)
    assert (z.dtype, z.shape) == (torch.float32, (len(pairs), *shape))
    # Numbers below 6.8, whose logarithm, root, cosine and product are each rounded once or twice.
    torch.testing.assert_close(z, standard_normal(shape, **address), rtol=0, atol=6 * 6.8 * 2**-23)


def test_the_extremes_of_the_bits_give_finite_noise() -> None:
    z = from_bits(torch.tensor([[0, -1, 0, 0], [-1, 0, -1, -1]], dtype=torch.int32), (4,))
    assert torch.isfinite(z).all()
    # The least uniform is 2⁻³³: √(66 ln 2) = 6.76.
    assert float(z.abs().max()) == pytest.approx((66 * math.log(2)) ** 0.5, rel=1e-6)


@given(one=st.tuples(seeds, names, draws), other=st.tuples(seeds, names, draws))
def test_noise_is_equal_exactly_where_seed_id_and_draw_are_equal(
    one: tuple[int, str, int], other: tuple[int, str, int]
) -> None:
    first, second = (standard_normal((8,), seed=s, ids=[i], draws=[d]) for s, i, d in (one, other))
    # Eight values of two streams agree by chance with probability below 2^-100.
    assert torch.equal(first, second) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, "x", 23), (12, "x", 3)),
        ((1, "34", 2), (1, "4", 23)),
        ((1, "2x", 3), (12, "x", 3)),
        ((1, "2:x", 3), (1, "x", 32)),
        ((1, "x:2", 3), (1, "x", 23)),
        ((-1, "x", 1), (1, "x", -1)),
    ],
)
def test_addresses_that_read_alike_when_joined_have_different_noise(
    one: tuple[int, str, int], other: tuple[int, str, int]
) -> None:
    first, second = (standard_normal((8,), seed=s, ids=[i], draws=[d]) for s, i, d in (one, other))
    assert not torch.equal(first, second)


def test_noise_has_the_moments_of_a_standard_normal() -> None:
    n = 2**20
    z = standard_normal((n,), seed=0, ids=["a"], draws=[0])[0].double()
    # Five standard errors of the sample moments E z, E z², E z³, E z⁴ of N(0, 1): variances 1, 2, 15, 96.
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((z**power).mean()) - expected) < 5 * (variance / n) ** 0.5


def test_noise_has_the_distribution_function_of_a_standard_normal_out_to_its_tails() -> None:
    n = 2**20
    z = standard_normal((n,), seed=2, ids=["a"], draws=[0])[0].double()
    # Kolmogorov: the distribution function of n values is off by more than 1.95/√n with probability 0.001.
    steps = torch.arange(1, n + 1, dtype=torch.float64) / n
    assert float((torch.special.ndtr(z.sort().values) - steps).abs().max()) < 1.95 / n**0.5 + 1 / n
    for limit in (2, 3, 4):
        tail = n * math.erfc(limit / 2**0.5)
        # The number beyond ±limit is nearly Poisson: five of its standard deviations.
        assert abs(int((z.abs() > limit).sum()) - tail) < 5 * tail**0.5


def test_noise_is_white_within_an_image_and_so_are_its_squares() -> None:
    n = 512
    z = standard_normal((n, n), seed=1, ids=["a"], draws=[0])[0].double()
    # Products of two independent standard normals have mean 0 and variance 1, of their squares 1 and 8: five
    # standard errors. Half an image apart lie the pairs that one draw of a polar method gives.
    pairs = [(z[1:], z[:-1]), (z[:, 1:], z[:, :-1]), (z[1:, 1:], z[:-1, :-1]), (z[: n // 2], z[n // 2 :])]
    for a, b in pairs:
        assert abs(float((a * b).mean())) < 5 / a.numel() ** 0.5
        assert abs(float((a * b).square().mean()) - 1) < 5 * (8 / a.numel()) ** 0.5


@pytest.mark.parametrize("shape", [(1,), (3, 3, 3), (2, 5), (1, 1, 7)])
def test_noise_of_an_odd_number_of_pixels_is_as_good(shape: tuple[int, ...]) -> None:
    n = 40_000
    z = standard_normal(shape, seed=0, ids=[str(i) for i in range(n)], draws=[0] * n).double()
    # Five standard errors of the mean and of the mean square of n standard normals, at every pixel.
    assert float(z.mean(0).abs().max()) < 5 / n**0.5
    assert float(((z**2).mean(0) - 1).abs().max()) < 5 * (2 / n) ** 0.5


@pytest.mark.parametrize("other", [(0, "a", 1), (0, "b", 0), (1, "a", 0)], ids=["draw", "id", "seed"])
def test_noise_of_different_addresses_is_uncorrelated(other: tuple[int, str, int]) -> None:
    n = 2**18
    first, second = (standard_normal((n,), seed=s, ids=[i], draws=[d])[0] for s, i, d in ((0, "a", 0), other))
    # The mean product of independent standard normals has standard error 1/√n.
    assert abs(float((first.double() * second.double()).mean())) < 5 / n**0.5


def test_noise_is_float32_on_the_cpu_of_the_shape_asked_for() -> None:
    z = standard_normal((3, 2, 5), seed=0, ids=["a", "b"], draws=[0, 0])
    assert (z.shape, z.dtype, z.device.type) == ((2, 3, 2, 5), torch.float32, "cpu")


def test_noise_neither_reads_nor_moves_global_generators() -> None:
    torch.manual_seed(0)
    random.seed(0)
    states = torch.get_rng_state(), random.getstate()
    first = standard_normal((4,), seed=0, ids=["a"], draws=[0])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    torch.manual_seed(1)
    assert torch.equal(first, standard_normal((4,), seed=0, ids=["a"], draws=[0]))


def test_ids_and_draws_of_different_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="2 ids and 1 draws: give one draw for each id"):
        standard_normal((4,), seed=0, ids=["a", "b"], draws=[0])
