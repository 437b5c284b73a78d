"""What a run's metrics files have lost, compared with its newest checkpoint: rows, or their true values."""

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainer.disk import layout, reading, storage
from trainer.disk.history import MOST, History
from trainer.errors import complain
from trainer.state import TrainState
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


def best_of(run: TrainState, folder: Path, past: History) -> dict[str, float]:
    """The metrics of the best evaluation. Warns where metrics.jsonl says another value than the checkpoint."""
    progress, monitor = run.progress, run.stopping.monitor
    best = dict(past.at(progress.best_step))
    if progress.best is not None and best.get(monitor) != progress.best:
        path, step = layout.relative(folder / layout.METRICS), progress.best_step
        said = f"{best[monitor]:.6g}" if monitor in best else "nothing"
        complain(f"warning: {path} says {said} of {monitor} at step {step:,}, but it was {progress.best:.6g}")
        best[monitor] = progress.best
    return best


def _num_damaged(path: Path, text: str) -> int:
    """The number of lines that are not a row with a step. The first line of results.csv names its columns."""
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
