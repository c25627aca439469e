"""A class that is missing is no class: no analysis takes images without one for a group of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from analyses import controls, semantics, sparsity
from probekit import labels
from probekit.errors import InputError
from probekit.images import load

N = 24


def representation(missing: object) -> xr.Dataset:
    rng = np.random.default_rng(0)
    arrays = {"phi": rng.random((N, 1, 4)), "phi_se": np.full((N, 1, 4), 0.01)}
    arrays |= {"rest": np.zeros((1, 4)), "rest_se": np.zeros((1, 4))}
    data = labels.representation(
        arrays, ids=[str(k) for k in range(N)], labels=None, sigma=[0.1], channels={"mid": 4}, attrs={}
    )
    kinds = np.array(["a", "b", missing, "a"] * (N // 4), dtype=object)
    return data.assign_coords(label=("image", kinds))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, "", " "])
def test_images_without_a_class_are_no_cluster_of_sparsity(missing: object) -> None:
    with pytest.raises(InputError, match=f"label is missing for {N // 4} images of the data"):
        sparsity.analyse(representation(missing), clusters="label", resamples=100)


@pytest.mark.parametrize("name", ["images", "train"])
def test_images_without_a_class_are_in_no_table_of_controls(name: str) -> None:
    x = np.random.default_rng(0).random((60, 3, 8, 8), dtype=np.float32)
    whole = load(x, labels=["a", "b", "c"] * 20)
    with pytest.warns(UserWarning, match="20 of 60 images"):
        lacking = load(x, labels=["a", "b", None] * 20, ids=[f"t{k}" for k in range(60)])
    images, train = (lacking, whole) if name == "images" else (whole, lacking)
    with pytest.raises(InputError, match=f"{name}: the class of 20 images of .* is missing: leave these out"):
        controls.table(images, train=train)


def test_a_class_may_be_called_na_in_a_table_of_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("wnid,hypernym_wnids\nNA,root > NA\nnull,root > x > null\n")
    found = semantics.class_distances(tmp_path / "classes.csv")
    assert found.label.values.tolist() == ["NA", "null"]
    assert found.values.tolist() == [[0, 3], [3, 0]]


def test_classes_that_a_table_holds_as_floats_are_those_that_images_have() -> None:
    table = pd.DataFrame({"wnid": [1.0, 2.0], "hypernym_wnids": ["root > 1", "root > x > 2"]})
    assert semantics.class_distances(table).label.values.tolist() == ["1", "2"]
