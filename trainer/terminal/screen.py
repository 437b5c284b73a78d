"""What a person reads: the same lines on a terminal, in a pipe and in train.log; on a terminal a live region below."""

import io
import logging
import os
import sys
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from trainer.disk.storage import Lines
from trainer.terminal.warnings import told
from trainer.text import WIDTH


class Screen:
    """Human lines, to stdout or `file`. What is said before the run folder exists goes to train.log when it opens."""

    def __init__(self, file: TextIO | None = None) -> None:
        plain = False if in_notebook() else None
        self.console = Console(
            file=file,
            force_terminal=plain,
            force_jupyter=plain,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )
        self.log: Lines | None = None
        self.early = io.StringIO()
        self.live: Live | None = None

    @property
    def interactive(self) -> bool:
        """Whether there is a terminal on which a live region works."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and "CI" not in os.environ

    @property
    def shown(self) -> bool:
        """Whether its lines go to this process's stdout, where another process may write them as well."""
        try:
            return self.console.file.fileno() == 1
        except (OSError, ValueError):
            return False

    @property
    def ascii_only(self) -> bool:
        """Whether stdout cannot show more than ASCII."""
        return not self.console.encoding.lower().startswith("utf")

    def say(self, line: str = "", style: str | None = None) -> None:
        """One line, or several, to stdout and to train.log."""
        text = line.rstrip()
        if self.ascii_only:
            text = text.translate(PLAIN).encode("ascii", "replace").decode()
        if self.console.is_terminal:
            self.console.print(Text(text, style=style or ""))  # print(text, style) would paint the live region too
        else:
            self.console.file.write(text + "\n")
            self.console.file.flush()
        (self.log or self.early).write(text + "\n")

    def entry(self, label: str, texts: Sequence[str], style: str | None = None) -> None:
        """Paragraphs, each wrapped, with `label` in front of the first line."""
        indent = " " * 9
        wrapped = [line for text in texts for line in textwrap.wrap(text, WIDTH - len(indent))]
        self.say(f"{label:<9}" + f"\n{indent}".join(wrapped), style=style)

    def warn(self, texts: Sequence[str], where: str = "") -> None:
        """A warning. where: what raised it, for train.log alone."""
        self.entry("warning", texts, style="yellow")
        if where:
            self.note(f"         at {where}")

    def note(self, text: str) -> None:
        """To train.log alone: what is too long for a screen, such as a traceback."""
        (self.log or self.early).write(text.rstrip() + "\n")

    def open_log(self, path: Path) -> None:
        """Write train.log from now on, beginning with what was said so far; nothing where that has begun."""
        if self.log is not None:
            return
        self.log = Lines(path)
        self.log.write(self.early.getvalue())
        self.early = io.StringIO()

    def show(self, renderable: RenderableType) -> None:
        """Draw the live region anew; nothing where there is no terminal."""
        if not self.interactive:
            return
        if self.live is None:
            self.live = Live(console=self.console, auto_refresh=False, transient=True, redirect_stderr=False)
            self.live.start()
        self.live.update(renderable, refresh=True)

    def clear(self) -> None:
        """Take the live region away."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def close(self) -> None:
        """Take the live region away and close train.log."""
        self.clear()
        if self.log is not None:
            self.log.close()
            self.log = None

    def __enter__(self) -> "Screen":
        logger = logging.getLogger("trainer")
        self.handler = _ToScreen(self)
        logger.addHandler(self.handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        self.hooks = ExitStack()
        self.hooks.enter_context(told(self.warn))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.hooks.close()
        logging.getLogger("trainer").removeHandler(self.handler)
        self.close()


def in_notebook() -> bool:
    """Whether what is printed goes to a notebook, which says that it is a terminal and gets cursor moves wrong."""
    return "ipykernel" in sys.modules or any(name in os.environ for name in ("JPY_PARENT_PID", "COLAB_RELEASE_TAG"))


PLAIN = str.maketrans({"×": "x", "·": "-", "±": "+", "…": "...", "–": "-", "→": "->"})


class _ToScreen(logging.Handler):
    """logging.getLogger('trainer…') speaks on the screen too."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self.screen.say(self.format(record))
