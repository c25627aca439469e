"""Findings that most claims are judged by."""

import pytest
import xarray as xr

from tests.analyses.claims.test_judge import sparse_and_dense


@pytest.fixture
def trained() -> dict[str, xr.Dataset]:
    return sparse_and_dense()[0]


@pytest.fixture
def untrained() -> dict[str, xr.Dataset]:
    return sparse_and_dense()[1]
