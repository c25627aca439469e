"""Broken on purpose: each fault in controls is seen by a law."""

from dataclasses import replace

import pytest

from analyses.controls import rows
from tests.analyses.controls.test_edges import own_row_differs_in_nothing, tabled


@pytest.mark.parametrize("name", ["stability", "precision"])
def test_differences_of_images_that_are_not_paired_show_in_the_row_of_the_reference(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = rows.MEASURES[name]

    def unpaired(beside: rows.Beside) -> rows.Numbers | None:
        other = replace(beside.reference)
        # Instead of what would be found once it is asked for.
        vars(other)["per_image"] = beside.reference.per_image.roll(image=1, roll_coords=False)
        return right(replace(beside, reference=other))

    monkeypatch.setitem(rows.MEASURES, name, unpaired)
    with pytest.raises(AssertionError):
        own_row_differs_in_nothing(tabled(untrained=0, measures=[name]))
