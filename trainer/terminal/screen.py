"""Lines for people: the same on a terminal, in a pipe and in train.log; a terminal has a live region below them.

An output that fails ends the screen and not the work: the lines then go to train.log alone.
"""

import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from trainer.disk.storage import AppendFile
from trainer.errors import complain
from trainer.terminal import output
from trainer.terminal.region import Region, is_live, waiting
from trainer.terminal.warnings import captured
from trainer.text import cleaned, cleaned_lines, labelled


class Screen:
    """Writes lines to stdout or `file`, and to train.log; until that is open, `early` keeps its lines."""

    def __init__(self, file: TextIO | None = None) -> None:
        # A notebook claims to be a terminal, but gets cursor movements wrong.
        notebook = "ipykernel" in sys.modules or {"JPY_PARENT_PID", "COLAB_RELEASE_TAG"} & os.environ.keys()
        plain = False if notebook else None
        options: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}
        self.console = Console(file=file, force_terminal=plain, force_jupyter=plain, **options)
        self.output = output.of(self.console.file)
        self.log: AppendFile | None = None
        self.early = io.StringIO()
        self.region = Region(self.console)

    @property
    def interactive(self) -> bool:
        """Whether a live region works here."""
        return is_live(self.console)

    @property
    def shown(self) -> bool:
        """Whether its lines go to this process's stdout, so that another process can write there too."""
        try:
            return self.console.file.fileno() == 1
        except (OSError, ValueError):
            return False

    @property
    def ascii_only(self) -> bool:
        """Whether stdout can show only ASCII."""
        return not self.console.encoding.lower().startswith("utf")

    def say(self, *lines: str, style: str | None = None) -> None:
        """Write lines, or an empty one, to stdout and train.log. Each becomes one line, whatever it holds."""
        for line in lines or ("",):
            self._say(cleaned(line).rstrip(), style)

    def _say(self, text: str, style: str | None) -> None:
        if self.ascii_only:
            text = text.translate(PLAIN).encode("ascii", "replace").decode()
        if self.console.is_terminal:
            self.console.print(Text(text, style=style or ""))  # print(text, style) would paint the live region too
        else:
            self.console.file.write(text + "\n")
            self.console.file.flush()
        self.note(text)
        self._tell_trouble()

    def entry(self, label: str, texts: Sequence[str], style: str | None = None) -> None:
        """Write paragraphs, each wrapped, with `label` before the first line."""
        self.say(*labelled(f"{label:<9}", texts), style=style)

    def warn(self, texts: Sequence[str], where: str = "") -> None:
        """Write a warning. where: the place that raised it, for train.log only."""
        self.entry("warning", texts, style="yellow")
        if where:
            self.note(f"         at {where}")

    def note(self, text: str) -> None:
        """Write to train.log only what is too long for a screen, such as a traceback."""
        (self.log or self.early).write(cleaned_lines(text.rstrip()) + "\n")

    def open_log(self, path: Path) -> None:
        """Write train.log from now on, starting with the lines so far. Does nothing if it is open already."""
        if self.log is None:
            self.log = AppendFile(path)
            self.log.write(self.early.getvalue())
            self.early = io.StringIO()

    def show(self, lines: Sequence[Text]) -> None:
        """Draw the live region again. Does nothing without a terminal."""
        if self.output.error is not None or not self.interactive:
            return
        for line in lines:
            line.plain = cleaned(line.plain)
        self.region.show(lines)

    def status(self, text: str) -> None:
        """Say in the live region what takes a while, until something else is shown there."""
        self.clear()  # one line would stand below as many empty ones as the region had
        self.show([waiting(text, self.console)])

    def clear(self) -> None:
        """Remove the live region."""
        self.region.clear()

    def _tell_trouble(self) -> None:
        if text := self.output.trouble():
            self.note(f"note     {text}")
            if not self.output.reader_has_gone:
                complain(f"warning: {text}")

    def close(self) -> None:
        """Remove the live region and close train.log."""
        self.clear()
        self._tell_trouble()
        if self.log is not None:
            self.log.close()
            self.log = None

    def __enter__(self) -> "Screen":
        logger = logging.getLogger("trainer")
        handler = _ToScreen(self)  # shows the messages of logging.getLogger("trainer…") too
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        self.hooks = ExitStack()
        self.hooks.callback(logger.removeHandler, handler)
        self.hooks.enter_context(captured(self.warn))
        return self

    def __exit__(self, *error: object) -> None:
        self.hooks.close()
        self.close()


PLAIN = str.maketrans({"×": "x", "·": "-", "±": "+", "…": "...", "–": "-", "→": "->"})


class _ToScreen(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self.screen.say(*self.format(record).split("\n"))
