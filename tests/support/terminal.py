"""A terminal: a process on a pty, what its screen shows and what has scrolled off it. It wraps lines at its width and,
as most terminals do, wraps them again when its size changes."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|[\s\S]")

# A process that runs this first draws only while nobody else holds the lock: a terminal that is resized between the
# computing of a picture and its last byte shows rests of it, whatever the process does.
DRAWS_BY_TURNS = """
import fcntl
from rich.console import Console
lock, draw = open({lock!r}, "w"), Console.print
def draw_alone(*args, **options):
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        draw(*args, **options)
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
Console.print = draw_alone
"""


@dataclass
class Row:
    cells: list[str] = field(default_factory=list)
    continues: bool = False  # on the next row: the line was longer than the terminal

    def put(self, column: int, cell: str) -> None:
        self.cells += " " * (column + 1 - len(self.cells))
        self.cells[column] = cell


class Grid:
    """Rows of cells, the newest last; the screen is the last `height` of them."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows, self.y, self.x, self.rest = [Row()], 0, 0, ""

    def feed(self, text: str) -> None:
        text = self.rest + text
        cut = text.rfind("\x1b")
        is_open = cut >= 0 and not re.match(r"\x1b\[[0-9;?]*[A-Za-z]", text[cut:])
        self.rest = text[cut:] if is_open else ""
        for match in TOKEN.finditer(text[:cut] if is_open else text):
            self._take(match)

    def _take(self, match: re.Match) -> None:
        count, letter = match.groups()
        if letter == "A":
            self.y = max(0, len(self.rows) - self.height, self.y - int(count or 1))
        elif letter == "K":
            self.rows[self.y] = Row()
        elif letter is None and match[0] == "\r":
            self.x = 0
        elif letter is None and match[0] == "\n":
            self._down(continues=False)
        elif letter is None:
            if self.x == self.width:
                self._down(continues=True)
                self.x = 0
            self.rows[self.y].put(self.x, match[0])
            self.x += 1

    def _down(self, *, continues: bool) -> None:
        self.rows[self.y].continues = continues
        self.y += 1
        if self.y == len(self.rows):
            self.rows.append(Row())

    def resize(self, width: int, height: int) -> None:
        empty = len(self.rows) - 1 - self.y  # rows below the cursor, which a terminal gives up first
        del self.rows[len(self.rows) - max(0, min(empty, self.height - height)) :]
        lines: list[list[str]] = [[]]
        at = (0, 0)
        for number, row in enumerate(self.rows):
            if number == self.y:
                at = len(lines) - 1, len(lines[-1]) + self.x
            lines[-1] += row.cells
            if not row.continues:
                lines.append([])
        self.rows, self.width, self.height = [], width, height
        for number, line in enumerate(lines[:-1] or [[]]):
            if number == at[0]:
                self.y, self.x = len(self.rows) + at[1] // width, at[1] % width
            pieces = [line[start : start + width] for start in range(0, len(line), width)] or [[]]
            self.rows += [Row(piece, continues=True) for piece in pieces]
            self.rows[-1].continues = False

    @property
    def history(self) -> list[str]:
        return ["".join(row.cells).rstrip() for row in self.rows]

    @property
    def screen(self) -> list[str]:
        return self.history[-self.height :]


def environment(**env: str) -> dict[str, str]:
    """The variables of a process on a terminal, without those that change how a run is shown there."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "COLUMNS", "LINES", "NO_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **env}


class Terminal(Grid):
    """The real command line on a terminal of its own."""

    def __init__(self, folder: Path, words: list[str], width: int = 80, height: int = 24, **env: str) -> None:
        super().__init__(width, height)
        self.parent, child = pty.openpty()
        self._tell_size(width, height)
        command = [sys.executable, "-m", "trainer", *words]
        streams = {"stdin": child, "stdout": child, "stderr": child}
        self.process = subprocess.Popen(command, cwd=folder, env=environment(**env), start_new_session=True, **streams)
        os.close(child)
        self.raw = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a letter

    def resize_between(self, lock: Path, width: int, height: int) -> None:
        """Change the size while a process that DRAWS_BY_TURNS draws nothing."""
        with lock.open("w") as file:
            while not _is_taken(file):
                self._read()
            while select.select([self.parent], [], [], 0.5)[0]:  # on a busy host, what was written takes a while
                self._read()
            self.resize(width, height)
            self._tell_size(width, height)

    def until(self, happened: Callable[[], object], seconds: float = 120) -> None:
        """Show what the process writes until something has happened; it is asked after each piece."""
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, "\n".join(self.history)
            if not self._read():
                assert happened(), "\n".join(self.history)
                return

    def wait(self) -> int:
        """Show the rest. Returns the exit code."""
        while self._read():
            pass
        os.close(self.parent)
        return self.process.wait(timeout=60)

    def _read(self) -> bool:
        if not select.select([self.parent], [], [], 60)[0]:
            raise AssertionError("nothing was written for a minute\n" + "\n".join(self.history))
        try:
            data = os.read(self.parent, 65536)
        except OSError:  # how Linux says that the other side is closed
            data = b""
        text = self.decoder.decode(data)
        self.raw += text
        self.feed(text)
        return bool(data)

    def _tell_size(self, width: int, height: int) -> None:
        fcntl.ioctl(self.parent, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def _is_taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
