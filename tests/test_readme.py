"""The README's snippets run as they stand, and what it says of the bundled denoiser is what its card says."""

import re
from pathlib import Path

import pytest

import probekit
from probekit.models import zoo

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_snippets_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(snippets) >= 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)
    assert names["data"].sizes["sigma"] == 3
    assert names["clean"].shape == (2, 3, 32, 32)


def test_the_commands_it_names_exist() -> None:
    targets = set(re.findall(r"^make (\w+)|`make (\w+)`", README, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    for target in {a or b for a, b in targets}:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_table_of_the_bundled_denoiser_is_its_cards() -> None:
    psnr = zoo.describe("photo32")["card"]["psnr"]
    rows = {
        cells[0]: [float(c) for c in cells[1:]]
        for cells in ([c.strip() for c in line.strip("|").split("|")] for line in README.splitlines() if "|" in line)
        if cells[0] in ("σ", "photo32", "noisy", "best Gaussian blur", "patch PCA Wiener")
    }
    assert rows["σ"] == psnr["sigma"]
    assert rows["photo32"] == pytest.approx(psnr["denoiser"], abs=0.051)
    assert rows["noisy"] == pytest.approx(psnr["noisy"], abs=0.051)
    assert rows["best Gaussian blur"] == pytest.approx(psnr["gaussian_blur"], abs=0.051)
    assert rows["patch PCA Wiener"] == pytest.approx(psnr["patch_wiener"], abs=0.051)


def test_the_bundled_denoiser_beats_both_references_from_sigma_0_2_up() -> None:
    psnr = zoo.describe("photo32")["card"]["psnr"]
    for level, mine, *others in zip(
        psnr["sigma"], psnr["denoiser"], psnr["gaussian_blur"], psnr["patch_wiener"], strict=True
    ):
        if level >= 0.2:
            assert mine > max(others), level


def test_the_denoiser_that_is_named_loads() -> None:
    assert "photo32" in zoo.available()
    assert probekit.load("photo32").name == "photo32"
