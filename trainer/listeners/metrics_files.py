"""metrics.jsonl, the source of every table and plot, and results.csv, one row an evaluation."""

import csv
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.disk import layout, storage
from trainer.events import Evaluated, Event, Stepped
from trainer.state import TrainState


class MetricsFiles:
    """Appends whole lines, flushed one by one. NaN and infinity are written as null, so that each line is JSON."""

    def __init__(self, run: TrainState, folder: Path) -> None:
        self.run = run
        self.started = time.monotonic()
        self.jsonl = storage.Lines(folder / layout.METRICS)
        self.csv = storage.Lines(folder / layout.RESULTS)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            if event.step % self.run.log_every == 0:
                self._line(event.step, {"train/loss": event.loss.item()}, lr=event.lr, norm=event.norm)
        elif isinstance(event, Evaluated):
            lr = self.run.optimizer.param_groups[0]["lr"]
            self._line(event.step, {"eval": True, **event.metrics}, lr=lr)
            self._row({"epoch": self._epoch(event.step), "step": event.step, **event.metrics, "lr": lr})

    def sync(self) -> dict[str, int]:
        """Bytes in each file now; they are on the disk."""
        return {layout.METRICS: self.jsonl.sync(), layout.RESULTS: self.csv.sync()}

    def close(self) -> None:
        """Close both files."""
        self.jsonl.close()
        self.csv.close()

    def _epoch(self, step: int) -> float:
        epoch = step / self.run.progress.steps_per_epoch
        return int(epoch) if epoch == int(epoch) else round(epoch, 6)

    def _line(self, step: int, metrics: Mapping[str, Any], *, lr: float, norm: Any = None) -> None:
        line = {"step": step, "epoch": self._epoch(step), **{k: _json(v) for k, v in metrics.items()}, "lr": lr}
        if norm is not None:
            line["grad_norm"] = _json(float(norm))
        line["seconds"] = round(time.monotonic() - self.started, 4)
        self.jsonl.write(json.dumps(line, allow_nan=False) + "\n")

    def _row(self, values: Mapping[str, Any]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(values), lineterminator="\n")
        if self.csv.size == 0:
            writer.writeheader()
        writer.writerow(values)
        self.csv.write(text.getvalue())


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and value - value != 0 else value
