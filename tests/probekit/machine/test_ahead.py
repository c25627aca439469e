"""Items made ahead are the same items, made in time and not too early; failures and early ends lose nothing."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.machine.ahead import ahead

# Long beyond any pause of a busy machine; only a failing test waits for it.
PATIENCE = 60


@given(st.lists(st.integers()), st.integers(1, 5))
def test_the_items_come_unchanged_and_in_order(items: list[int], count: int) -> None:
    assert list(ahead(items, count)) == items


def test_the_next_item_is_made_while_the_present_one_is_in_use() -> None:
    begun = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for n, event in enumerate(begun):
            event.set()
            yield n

    for n in ahead(items()):
        if n + 1 < len(begun):
            assert begun[n + 1].wait(PATIENCE)


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_than_the_items_asked_for_are_made_ahead(count: int) -> None:
    begun = [threading.Event() for _ in range(10)]

    def items() -> Iterator[int]:
        for n, event in enumerate(begun):
            event.set()
            yield n

    for n in ahead(items(), count):
        if n + count + 1 < len(begun):
            assert begun[n + count].wait(PATIENCE)
            # Nothing holds the thread now: what it may make is made at once.
            assert not begun[n + count + 1].wait(0.05)


def test_what_making_an_item_raises_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 0
        yield 1
        raise ValueError("no third")

    made = ahead(items())
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match="no third"):
        next(made)


def test_an_iteration_left_early_ends_its_thread() -> None:
    before = threading.active_count()
    made = ahead(iter(range(1000)))
    assert next(made) == 0
    assert threading.active_count() == before + 1
    made.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before


def test_an_iteration_left_early_begins_no_further_item() -> None:
    made, begun, go = 0, threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        nonlocal made
        for n in range(10):
            made += 1
            if n == 1:
                begun.set()
                go.wait(PATIENCE)
            yield n

    iteration = ahead(items(), 5)
    assert next(iteration) == 0
    assert begun.wait(PATIENCE)
    # Let the second item be made only after the iteration has been left.
    threading.Timer(0.2, go.set).start()
    iteration.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert made == 2
