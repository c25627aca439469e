"""Reports, tables and samples by the workers of a cluster: the files of one process, and no word of who worked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import probekit
from analyses import concepts, controls, report, textures, variants
from analyses.report import Measured, Sampling, Told
from analyses.report.shell import main
from probekit.cli.cluster import cluster_called, without_workers
from probekit.machine.modes import threaded
from tests.clusters import environment, processes, sums

distributed = pytest.importorskip("distributed")
QUIET = Told(say=lambda _: None, progress=False)
OWN = """
import torch
from torch import nn

class Own(nn.Module):
    tap_aliases = {"enc1": "down", "mid": "middle"}

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(4, 12, 3, padding=1), nn.ReLU())
        self.out = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, y):
        return y - 0.1 * self.out(self.middle(self.down(y)))


def make():
    torch.manual_seed(3)
    return Own().eval()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("cluster")
    (found / "own_network.py").write_text(OWN)
    before, here = dict(os.environ), Path.cwd()
    os.environ.update(environment(found))
    sys.path.insert(0, str(found))
    os.chdir(found)
    with threaded(1):
        yield found
    os.chdir(here)
    sys.path.remove(str(found))
    sys.modules.pop("own_network", None)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Any]:
    assert folder.exists()
    with processes(folder, 2, nannies=True) as (address, *_), distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=120)
        yield client


@pytest.fixture(scope="module")
def network(folder: Path) -> torch.nn.Module:
    assert folder.exists()
    import own_network

    return own_network.make()


@pytest.fixture(scope="module")
def crew(client) -> probekit.Workers:
    return probekit.Workers(client, network="own_network:make")


def pictures(count: int = 40, size: int = 8, prefix: str = "a") -> probekit.images.ImageSet:
    shade = np.arange(count) % 4
    rng = np.random.default_rng(ord(prefix))
    values = (0.2 + 0.2 * shade[:, None, None, None] + 0.1 * rng.normal(size=(count, 3, size, size))).clip(0, 1)
    ids, classes = [f"{prefix}{i}" for i in range(count)], [f"class {k}" for k in shade]
    return probekit.images.load(values.astype(np.float32), ids=ids, labels=classes)


@pytest.fixture
def jobs(client, monkeypatch) -> list[str]:
    """What workers are sent, as long as the test runs: one parcel for each store."""
    submit, sent = client.submit, []

    def told(function: Any, *given: Any, **how: Any) -> Any:
        if function.__name__ == "unchanged":
            sent.append(how["key"])
        return submit(function, *given, **how)

    monkeypatch.setattr(client, "submit", told)
    return sent


@pytest.mark.usefixtures("undrawn")
def test_a_report_is_the_same_by_workers_to_the_last_byte(folder, network, crew, jobs, monkeypatch) -> None:
    how: dict[str, Any] = {"denoiser": network, "only": (1, 6), "sampling": Sampling(conditions=2, levels=2)}
    how |= {"told": QUIET}
    # Of what is kept only the seconds that samples took may differ.
    monkeypatch.setattr(variants.recipes, "_seconds_each", lambda *_: 1.0)
    some = {name: variants.recipes.RECIPES[name] for name in ("langevin", "unconditional", "untrained")}
    monkeypatch.setattr(variants.recipes, "RECIPES", some)
    monkeypatch.setattr(concepts, "analyse", partial(concepts.analyse, channels=[1], together=1))
    asked = {"sigma": (0.1, 0.5), "draws": 2}
    here = report.run(pictures(), out=folder / "here", measured=Measured(**asked), **how)
    there = report.run(pictures(), out=folder / "there", measured=Measured(**asked, client=crew), **how)
    # φ of the network and of its twin, samples by three variants, with a concept held and without.
    assert len(jobs) == 2 + 3 + 2
    xr.testing.assert_identical(here, there)
    one, other = sums(folder / "here"), sums(folder / "there")
    assert one == other
    assert {"claims.nc", "report.html", "report.md", "variants.nc", "stores/variants/langevin/000001.nc"} <= one.keys()
    assert "concepts.nc" in one
    # Gone on with by one process, by the plan that workers left, nothing is made again.
    report.run(pictures(), out=folder / "there", measured=Measured(**asked), **how)
    assert sums(folder / "there") == one


@pytest.mark.usefixtures("network")
def test_a_network_that_workers_cannot_make_is_told_before_anything_is_measured(client, folder) -> None:
    import own_network

    how: dict[str, Any] = {"denoiser": own_network.make(), "only": (1,), "told": QUIET}
    with pytest.raises(probekit.InputError, match=r"network=.module:function.*pickled=True"):
        report.run(pictures(), out=folder / "unknown", measured=Measured(draws=2, client=client), **how)
    assert not (folder / "unknown").exists()


def test_a_table_of_controls_is_the_same_by_workers(network, crew, jobs, tmp_path) -> None:
    torch.manual_seed(5)
    # Nobody knows how it was made, so that it is sent as it is.
    further = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1)).eval()
    how: dict[str, Any] = {"train": pictures(40, prefix="t"), "denoiser": network, "sigma": 0.1, "draws": 2}
    how |= {"untrained": 1, "measures": ["stability", "precision"], "progress": False}
    how |= {"further": [controls.Source("mine", "other network", further, ("1",))]}
    how |= {"settings": controls.Settings(resamples=100, among=24, pairs_images=24)}
    here = controls.table(pictures(), store=tmp_path / "here", **how)
    there = controls.table(pictures(), store=tmp_path / "there", client=crew, **how)
    # Images and training images of every source.
    assert len(jobs) == 2 * len(list((tmp_path / "there").iterdir()))
    xr.testing.assert_identical(here, there)
    assert sums(tmp_path / "here") == sums(tmp_path / "there")
    with pytest.raises(probekit.InputError, match="client= needs store="):
        controls.table(pictures(), client=crew, **how)


def test_patches_of_textures_are_measured_by_workers_too(network, crew, tmp_path) -> None:
    patches = probekit.images.load(
        np.random.default_rng(0).random((40, 3, 8, 8), dtype=np.float32),
        ids=[f"p{i}" for i in range(40)],
        labels=[f"photograph {i // 2}" for i in range(40)],
    )
    how: dict[str, Any] = {"denoiser": network, "settings": textures.Settings(draws=2, resamples=100)}
    here = textures.representations(textures.equalised(patches), store=tmp_path / "here", progress=False, **how)
    there = textures.representations(
        textures.equalised(patches), store=tmp_path / "there", client=crew, progress=False, **how
    )
    for name, one in here.items():
        xr.testing.assert_identical(one, there[name])
    assert sums(tmp_path / "here") == sums(tmp_path / "there")


def test_concepts_are_held_by_workers(network, crew, tmp_path) -> None:
    images = pictures()
    data = probekit.tap(network, "mid")(images, sigma=0.1, draws=2)
    how: dict[str, Any] = {"denoiser": network, "channels": [1, 3], "together": 1, "n_images": 2, "n_samples": 2}
    how |= {"levels": 2, "draws": 1, "permutations": 100, "resamples": 100}
    here = concepts.analyse(images, data, store=tmp_path / "here", **how)
    there = concepts.analyse(images, data, store=tmp_path / "there", client=crew, **how)
    xr.testing.assert_identical(here, there)
    with pytest.raises(probekit.InputError, match="client= needs store="):
        concepts.Settings(client=crew)
    settings = variants.analyse.LawSettings(client=crew, store=tmp_path)
    assert settings == variants.analyse.LawSettings(store=tmp_path)
    assert "client" not in repr(settings)
    assert "client" not in repr(Measured(client=crew))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("asked", ["--workers", "--scheduler"])
def test_commands_leave_the_same_files_by_workers(asked: str, folder, client, tmp_path, capsys, monkeypatch) -> None:
    from PIL import Image

    for name, count in (("images", 40), ("few", 3)):
        (tmp_path / name).mkdir()
        for k, one in enumerate(pictures(40).read(range(count)).numpy()):
            Image.fromarray((255 * one.transpose(1, 2, 0)).astype(np.uint8)).save(tmp_path / name / f"{k:02d}.png")
    by = ("--workers", "2") if asked == "--workers" else ("--scheduler", client.scheduler.address, "--threads", "1")
    monkeypatch.setattr(variants.recipes, "_seconds_each", lambda *_: 1.0)
    how = ["--network", "own_network:make", "--size", "8", "--draws", "2"]
    shared, few = [str(tmp_path / "images"), *how], [str(tmp_path / "few"), *how]
    commands = {
        "--workers": {"report": ["report", *shared, "--claims", "1", "--sigma", "0.1"]},
        "--scheduler": {
            "sampling": ["analyse", "sampling", *few, "--samples", "2", "--levels", "2"],
            "controls": ["analyse", "controls", *shared, "--untrained", "1", "--measures", "stability"],
        },
    }[asked]
    for name, words in commands.items():
        for out, who in (("here", ()), ("there", by)):
            monkeypatch.chdir(folder)
            kept = ("--store", str(tmp_path / out / name / "kept")) if name == "sampling" else ()
            typed = [*words, *kept, *who, "-o", str(tmp_path / out / name), "--quiet"]
            monkeypatch.setattr(sys, "argv", ["probekit", *typed])
            assert main(typed) == 0, capsys.readouterr().err
    assert sums(tmp_path / "here") == sums(tmp_path / "there")
    assert len(sums(tmp_path / "here")) > 5


def test_what_is_typed_of_workers_is_no_part_of_a_report() -> None:
    typed = ["a", "--workers", "2", "--pickled", "--threads=1", "--size", "8", "--scheduler", "--workers", "-o", "b"]
    assert without_workers(typed) == ["a", "--size", "8", "-o", "b"]


def test_workers_of_this_machine_keep_freed_memory_unless_the_environment_says_how(monkeypatch) -> None:
    for name in ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    with cluster_called(1, None) as crew:
        assert crew is not None
        assert set(crew.client.run(os.getenv, "MALLOC_ARENA_MAX").values()) == {"1"}
        assert set(crew.client.run(os.getenv, "MALLOC_TRIM_THRESHOLD_").values()) == {str(2**28)}
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    with cluster_called(1, None) as crew:
        assert crew is not None
        assert set(crew.client.run(os.getenv, "MALLOC_TRIM_THRESHOLD_").values()) == {"1000000"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sampling", "samples", "--workers", "2"], "--workers: workers keep samples in a folder: give --store FOLDER"),
        (["sampling", "samples", "--threads", "2"], "--threads is of workers"),
        (["controls", "samples", "--pickled"], "--pickled is of workers"),
        (["variants", "samples", "--workers", "2", "--scheduler", "tcp://a:1"], "give one"),
        (["concepts", "samples", "--workers", "0"], "workers"),
    ],
)
def test_options_of_workers_that_do_not_fit_are_one_line(words, said: str, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["analyse", *words, "--size", "32", "-o", "out"]) in (1, 2)
    assert said in capsys.readouterr().err
