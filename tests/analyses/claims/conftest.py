"""What is found of a network with a sparse middle and of one whose middle is dense, once for all tests."""

import pytest
import xarray as xr

from tests.analyses.claims.test_judge import DENSE, SPARSE, findings, network


@pytest.fixture(scope="package")
def trained() -> dict[str, xr.Dataset]:
    return findings(network(enc1=DENSE, enc2=DENSE, mid=SPARSE))


@pytest.fixture(scope="package")
def untrained() -> dict[str, xr.Dataset]:
    return findings(network(enc1=DENSE, enc2=DENSE, mid=DENSE))
