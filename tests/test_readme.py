"""The README's snippets run as they stand, and what it says of the bundled denoiser is what its card says."""

import re
from pathlib import Path

import pytest

import probekit
from probekit.models import zoo

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# As pyproject.toml's project.urls: pages are read there, pictures are shown from there.
REPOSITORY = "https://github.com/probekit-denoisers/probekit"
PAGE, PICTURE = f"{REPOSITORY}/blob/main/", "https://raw.githubusercontent.com/probekit-denoisers/probekit/main/"


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


@pytest.mark.parametrize("name", ["photo32", "texture48"])
def test_the_table_of_a_bundled_denoiser_is_its_cards(name: str) -> None:
    psnr = zoo.describe(name)["card"]["psnr"]
    rows: dict[str, list[float]] = {}
    # The table that has a row of this name: from its head on.
    table = next(one for one in README.split("\n\n") if f"\n| {name} |" in one)
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not set(cells[1]) <= {"-"}:
            rows[cells[0]] = [float(cell) for cell in cells[1:]]
    assert rows.pop("σ") == psnr["sigma"]
    kept = {
        name: "denoiser",
        "noisy": "noisy",
        "best Gaussian blur": "gaussian_blur",
        "patch PCA Wiener": "patch_wiener",
    }
    assert {name, "best Gaussian blur", "patch PCA Wiener"} <= set(rows)
    for row, values in rows.items():
        assert values == pytest.approx(psnr[kept[row]], abs=0.051), row


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


def links() -> list[tuple[bool, str]]:
    """Whether it is a picture, and where it leads, of each link of the README."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", README, flags=re.MULTILINE | re.DOTALL)
    return [(bool(mark), target) for mark, target in re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", prose)]


def test_links_are_whole_addresses_that_a_package_index_can_show() -> None:
    assert f'Source = "{REPOSITORY}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(links()) > 20
    assert not [target for _, target in links() if not target.startswith("https://")]
    own = [(is_picture, target) for is_picture, target in links() if "probekit-denoisers/probekit" in target]
    assert all(target.startswith(PICTURE if is_picture else PAGE) for is_picture, target in own)
    assert [is_picture for is_picture, _ in own].count(True) >= 2


def test_links_lead_to_files_and_headings_of_this_checkout() -> None:
    own = [target.removeprefix(PICTURE).removeprefix(PAGE) for _, target in links() if "probekit-denoisers/" in target]
    absent = []
    for target in own:
        path, _, anchor = target.partition("#")
        there = ROOT / path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            absent.append(target)
    assert not absent


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
