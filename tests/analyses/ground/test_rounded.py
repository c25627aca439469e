"""Numbers are written as they are read: without a power of ten below a million, and with nothing changed but that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses.ground import rounded


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 6))
def test_the_number_is_that_of_so_many_digits(number, digits):
    assert float(rounded(number, digits)) == float(f"{number:.{digits}g}")


@given(st.floats(-999_999, 999_999), st.integers(1, 6))
def test_no_number_below_a_million_has_a_power_of_ten_above_it(number, digits):
    assert "e+" not in rounded(number, digits)


@pytest.mark.parametrize(
    ("number", "digits", "written"),
    [
        (110.2, 2, "110"),
        (-1340, 3, "-1340"),
        (99.6, 2, "100"),
        (0.000012, 2, "1.2e-05"),
        (2e7, 1, "2e+07"),
        (float("nan"), 3, "nan"),
    ],
)
def test_known_ones(number, digits, written):
    assert rounded(number, digits) == written
