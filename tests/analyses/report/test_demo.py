"""The demo and the page of all findings: what they write, for a network of one's own too."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from analyses.ground import Findings
from analyses.report import demo, tables
from analyses.report.shell import ANALYSES, main

SMALL = """
import torch
from torch import nn


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
        self.middle = nn.Sequential(nn.Conv2d(4, 12, 3, padding=1), nn.ReLU())
        self.up = nn.Conv2d(12, 3, 3, padding=1)
        self.tap_aliases = {"enc1": "down", "mid": "middle"}

    def forward(self, y):
        return y - 0.1 * self.up(nn.functional.interpolate(self.middle(self.down(y)), scale_factor=2))


def make():
    torch.manual_seed(5)
    return Mine().eval()
"""


def test_the_demo_shows_a_network_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "shown_network.py").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "LEVELS", 2)
    monkeypatch.setattr(demo, "SAMPLES", 1)
    assert main(["demo", "--network", "shown_network:make", "--draws", "2", "-o", "out"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "Mine: φ of 357 photograph crops at enc1, mid for 7 noise levels"
    written = {Path(line) for line in told if line.startswith("out/")}
    assert written == {Path("out") / path.name for path in (tmp_path / "out").iterdir()}
    assert {p.suffix for p in written} == {".nc", ".png", ".html", ".txt"}
    assert len(written) == 17
    stages = [line for line in told if not line.startswith("out/")]
    assert len(stages) == 8
    assert all(line.endswith(" s)") for line in stages[1:-1])
    assert all(len(line) < 240 for line in stages)
    roles = [xr.load_dataset(tmp_path / "out" / f"phi{suffix}.nc") for suffix in ("", "-untrained")]
    assert not np.array_equal(roles[0].phi, roles[1].phi)
    assert all("phi_draws" not in role and role.attrs["draws"] == 2 for role in roles)
    # Without normalisations of this package there is one control, and no other is spoken of.
    summary = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert any(line.endswith("(80 % of crops in brackets; untrained):") for line in summary)
    page = (tmp_path / "out" / "explore.html").read_text()
    assert "denoiser = probekit.load" not in page.partition('id="meta"')[2].partition("</script>")[0]
    assert 'probekit.images.load(\\"samples\\", size=32)' in page


NORMALISED = SMALL.replace(
    "nn.Conv2d(4, 12, 3, padding=1), nn.ReLU()",
    "nn.Conv2d(4, 12, 3, padding=1), UncentredNorm(12, (1, 2, 3)), nn.ReLU()",
).replace("from torch import nn", "from torch import nn\nfrom probekit.models.normalisation import UncentredNorm")


def test_the_demo_tells_both_controls_where_there_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "normalised_network.py").write_text(NORMALISED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "LEVELS", 2)
    # Those that are drawn one by one; all of them are another test's.
    monkeypatch.setattr(demo, "SIGMA", (*demo.CONTROL_SIGMA, 1.0))
    monkeypatch.setattr(demo, "SAMPLES", 1)
    assert main(["demo", "--network", "normalised_network:make", "--draws", "2", "-o", "out"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len([line for line in told if line.startswith("out/")]) == 21
    summary = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    (at,) = [n for n, line in enumerate(summary) if line.endswith("; untrained; untrained, paper's gains):")]
    paper = xr.load_dataset(tmp_path / "out" / "sparsity-untrained-paper-gains.nc")
    ratio = paper.sparsity.sel(vector="draw", measure="participation_ratio", sigma=0.2, block="mid").item()
    assert summary[at + 2].split("; ")[2] == f"{ratio:.3f}"
    assert any(line.startswith("subspaces of mid, untrained, paper's gains: ") for line in summary)


def test_the_page_of_findings_holds_every_variable_of_every_room_once() -> None:
    sections = {text.split("`")[1]: text for text in tables.page().split("\n## ")[1:]}
    rooms = [import_module(f"analyses.{name}") for name in (*ANALYSES, "report")]
    declared = {
        found.source: found
        for room in rooms
        for name in room.__all__
        if isinstance(found := getattr(room, name), Findings)
    }
    assert set(sections) == set(declared)
    assert {"sparsity.analyse", "semantics.stability", "claims.table"} <= set(sections)
    for source, text in sections.items():
        rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
        assert [row[0] for row in rows] == [f"| `{name}`" for name in declared[source].variables]
        assert all(f"`{name}`" in text for name in declared[source].coords)
