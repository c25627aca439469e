"""Bad options of everything public in subspaces: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyses import subspaces
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces

MADE = union_of_subspaces(90, n_channels=24, n_subspaces=3, support=4)
DATA, TRUTH = MADE
FOUND = subspaces.fit(DATA, splits=0)


def analyse(data: Any = DATA, **options: Any) -> Callable[[], Any]:
    return lambda: subspaces.analyse(data, **options)


def fit(data: Any = DATA, **options: Any) -> Callable[[], Any]:
    return lambda: subspaces.fit(data, **options)


def overlap(findings: Any = FOUND, **options: Any) -> Callable[[], Any]:
    return lambda: subspaces.overlap(DATA, findings, **options)


def explained(findings: Any = FOUND, **options: Any) -> Callable[[], Any]:
    return lambda: subspaces.explained_variance(DATA, findings, **options)


def dimension(data: Any = DATA, **options: Any) -> Callable[[], Any]:
    return lambda: subspaces.intrinsic_dimension(data, **options)


def score(findings: Any = FOUND, truth: Any = TRUTH, **options: Any) -> Callable[[], Any]:
    return lambda: subspaces.score(findings, truth, **options)


# What both `fit` and `analyse` take.
SHARED: list[tuple[dict[str, Any], str]] = [
    ({"data": 3}, "the data is a int: give the Dataset"),
    ({"n_subspaces": 0}, "n_subspaces=0: give a whole number from 1 to 45"),
    ({"n_subspaces": 46}, "n_subspaces=46: give a whole number from 1 to 45"),
    ({"n_subspaces": 2.7}, "n_subspaces=2.7: give a whole number from 1 to 45"),
    ({"n_subspaces": True}, "n_subspaces=True: give a whole number from 1 to 45"),
    ({"method": "kmeans"}, "method='kmeans': give one of coordinate, linear"),
    ({"method": None}, "method=None: give one of coordinate, linear"),
    ({"max_subspaces": 0}, "max_subspaces=0: give a whole number ≥ 1"),
    ({"max_subspaces": 2.5}, "max_subspaces=2.5: give a whole number ≥ 1"),
    ({"splits": -1}, "splits=-1: give a whole number ≥ 0"),
    ({"splits": 1.5}, "splits=1.5: give a whole number ≥ 0"),
    ({"rate": 1.0}, "rate=1.0: give a false discovery rate between 0 and 1"),
    ({"rate": "a"}, "rate='a': give a false discovery rate"),
    ({"rate": float("nan")}, "rate=nan: give a false discovery rate"),
    ({"seed": -1}, "seed=-1: give a whole number ≥ 0"),
]
RANKS: list[tuple[Any, str]] = [
    ([24], r"ranks=\[24\]: give dimensions from 1 to 23"),
    ([], r"ranks=\[\]: give dimensions from 1 to 23"),
    (3, "ranks=3: give a sequence of whole numbers"),
    ((1.5,), "each of ranks=1.5: give a whole number"),
    ((1, True), "each of ranks=True: give a whole number"),
]
RESAMPLES: list[tuple[Any, str]] = [
    (0, "resamples=0: give a whole number ≥ 100"),
    (-1, "resamples=-1: give a whole number ≥ 100"),
    (100.5, "resamples=100.5: give a whole number ≥ 100"),
]
BAD: list[tuple[Callable[[], Any], str]] = [
    *[(call(**options), words) for options, words in SHARED for call in (fit, analyse)],
    *[(call(ranks=ranks), words) for ranks, words in RANKS for call in (explained, analyse)],
    *[(call(resamples=number), words) for number, words in RESAMPLES for call in (explained, analyse)],
    (analyse(dimensions="no"), "dimensions='no': give True or False"),
    (lambda: subspaces.active_sets(DATA.phi), "the data is a DataArray: give the Dataset"),  # pyright: ignore
    (lambda: subspaces.active_sets(DATA, rate=0), "rate=0: give a false discovery rate"),
    (overlap(DATA), "the findings lack subspace, n_subspaces, support, common: give what subspaces.fit returns"),
    (overlap(3), "the findings are a int: give what subspaces.fit returns"),
    (overlap(FOUND.isel(sigma=0)), "the findings have no dim sigma"),
    (overlap(FOUND.drop_attrs()), "the findings lost their attributes rate"),
    (overlap(seed=1.5), "seed=1.5: give a whole number ≥ 0"),
    (explained(DATA), "the findings lack subspace"),
    (explained(seed=-1), "seed=-1: give a whole number ≥ 0"),
    (dimension(DATA.isel(image=slice(19))), "19 images: give at least 20"),
    (dimension(images=19), "images=19: give a whole number ≥ 20"),
    (dimension(images=30.0), "images=30.0: give a whole number ≥ 20"),
    (dimension(seed="a"), "seed='a': give a whole number ≥ 0"),
    (score(DATA), "the findings lack subspace"),
    (score(truth=TRUTH.drop_vars("support")), "the truth lacks support: give what"),
    (score(truth=3), "the truth lacks subspace, support: give what"),
    (score(data=3), "the data is a int: give the Dataset"),
    (lambda: subspaces.plot(DATA), r"the findings lack support, .*: give what subspaces\.analyse returns"),
    (lambda: subspaces.plot(FOUND), r"the findings lack explained, .*: give what subspaces\.analyse returns"),
    (lambda: subspaces.plot(3), "the findings are a int: give what subspaces.analyse returns"),  # pyright: ignore
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[f"{i}: {words}" for i, (_, words) in enumerate(BAD)])
def test_a_bad_option_is_one_clear_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--n-subspaces", "99"], 1, "n_subspaces=99"),
        (["--method", "kmeans"], 1, "method='kmeans'"),
        (["--ranks", "one"], 1, "--ranks: 'one' is not a list of numbers"),
        (["--rate", "2"], 1, "rate=2"),
        (["--resamples", "5"], 1, "resamples=5"),
        (["--seed", "x"], 2, "--seed"),
        (["--kind", "linear"], 2, "--kind"),
    ],
)
def test_a_bad_word_on_the_command_line_is_one_clear_error(
    options: list[str], status: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DATA.to_netcdf(tmp_path / "phi.nc", engine="h5netcdf")
    assert subspaces.main([str(tmp_path / "phi.nc"), "-o", str(tmp_path / "out"), *options]) == status
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out" / "subspaces.nc").exists()
