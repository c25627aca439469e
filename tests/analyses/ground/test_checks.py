"""Options that are passed on by name: one that there is none of is refused as Python refuses it, and set right."""

import pytest

from analyses.ground import check_options


def test_an_option_that_there_is_none_of_is_refused_with_the_one_that_was_meant_or_all() -> None:
    check_options("effects", {"level": 0.9}, ("level", "resamples"))
    check_options("effects", {}, ("level",))
    with pytest.raises(TypeError, match=r"effects\(\) has no option 'resample': give resamples$"):
        check_options("effects", {"level": 0.9, "resample": 5}, ("level", "resamples"))
    with pytest.raises(TypeError, match=r"has no option 'xyz': give level, resamples$"):
        check_options("effects", {"xyz": 0.9}, ("level", "resamples"))
