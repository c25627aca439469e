"""One name for a channel, there and back."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from probekit import InputError
from probekit.channels import channel_at, channel_name, channel_names
from probekit.networks import by_network


def of(*pairs: tuple[str, int]) -> xr.DataArray:
    taps, units = zip(*pairs, strict=True)
    return xr.DataArray(
        np.zeros(len(pairs)), dims="channel", coords={"tap": ("channel", list(taps)), "unit": ("channel", list(units))}
    )


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda s: s.strip())


@given(st.lists(st.tuples(NAMES, st.integers(0, 9)), min_size=1, unique=True))
def test_a_channel_is_found_again_by_its_name(pairs: list[tuple[str, int]]) -> None:
    data = of(*pairs)
    assert [channel_at(data, name) for name in channel_names(data)] == list(range(len(pairs)))


def test_a_channel_goes_by_its_unit_and_not_by_its_place_among_all_taps() -> None:
    data = of(("enc1", 0), ("enc1", 1), ("mid", 0), ("mid", 1))
    assert channel_names(data).tolist() == ["enc1:0", "enc1:1", "mid:0", "mid:1"]
    assert channel_names(data.isel(channel=[3])).tolist() == ["mid:1"]
    assert channel_names(data.isel(channel=3)).tolist() == [channel_name("mid", np.int64(1))]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mid:7", "mid has units 0 to 1 here"),
        ("mdi:1", "such as mid:1"),
        ("mid", "such as mid"),
        ("", "4 channels"),
        (3, 'its tap and unit, such as "enc1:0"'),
        (None, "its tap and unit"),
    ],
)
def test_what_names_no_channel_is_refused_with_what_there_is(name: object, said: str) -> None:
    data = of(("enc1", 0), ("enc1", 1), ("mid", 0), ("mid", 1))
    with pytest.raises(InputError, match=said):
        channel_at(data, name)


def test_networks_come_apart_each_with_what_is_said_of_it() -> None:
    data = xr.Dataset(
        {"phi": (("network", "image"), np.arange(6.0).reshape(2, 3)), "same": ("image", np.ones(3))},
        coords={
            "network": ["a", "b"],
            "denoiser": ("network", ["photo32", "photo32"]),
            "weights_sha256": ("network", ["12", "34"]),
            "weights_left_out": ("network", ["", "head"]),
        },
        attrs={"draws": 4, "weights_sha256": "of neither"},
    )
    found = by_network(data)
    assert list(found) == ["a", "b"]
    assert found["a"].attrs == {"draws": 4, "denoiser": "photo32", "weights_sha256": "12"}
    assert found["b"].attrs == {"draws": 4, "denoiser": "photo32", "weights_sha256": "34", "weights_left_out": "head"}
    assert found["b"].phi.values.tolist() == [3, 4, 5]
    assert set(found["b"].coords) == set()
    alone = found["a"]
    assert by_network(alone) == {"photo32": alone}
