"""Numbers are written as they are read: below a million without a power of ten, and no whole is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses.ground import rounded

BELOW_A_MILLION = st.floats(-999_999, 999_999)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 6))
def test_it_is_off_by_less_than_one_of_the_last_digit_asked_for(number, digits):
    off = abs(float(rounded(number, digits)) - number)
    assert off <= abs(float(f"{number:.{digits}g}") - number) or off <= 0.5


@given(BELOW_A_MILLION, st.integers(1, 6))
def test_below_a_million_no_power_of_ten_is_above_it_and_no_whole_is_lost(number, digits):
    written = rounded(number, digits)
    assert "e+" not in written
    assert abs(float(written) - number) <= 0.5


@given(BELOW_A_MILLION, st.integers(1, 6))
def test_no_more_digits_are_written_than_asked_for_but_those_before_the_point(number, digits):
    written = rounded(number, digits).partition("e")[0].lstrip("-")
    assert len(written.replace(".", "").lstrip("0")) <= max(digits, len(f"{abs(number):.0f}"))


@pytest.mark.parametrize(
    ("number", "digits", "written"),
    [
        (109.6, 2, "110"),
        (-1344.7, 3, "-1345"),
        (99.6, 2, "100"),
        (12.4, 1, "12"),
        (9.97, 2, "10"),
        (0.000012, 2, "1.2e-05"),
        (2e7, 1, "2e+07"),
        (float("nan"), 3, "nan"),
    ],
)
def test_known_ones(number, digits, written):
    assert rounded(number, digits) == written
