"""A bar and what stands behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.terminal.bar import bar_line, time_left

pytestmark = pytest.mark.no_torch


@given(st.floats(0, 1), st.lists(st.text("ab", max_size=20), max_size=4), st.integers(2, 130), st.booleans())
def test_no_text_is_ever_cut(share: float, texts: list[str], width: int, ascii_only: bool) -> None:
    line = bar_line(share, texts, width, ascii_only=ascii_only).plain
    assert len(line) < width
    assert not ascii_only or line.isascii()
    *_, shown = line.rpartition("─" if "─" in line else "━") if not ascii_only else line.rpartition("#")
    kept = shown.lstrip("-").split()
    assert kept == [text for text in texts if text][: len(kept)]


def test_the_time_that_is_left() -> None:
    assert time_left(10, 0, 100) == ""
    assert time_left(10, 25, 100) == "30 s left"
    assert time_left(60, 1, 100) == "1:39:00 left"
