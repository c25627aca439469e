"""`data.probe` is what a plain selection by position, or a plain sort, would be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import probekit
from probekit import InputError, labels
from probekit.channels import channel_names
from probekit.models.unet import UNet
from probekit.networks import by_network

SIGMA = (0.1, 0.3)


def network(seed: int) -> probekit.Denoiser:
    torch.manual_seed(seed)
    found = probekit.Denoiser(UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval())
    found.name = f"net{seed}"
    return found


IMAGES = probekit.images.load(
    torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
    ids=[f"i{k}" for k in (5, 3, 8, 0, 1, 7, 2, 6, 4)],
    labels=["cat", "dog", "cat"] * 3,
)


def phi(seed: int = 0, **options: Any) -> xr.Dataset:
    return probekit.tap(network(seed), "enc1", "mid")(IMAGES, **{"sigma": SIGMA, "draws": 2, **options})


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return phi()


def made(values: np.ndarray) -> xr.Dataset:
    """φ of given values (image, 1, channel), ids out of order."""
    count = len(values)
    ids = [f"i{k}" for k in np.random.default_rng(0).permutation(count)]
    return xr.Dataset(
        {"phi": (("image", "sigma", "channel"), values)},
        coords={
            "image": ids,
            "sigma": [0.5],
            "channel": np.arange(values.shape[2]),
            "tap": ("channel", ["mid"] * values.shape[2]),
            "unit": ("channel", np.arange(values.shape[2])),
        },
    )


def test_taps_and_channels_by_name_are_those_by_position(data: xr.Dataset) -> None:
    xr.testing.assert_identical(data.probe.tap("mid"), data.isel(channel=slice(4, 12)))
    xr.testing.assert_identical(data.probe.tap("mid", "enc1"), data)
    xr.testing.assert_identical(data.probe.channel("mid:3", "enc1:1"), data.isel(channel=[7, 1]))
    assert channel_names(data.probe.tap("mid").probe.channel("mid:3")).tolist() == ["mid:3"]


def test_images_by_class_or_id_are_those_of_a_mask(data: xr.Dataset) -> None:
    xr.testing.assert_identical(data.probe.images("dog"), data.isel(image=[1, 4, 7]))
    xr.testing.assert_identical(data.probe.images("i5", "i4"), data.isel(image=[0, 8]))
    xr.testing.assert_identical(data.probe.images("dog", "i4"), data.isel(image=[1, 4, 7, 8]))


def test_names_may_be_given_in_lists_and_arrays_such_as_results_hold(data: xr.Dataset) -> None:
    xr.testing.assert_identical(data.probe.tap(["mid", "enc1"]), data)
    xr.testing.assert_identical(data.probe.images(["dog"], "i4"), data.probe.images("dog", "i4"))
    top = data.probe.top(2)
    for names in (top.top_image[:, 0, 3], top.top_image[:, 0, 3].values, top.top_image[:, 0, 3].values.tolist()):
        assert set(data.probe.images(names).image.values) == set(top.top_image.values[:, 0, 3])
    strongest = data.probe.top(2, of="image").top_channel[:, 4, 1]
    found = data.probe.channel(strongest)
    assert channel_names(found).tolist() == strongest.values.tolist()
    assert channel_names(data.probe.channel(strongest[0])).tolist() == [strongest.values[0]]


def test_above_rest_is_phi_less_rest_with_its_names(data: xr.Dataset) -> None:
    above = data.probe.above_rest()
    np.testing.assert_array_equal(above.values, data.phi.values - data.rest.values[None])
    assert above.dims == data.phi.dims
    assert (above.attrs["long_name"], above.attrs["units"]) == ("phi above rest", "activation")
    assert set(above.coords) == set(data.phi.coords)


@given(st.integers(1, 12), st.integers(1, 5), st.data())
def test_the_top_images_are_those_of_a_plain_sort_ties_by_id(images: int, count: int, drawn: st.DataObject) -> None:
    values = np.array(drawn.draw(st.lists(st.integers(0, 3), min_size=2 * images, max_size=2 * images)), np.float32)
    data = made(values.reshape(images, 1, 2))
    found = data.probe.top(count)
    ids = data.image.values
    assert found.sizes["rank"] == min(count, images)
    for c in range(2):
        order = sorted(range(images), key=lambda k: (-float(data.phi[k, 0, c]), ids[k]))[:count]
        assert found.top_image[:, 0, c].values.tolist() == [ids[k] for k in order]
        assert found.activity[:, 0, c].values.tolist() == [float(data.phi[k, 0, c]) for k in order]


def test_every_row_of_the_top_carries_its_own_class_and_value(data: xr.Dataset) -> None:
    found = data.probe.top(4)
    above = data.probe.above_rest()
    for rank in range(4):
        for channel in (0, 5, 11):
            one = found.isel(rank=rank, sigma=1, channel=channel)
            image = str(one.top_image.item())
            assert one.top_label.item() == data.label.sel(image=image).item()
            assert one.activity.item() == pytest.approx(above.sel(image=image)[1, channel].item(), rel=1e-5)


def test_the_top_channels_of_an_image_are_those_of_a_plain_sort(data: xr.Dataset) -> None:
    found = data.probe.top(3, of="image")
    above, names = data.probe.above_rest().values.astype(float), channel_names(data)
    for k in range(9):
        order = np.argsort(-above[k, 0], kind="stable")[:3]
        assert found.top_channel[:, k, 0].values.tolist() == names[order].tolist()
        np.testing.assert_allclose(found.activity[:, k, 0], above[k, 0, order], rtol=1e-6)
    assert set(found.dims) == {"rank", "image", "sigma"}


def test_the_top_is_the_same_in_blocks_as_at_once(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    import probekit.machine.blocks as blocks

    at_once = {of: data.probe.top(4, of=of) for of in ("channel", "image")}
    monkeypatch.setattr(blocks, "AT_ONCE", 30)
    for of, whole in at_once.items():
        xr.testing.assert_identical(data.probe.top(4, of=of), whole)


def test_what_lies_in_a_store_stays_there_until_it_is_used(data: xr.Dataset, tmp_path: Path) -> None:
    data.to_zarr(tmp_path / "phi.zarr", consolidated=False)
    stored = xr.open_zarr(tmp_path / "phi.zarr", consolidated=False)
    for part in (stored.probe.tap("mid").phi, stored.probe.channel("mid:1").phi, stored.probe.above_rest()):
        assert part.chunks is not None
    xr.testing.assert_identical(stored.probe.top(3).load(), data.probe.top(3))


def test_two_networks_side_by_side_come_apart_as_they_were(data: xr.Dataset, tmp_path: Path) -> None:
    other = phi(1)
    both = data.probe.compare(other)
    assert both.network.values.tolist() == ["net0", "net1"]
    assert both.weights_sha256.values.tolist() == [data.weights_sha256, other.weights_sha256]
    assert "weights_sha256" not in both.attrs
    both.to_netcdf(tmp_path / "both.nc", engine="h5netcdf")
    both.to_zarr(tmp_path / "both.zarr", consolidated=False)
    read = (
        both,
        xr.open_dataset(tmp_path / "both.nc", engine="h5netcdf").load(),
        xr.open_zarr(tmp_path / "both.zarr", consolidated=False).load(),
    )
    for one in read:
        apart = by_network(one)
        assert list(apart) == ["net0", "net1"]
        xr.testing.assert_identical(apart["net0"], data)
        xr.testing.assert_identical(apart["net1"], other)


def test_networks_of_one_name_are_numbered_or_named(data: xr.Dataset) -> None:
    assert data.probe.compare(data, data).network.values.tolist() == ["net0", "net0 (2)", "net0 (3)"]
    assert data.probe.compare(data, names=["a", "b"]).network.values.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda d: d.isel(image=slice(1, None)), r"has 9 along image and net0 \(2\) 8"),
        (lambda d: d.isel(image=slice(None, None, -1)), r"image of net0 and of net0 \(2\) differ"),
        (lambda d: d.assign_coords(sigma=[0.1, 0.4]), "sigma of net0"),
        (lambda d: d.assign_attrs(draws=3), "draws is 2 of net0 and 3"),
        (lambda d: d.assign_attrs(seed=1), "seed is 0"),
        (lambda d: d.assign_attrs(reduce="max"), "reduce is 'mean'"),
        (lambda d: d.drop_vars("rest"), "do not both have rest"),
        (lambda d: d.assign_coords(tap=("channel", ["x"] * 12)), "tap of net0"),
        (lambda d: d.transpose("channel", "sigma", "image"), "has dims"),
        (lambda d: d.phi, "give Datasets"),
        (lambda d: d.probe.compare(d), "several networks already"),
    ],
)
def test_what_differs_in_more_than_the_network_is_not_put_together(data: xr.Dataset, other: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        data.probe.compare(other(data))


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", ""], "ab", [1, 2], ["a", "b", "c"]])
def test_names_are_one_for_each_network(data: xr.Dataset, names: Any) -> None:
    with pytest.raises(InputError, match="names"):
        data.probe.compare(data, names=names)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: p.tap("dec1"), "the data has the taps enc1, mid"),
        (lambda p: p.tap(), "no tap is named"),
        (lambda p: p.channel("mid:9"), "mid has units 0 to 7"),
        (lambda p: p.channel("mid:1", "mid:1"), "each once"),
        (lambda p: p.channel(), "each once"),
        (lambda p: p.images("bird"), "no class and no image"),
        (lambda p: p.images(), "needs names"),
        (lambda p: p.top(0), "count"),
        (lambda p: p.top(3, of="label"), "of="),
        (lambda p: p.show("mid:1", sigma=0.2), "the data has 0.1, 0.3"),
        (lambda p: p.show("mid:99"), "mid has units"),
        (lambda p: p.show("mid:1", images=IMAGES[:3]), "under the same ids"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(data: xr.Dataset, call: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call(data.probe)


def test_values_that_are_none_are_refused(data: xr.Dataset) -> None:
    broken = data.assign(phi=data.phi.where(data.image != "i0"))
    with pytest.raises(InputError, match="NaN"):
        broken.probe.top(2)
    with pytest.raises(InputError, match="no 'rest'"):
        data.drop_vars("rest").probe.above_rest()
    with pytest.raises(InputError, match="no coordinate 'tap'"):
        data.drop_vars("tap").probe.tap("mid")
    with pytest.raises(InputError, match="no 'phi'"):
        xr.Dataset({"other": ("x", [1.0])}).probe.top(1)


def test_a_channel_is_shown_with_its_images_or_their_names(data: xr.Dataset) -> None:
    figure = data.probe.show("mid:3", sigma=0.1, images=IMAGES)
    pictures = [image for axis in figure.axes for image in axis.images]
    assert len(pictures) == 18
    assert figure.get_suptitle() == "net0 mid:3: 9 images"
    above = data.phi.sel(sigma=0.1)[:, 7]
    strongest = str(above.image[int(above.values.argmax())].item())
    shown = np.moveaxis(IMAGES.sel(image=strongest).read([0])[0].numpy(), 0, -1)
    np.testing.assert_allclose(np.asarray(pictures[0].get_array()), shown, atol=1e-6)
    named = data.probe.show("mid:3")
    assert any(strongest == text.get_text() for axis in named.axes for text in axis.texts)


def test_built_in_samples_are_shown_without_being_given() -> None:
    pytest.importorskip("skimage")
    samples = probekit.images.load("samples", size=32)[:20]
    data = probekit.tap(network(0), "mid")(samples, sigma=0.1, draws=1)
    shown = data.probe.show("mid:3")
    given_ = data.probe.show("mid:3", images=samples)
    pictures = [[image.get_array() for axis in one.axes for image in axis.images] for one in (shown, given_)]
    assert len(pictures[0]) == 18
    np.testing.assert_array_equal(np.array(pictures[0]), np.array(pictures[1]))
    other_ids = data.assign_coords(image=[f"mine {k}" for k in range(20)])
    for other in (other_ids, data.assign_attrs(image_source="photos.zip"), data.drop_attrs()):
        assert not any(axis.images for axis in other.probe.show("mid:3").axes)


def test_a_channel_is_shown_alike_whatever_the_order_of_noise_levels() -> None:
    levels = [0.3, 0.1, 0.2]
    turned, in_order = (phi(sigma=sigma).probe.show("mid:3") for sigma in (levels, sorted(levels)))
    for one, other in zip(turned.axes, in_order.axes, strict=True):
        assert one.get_xlabel() == other.get_xlabel()
        for line, same in zip(one.lines, other.lines, strict=True):
            np.testing.assert_allclose(line.get_xydata(), same.get_xydata(), rtol=1e-5)
    assert "σ = 0.2" in turned.axes[1].get_xlabel()


def test_nothing_is_changed_by_it(data: xr.Dataset) -> None:
    before = data.copy(deep=True)
    for call in (data.probe.top, data.probe.above_rest, lambda: data.probe.compare(data)):
        call()
    data.probe.show("mid:1")
    xr.testing.assert_identical(data, before)


@pytest.mark.parametrize(
    "order", ["import probekit, xarray as xr", "import xarray as xr, probekit", "import probekit.errors, xarray as xr"]
)
def test_it_is_there_whoever_imports_xarray_and_when(order: str) -> None:
    code = (
        f"import sys\n{order}\nassert 'probekit.accessor' not in sys.modules\n"
        "print(xr.Dataset().probe)\nprint(xr.__loader__.__class__.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.splitlines() == [
        "<probe of {}: .tap .channel .above_rest .top .images .show .compare>",
        "SourceFileLoader",
    ]
    assert run.stderr == ""


def counting(data: xr.Dataset) -> tuple[xr.Dataset, list[int]]:
    """φ as a store has it, read when it is used, and how many numbers of it were read at each time."""
    from xarray.backends import BackendArray
    from xarray.core import indexing

    read: list[int] = []

    class Stored(BackendArray):
        shape, dtype = data.phi.shape, data.phi.dtype

        def __getitem__(self, key: Any) -> Any:
            return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.get)

        def get(self, key: tuple[Any, ...]) -> Any:
            found = data.phi.variable[key].values
            read.append(found.size)
            return found

    lazy = xr.Variable(data.phi.dims, indexing.LazilyIndexedArray(Stored()), data.phi.attrs)
    return data.assign(phi=lazy), read


def test_a_store_is_not_read_before_its_numbers_are_used_and_then_once(
    data: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import probekit.machine.blocks as blocks

    stored, read = counting(data)
    above, both = stored.probe.above_rest(), stored.probe.compare(data, stored)
    parts = [
        stored.probe.tap("mid"),
        stored.probe.channel("mid:1"),
        stored.probe.images("dog"),
        *by_network(both).values(),
    ]
    assert not read
    np.testing.assert_array_equal(above[3, 1].values, data.probe.above_rest()[3, 1].values)
    assert read == [12]
    xr.testing.assert_identical(
        both.isel(network=2, image=[4]).phi.load(), data.probe.compare(data, data).isel(network=2, image=[4]).phi
    )
    assert read == [12, 24]
    xr.testing.assert_identical(parts[2].load(), data.probe.images("dog"))
    read.clear()
    monkeypatch.setattr(blocks, "AT_ONCE", 2 * 24)
    for of in ("channel", "image"):
        xr.testing.assert_identical(stored.probe.top(3, of=of), data.probe.top(3, of=of))
        assert (sum(read), max(read)) == (data.phi.size, 48)
        read.clear()


def test_stores_are_put_side_by_side_unread(tmp_path: Path, data: xr.Dataset) -> None:
    for seed in (0, 1):
        phi(seed, store=tmp_path / f"{seed}.zarr", progress=False)
    both = probekit.open(tmp_path / "0.zarr").probe.compare(probekit.open(tmp_path / "1.zarr"))
    assert not both.phi.variable._in_memory
    xr.testing.assert_equal(both.load(), data.probe.compare(phi(1)))


def test_what_was_selected_beforehand_keeps_its_dims(data: xr.Dataset) -> None:
    both = data.probe.compare(phi(1))
    for other in (data.isel(sigma=0), data.isel(channel=3), data.isel(image=2), both, data.transpose(..., "image")):
        above = other.probe.above_rest()
        assert above.dims == other.phi.dims
        xr.testing.assert_equal(above, (other.phi - other.rest).transpose(*other.phi.dims).rename("above_rest"))
    top = both.probe.top(3)
    assert top.top_image.dims == ("rank", "network", "sigma", "channel")
    xr.testing.assert_equal(by_network(top)["net0"].drop_vars("rank"), data.probe.top(3).drop_vars("rank"))
    of_images = both.probe.top(3, of="image")
    assert of_images.top_channel.dims == ("rank", "image", "network", "sigma")
    xr.testing.assert_equal(by_network(of_images)["net0"], data.probe.top(3, of="image"))
    at_one = data.isel(sigma=1).probe.top(2)
    assert at_one.top_image.dims == ("rank", "channel")
    assert at_one.top_image.values.tolist() == data.probe.top(2).top_image.isel(sigma=1).values.tolist()
    joined = xr.concat([data.isel(image=slice(0, 4)), data.isel(image=slice(4, 9))], "image", data_vars="all")
    xr.testing.assert_equal(joined.probe.above_rest(), data.probe.above_rest())
    for dim in ("image", "channel"):
        with pytest.raises(InputError, match=rf"phi has no dim {dim}: keep it.*isel\({dim}=\[0\]\)"):
            data.isel({dim: 0}).probe.top(2)


def test_what_only_some_say_comes_back_as_it_was(data: xr.Dataset, tmp_path: Path) -> None:
    first = data.assign_attrs(
        precision="bfloat16", precision_gain=1.5, precision_trial="tried", weights_left_out="step"
    )
    second = phi(1).assign_attrs(probekit_version="0.1.0")
    both = first.probe.compare(second, data)
    both.to_netcdf(tmp_path / "some.nc", engine="h5netcdf")
    for read in (both, probekit.open(tmp_path / "some.nc")):
        for one, own in zip(by_network(read).values(), (first, second, data), strict=True):
            xr.testing.assert_identical(one, own)


def test_a_network_selected_of_several_is_still_told_apart(data: xr.Dataset) -> None:
    both = data.probe.compare(phi(1), names=["a", "b"])
    assert by_network(both.sel(network="b"))["b"].weights_sha256 == phi(1).weights_sha256
    assert list(by_network(both.sel(network=["b"]))) == ["b"]
    xr.testing.assert_identical(by_network(both.sel(network="a"))["a"], data)
    for unnamed in (both.drop_vars("network"), both.assign_coords(network=["a", "a"])):
        with pytest.raises(InputError, match="no names, or two have one"):
            by_network(unnamed)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda d: d.assign_coords(note=("image", list("abcdefghi"))), "note of net0"),
        (lambda d: d.drop_vars("label"), "label of net0"),
        (lambda d: d.assign_attrs(sigma_units=np.array([1, 2])), "sigma_units is"),
        (lambda d: d.assign_attrs(precision_image="x"), None),
        (lambda d: d.assign_coords(precision_of=1).assign_attrs(precision_of="x"), "precision_of"),
    ],
)
def test_what_only_one_has_is_not_lost_in_silence(data: xr.Dataset, other: Any, said: str | None) -> None:
    if said is None:
        assert data.probe.compare(other(data)).precision_image.values.tolist() == ["", "x"]
        return
    with pytest.raises(InputError, match=said):
        data.probe.compare(other(data))


def test_where_one_network_is_taken_several_are_refused_with_the_way_to_each(data: xr.Dataset) -> None:
    both = data.probe.compare(data)
    for call in (lambda: labels.check(both, "phi"), lambda: both.probe.show("mid:1")):
        with pytest.raises(InputError, match=r"dims network, image.*one network's, of probekit.networks.by_network"):
            call()
    labels.check(by_network(both)["net0"], "phi")


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)


@given(st.lists(NAMES, min_size=2, max_size=4, unique=True), st.data())
def test_by_network_undoes_compare_whatever_networks_are_called_and_say(names: list[str], drawn: st.DataObject) -> None:
    base = made(np.arange(6, dtype=np.float32).reshape(3, 1, 2)).assign_attrs(draws=2)
    # What is a text of one network is one of all, or missing; so are numbers.
    kind = drawn.draw(st.sampled_from([st.sampled_from(["float32", "bfloat16"]), st.integers(-3, 3), st.floats(0, 9)]))
    parts = []
    for k, name in enumerate(names):
        said: dict[str, Any] = {"denoiser": name, "weights_sha256": f"{k}"}
        value = drawn.draw(st.none() | kind)
        parts.append(
            base.assign(phi=base.phi + k).assign_attrs(said | ({} if value is None else {"precision_gain": value}))
        )
    both = parts[0].probe.compare(*parts[1:], names=names)
    apart = by_network(both)
    assert list(apart) == names
    for (name, one), own in zip(apart.items(), parts, strict=True):
        xr.testing.assert_identical(one, own)
        xr.testing.assert_identical(by_network(both.sel(network=name))[name], own)
    for name, one in by_network(both.phi).items():
        xr.testing.assert_equal(one, parts[names.index(name)].phi)
        xr.testing.assert_equal(by_network(both.phi.sel(network=name))[name], one)
