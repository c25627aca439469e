"""What attribution accepts, refuses and writes; groups from findings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import attribution
from probekit.errors import InputError, TapError
from probekit.models.unet import UNet


@pytest.fixture
def model() -> UNet:
    torch.manual_seed(0)
    return UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()


def images(n: int = 2, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, size, size), np.float32)


def attributed(model: Any, x: Any = None, **options: Any) -> xr.Dataset:
    options = {"channels": [0], "sigma": 0.2, "n_steps": 8, "tolerance": 1.0, **options}
    return attribution.attribute(model, probekit.tap(model, "mid"), images() if x is None else x, **options)


def effects(model: Any, x: Any = None, **options: Any) -> xr.Dataset:
    options = {"groups": {"a": [0]}, "sigma": 0.2, "resamples": 100, **options}
    return attribution.effects(model, probekit.tap(model, "mid"), images() if x is None else x, **options)


def test_findings_carry_labels_and_provenance_and_are_written_unchanged(model: UNet, tmp_path: Path) -> None:
    for name, found in (("maps", attributed(model)), ("effects", effects(model, groups={"a": [0], "b": [1, 2]}))):
        assert found.attrs["analysis"] == "attribution"
        assert found.attrs["weights_sha256"]
        assert found.image.values.tolist() == ["0", "1"]
        found.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        xr.testing.assert_identical(xr.load_dataset(tmp_path / f"{name}.nc", engine="h5netcdf"), found)


def test_several_taps_are_attributed_by_their_joint_numbers(model: UNet) -> None:
    tap = probekit.tap(model, "enc1", "mid")
    found = attribution.attribute(model, tap, images(), channels=[1, 4], sigma=0.2, n_steps=4, tolerance=1.0)
    assert found.tap.values.tolist() == ["enc1", "mid"]
    assert found.unit.values.tolist() == [1, 0]


def test_integrated_gradients_with_too_few_steps_are_warned_of(model: UNet) -> None:
    with pytest.warns(UserWarning, match=r"miss completeness by up to .* \(tolerance 1e-09\).*more than n_steps=2"):
        attributed(model, n_steps=2, tolerance=1e-9)


def test_a_tap_of_another_network_and_edits_at_two_taps_are_refused(model: UNet) -> None:
    other = UNet((4, 6), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    options = {"groups": {"a": [0]}, "sigma": 0.2}
    with pytest.raises(InputError, match=r"is not of this denoiser: make the tap of it"):
        attribution.effects(model, probekit.tap(other, "mid"), images(), **options)
    with pytest.raises(TapError, match="one tap at a time"):
        attribution.effects(model, probekit.tap(model, "enc1", "mid"), images(), **options)


def test_one_image_has_effects_without_intervals(model: UNet) -> None:
    found = effects(model, images(1))
    assert found.change.notnull().all()
    assert found.change_low.isnull().all()


def findings(n: int = 40, taps: tuple[str, ...] = ("mid",)) -> tuple[xr.Dataset, xr.DataArray]:
    kinds = np.array(["selective", "common", "mixed", "silent"], dtype=object)
    names = np.repeat(np.array(taps, dtype=object), n)
    found = xr.Dataset(
        {"type": (("sigma", "channel"), np.tile(kinds, (2, n * len(taps) // 4)))},
        coords={
            "sigma": [0.1, 0.3],
            "tap": ("channel", names),
            "unit": ("channel", np.tile(np.arange(n), len(taps))),
        },
    )
    return found, xr.DataArray(np.random.default_rng(0).gamma(2, size=n * len(taps)), dims="channel")


class Changing(torch.nn.Module):
    """A denoiser that changes its input in place where it is told to, and taps of which one has no gradient."""

    def __init__(self, changing: bool) -> None:
        super().__init__()
        self.seen, self.detached, self.changing = torch.nn.Conv2d(3, 2, 3, padding=1), torch.nn.Identity(), changing

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        clean = 0.5 * y + self.seen(y).mean(1, keepdim=True)
        self.detached(y.detach().clone())
        if self.changing:
            y -= 5
        return clean


def test_a_network_that_changes_its_input_has_the_findings_of_one_that_does_not() -> None:
    plain = Changing(False)
    changing = Changing(True)
    changing.load_state_dict(plain.state_dict())
    made = []
    for one in (plain, changing):
        tap = probekit.tap(one, "seen")
        given = {"channels": [0], "sigma": [0.1, 0.3], "n_steps": 8}
        maps = attribution.attribute(one, tap, images(), **given)
        occluded = attribution.attribute(one, tap, images(), method="occlusion", **given)
        of = attribution.effects(one, tap, images(), groups={"a": [0], "b": [1]}, sigma=[0.1, 0.3], resamples=100)
        made.append((maps.attribution, occluded.attribution, of.change, of.error))
    for first, second in zip(*made, strict=True):
        np.testing.assert_array_equal(first, second)


def test_integrated_gradients_of_what_has_none_are_refused_and_occlusion_is_not() -> None:
    model = Changing(False)
    tap = probekit.tap(model, "detached")
    with pytest.raises(TapError, match="no gradient with respect to the image"):
        attribution.attribute(model, tap, images(), channels=[0], sigma=0.1)
    found = attribution.attribute(model, tap, images(), channels=[0], sigma=0.1, method="occlusion")
    assert bool(np.isfinite(found.attribution).all())


@pytest.mark.parametrize("tolerance", [None, 0.1], ids=["in number", "in energy"])
def test_random_groups_match_and_are_the_same_for_one_seed(tolerance: float | None) -> None:
    found, energy = findings(taps=("enc1", "mid"))
    options = {"sigma": 0.3, "tap": "mid", "n_random": 5, "tolerance": tolerance, "seed": 1}
    matched = attribution.matched_groups(found, energy, **options)
    assert matched == attribution.matched_groups(found, energy, **options)
    assert matched != attribution.matched_groups(found, energy, **{**options, "seed": 2})
    assert matched.groups["selective"] == list(range(0, 40, 4))
    of = energy.values[40:]
    for kind, names in matched.controls.items():
        assert len(names) == 5
        assert len({tuple(matched.groups[name]) for name in names}) == 5
        for name in names:
            group = matched.groups[name]
            assert len(set(group)) == 10
            assert not set(group) & set(matched.groups[kind])
            if tolerance is not None:
                wanted = of[matched.groups[kind]].sum()
                assert abs(of[group].sum() - wanted) <= tolerance * wanted


def test_a_group_that_the_pool_cannot_match_is_refused() -> None:
    found, energy = findings()
    found["type"][:, :30] = "common"
    with pytest.raises(InputError, match="a group of 32 channels from a pool of 8: make the group smaller"):
        attribution.matched_groups(found, energy, sigma=0.1, kinds=["common"])
    found, energy = findings()
    energy[::4] = 1000.0
    with pytest.raises(InputError, match=r"no 10 channels of the pool .* energy within 10 % of 1e\+04: groups"):
        attribution.matched_groups(found, energy, sigma=0.1, kinds=["selective"])


def test_each_kind_of_findings_has_its_figure(model: UNet) -> None:
    maps = attribution.plot(attributed(model, channels=[0, 1]))
    # Of each channel its maps, by its name, and their scale.
    assert [axis.get_title() for axis in maps.axes if axis.images and axis.get_title()] == ["mid:0", "mid:1"]
    assert sum(bool(axis.images) for axis in maps.axes) == 4
    assert len(maps.axes) == 4 + 2
    of_effects = attribution.plot(effects(model, groups={"a": [0], "a, random 0": [1]}, sigma=[0.1, 0.2]))
    assert len(of_effects.axes) == 3


def test_the_command_writes_maps_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["samples", "--size", "32", "--first", "1", "--sigma", "0.3", "--draws", "1", "-o", str(tmp_path)]
    assert attribution.main([*given, "--channels", "3", "--method", "occlusion"]) == 0
    written = xr.load_dataset(tmp_path / "attribution.nc", engine="h5netcdf")
    assert dict(written.attribution.sizes) == {"image": 1, "sigma": 1, "channel": 1, "band": 3, "row": 32, "col": 32}
    assert (tmp_path / "attribution.png").stat().st_size > 0
    assert attribution.main([*given, "--channels", "100000"]) == 1
    assert "do not exist" in capsys.readouterr().err


def labelled_energy() -> tuple[xr.Dataset, xr.DataArray]:
    found, energy = findings(taps=("enc1", "mid"))
    return found, energy.assign_coords({name: found[name].variable for name in ("channel", "tap", "unit")})


@pytest.mark.parametrize("kept", [["tap", "unit"], ["channel"], ["channel", "tap", "unit"]])
def test_energies_are_taken_by_the_names_of_their_channels(kept: list[str]) -> None:
    found, energy = labelled_energy()
    options = {"sigma": 0.3, "tap": "mid", "n_random": 3, "seed": 1}
    matched = attribution.matched_groups(found, energy, **options)
    energy = energy.drop_vars({"channel", "tap", "unit"} - set(kept))
    for order in (slice(None, None, -1), np.random.default_rng(0).permutation(80)):
        assert attribution.matched_groups(found, energy.isel(channel=order), **options) == matched


def test_energies_of_other_channels_are_refused() -> None:
    found, energy = labelled_energy()
    twice = np.r_[0, 0, 2:80]
    for odd in (energy.assign_coords(unit=energy.unit + 1), energy.isel(channel=twice)):
        with pytest.raises(InputError, match="energy is of other channels than it is used with"):
            attribution.matched_groups(found, odd, sigma=0.3, tap="mid")
