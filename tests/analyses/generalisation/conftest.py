"""What is found of the law itself and of a denoiser that has learnt by heart, once for all tests."""

from typing import Any

import pytest
import xarray as xr

from probekit.images import load
from tests.analyses.generalisation.making import LAW, ByHeart, draws, found


@pytest.fixture(scope="package")
def known() -> Any:
    return draws(300, 0)


@pytest.fixture(scope="package")
def honest(known: Any) -> xr.Dataset:
    return found(LAW, known)


@pytest.fixture(scope="package")
def by_heart(known: Any) -> xr.Dataset:
    return found(ByHeart(load(known).read(range(300))), known)
