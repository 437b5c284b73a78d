"""The live region: lines below the text on a terminal, drawn again in place.

Its last line never moves up. Rows that it no longer needs, since a narrow terminal had wrapped its lines, become empty
ones above it, which the next text takes. Left below it, they would push it off a terminal that wraps its lines again.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, ConsoleRenderable, RenderHook
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType
from rich.text import Text


class Region(RenderHook):
    """Lines that stay below whatever is printed: through `console`, or by print() where the console is stdout."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.lines: list[Text] = []
        self.drawn: list[int] = []  # columns of each line that is on the terminal now
        self.proxy: FileProxy | None = None
        self.is_shown = False

    def show(self, lines: Sequence[Text]) -> None:
        """Draw these lines in place of the former ones; as many, and as much of each, as the terminal has room for."""
        if not self.is_shown:
            self.is_shown = True
            self.console.push_render_hook(self)
            if sys.stdout is self.console.file:
                self.proxy = FileProxy(self.console, sys.stdout)
                sys.stdout = self.proxy
        self.lines = list(lines)
        self.console.print(Control())

    def clear(self) -> None:
        """Remove the region."""
        if not self.is_shown:
            return
        if self.proxy is not None:
            self.proxy.flush()  # the beginning of a line that was never ended
            sys.stdout = self.console.file
            self.proxy = None
        self.lines = []
        self.console.print(Control())
        self.console.pop_render_hook()
        self.is_shown = False

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """What the console prints now: nothing in place of the region, then its text, then the region again."""
        width, height = self.console.size
        # A terminal that has become narrower has wrapped the lines that no longer fit.
        rows = sum(max(1, -(-columns // width)) for columns in self.drawn)
        has_text = any(not isinstance(each, Control) for each in renderables)
        kept = self.lines[: max(1, height - 2)]
        empty = min(rows, height - 2) - len(kept) - has_text
        kept = [Text()] * empty + kept if kept else []
        for line in kept:
            line.truncate(width - 1)  # in the last column a terminal would wrap
        self.drawn = [line.cell_len for line in kept]
        return [_erase(rows), *renderables, Text("\n", end="").join(kept)]


def _erase(rows: int) -> Control:
    """Go up to the first of so many rows, erasing each."""
    up = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * (rows - 1)
    return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up) if rows else Control()


def is_live(console: Console) -> bool:
    """Whether a live region works here: on a terminal that can move its cursor."""
    return console.is_terminal and not console.is_dumb_terminal and "CI" not in os.environ


def waiting(text: str, console: Console) -> Text:
    """A line that says what takes a while."""
    return Text(text + ("…" if console.encoding.lower().startswith("utf") else "..."), "dim")


@contextmanager
def notice(text: str, stream: TextIO) -> Iterator[None]:
    """Say on a terminal what takes a while, for the length of this block."""
    console = Console(file=stream)
    region = Region(console)
    if is_live(console):
        region.show([waiting(text, console)])
    try:
        yield
    finally:
        region.clear()
