"""The live region in a real terminal, of a run from its first moment to its end."""

import io
import os
import re
import signal
from pathlib import Path

import pytest

pytest.importorskip("pty", reason="no terminals of this kind on Windows")

from rich.console import Console
from rich.text import Text
from terminal import DRAWS_BY_TURNS, Grid, Terminal

from trainer.terminal.region import Region

BAR = re.compile(r"(\d+ s|[\d:]+) left  ([\d,]+)/1,150,000(  loss \S+)?(  \S+ samples/s)?$")
ROW = re.compile(r" +([\d,]+)/50k +([\d,]+) +\d")
HEAD = "     epoch      step train/loss   val/loss    val/acc"
BEST = re.compile(r" +best +[\d,]+  ")

# Torch can be imported only once somebody has written into a pipe.
HELD = """
import sys
class Held:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            sys.meta_path.remove(self)
            open({pipe!r}).read()
sys.meta_path.insert(0, Held())
"""


def number(text: str) -> int:
    return int(text.replace(",", ""))


class Shown:
    """What a screen shows of a run; checked whenever it is looked at."""

    def __init__(self, terminal: Terminal) -> None:
        lines = terminal.screen
        self.bars = [match for line in lines if (match := BAR.search(line))]
        self.rows = [number(match[2]) for line in lines if (match := ROW.match(line))]
        self.heads = lines.count(HEAD)
        self.curves = sum("⠒ train" in line for line in lines)
        self.best = [line for line in lines if BEST.match(line)]
        assert max(map(len, lines)) <= terminal.width
        assert len(self.bars) <= 1
        assert len(self.best) <= 1
        assert self.curves <= 1
        if self.bars and self.rows:
            assert number(self.bars[0][2]) >= self.rows[-1]  # the bar is not behind the rows

    @property
    def is_whole(self) -> bool:
        return bool(self.bars and self.best and self.curves)


@pytest.mark.parametrize("widths", [(60, 80, 46, 80), (46, 80, 46, 120, 50), (60, 46, 120, 46)])
def test_nothing_of_the_region_stays_on_a_terminal_made_narrow_twice(widths: tuple[int, ...]) -> None:
    """It wraps the region's lines each time, and keeps the rows below the region."""
    out, grid = io.StringIO(), Grid(80, 24)
    console = Console(file=out, force_terminal=True, width=80, height=24, soft_wrap=True)
    region = Region(console)

    def shown() -> list[str]:
        grid.feed(out.getvalue().replace("\n", "\r\n"))
        out.seek(out.truncate(0))
        return [line for line in grid.history if line]

    said = [f"row {number}" for number in range(30)]
    for line in said:
        console.print(line)
    for width in widths:
        region.show([Text(), *(Text(f"line {number} " + "=" * 70) for number in range(10))])
        shown()
        grid.resize(width, 24)
        console.width = width
        region.show(region.lines)
        assert [line for line in shown() if "=" not in line] == said
        assert sum("=" in line for line in shown()) == 10
        said.append(f"text at {width}")
        console.print(said[-1])
        assert [line for line in shown() if "=" not in line] == said
    region.clear()
    assert shown() == said


@pytest.mark.slow
def test_a_run_is_shown_from_its_first_moment_to_its_end_whatever_the_size(tmp_path: Path) -> None:
    pipe, lock = tmp_path / "pipe", tmp_path / "lock"
    os.mkfifo(pipe)
    (tmp_path / "site").mkdir()
    first = DRAWS_BY_TURNS.format(lock=str(lock)) + HELD.format(pipe=str(pipe))
    (tmp_path / "site/sitecustomize.py").write_text(first)
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).resolve().parents[2])])
    terminal = Terminal(tmp_path, ["train", "epochs=50000", "report=false"], PYTHONPATH=path)
    terminal.until(lambda: "importing torch…" in terminal.screen)  # and it is not imported yet
    pipe.write_text("go on")
    terminal.until(lambda: Shown(terminal).is_whole)

    for width, height in ((60, 24), (80, 24), (46, 24), (120, 40), (80, 24)):
        terminal.resize_between(lock, width, height)
        before = len(terminal.raw)
        terminal.until(lambda start=before: len(terminal.raw) > start and Shown(terminal).is_whole)
        left = [line for line in terminal.history if " left  " in line or BEST.match(line) or "⠒ train" in line]
        assert len(left) == 3, "\n".join(terminal.history)  # the region, and nothing of the one before
        # One above the table and one in the region, where they are not wrapped.
        assert terminal.history.count(HEAD) == (2 if width > len(HEAD) else 0), "\n".join(terminal.history)

    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.wait() == 130
    log = (tmp_path / "outputs/latest/train.log").read_text(encoding="utf-8")
    assert "\x1b" not in log
    said = terminal.history
    assert not [line for line in said if "left  " in line or "importing" in line or BEST.match(line)]
    for line in log.splitlines():
        assert line in said, "\n".join(said)
