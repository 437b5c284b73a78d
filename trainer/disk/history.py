"""Reads metrics.jsonl back: the curves and the evaluations of a run."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading
from trainer.errors import StorageError

MOST = 2**32  # bytes of metrics.jsonl that are read
TAIL = 8192  # bytes: more than its last line takes

Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class History:
    """curves: (step, loss) points of "train" and "val". rates: (step, value) points of "lr" and "grad_norm".
    evaluations: the step, epoch and metrics of each, by name. terms: (step, value) points of a loss's terms in
    training."""

    curves: dict[str, Curve] = field(default_factory=lambda: {"train": [], "val": []})
    evaluations: list[dict[str, float]] = field(default_factory=list)
    rates: dict[str, Curve] = field(default_factory=lambda: {"lr": [], "grad_norm": []})
    terms: dict[str, Curve] = field(default_factory=dict)

    def at(self, step: int) -> dict[str, float]:
        """The metrics of the evaluation at a step; {} if there was none."""
        row = next((row for row in reversed(self.evaluations) if row["step"] == step), {})
        return {name: value for name, value in row.items() if "/" in name}


def read(folder: Path) -> History:
    """The history of a run folder. Lines that trainer did not write, or that a kill cut short, are left out."""
    history = History()
    try:
        lines = reading.read_file(folder / layout.METRICS, MOST).splitlines()
    except FileNotFoundError:
        return history
    except reading.Damaged as error:
        raise StorageError(str(error)) from error
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(row, dict) or reading.count(row.get("step")) is None:
            continue
        numbers = {name: value for name, value in row.items() if value is None or reading.number(value) is not None}
        values = {name: math.nan if value is None else value for name, value in numbers.items()}
        for name, curve in history.rates.items():
            if name in values:
                curve.append((values["step"], values[name]))
        if row.get("eval") and {"epoch", "train/loss"} <= values.keys():
            history.evaluations.append(values)
            if "val/loss" in values:
                history.curves["val"].append((values["step"], values["val/loss"]))
        elif "train/loss" in values:
            history.curves["train"].append((values["step"], values["train/loss"]))
            for name, value in values.items():
                if name.startswith("train/") and name != "train/loss":
                    history.terms.setdefault(name.removeprefix("train/"), []).append((values["step"], value))
    if len(history.curves["train"]) < len(history.evaluations):  # so few steps that hardly any was logged
        history.curves["train"][:] = [(row["step"], row["train/loss"]) for row in history.evaluations]
    return history


def last_row(folder: Path) -> dict[str, Any]:
    """The last whole line of a run's metrics.jsonl as data; {} if there is none yet."""
    try:
        *whole, _ = reading.read_file(folder / layout.METRICS, MOST, last=TAIL).split(b"\n")
        row = json.loads(whole[-1]) if whole else {}
    except (FileNotFoundError, reading.Damaged, ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
