"""Blocks of large arrays: the same wherever values lie, each value once, nothing of one kept while the next is read."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import probekit.machine.blocks as blocks
from probekit.machine.blocks import at_hand, channel_blocks, image_blocks, leading_blocks, mapped
from tests.analyses.lazily import Log, blocks_of, everywhere, lazily


def made(images: int = 23, sigmas: int = 2, channels: int = 7) -> xr.Dataset:
    values = np.random.default_rng(0).normal(size=(images, sigmas, channels)).astype(np.float32)
    dims = ("image", "sigma", "channel")
    return xr.Dataset({"phi": (dims, values), "phi_se": (dims, values**2)})


@given(
    images=st.integers(1, 30),
    channels=st.integers(1, 9),
    numbers=st.integers(1, 400),
    held=st.integers(1, 4000),
    together=st.integers(1, 8),
)
def test_every_value_comes_once_in_its_order_wherever_it_lies(
    images: int, channels: int, numbers: int, held: int, together: int
) -> None:
    data = made(images, channels=channels)
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, numbers)
        patch.setattr(blocks, "HELD", held)
        patch.setattr(blocks, "TOGETHER", together)
        for one in (data, *everywhere(data, 5)):
            of_images = list(image_blocks(one, "phi", "phi_se"))
            of_channels = list(channel_blocks(one, "phi", "phi_se"))
            assert [rows for rows, *_ in of_images] == [rows for rows, *_ in image_blocks(data, "phi", "phi_se")]
            assert [cols for cols, *_ in of_channels] == [cols for cols, *_ in channel_blocks(data, "phi")]
            for place, name in enumerate(data, start=1):
                np.testing.assert_array_equal(np.concatenate([b[place] for b in of_images]), data[name])
                found = np.concatenate([b[place] for b in of_channels], axis=-1)
                np.testing.assert_array_equal(found, data[name])
            np.testing.assert_array_equal(np.concatenate(list(leading_blocks(one["phi"].variable))), data["phi"])
            np.testing.assert_array_equal(mapped(one["phi"].variable, np.abs).values, np.abs(data["phi"]))


def test_a_block_is_as_large_as_it_may_be_and_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    data, log = made(), Log()
    blocks_of(monkeypatch, 4 * 14)
    assert [rows.stop - rows.start for rows, _ in image_blocks(lazily(data, log)["phi"])] == [4, 4, 4, 4, 4, 3]
    assert (log.largest, log.total) == (4 * 14, data.phi.size)
    assert [cols.stop - cols.start for cols, _ in channel_blocks(data, "phi", at_once=2 * 46)] == [2, 2, 2, 1]


def test_channels_of_one_group_are_let_go_before_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made()
    blocks_of(monkeypatch, 46)
    # Three channels of both variables.
    monkeypatch.setattr(blocks, "HELD", 3 * 2 * 46 * 4)
    groups: list[Any] = []
    gathered = blocks._gathered

    def watched(variable: xr.Variable) -> np.ndarray:
        gc.collect()
        # Of each group both are read, one after the other.
        assert all(group() is None for group in groups[: len(groups) // 2 * 2])
        found = gathered(variable)
        groups.append(weakref.ref(found))
        return found

    monkeypatch.setattr(blocks, "_gathered", watched)
    # A block is kept until the next has come, as loops keep it.
    for _, phi, se in channel_blocks(lazily(data), "phi", "phi_se"):
        assert phi.shape == se.shape
    assert len(groups) == 6


def test_what_is_small_is_read_at_hand_and_what_is_large_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    data, log = made(), Log()
    monkeypatch.setattr(blocks, "IN_MEMORY", data.phi.nbytes)
    lazy = lazily(data, log)
    assert at_hand(lazy, "phi").phi.variable._in_memory
    assert log.total == data.phi.size
    assert not at_hand(lazy).phi.variable._in_memory
    assert log.total == data.phi.size
    assert at_hand(5) == 5
