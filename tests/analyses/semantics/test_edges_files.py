"""φ and findings from files, and what files and options may hold, throughout the analyses of meaning."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from analyses import clusters, probe, semantics
from probekit.errors import InputError
from probekit.synthetic.subspaces import union_of_subspaces


def drawn(n: int = 90, seed: int = 0) -> xr.Dataset:
    data, truth = union_of_subspaces(n, n_subspaces=3, n_channels=30, seed=seed)
    return data.assign_coords(label=("image", np.array([f"class {k}" for k in truth.subspace.values], object)))


def other_images(data: xr.Dataset) -> xr.Dataset:
    return data.assign_coords(image=np.array([f"test {i}" for i in data.image.values], object))


ANALYSES = {
    "neighbours": lambda d: semantics.neighbours(d, k=3),
    "correlate": lambda d: semantics.correlate(d, {"label": "label"}, permutations=99),
    "clusters": lambda d: clusters.analyse(d, n_clusters=3, resamples=100, permutations=99),
    "probe": lambda d: probe.analyse(d, other_images(drawn(seed=1)), resamples=100),
}


@pytest.mark.filterwarnings("ignore:.*Zarr.*")
@pytest.mark.parametrize("analyse", ANALYSES.values(), ids=ANALYSES)
@pytest.mark.parametrize("loaded", [True, False])
def test_a_store_opened_without_the_package_gives_the_same_findings(analyse, loaded: bool, tmp_path) -> None:
    data = drawn()
    data.to_zarr(tmp_path / "phi.zarr", consolidated=False)
    opened = xr.open_zarr(tmp_path / "phi.zarr", chunks=None, consolidated=False)
    mine, theirs = analyse(data), analyse(opened.load() if loaded else opened)
    for name in mine.data_vars:
        if mine[name].dtype.kind == "f":
            np.testing.assert_array_equal(theirs[name].values, mine[name].values)


@pytest.mark.parametrize("name", ["clusters", "probe", "correlate"])
def test_images_without_a_class_are_refused(name: str) -> None:
    data = drawn()
    names = data.label.values.copy()
    names[:5] = np.nan
    with pytest.raises(InputError, match="label is missing for"):
        ANALYSES[name](data.assign_coords(label=("image", names)))


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None])
def test_what_seeds_nothing_is_refused(seed) -> None:
    data = drawn()
    for call in (
        lambda: semantics.neighbours(data, k=3, seed=seed),
        lambda: semantics.stability(data, reference=0.1, seed=seed),
        lambda: semantics.correlate(data, {"label": "label"}, seed=seed),
        lambda: clusters.analyse(data, n_clusters=3, seed=seed),
        lambda: probe.analyse(data, other_images(data), seed=seed),
    ):
        with pytest.raises(InputError, match=r"seed=.*: give a whole number ≥ 0"):
            call()


@pytest.mark.parametrize("chain", [np.nan, ""])
def test_a_class_without_hypernyms_is_named_and_not_given_a_distance(chain) -> None:
    table = pd.DataFrame({"wnid": ["a", "b"], "hypernym_wnids": ["entity > a", chain]})
    with pytest.raises(InputError, match="row 1 of the class table lacks"):
        semantics.class_distances(table)


def test_clusters_of_images_numbered_by_integers_are_compared() -> None:
    data = drawn().assign_coords(image=np.arange(90))
    found = clusters.analyse(data, n_clusters=3, resamples=100, permutations=99)
    compared = clusters.compare(found, found.isel(image=slice(None, None, -1)), resamples=100)
    np.testing.assert_allclose(compared.nmi, 0, atol=1e-12)


def test_a_file_of_classes_that_is_no_text_is_refused(tmp_path) -> None:
    (tmp_path / "classes.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match=r"classes.csv cannot be read"):
        semantics.class_distances(tmp_path / "classes.csv")


def test_the_order_of_images_does_not_decide_which_are_drawn() -> None:
    data = drawn()
    shuffled = data.isel(image=np.random.default_rng(0).permutation(90))
    for call in (
        lambda d: semantics.correlate(d, {"label": "label"}, permutations=0, max_images=40).correlation,
        lambda d: semantics.stability(d.isel(sigma=[0]), reference=0.1, among=30).reciprocal_rank,
    ):
        np.testing.assert_allclose(call(shuffled), call(data), rtol=1e-5)


@pytest.mark.parametrize("options", [{"splits": 1.5}, {"n_init": 2.0}, {"permutations": 99.5}])
def test_counts_of_clusters_are_whole(options) -> None:
    with pytest.raises(InputError, match="give a whole number"):
        clusters.analyse(drawn(), n_clusters=3, **options)


@pytest.mark.parametrize("options", [{"top": 1.5}, {"sizes": [10.5]}, {"tuning_images": 10.5}, {"epochs": 1.5}])
def test_counts_of_probes_are_whole(options) -> None:
    with pytest.raises(InputError, match="give a whole number"):
        probe.analyse(drawn(), other_images(drawn(seed=1)), **options)
