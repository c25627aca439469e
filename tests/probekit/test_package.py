"""The package as a whole: its public names, and its version with and without an installation."""

import subprocess
import sys
from pathlib import Path

import pytest

import probekit
from probekit.machine.installed import DISTRIBUTION, UNKNOWN, installed_version


def test_the_package_shows_its_public_names_only() -> None:
    assert dir(probekit) == sorted([*probekit.__all__, "__version__"])
    assert all(getattr(probekit, name) is not None for name in dir(probekit))


def test_the_version_is_the_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = tmp_path / f"{DISTRIBUTION.replace('-', '_')}-9.8.7.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 9.8.7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_version() == "9.8.7"


WITHOUT_METADATA = f"""
import importlib.metadata as metadata
known = metadata.version
def version(name, *more):
    if name == {DISTRIBUTION!r}:
        raise metadata.PackageNotFoundError(name)
    return known(name, *more)
metadata.version = version
import torch, probekit
data = probekit.tap(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)), "0")(torch.zeros(1, 1, 4, 4), sigma=0.1, draws=1)
print(probekit.__version__, data.attrs["probekit_version"])
"""


def test_without_an_installation_the_package_works_and_says_that_its_version_is_unknown() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_METADATA], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [UNKNOWN, UNKNOWN]


def test_the_version_is_asked_for_of_the_one_distribution() -> None:
    root = Path(probekit.__file__).parent.parent
    files = [file for package in ("probekit", "analyses", "benchmarks") for file in (root / package).rglob("*.py")]
    asking = [str(file.relative_to(root)) for file in files if "importlib.metadata" in file.read_text(encoding="utf-8")]
    assert asking == ["probekit/machine/installed.py"]
