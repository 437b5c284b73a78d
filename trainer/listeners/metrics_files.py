"""Writes metrics.jsonl, the source of every table and plot, and results.csv, one row per evaluation."""

import csv
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading, storage
from trainer.disk.json_text import finite
from trainer.events import Evaluated, Event, Stepped
from trainer.listeners import Listener
from trainer.state import TrainState

MOST = 2**32  # bytes of results.csv that are read


class MetricsFiles(Listener):
    """Appends complete lines, each written at once. NaN and infinity become null, so that each line is valid JSON."""

    def __init__(self, run: TrainState, folder: Path) -> None:
        self.run = run
        self.started = time.monotonic()
        self.jsonl = storage.AppendFile(folder / layout.METRICS)
        self.csv = storage.AppendFile(folder / layout.RESULTS)
        text = reading.read_file(folder / layout.RESULTS, MOST).decode("utf-8", "replace")
        self.columns = next(csv.reader(io.StringIO(text, newline="")), [])  # of a run that resumes, see _row

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            if event.logged is not None:
                loss, terms, norm = event.logged
                named = {f"train/{name}": value for name, value in zip(self.run.terms, terms, strict=True)}
                self._line(event.step, {"train/loss": loss, **named}, lr=event.lr, norm=norm)
                self.jsonl.check()  # after the line, which then belongs to the last checkpoint
        elif isinstance(event, Evaluated):
            lr = self.run.optimizer.param_groups[0]["lr"]
            self._line(event.step, {"eval": True, **event.metrics}, lr=lr)
            of_test = [name.replace("val/", "test/") for name in event.metrics if name.startswith("val/")]
            empty = dict.fromkeys(of_test if self.run.test_batches is not None else (), "")
            self._row({"epoch": self._epoch(event.step), "step": event.step, **event.metrics, "lr": lr, **empty})
            self.jsonl.check()

    def add_test(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a row of results.csv with the metrics of the test split. step: of the weights that were measured."""
        self._row({"epoch": self._epoch(step), "step": step, **metrics})

    def sync(self) -> dict[str, int]:
        """Wait until both files are on the disk; returns the size of each in bytes."""
        return {layout.METRICS: self.jsonl.sync(), layout.RESULTS: self.csv.sync()}

    def close(self) -> None:
        """Close both files."""
        self.jsonl.close()
        self.csv.close()

    def _epoch(self, step: int) -> float:
        epoch = step / self.run.progress.steps_per_epoch
        return int(epoch) if epoch == int(epoch) else round(epoch, 6)

    def _line(self, step: int, metrics: Mapping[str, Any], *, lr: float, norm: float | None = None) -> None:
        line = {"step": step, "epoch": self._epoch(step), **{k: finite(v) for k, v in metrics.items()}, "lr": lr}
        if norm is not None:
            line["grad_norm"] = finite(norm)
        line["seconds"] = round(time.monotonic() - self.started, 4)
        self.jsonl.write(json.dumps(line, allow_nan=False) + "\n")

    def _row(self, values: Mapping[str, Any]) -> None:
        text = io.StringIO()
        # The evaluations of a run that resumes may measure more now.
        header, self.columns = [] if self.columns else [list(values)], self.columns or list(values)
        row = [values.get(name, "") for name in self.columns]
        csv.writer(text, lineterminator="\n").writerows([*header, row])
        self.csv.write(text.getvalue())
