"""The short texts that every room shares."""

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.errors import StorageError, TrainerError, failed
from trainer.text import clock, counted, cut, decimal, first_few, first_line, folded, labelled, listed, short

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


WORDS = st.lists(st.text("ab=,'\" $x.\\", min_size=1, max_size=30), min_size=1, max_size=12)


@settings(max_examples=25)
@given(WORDS)
def test_a_command_in_several_lines_is_the_same_command_to_a_shell(words: list[str]) -> None:
    text = shlex.join(["trainer", "train", *words])
    lines = folded(text, 40)
    script = "trainer() { printf '%s\\0' \"$@\"; }\n" + "\n".join(lines)
    heard = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert heard.split("\0")[:-1] == ["train", *words]
    assert all(line.endswith(" \\") for line in lines[:-1])
    longest = max(map(len, map(shlex.quote, words)))
    assert max(map(len, lines)) <= max(40, longest + 2)


def test_lines_break_between_words_and_before_a_command() -> None:
    command = "trainer resume outputs/2026-11-28/13-58-26-digits-mlp-bd01 epochs=60"
    assert folded(f"val/loss was still falling: {command}", 69) == ["val/loss was still falling:", command]
    assert folded(f"val/loss was still falling: {command}", 60) == [
        "val/loss was still falling:",
        "trainer resume outputs/2026-11-28/13-58-26-digits-mlp-bd01 \\",
        "epochs=60",
    ]
    assert labelled("next     ", ["a  b", "c" * 80]) == ["next     a  b", " " * 9 + "c" * 80]
    assert folded("trainer compare sweep, or trainer resume sweep", 30) == [
        "trainer compare sweep, or",
        "trainer resume sweep",
    ]


def test_counts_and_numbers_are_short() -> None:
    assert [short(n) for n in (0, 950, 33_120, 999_600, 1_234_567, 2e9)] == ["0", "950", "33.1k", "1M", "1.23M", "2G"]
    assert [decimal(x) for x in (20_000, 6.95652, 7, 0.5, 0.0043, 0)] == ["20,000", "6.96", "7", "0.5", "0.0043", "0"]


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
