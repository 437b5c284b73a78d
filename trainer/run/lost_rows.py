"""The rows of a run that were lost: a metrics file that is shorter than its newest checkpoint says."""

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainer.disk import layout, reading, storage
from trainer.disk.history import MOST
from trainer.errors import complain
from trainer.text import counted


def warn(path: Path, size: int, step: int) -> None:
    """Warn, with their steps, about the rows that a metrics file lacks, and cut off a row that is there in part.

    path: metrics.jsonl or results.csv. size: its bytes when the checkpoint was saved, at optimizer step `step`.
    """
    try:
        data = reading.read_file(path, MOST)
    except FileNotFoundError:
        data = b""
    except reading.Damaged:  # opening it to write says why
        return
    data = data[:size]
    whole = data.rpartition(b"\n")[0] + b"\n" if b"\n" in data else b""
    if damaged := _num_damaged(path, whole.decode(errors="replace")):
        complain(f"warning: {layout.relative(path)}: {counted(damaged, 'row')} cannot be read")
    if len(data) == size:
        return
    storage.truncate(path, len(whole))
    last = max(steps(path, whole.decode(errors="replace")), default=0)
    text = f"warning: {layout.relative(path)} is shorter than the checkpoint says ({len(data):,} of {size:,} bytes)"
    complain(f"{text}; its rows after step {last:,}, up to step {step:,}, are lost")


def _num_damaged(path: Path, text: str) -> int:
    """The number of lines that are no row with a step. The first line of results.csv names its columns."""
    num_rows = text.count("\n") - (path.name == layout.RESULTS and "\n" in text)
    return num_rows - len(list(steps(path, text)))


def steps(path: Path, text: str) -> Iterator[int]:
    """The optimizer steps of the rows in a metrics file."""
    if path.name == layout.RESULTS:
        found = [row.get("step") for row in csv.DictReader(text.splitlines())]
        yield from (int(value) for value in found if value and value.isdecimal())
        return
    for line in text.splitlines():
        with suppress(ValueError, RecursionError, AttributeError):
            if (step := reading.count(json.loads(line).get("step"))) is not None:
                yield step
