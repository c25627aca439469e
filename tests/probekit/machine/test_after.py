"""What waits for a library is done when it is there: once, whoever loads it, however it is looked for before."""

import subprocess
import sys
from pathlib import Path

import pytest

import probekit
from probekit.machine.after import after_import

# A package of its own, which says in `told` what became of it.
LIBRARY = "told = ['run']\nimport {name}.inner\ntold.append('whole')\n"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package that nobody has loaded yet."""
    name = f"awaited_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(LIBRARY.format(name=name))
    (tmp_path / name / "inner.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def waiting(name: str) -> None:
    def do() -> None:
        sys.modules[name].told.append("after")

    after_import(name, do)


def test_it_is_done_once_when_the_library_is_whole(library: str) -> None:
    before = list(sys.meta_path)
    waiting(library)
    assert library not in sys.modules
    module = __import__(library)
    assert module.told == ["run", "whole", "after"]
    assert sys.meta_path == before
    assert type(module.__loader__).__name__ == type(module.__spec__.loader).__name__ == "SourceFileLoader"


def test_it_is_done_at_once_when_the_library_is_there(library: str) -> None:
    module = __import__(library)
    waiting(library)
    assert module.told == ["run", "whole", "after"]


def test_looking_for_the_library_is_no_import_and_does_not_end_the_waiting(library: str) -> None:
    from importlib.util import find_spec

    waiting(library)
    for _ in range(2):
        spec = find_spec(library)
        assert spec is not None
        assert str(spec.origin).endswith("__init__.py")
    assert library not in sys.modules
    assert __import__(library).told == ["run", "whole", "after"]


def test_two_that_wait_are_both_served(library: str) -> None:
    waiting(library)
    waiting(library)
    assert __import__(library).told == ["run", "whole", "after", "after"]


def test_a_library_that_waits_for_itself_is_whole_first(library: str, tmp_path: Path) -> None:
    own = f"from probekit.machine.after import after_import\nimport {library}\n"
    # Loaded by the library before it is whole, as a plug-in of it may be.
    (tmp_path / library / "inner.py").write_text(f"{own}after_import({library!r}, lambda: {library}.told.append('x'))")
    try:
        assert __import__(library).told == ["run", "whole"]
    finally:
        sys.meta_path[:] = [one for one in sys.meta_path if getattr(one, "name", "") != library]


def test_a_library_that_there_is_not_is_looked_for_in_vain() -> None:
    before = list(sys.meta_path)
    after_import("no_such_library_anywhere", lambda: None)
    try:
        with pytest.raises(ModuleNotFoundError):
            __import__("no_such_library_anywhere")
    finally:
        sys.meta_path[:] = before


ORDERS = {
    "probekit first": "import probekit, xarray",
    "xarray first": "import xarray, probekit",
    "looked for between": "import probekit, importlib.util\nimportlib.util.find_spec('xarray')\nimport xarray",
    "a part of xarray": "import probekit\nfrom xarray.core import dataset\nimport xarray",
    "by probekit itself": "import probekit.labels\nimport xarray",
    "by pandas": "import probekit, pandas\npandas.DataFrame({'a': [1]}).to_xarray()\nimport xarray",
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_dataset_has_probe_whatever_is_imported_first(order: str) -> None:
    code = f"{ORDERS[order]}\nprint(type(xarray.Dataset({{'a': 1}}).probe).__name__)"
    root = Path(probekit.__file__).parents[1]
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=root)
    assert (run.stdout, run.stderr) == ("Probe\n", "")
