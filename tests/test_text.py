"""The short texts that every room shares."""

import pytest

from trainer.errors import StorageError, TrainerError, failed
from trainer.text import clock, cut, first_line

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
