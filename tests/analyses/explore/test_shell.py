"""The command writes the page, or serves it, and the page says how it came about."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from analyses.explore.shell import main
from tests.analyses.explore.conftest import pictures

NETWORK = """
import torch
from probekit.models.unet import UNet

def make():
    torch.manual_seed(0)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()

def other():
    torch.manual_seed(1)
    return UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,)).eval()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORK)
    (tmp_path / "photos").mkdir()
    for k, picture in enumerate(pictures(4, 16)):
        Image.fromarray((255 * picture.transpose(1, 2, 0)).astype("uint8")).save(tmp_path / "photos" / f"{k}.png")
    return tmp_path


def meta(path: Path) -> dict:
    found = re.search(r'<script type="application/json" id="meta">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


COMMON = ["--sigma", "0.1,0.5", "--draws", "2", "--detailed", "1", "--quiet"]


def test_the_page_holds_the_command_and_the_python_that_make_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nets:make", "photos", "--size", "8", "--against", "nets:other", *COMMON, "-o", "page.html"]) == 0
    assert capsys.readouterr().out.strip() == "page.html"
    told = meta(folder / "page.html")
    assert [one["name"] for one in told["networks"]] == ["UNet", "UNet 2"]
    command = "probekit explore nets:make photos --size 8 --against nets:other --sigma 0.1,0.5 --draws 2"
    assert told["command"].startswith(command)
    assert told["code"]["load"] == ["from nets import make", "denoiser = make()"]
    assert told["code"]["images"] == ["images = probekit.images.load('photos', size=8)"]
    assert told["images"]["shape"] == [3, 8, 8]
    assert told["sigma"] == [0.1, 0.5]


def test_the_command_on_the_page_makes_the_same_page(folder: Path) -> None:
    assert main(["nets:make", "photos", "--size", "8", "--seed", "3", "--taps", "mid", *COMMON, "-o", "page.html"]) == 0
    first = (folder / "page.html").read_bytes()
    words = meta(folder / "page.html")["command"].split()
    assert words[:2] == ["probekit", "explore"]
    assert main([*words[2:], "--quiet", "-o", "again.html"]) == 0
    assert (folder / "again.html").read_bytes() == first


def test_nothing_may_stand_beside_it(folder: Path) -> None:
    assert main(["nets:make", "photos", "--against", "nothing", *COMMON]) == 0
    assert [one["name"] for one in meta(folder / "explore.html")["networks"]] == ["UNet"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nets:make", "photos", "-o", "page.txt"], ".html"),
        (["nets:make", "photos", "--sigma", "0,0.1"], "noise levels above 0"),
        (["nets:make", "photos", "--taps", "nowhere"], "no tap 'nowhere'"),
        (["nets:make", "photos", "--samples", "nothing.nc"], "does not exist"),
        (["nets:make", "photos", "--against", "nets:nobody"], "nobody"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_and_leaves_nothing(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert main([*words, "--quiet"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert [p for p in sorted(folder.rglob("*")) if p not in before and "__pycache__" not in p.parts] == []


def interrupted_as_by_a_terminal() -> None:
    """Of a process that was started in the background: what it starts would not hear Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_served_until_it_is_interrupted(folder: Path) -> None:
    words = [sys.executable, "-m", "analyses.explore", "nets:make", "photos", *COMMON, "--serve"]
    root = Path(__file__).parents[3]
    run = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        preexec_fn=interrupted_as_by_a_terminal,
    )
    try:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=60) as answer:
            assert b'id="explorer"' in answer.read()
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=60) in (0, 130)
    finally:
        run.kill()
        run.communicate()
    assert not (folder / "explore.html").exists()
