"""The report: one command from images to judged claims, resumed where it stopped, clear where it cannot be."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import probekit
from analyses import claims, noise_level, report, variants
from analyses.report import Compared, Measured, Told, settings
from analyses.report.parts import OnPhi
from analyses.report.settings import one_of_each
from probekit.cli.arguments import images_called
from probekit.errors import InputError, ProbeError
from probekit.models.unet import UNet


def small() -> probekit.Denoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = UNet((3, 4, 6), encoder_convs=(1, 1), middle_convs=1, decoder_convs=(2, 1))
    return probekit.Denoiser(module, name="small")


MEASURED = Measured(sigma=(0.1, 0.2, 0.5), draws=2)
FEW: dict[str, Any] = {
    "denoiser": small(),
    "measured": MEASURED,
    "only": (1, 3, 4),
    "told": Told(say=lambda _: None, progress=False),
}


@pytest.fixture(scope="module")
def images() -> probekit.images.ImageSet:
    return probekit.images.load("samples", size=32).subset(range(0, 357, 7))


@pytest.fixture(scope="module")
def made(images, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    out = tmp_path_factory.mktemp("report")
    return out, report.run(images, out=out, **FEW)


@pytest.fixture
def again(made, tmp_path: Path) -> tuple[Path, xr.Dataset]:
    """A report of one's own that was made before, to go on with and to spoil."""
    return shutil.copytree(made[0], tmp_path / "again"), made[1]


def of_claim(judged: xr.Dataset, number: int) -> xr.Dataset:
    return judged.sel(claim=[number]).isel(criterion=judged.of_claim.values == number)


def written(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (*out.glob("*-*.nc"), *out.glob("figures/*.png"))}


def test_findings_figures_and_the_table_are_written(made) -> None:
    out, judged = made
    for name in (name for name, part in report.PARTS.items() if isinstance(part, OnPhi) and name != "reliability"):
        for role, added in (
            ("trained", ""),
            ("untrained", "-untrained"),
            ("untrained-paper-gains", "-untrained-paper-gains"),
        ):
            findings = xr.load_dataset(out / f"{name}-{role}.nc", engine="h5netcdf")
            assert findings.attrs["analysis"] == name
            assert findings.attrs["denoiser"] == f"small{added}"
        # One figure of all networks.
        assert (out / "figures" / f"{name}-trained.png").read_bytes().startswith(b"\x89PNG")
        assert len(list(out.glob(f"figures/{name}-*.png"))) == 1
    assert set(claims.verdicts(judged)) == {1, 3, 4}
    assert not any(judged.lacks.values)
    first = (judged.of_claim.values == 1) & (judged.less.values == "")
    assert np.isfinite(judged.control_paper_gains.values[first]).all()
    xr.testing.assert_equal(xr.load_dataset(out / "claims.nc", engine="h5netcdf"), judged)


def test_what_is_there_is_not_done_again_and_what_is_missing_is(images, again) -> None:
    out, judged = again
    before, figure = written(out), out / "figures" / "subspaces-trained.png"
    pixels = figure.read_bytes()
    (out / "sparsity-trained.nc").unlink()
    figure.write_bytes(pixels[:-9])
    xr.testing.assert_equal(report.run(images, out=out, **FEW), judged)
    after = written(out)
    assert set(after) == set(before)
    # The findings are the same again, and so is their figure.
    assert {name for name in before if before[name] != after[name]} == {"sparsity-trained.nc", figure.name}
    assert figure.read_bytes() == pixels


@pytest.mark.usefixtures("undrawn")
def test_a_file_cut_short_is_made_again(images, again) -> None:
    out, judged = again
    cut = out / "sparsity-trained.nc"
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"sparsity-trained\.nc cannot be read .*: it is made again"):
        xr.testing.assert_equal(report.run(images, out=out, **FEW | {"only": (1,)}), of_claim(judged, 1))
    assert len(cut.read_bytes()) == len(whole)
    assert not list(out.rglob("*.part*"))


@pytest.mark.usefixtures("undrawn")
def test_other_options_make_other_findings(images, again) -> None:
    out, judged = again
    grouped = FEW | {"measured": replace(MEASURED, clusters="label")}
    wider = report.run(images, out=out, **grouped | {"only": (1,)})
    rows = judged.of_claim.values == 1
    # 17 groups are too few for an interval, and nothing is judged by them.
    assert not any(judged.lacks.values[rows])
    assert set(wider.lacks.values) == {"30 images, or groups"}
    # Every claim takes the groups for what they are, or says that there are too few.
    with pytest.raises(InputError, match=r"17 groups|groups of 'label'|independent"):
        report.run(images, out=out, **grouped | {"only": (3,)})


@pytest.mark.usefixtures("undrawn")
def test_what_takes_no_groups_is_measured_on_one_image_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).random((100, 3, 16, 16), dtype=np.float32)
    # Groups of very unequal sizes: 40 of one image, and two of 30.
    groups = [f"g{k}" for k in range(40)] + ["large"] * 30 + ["larger"] * 30
    images = probekit.images.load(pixels, labels=groups, ids=[f"i{k:02}" for k in range(100)])
    chosen = one_of_each(images, "label", 3)
    assert sorted(chosen.labels) == sorted(set(groups))
    turned = one_of_each(images.subset(range(99, -1, -1)), "label", 3)
    assert set(turned.ids) == set(chosen.ids)
    assert set(one_of_each(images, "label", 4).ids) != set(chosen.ids)
    assert one_of_each(images, None, 3) is one_of_each(images, "image", 3) is images
    how = FEW | {"measured": replace(MEASURED, clusters="label"), "only": (2, 11)}
    report.run(images, out=tmp_path / "out", **how)
    found = xr.load_dataset(tmp_path / "out" / "noise_level.nc", engine="h5netcdf")
    assert found.sizes["image"] == 42
    found = xr.load_dataset(tmp_path / "out" / "stability.nc", engine="h5netcdf")
    assert found.attrs["stability_among"] == 42
    assert "| images, one of each group | `42` |" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    few = images.subset(range(10, 100))
    with pytest.raises(InputError, match=r"claim 2 cannot be judged: .* there are 32 groups: give 40 at least"):
        report.run(few, out=tmp_path / "no", **how)
    with pytest.raises(InputError, match="claims 5, 8 cannot be judged: labels cannot be both"):
        report.run(images, out=tmp_path / "no", **how | {"only": (5, 8), "compared": report.Compared(train=images)})

    class Taken(Exception):
        """Stops where samples would be made, which takes long."""

    def taken(given: probekit.images.ImageSet, **_: Any) -> None:
        assert given.ids == one_of_each(images, "label", 0).ids
        raise Taken

    for number, name in ((6, "table"), (7, "laws")):
        monkeypatch.setattr(variants, name, taken)
        with pytest.raises(Taken):
            report.run(images, out=tmp_path / name, **how | {"only": (number,)})


def test_the_page_says_what_is_decided_of_types_of_channel_and_by_how_many_images(images, made) -> None:
    out, _ = made
    page = (out / "report.md").read_text(encoding="utf-8")
    found = xr.load_dataset(out / "selectivity-trained.nc", engine="h5netcdf").sel(block="mid")
    for name in found.criterion.values:
        shares = " | ".join(f"{100 * one:.0f} %" for one in found.decided.sel(criterion=name).values)
        assert f"| {name} | {shares} |" in page
    undecided = " | ".join(f"{100 * one:.0f} %" for one in found.fraction.sel(kind="undecided").values)
    assert f"| {len(images)} | {undecided} |" in page


@pytest.mark.usefixtures("undrawn")
def test_findings_of_other_noise_levels_or_images_are_not_taken_for_these(images, tmp_path: Path) -> None:
    def value(chosen, sigma) -> float:
        shutil.rmtree(tmp_path / "stores", ignore_errors=True)
        options = FEW | {"measured": replace(MEASURED, sigma=sigma), "only": (1,)}
        judged = report.run(chosen, out=tmp_path, **options)
        return judged.value.values[judged.lacks.values == ""][0]

    first, second = images.subset(range(40)), images.subset(range(10, 50))
    values = [value(first, (0.1,)), value(first, (0.2,)), value(second, (0.2,)), value(first, (0.1,))]
    assert len(set(values)) == 3
    assert values[0] == values[3]


def test_what_cannot_be_written_is_said_before_anything_is_measured(images, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ProbeError, match="file"):
        report.run(images, out=tmp_path / "file", **FEW)


def test_a_folder_of_another_measurement_is_refused(images, made) -> None:
    with pytest.raises(InputError, match="seed"):
        report.run(images, out=made[0], **FEW | {"measured": replace(MEASURED, seed=1)})


@pytest.mark.usefixtures("undrawn")
def test_claims_about_classes_are_judged_where_there_are_training_images(tmp_path: Path) -> None:
    drawn = [images_called([f"shapes:{count}:{seed}"], size=16) for count, seed in ((60, 0), (120, 1))]
    named = [replace(one, ids=tuple(f"{k}/{i}" for i in one.ids)) for k, one in enumerate(drawn)]
    judged = report.run(
        named[0],
        out=tmp_path,
        measured=replace(MEASURED, sigma=(0.1,)),
        compared=Compared(train=named[1], draws=1),
        only=(2, 5, 8),
        told=FEW["told"],
    )
    # Each table has the draws that are asked for it, and its own noise levels.
    again, beside = (xr.load_dataset(tmp_path / f"{name}.nc", engine="h5netcdf") for name in ("stability", "controls"))
    assert (again.attrs["draws"], beside.attrs["draws"]) == (MEASURED.draws, 1)
    assert (again.sigma.values.tolist(), beside.sigma.values.tolist()) == ([0.1, 0.3], [0.1])
    assert again.measure.values.tolist() == ["stability"]
    assert "stability" not in beside.measure.values
    assert set(claims.verdicts(judged)) == {2, 5, 8}
    # Stability is judged at a noise level of its own, and not among sixty images.
    second = judged.isel(criterion=judged.of_claim.values == 2)
    assert second.sigma.values.tolist() == [0.3]
    assert second.lacks.values.tolist() == ["1,000 images to find it among and 10 draws a side"]
    assert claims.verdicts(judged)[2] == "not judged"
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert page.count("![") == 1
    assert "training images" in page
    assert all(
        f"| {row} |" in page for row in ("photo32 mid", "pixels", "untrained 0 mid", "untrained, paper's gains 0 mid")
    )
    assert not any(judged.lacks.values[judged.of_claim.values == 5])
    assert set(judged.lacks.values[judged.of_claim.values == 8]) == {"", "σ = 0.2"}


@pytest.mark.usefixtures("undrawn")
def test_stability_asks_for_no_classes_and_no_training_images(tmp_path: Path) -> None:
    drawn = replace(images_called(["shapes:60"], size=16), labels=None)
    given = FEW | {"measured": replace(MEASURED, sigma=(0.1,)), "only": [2]}
    judged = report.run(drawn, out=tmp_path, **given)
    assert claims.verdicts(judged) == {2: "not judged"}
    assert set(judged.lacks.values) == {"1,000 images to find it among and 10 draws a side"}
    assert MEASURED.draws == 2
    sides = "Found among 60 images, of 1 draw a side, independent noise."
    assert sides in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_small_numbers_are_as_they_were_afterwards(made) -> None:
    assert made[1].sizes["criterion"] > 0
    assert (torch.tensor([1e-42]) * 1).item() > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.zip"], "nowhere.zip"),
        (["samples", "--size", "32", "--claims", "1,13"], r"only=\[1, 13\]: give numbers of claims, from 1 to 12"),
        (["samples", "--size", "32", "--claims", "1,5"], "claim 5 needs images of the same classes"),
        (["samples", "--size", "32", "--claims", "2,5,8,9"], "claims 5, 8 need images of the same classes"),
        (["samples", "--size", "32", "--claims", "9"], "claim 9 needs photographs of textures, and others to choose"),
        (["samples", "--size", "32", "--claims", "10,11"], "claim 10 needs cue-conflict images: give .* or --cues"),
        (
            ["samples", "--size", "32", "--claims", "12", "--draws", "3"],
            "claim 12 cannot be judged: two halves of the draws",
        ),
        (
            ["samples", "--denoiser", "photo32-sigma", "--claims", "11"],
            "claim 11 cannot be judged: it asks what a blind",
        ),
        (["samples", "--textures", "unseen.zip"], "--textures goes with --textures-train"),
        (["samples", "--size", "32", "--claims", "one"], "--claims: 'one' is not a list of numbers: write them like"),
        (["samples", "--size", "32", "--conditions", "20"], "make 190 pairs, and claim 7 asks for 200"),
        (["samples", "--size", "32", "--samples", "3"], "n_samples=3: give a whole number ≥ 4"),
        (["samples", "--size", "32", "--sigma", "0.1,x"], "--sigma: '0.1,x' is not a list of numbers"),
        (["samples", "--size", "32", "--denoiser", "photo33"], "photo33"),
        (["shapes:10"], "10 images: the claims need 40 at least"),
        (["samples", "--size", "32", "--denoiser", "photo32-dncnn"], "declares the taps layer1, .* and no 'mid'"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, says: str, tmp_path: Path, capsys) -> None:
    assert report.main([*arguments, "-o", str(tmp_path / "out"), "--quiet"]) == 1
    assert re.search(says, capsys.readouterr().err)


@pytest.mark.usefixtures("undrawn")
def test_claims_about_further_images_are_judged_where_there_are_such(tmp_path: Path) -> None:
    network = small()
    drawn = torch.rand(4, 40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    photographs = [
        # As large as they are cut from: nothing is resized.
        probekit.images.load(torch.rand(12, 3, 192, 192, generator=torch.Generator().manual_seed(1 + k)))
        for k in range(2)
    ]
    named = [replace(one, ids=tuple(f"{k}-{i}" for i in one.ids)) for k, one in enumerate(photographs)]
    conflict = torch.cat(list(drawn))[:100]
    cue_ids = tuple(f"shape{i % 10}/shape{i % 10}-texture{i // 10}.png" for i in range(100))
    judged = report.run(
        drawn[0],
        out=tmp_path,
        denoiser=network,
        measured=replace(MEASURED, sigma=(0.1,), draws=4),
        compared=Compared(
            textures=named[0], textures_train=named[1], cues=replace(probekit.images.load(conflict), ids=cue_ids)
        ),
        only=(9, 10, 11, 12),
        told=FEW["told"],
    )
    assert list(claims.verdicts(judged)) == [9, 10, 11, 12]
    assert not any(judged.lacks.values)
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert page.count("![") == 1 + 1 + 1 + 1
    for name in ("textures", "cues", "noise_level", "noise_level-path", "reliability-trained"):
        assert (tmp_path / f"{name}.nc").exists()
    # The block of claim 9 is one of the network's; claim 10 is about the middle and the block before it.
    subjects = judged.subject.values[judged.of_claim.values == 10]
    assert {s.split(" of ")[1].split()[0] for s in subjects} == {"enc2", "mid"}


class Reading(UNet):
    """A network whose code may read anything."""


def test_what_residuals_say_is_found_again_only_where_images_network_options_or_code_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, right = [], noise_level.analyse

    def counting(*given: Any, **options: Any) -> xr.Dataset:
        looked.append(1)
        return right(*given, **options)

    monkeypatch.setattr(noise_level, "analyse", counting)
    shown = probekit.images.load(torch.rand(41, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    network = small()

    def times(images: Any = shown, seed: int = 0) -> int:
        before = len(looked)
        how = {**FEW, "denoiser": network, "only": (11,), "measured": replace(MEASURED, seed=seed)}
        report.run(images, out=tmp_path, **how)
        return len(looked) - before

    assert [times(), times()] == [1, 0]
    assert times(seed=1) == 1
    assert times(replace(shown, ids=tuple(f"other {i}" for i in shown.ids))) == 1
    assert times(shown.subset(range(40))) == 1
    assert times() == 1
    with torch.no_grad():
        next(network.parameters()).mul_(1.01)
    assert times() == 1
    monkeypatch.setattr(settings, "code_sha256", lambda: "another")
    assert times() == 1
    # A class of one's own may read what nobody sees.
    network.model.__class__ = Reading
    assert [times(), times()] == [1, 1]
