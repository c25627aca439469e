"""Laws of φ: it belongs to images, not to batches; its error is honest; symmetries of the network show in it."""

import math
import threading
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from networks import DiffusersStyle
from torch import nn

import probekit
from probekit.models.unet import UNet
from probekit.phi import averages

SIGMA = [0.0, 0.1, 0.6]


def pictures(count: int, bands: int = 3, size: int = 8) -> np.ndarray:
    return np.random.default_rng(1).random((count, bands, size, size), dtype=np.float32)


def small(**options) -> UNet:
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(2,), middle_convs=2, decoder_convs=(2,), **options).eval()


def assert_same(a: xr.Dataset, b: xr.Dataset) -> None:
    """Equal labels, and numbers equal up to the float rounding that another batch size may bring."""
    xr.testing.assert_allclose(a.drop_vars("phi_se"), b.drop_vars("phi_se"), rtol=1e-4, atol=1e-6)
    # The error of a standard error is that of the values, not of their small difference.
    scale = float(np.abs(b.phi).max())
    np.testing.assert_allclose(a.phi_se.values, b.phi_se.values, rtol=1e-4, atol=1e-5 * scale)


@given(st.permutations(range(6)), st.integers(1, 7))
def test_permuting_images_with_their_ids_permutes_results(order: list[int], batch_size: int) -> None:
    tap, x = probekit.tap(small(), "enc1", "mid"), pictures(6)
    ids = [f"picture {i}" for i in range(6)]
    in_order = tap(x, sigma=SIGMA, draws=3, ids=ids)
    permuted = tap(x[order], sigma=SIGMA, draws=3, ids=[ids[i] for i in order], batch_size=batch_size)
    assert_same(permuted, in_order.isel(image=order))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 5))
def test_shards_put_together_equal_the_whole(cuts: list[int], draws: int) -> None:
    tap, x = probekit.tap(small(), "mid"), pictures(sum(cuts))
    ends = np.cumsum([0, *cuts])
    ids = list(map(str, range(len(x))))
    whole = tap(x, sigma=SIGMA, draws=draws)
    parts = [tap(x[a:b], sigma=SIGMA, draws=draws, ids=ids[a:b]) for a, b in pairwise(ends)]
    for part, (a, b) in zip(parts, pairwise(ends), strict=True):
        assert_same(part.fillna(0), whole.isel(image=slice(a, b)).fillna(0))


@given(st.integers(1, 40))
def test_batch_size_changes_nothing_but_rounding(batch_size: int) -> None:
    tap, x = probekit.tap(small(), "mid"), pictures(4)
    assert_same(tap(x, sigma=SIGMA, draws=5, batch_size=batch_size), tap(x, sigma=SIGMA, draws=5))


@given(st.integers(1, 6), st.integers(0, 5))
def test_more_draws_begin_with_the_same_draws_and_one_z_serves_every_sigma(draws: int, seed: int) -> None:
    tap, x = probekit.tap(small(), "mid"), pictures(2)
    few = tap(x, sigma=[0.3], draws=draws, seed=seed, keep_draws=True)
    many = tap(x, sigma=[0.9, 0.3], draws=draws + 2, seed=seed, keep_draws=True)
    np.testing.assert_allclose(
        few.phi_draws.values, many.phi_draws.sel(sigma=[0.3], draw=slice(0, draws - 1)).values, rtol=1e-4, atol=1e-6
    )


@given(st.integers(1, 7), st.integers(1, 3), st.integers(1, 4))
def test_reading_ahead_changes_nothing_but_rounding(count: int, draws: int, batch: int) -> None:
    source, noising = probekit.images.load(pictures(count)), averages.Noising(SIGMA, draws, 0, batch)

    def read(early: bool) -> Iterator[tuple[averages.NoisyBatch, list[torch.Tensor]]]:
        for made in averages.noisy_batches(source, noising, place=torch.zeros(()), early=early):
            yield made, [made.y.mean((2, 3)), SIGMA[made.level] * made.y.amax((2, 3))]

    found = [list(averages.averaged(read(early), noising)) for early in (False, True)]
    for one, other in zip(*found, strict=True):
        assert one.positions == other.positions
        for name in ("phi", "phi_se", "phi_draws"):
            # Noise below 6.8, of some four float32 roundings, times σ ≤ 0.6.
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=4e-6)


def test_reading_ahead_reads_the_next_images_while_the_network_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averages, "GROUP", 1)
    asked = [threading.Event() for _ in range(4)]

    class Watched(torch.utils.data.Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(asked)

        def __getitem__(self, index: int) -> torch.Tensor:
            asked[index].set()
            return torch.full((1, 2, 2), float(index))

    source = probekit.images.load(Watched())
    for event in asked:
        event.clear()

    noising, seen = averages.Noising([0.01], draws=1, seed=0, batch=1), 0
    for made in averages.noisy_batches(source, noising, place=torch.zeros(()), early=True):
        following = min(round(float(made.y.mean())) + 1, len(asked) - 1)
        assert asked[following].wait(60), "the next image is not read before the network is done with this one"
        seen += 1
    assert seen == len(asked)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("levels", [[0.1], [0.0]])
def test_of_a_large_set_no_list_of_its_images_is_made(levels: list[float], early: bool) -> None:
    # A group of each image where there is noise, and without it a group of 64; a list of these would be 20 MB or 0.5.
    source = probekit.images.load(np.broadcast_to(np.float32(0.5), (100_000, 1, 2, 2)))
    noising = averages.Noising(levels, draws=64, seed=0, batch=64)
    batches = averages.noisy_batches(source, noising, place=torch.zeros(()), early=early)
    next(averages.noisy_batches(source[:1], noising, place=torch.zeros(()), early=early))
    tracemalloc.start()
    first = next(batches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del batches
    assert first.group == (range(1) if levels[0] else range(64))
    assert peak < 2**18


def test_phi_and_its_standard_error_are_the_mean_and_its_error_over_the_draws_kept() -> None:
    data = probekit.tap(small(), "mid")(pictures(3), sigma=SIGMA, draws=7, keep_draws=True)
    draws = data.phi_draws.astype("float64")
    np.testing.assert_allclose(data.phi, draws.mean("draw"), rtol=1e-6)
    expected = draws.std("draw", ddof=1) / math.sqrt(7)
    np.testing.assert_allclose(data.phi_se.sel(sigma=[0.1, 0.6]), expected.sel(sigma=[0.1, 0.6]), rtol=1e-5)
    assert (data.phi_se.sel(sigma=0.0) == 0).all()
    assert (draws.sel(sigma=0.0) == draws.sel(sigma=0.0).isel(draw=0)).all()


def test_one_draw_has_no_standard_error_except_without_noise() -> None:
    data = probekit.tap(small(), "mid")(pictures(2), sigma=SIGMA, draws=1)
    assert data.phi_se.sel(sigma=[0.1, 0.6]).isnull().all()
    assert data.rest_se.sel(sigma=[0.1, 0.6]).isnull().all()
    assert (data.phi_se.sel(sigma=0.0) == 0).all()


def test_the_standard_error_matches_the_spread_of_independent_repetitions() -> None:
    # One image under many ids: each has noise of its own.
    repetitions, draws = 600, 8
    data = probekit.tap(small(), "mid")(np.repeat(pictures(1), repetitions, axis=0), sigma=0.5, draws=draws)
    spread = data.phi.values[:, 0].astype(float).var(axis=0, ddof=1)
    claimed = (data.phi_se.values[:, 0].astype(float) ** 2).mean(axis=0)
    active = spread > 0
    # Both estimate one variance, each channel's with relative variances 2/(R − 1) and 2/(R (D − 1));
    # a ratio of averages over channels is no wider than one channel's, whatever their correlation.
    bound = 5 * math.sqrt(2 / (repetitions - 1) + 2 / (repetitions * (draws - 1)))
    assert active.any()
    assert abs(np.mean(spread[active] / claimed[active]) - 1) < bound


def test_a_linear_network_has_a_representation_that_does_not_depend_on_sigma_in_expectation() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 3, 3, padding=1))
    data = probekit.tap(net, "0", "1")(pictures(2), sigma=[0.0, 0.2, 0.9], draws=64)
    clean = data.phi.sel(sigma=0.0, drop=True)
    z = (data.phi - clean) / data.phi_se
    # The means of 64 draws are normal to good approximation: 2·2·9 values stay within 4.5 standard errors of t(63)
    # but for a chance below 36 · 3e-5.
    assert abs(z.sel(sigma=[0.2, 0.9])).max() < 4.5


@given(st.floats(0.01, 100), st.floats(0.05, 2))
def test_a_bias_free_batch_normalised_network_scales_with_its_input(alpha: float, sigma: float) -> None:
    model = small(bias=False).double()
    for module in model.modules():
        if hasattr(module, "running_std"):
            module.running_std.uniform_(0.5, 2.0)
    y = torch.rand(2, 3, 8, 8, dtype=torch.float64) + sigma * torch.randn(2, 3, 8, 8, dtype=torch.float64)
    tap = probekit.tap(model, "enc1", "mid")
    plain, scaled = tap.features(y), tap.features(alpha * y)
    torch.testing.assert_close(scaled, alpha * plain, rtol=1e-10, atol=1e-12 * alpha)


@given(st.floats(0.1, 10))
def test_phi_of_scaled_images_and_noise_is_scaled_phi_for_such_a_network(alpha: float) -> None:
    tap = probekit.tap(probekit.Denoiser(small(bias=False), data_range=None), "mid")
    x = pictures(2)
    plain = tap(x, sigma=[0.2], draws=2)
    scaled = tap((alpha * x).astype(np.float32), sigma=[0.2 * alpha], draws=2)
    # float32 rounding through five convolutions of about 36 terms
    np.testing.assert_allclose(scaled.phi.values, alpha * plain.phi.values, rtol=2e-4, atol=1e-5 * alpha)


@given(st.floats(0.1, 10))
def test_a_bias_free_layer_normalised_network_ignores_scale_after_the_first_normalisation(alpha: float) -> None:
    model = small(bias=False, norm="layer").double()
    y = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    first, later = probekit.tap(model, "encoder.0.1"), probekit.tap(model, "encoder.0.3", "mid")
    torch.testing.assert_close(first.features(alpha * y), alpha * first.features(y), rtol=1e-10, atol=1e-12)
    # At a standard deviation s the constant beside it, 1e-5, changes what is divided by a fraction 1e-5/s; the next
    # two normalisations divide such a common factor out again, and s here is above 0.1.
    with torch.no_grad():
        spread = model.encoder[0][:3](min(alpha, 1) * y).std(dim=(1, 2, 3), correction=0).min()
    assert spread > 0.1 * min(alpha, 1)
    tolerance = 2 * 1e-5 / float(spread)
    torch.testing.assert_close(later.features(alpha * y), later.features(y), rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize(
    ("reduce", "numpy_says"),
    [
        ("mean", lambda a: a.mean((-2, -1))),
        ("relu_mean", lambda a: np.maximum(a, 0).mean((-2, -1))),
        ("max", lambda a: a.max((-2, -1))),
        ("std", lambda a: a.std((-2, -1))),
        ("energy", lambda a: (a**2).mean((-2, -1))),
        (lambda a: a.flatten(1)[:, :5], lambda a: a.reshape(*a.shape[:2], -1)[..., :5]),
    ],
)
def test_reductions_are_what_they_are_called(reduce, numpy_says) -> None:
    model, x = small(), pictures(2)
    data = probekit.tap(model, "mid", reduce=reduce)(x, sigma=[0.2], draws=1)
    maps = probekit.tap(model, "mid").maps(x, sigma=0.2)
    np.testing.assert_allclose(data.phi.values, numpy_says(maps.values.astype("float64")), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("data_range", "middle"), [((0, 1), 0.5), ((-1, 3), 0.5), (None, 0.0)])
def test_rest_is_the_representation_of_a_constant_image_in_the_middle_of_the_range(data_range, middle: float) -> None:
    model = probekit.Denoiser(small(), data_range=data_range)
    tap = probekit.tap(model, "mid")
    data = tap(pictures(2), sigma=SIGMA, draws=4)
    grey = tap(np.full((1, 3, 8, 8), middle, np.float32), sigma=SIGMA, draws=4, ids=["rest"])
    np.testing.assert_allclose(data.rest, grey.phi.isel(image=0), rtol=1e-5)
    np.testing.assert_allclose(data.rest_se, grey.phi_se.isel(image=0), rtol=1e-3, atol=1e-7)


def test_a_network_told_sigma_is_told_it() -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plane = nn.Conv2d(4, 3, 3, padding=1)

        def forward(self, y: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            return self.plane(torch.cat([y, level.view(-1, 1, 1, 1).expand(-1, 1, *y.shape[2:])], dim=1))

    torch.manual_seed(0)
    net = Told()
    x = pictures(2)
    tap = probekit.tap(probekit.Denoiser(net, sigma_to="sigma"), "plane")
    maps = tap.maps(x, sigma=[0.0, 0.4], ids=["a", "b"])
    z = probekit.noise.standard_normal((3, 8, 8), seed=0, ids=["a", "b"], draws=[0, 0])
    with torch.no_grad():
        expected = net(torch.from_numpy(x) + 0.4 * z, torch.full((2,), 0.4))
    np.testing.assert_array_equal(maps.sel(sigma=0.4).values, expected.numpy())
    gradient = torch.zeros(1, 3, 8, 8, requires_grad=True)
    tap.features(gradient, torch.tensor([0.2])).sum().backward()
    assert gradient.grad is not None


def test_features_are_the_reduced_maps_and_their_gradient_is_the_networks() -> None:
    model = small().double()
    y = torch.rand(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    tap = probekit.tap(model, "mid", "enc1")
    features = tap.features(y)
    (mine,) = torch.autograd.grad(features.square().sum(), y)
    enc = model.encoder[0](y)
    mid = model.middle(nn.functional.avg_pool2d(enc, 2))
    expected = torch.cat([mid.mean((2, 3)), enc.mean((2, 3))], dim=1)
    (theirs,) = torch.autograd.grad(expected.square().sum(), y)
    assert torch.equal(features, expected)
    assert torch.equal(mine, theirs)
    assert all(p.grad is None for p in model.parameters())


def test_edits_change_the_pass_as_an_explicit_one_would() -> None:
    model = small()
    tap = probekit.tap(model, "mid")
    y = torch.rand(2, 3, 8, 8)

    def explicit(change) -> torch.Tensor:
        enc = model.encoder[0](y)
        mid = change(model.middle(nn.functional.avg_pool2d(enc, 2)))
        return model.decoder[0](torch.cat([model.up[0](mid), enc], dim=1))

    def ablated(a: torch.Tensor) -> torch.Tensor:
        a = a.clone()
        a[:, [1, 3]] = 0
        return a

    def scaled(a: torch.Tensor) -> torch.Tensor:
        return torch.cat([a[:, :2], 3 * a[:, 2:3], a[:, 3:]], dim=1)

    def replaced(a: torch.Tensor) -> torch.Tensor:
        return torch.cat([a[:, :2], torch.full_like(a[:, 2:4], 0.7), a[:, 4:]], dim=1)

    with torch.no_grad():
        # Written out before: parts of the network that are called inside the blocks are edited too.
        changes = (ablated, lambda a: scaled(ablated(a)), replaced, lambda a: a.flip(1), lambda a: a)
        once, both, put, flipped, plain = map(explicit, changes)
        means = scaled(ablated(model.middle(nn.functional.avg_pool2d(model.encoder[0](y), 2)))).mean((2, 3))
        with tap.ablate([1, 3]):
            assert torch.equal(model(y), once)
            with tap.scale(2, 3.0):
                assert torch.equal(model(y), both)
                np.testing.assert_array_equal(tap.features(y), means)
        with tap.replace([2, 3], 0.7):
            assert torch.equal(model(y), put)
        with tap.edit(lambda a: a.flip(1)):
            assert torch.equal(model(y), flipped)
        assert torch.equal(model(y), plain)


def test_an_edit_of_one_call_or_of_a_tuple_item_leaves_the_others_alone() -> None:
    torch.manual_seed(0)
    net = DiffusersStyle()
    y = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        plain = net(y)
        with probekit.tap(net, "down_blocks.1[0]").replace(0, 5.0):
            edited = net(y)
            assert torch.equal(net(y), edited)
        h, skips = net.encode(y)
        h = h.clone()
        h[:, 0] = 5.0
        h = net.up_blocks[1](net.up_blocks[0](net.mid_block(h), [skips[-1]]), [skips[0], skips[1]])
        assert torch.equal(edited, net.conv_out(nn.functional.silu(h)))
        assert not torch.equal(edited, plain)

    pool = small()
    shared = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 1))
    twice = nn.Sequential(shared, shared, pool)
    with torch.no_grad():
        second = pool(shared(shared(y)) + 1)
        with probekit.tap(twice, "0@1").edit(lambda a: a + 1):
            assert torch.equal(twice(y), second)
            assert torch.equal(twice(y), second)
