"""Items that a thread makes one ahead come as if it did not."""

import threading
from collections.abc import Iterator

import pytest

from trainer.data.tabular.read_ahead import read_ahead

made: list[int] = []


def numbers(until: int) -> Iterator[int]:
    made.clear()
    for number in range(until):
        made.append(number)
        assert threading.current_thread() is not threading.main_thread()
        yield number
    raise ValueError("the end")


def test_items_and_errors_come_in_order_and_the_thread_ends() -> None:
    before = threading.active_count()
    taken: list[int] = []
    with pytest.raises(ValueError, match="the end"):
        taken.extend(read_ahead(numbers(5)))
    assert taken == [0, 1, 2, 3, 4]
    assert threading.active_count() == before


def test_no_more_than_one_is_made_ahead_also_of_one_who_stops() -> None:
    before = threading.active_count()
    items = read_ahead(numbers(5))
    assert [next(items), next(items)] == [0, 1]
    items.close()  # type: ignore[attr-defined]
    assert made == [0, 1, 2]
    assert threading.active_count() == before
