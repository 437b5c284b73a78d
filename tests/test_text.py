"""The short texts that every room shares."""

import pytest

from trainer.errors import StorageError, TrainerError, failed
from trainer.text import clock, counted, cut, first_few, first_line, listed

pytestmark = pytest.mark.no_torch


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0 s"), (5e-5, "50 µs"), (0.0032, "3.2 ms"), (0.42, "0.42 s"), (4.12, "4.1 s"), (59.9, "59.9 s"),
        (59.97, "1:00"), (185, "3:05"), (3599.6, "1:00:00"), (7470, "2:04:30"), (1e299, "1e+299 s"),
    ],
)  # fmt: skip
def test_a_time_is_said_in_one_way(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_a_long_text_is_cut_to_its_width() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcde fgh", 7) == "abcde…"
    assert len(cut("x" * 200)) == 78


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (1, "step", "1 step"), (0, "run", "0 runs"), (1438, "row", "1,438 rows"), (2, "batch", "2 batches"),
        (1, "class", "1 class"), (3, "class", "3 classes"), (2, "category", "2 categories"), (2, "day", "2 days"),
        (160 / 23, "epoch", "6.96 epochs"), (1.0, "epoch", "1 epoch"), (0.999, "epoch", "1 epoch"),
        (20_000.0, "epoch", "20,000 epochs"),
    ],
)  # fmt: skip
def test_a_count_agrees_with_its_noun(number: float, noun: str, said: str) -> None:
    assert counted(number, noun) == said


def test_a_last_name_is_named_and_not_counted() -> None:
    names = ["a", "b", "c", "d"]
    assert [first_few(names[:n], 2) for n in (1, 2, 3, 4)] == ["a", "a, b", "a, b, c", "a, b and 2 more"]
    assert listed(["x" * 10, "y" * 10, "z" * 10], 24) == f"{'x' * 10}, {'y' * 10}, {'z' * 10}"  # 34 of 24 + 12
    assert listed(["x" * 10, "y" * 10, "z" * 13], 24) == f"{'x' * 10}, and 2 more"
    assert listed(["x" * 10, "y" * 10, "z" * 10, "w"], 24) == f"{'x' * 10}, and 3 more"


def test_an_exception_without_a_message_is_named() -> None:
    """A bare `assert` in a user's loss has no text, and used to end in an IndexError of our own."""
    assert first_line(AssertionError()) == "AssertionError"
    assert first_line(ValueError("\n one\ntwo")) == "one"
    assert failed(AssertionError()).message == "AssertionError"
    assert failed(ValueError("one\ntwo"), "run/train.log").message == "ValueError: one"
    assert "run/train.log" in str(failed(ValueError("one"), "run/train.log").hint)


def test_an_error_of_our_own_and_a_full_disk_keep_their_kind() -> None:
    known = TrainerError("known")
    assert failed(known) is known
    full = failed(OSError(28, "No space left on device"))
    assert isinstance(full, StorageError)
    assert full.exit_code == 4
