"""What an explorer shows is what a tap, the analyses and the network itself say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.neighbors import NearestNeighbors

import probekit
from analyses import attribution, selectivity, sparsity
from analyses.explore import Explorer
from analyses.explore.contents import CLEAR, SUMMARY, _correlated, _nearest, _ranked, _smaller, _spread
from probekit.images import ImageSet
from probekit.noise import standard_normal
from tests.analyses.explore.conftest import SIGMA, network, pictures

BLOCKS = ("enc1", "mid")


def of(explorer: Explorer, name: str) -> np.ndarray:
    return explorer.contents.array(name)


def first(explorer: Explorer) -> Any:
    return next(iter(explorer.networks.values())).denoiser


def test_phi_is_what_a_tap_gives_to_half_precision(explorer: Explorer, images: ImageSet) -> None:
    for n, one in enumerate(explorer.networks.values()):
        data = probekit.tap(one.denoiser, *BLOCKS)(images, sigma=SIGMA, draws=3)
        np.testing.assert_array_equal(of(explorer, f"rest/{n}"), data.rest.values)
        for s in range(len(SIGMA)):
            shown = of(explorer, f"phi/{n}/{s}").astype(float) * of(explorer, f"scale/{n}")
            # Half precision keeps 11 bits of what is at most 1000 of a step, and 2⁻²⁵ of what is nearly none.
            bound = 2.0**-11 * np.abs(data.phi.values[:, s]) + 2.0**-24 * of(explorer, f"scale/{n}")
            assert (np.abs(shown - data.phi.values[:, s]) <= bound * 1.001).all()


def test_types_and_sparsity_are_those_of_the_analyses(explorer: Explorer) -> None:
    for n, one in enumerate(explorer.networks.values()):
        types, told = selectivity.analyse(one.data), dict(zip(SUMMARY, of(explorer, f"summary/{n}"), strict=True))
        kinds = np.array(explorer.contents.meta["kinds"])[told["type"].astype(int)]
        assert (kinds == types["type"].values).all()
        np.testing.assert_allclose(told["kurtosis"], types["kurtosis"].values, rtol=1e-6)
        np.testing.assert_allclose(told["sparseness"], types["lifetime_sparseness"].values, rtol=1e-6)
        np.testing.assert_allclose(told["mean"], one.data.phi.values.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(told["low"], one.data.phi.quantile(0.1, "image").values, rtol=1e-4)
        np.testing.assert_allclose(told["high"], one.data.phi.quantile(0.9, "image").values, rtol=1e-4)
        above = one.data.phi.values.mean(axis=0, dtype=float) - one.data.rest.values
        np.testing.assert_allclose(told["activity"], above, atol=1e-6)
        np.testing.assert_allclose(told["fraction"], types["activity_fraction"].values, rtol=1e-6)
        np.testing.assert_allclose(told["confidence"], types["confidence"].values, rtol=1e-6)
        ratios = sparsity.analyse(one.data)["sparsity"].sel(vector="phi", measure="participation_ratio")
        described = explorer.contents.meta["networks"][n]["blocks"]
        shown = [[block["sparsity"][s] for block in described] for s in range(len(SIGMA))]
        np.testing.assert_allclose(shown, ratios.transpose("sigma", "block").values, rtol=1e-5)


def test_maps_of_the_images_shown_have_phi_for_their_mean(explorer: Explorer) -> None:
    settings = explorer.settings
    for n, one in enumerate(explorer.networks.values()):
        order, phi = of(explorer, f"order/{n}"), one.data.phi.values
        for b, block in enumerate(BLOCKS):
            here = one.channels(block)
            for at, level in enumerate(settings.shown):
                steps, largest = of(explorer, f"maps/{n}/{b}/{at}"), of(explorer, f"maps-largest/{n}/{b}/{at}")
                means = steps.astype(float).mean(axis=(2, 3)) * largest[:, None] / 127
                expected = np.stack([phi[order[:, level, c], level, c] for c in here])
                # Each value is rounded to a step of 1/127 of the largest, by half a step at most.
                assert (np.abs(means - expected) <= largest[:, None] / 254 + 1e-5).all()


def test_an_image_s_own_maps_are_of_its_most_active_channels_and_the_same_when_asked_for_later(
    explorer: Explorer,
) -> None:
    one, contents, settings = next(iter(explorer.networks.values())), explorer.contents, explorer.settings
    k = contents.meta["images"]["detailed"][1]
    above = one.data.phi.values - one.data.rest.values
    for b, block in enumerate(BLOCKS):
        here = one.channels(block)
        names = [f"{kind}/0/{b}/{k}" for kind in ("own-maps", "own-channels", "own-largest")]
        maps, channels, largest = (of(explorer, name) for name in names)
        for at, level in enumerate(settings.shown):
            active = np.argsort(-above[k, level, here], kind="stable")[: channels.shape[1]]
            assert (channels[at] == active).all()
            means = maps[at].mean(axis=(1, 2)) * largest[at] / 127
            assert (np.abs(means - one.data.phi.values[k, level, here][active]) <= largest[at] / 254 + 1e-5).all()
        kind, _, number = names[0].rpartition("/")
        np.testing.assert_allclose(contents.of_images[kind](int(number)).astype(int), maps.astype(int), atol=1)


def test_active_channels_are_those_clear_of_rest(explorer: Explorer) -> None:
    data = next(iter(explorer.networks.values())).data
    active = np.unpackbits(of(explorer, "active/0"), axis=-1, count=data.sizes["channel"]).astype(bool)
    clear = data.phi - data.rest > CLEAR * np.sqrt(data.phi_se**2 + data.rest_se**2)
    assert (active == clear.transpose("sigma", "image", "channel").values).all()
    assert active.any()
    assert not active.all()


def test_denoised_and_noise_are_the_network_s_own(explorer: Explorer, images: ImageSet) -> None:
    k = explorer.contents.meta["images"]["detailed"][0]
    x = images.read([k])
    z = standard_normal(tuple(x.shape[1:]), seed=0, ids=[images.ids[k]], draws=[0])
    noise = of(explorer, f"noise/{k}").astype(float) * 4 / 127
    np.testing.assert_allclose(noise, np.moveaxis(z[0].numpy().clip(-4, 4), 0, -1), atol=4 / 254 + 1e-6)
    denoiser = first(explorer)
    for s, sigma in enumerate(SIGMA):
        with torch.no_grad():
            clean = denoiser(x + sigma * z, sigma)[0].clamp(0, 1).numpy()
        shown = of(explorer, f"denoised/0/{k}")[s] / 255
        np.testing.assert_allclose(shown, np.moveaxis(clean, 0, -1), atol=1 / 510 + 1e-4)


def test_what_silencing_does_is_what_attribution_measures(explorer: Explorer, images: ImageSet) -> None:
    sigma = SIGMA[explorer.contents.meta["effect"]]
    denoiser = first(explorer)
    for b, block in enumerate(BLOCKS):
        tried, psnr = of(explorer, f"tried/{b}"), of(explorer, f"psnr/{b}")
        change, largest = of(explorer, f"change/{b}"), of(explorer, f"change-largest/{b}")
        for channel in (0, len(tried) - 1):
            for n, k in enumerate(tried[channel]):
                found = attribution.effects(
                    denoiser, probekit.tap(denoiser, block), images[[int(k)]], groups={"one": [channel]}, sigma=sigma
                )
                np.testing.assert_allclose(psnr[channel, n], found.psnr_change.item(), atol=1e-3)
                x = images.read([int(k)])
                y = x + sigma * standard_normal(tuple(x.shape[1:]), seed=0, ids=[images.ids[k]], draws=[0])
                with torch.no_grad():
                    plain = denoiser(y, sigma)
                    with probekit.tap(denoiser, block).ablate([channel]):
                        without = denoiser(y, sigma)
                expected = (without - plain)[0].mean(dim=0).numpy()
                # Rounded to a step of 1/127 of the largest, by half a step at most.
                np.testing.assert_allclose(
                    change[channel, n] * largest[channel] / 127, expected, atol=largest[channel] / 254 + 1e-6
                )


@given(arrays.arrays(np.float32, (12, 2, 5), elements=st.floats(0, 8, width=16)))
def test_correlated_channels_are_those_of_numpy(phi: np.ndarray) -> None:
    found, much = _correlated(phi)
    for s in range(2):
        varies = np.ptp(phi[:, s], axis=0) > 1e-3
        with np.errstate(all="ignore"):
            expected = np.corrcoef(phi[:, s].astype(float).T)
        for c in range(5):
            others = [k for k in range(5) if k != c and varies[k]]
            if not varies[c] or not others:
                continue
            best = max(expected[c, k] for k in others)
            assert abs(much[0, s, c] - best) < 1e-5
            assert abs(expected[c, found[0, s, c]] - best) < 1e-5


def test_a_channel_that_does_not_vary_is_correlated_with_none() -> None:
    phi = np.ones((6, 1, 3), np.float32) * np.float32(0.1)
    phi[:, 0, 0] = range(6)
    phi[:, 0, 1] = [5, 0, 2, 1, 1, 4]
    _, much = _correlated(phi)
    assert np.isnan(much[:, 0, 2]).all()
    assert not np.isnan(much[0, 0, :2]).any()


@given(st.integers(3, 30), st.integers(0, 10**6))
def test_nearest_images_are_those_of_scikit_learn(count: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, 4))
    found = _nearest(vectors)
    near = NearestNeighbors(n_neighbors=found.shape[1] + 1, algorithm="brute").fit(vectors)
    assert (found == near.kneighbors(vectors)[1][:, 1:]).all()


@given(arrays.arrays(np.float32, (9, 1, 2), elements=st.integers(0, 3)), st.integers(1, 3))
def test_images_shown_are_the_strongest_middle_and_weakest_ties_by_position(phi: np.ndarray, each: int) -> None:
    order = _ranked(phi, {"strongest": each, "middle": each, "weakest": each})
    for c in range(2):
        by_hand = sorted(range(9), key=lambda k: (-phi[k, 0, c], k))
        half = (9 - each) // 2
        assert order[:, 0, c].tolist() == by_hand[:each] + by_hand[half : half + each] + by_hand[9 - each :]


@given(st.integers(1, 200), st.integers(1, 200))
def test_large_pictures_are_made_smaller_and_keep_their_mean(rows: int, cols: int) -> None:
    made = _smaller(np.full((1, 3, rows, cols), 0.25, np.float32))
    assert max(made.shape[-2:]) <= 64
    assert min(made.shape[-2:]) >= 1
    np.testing.assert_allclose(made, 0.25)


def test_detailed_images_take_turns_of_the_classes() -> None:
    labels = ["a"] * 10 + ["b"] * 5 + ["c"]
    images = probekit.images.load(pictures(16, 4), labels=labels)
    assert [labels[k] for k in _spread(images, 5)] == ["a", "a", "b", "b", "c"]
    assert _spread(images, 0) == []
    assert _spread(images, 16) == list(range(16))


def test_a_network_whose_phi_is_signed_is_shown_without_types_and_says_why() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.Conv2d(6, 3, 3, padding=1))
    found = probekit.explore(model, pictures(30), sigma=[0.2], draws=2, taps=["0"], progress=False)
    described = found.contents.meta["networks"][0]
    assert "negative" in described["refused"]
    assert described["blocks"][0]["sparsity"] == [None]
    told = dict(zip(SUMMARY, found.contents.array("summary/0"), strict=True))
    assert np.isnan(told["type"]).all()
    assert np.isfinite(told["kurtosis"]).all()
    rectified = probekit.explore(
        model, pictures(30), sigma=[0.2], draws=2, taps=["0"], reduce="relu_mean", progress=False
    )
    assert rectified.contents.meta["networks"][0]["refused"] == ""
    maps = rectified.contents.array("maps/0/0/0")
    assert (maps >= 0).all()


def test_grey_images_and_odd_sizes_are_shown() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1))
    images = torch.rand(3, 1, 70, 37, generator=torch.Generator().manual_seed(0))
    found = probekit.explore(model, images, sigma=[0.2], draws=1, taps=["1"], detailed=1, progress=False)
    pictures_ = found.contents.array("pictures")
    assert pictures_.shape == (3, 35, 18, 3)
    assert found.contents.array("denoised/0/0").shape == (1, 35, 18, 3)
    assert found.contents.array("noise/0").shape == (35, 18, 3)
    assert found.contents.array("maps/0/0/0").shape[2:] == (32, 32)
    assert not np.unpackbits(found.contents.array("active/0")).any()


def test_samples_are_shown_with_the_images_that_they_were_made_of(images: ImageSet) -> None:
    from analyses import sampling

    model = network()
    some = images[[3, 5]]
    samples = sampling.reconstruct(
        model, probekit.tap(model, "mid"), some, n_samples=2, sigmas=[1.0, 0.3, 0.1], progress=False
    )
    found = probekit.explore(model, images[[5, 3, 1]], sigma=[0.2], draws=1, samples=samples, progress=False)
    assert [one["image"] for one in found.contents.meta["samples"]] == [1, 0]
    shown = found.contents.array("samples")
    expected = np.moveaxis(samples.samples.clip(0, 1).values, 2, -1)
    np.testing.assert_allclose(shown / 255, expected, atol=1 / 510 + 1e-6)


def test_images_of_another_range_are_shown_between_their_extremes() -> None:
    model = probekit.Denoiser(network(), data_range=None)
    found = probekit.explore(model, 2 * pictures(4) - 1, sigma=[0.2], draws=1, progress=False)
    assert found.contents.meta["range"] == pytest.approx(2, abs=0.01)
    assert found.contents.array("pictures").min() == 0
    assert found.contents.array("pictures").max() == 255


@pytest.mark.parametrize("name", ["phi/0/9", "phi/7/0", "nothing", "", "denoised/0/40", "denoised/0/-1", "maps/0/0/x"])
def test_what_there_is_not_is_not_made(explorer: Explorer, name: str) -> None:
    assert explorer.contents.made(name) is None


def test_phi_measured_before_is_not_measured_again_and_must_be_the_same(images: ImageSet) -> None:
    model = network()
    data = probekit.tap(model, "enc1", "mid")(images, sigma=[0.1, 0.3], draws=2)
    how = {"sigma": [0.1, 0.3], "draws": 2, "detailed": 1, "progress": False, "against": None}
    anew, kept = probekit.explore(model, images, **how), probekit.explore(model, images, data=data, **how)
    assert next(iter(kept.networks.values())).data is data
    for name in anew.contents.makers:
        np.testing.assert_array_equal(anew.contents.array(name), kept.contents.array(name))
    torch.manual_seed(5)
    other = probekit.tap(type(model)(**model.config), "enc1", "mid")(images, sigma=[0.1, 0.3], draws=2)
    wrong = {
        "weights_sha256": other,
        "images": data.isel(image=slice(None, None, -1)),
        "sigma": data.isel(sigma=[1, 0]),
        "taps": data.isel(channel=slice(0, 4)),
        "draws": data.assign_attrs(draws=3),
        "seed": data.assign_attrs(seed=1),
        "reduce": data.assign_attrs(reduce="max"),
    }
    for said, one in wrong.items():
        with pytest.raises(probekit.InputError, match=said):
            probekit.explore(model, images, data=one, **how)
    with pytest.raises(probekit.InputError, match="by their names"):
        probekit.explore(model, images, data={"other": data}, **how)


def test_nearest_in_pixels_are_those_of_the_pixels_themselves_up_to_the_size_of_a_picture() -> None:
    small = probekit.images.load(pictures(12, 16))
    found = probekit.explore(network(), small, sigma=[0.2], draws=1, against=None, progress=False)
    vectors = small.read(range(12)).numpy().reshape(12, -1)
    near = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(vectors).kneighbors(vectors)[1][:, 1:]
    assert (found.contents.array("near-pixels") == near).all()
