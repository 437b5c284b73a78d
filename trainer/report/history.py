"""metrics.jsonl read back: the curves and the evaluations of a run."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from trainer import rundir


@dataclass(frozen=True)
class History:
    """curves: train and val losses as (step, value). evaluations: their metrics by name, with step and epoch."""

    curves: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {"train": [], "val": []})
    evaluations: list[dict[str, float]] = field(default_factory=list)

    def at(self, step: int) -> dict[str, float]:
        """The metrics of the evaluation at a step; {} where there is none."""
        rows = [row for row in self.evaluations if row["step"] == step]
        return {name: value for name, value in rows[-1].items() if "/" in name} if rows else {}


def read(folder: Path) -> History:
    """The history of a run folder; a last line that a kill has cut short is left out."""
    history = History()
    try:
        lines = (folder / rundir.METRICS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return history
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        values = {name: math.nan if value is None else value for name, value in row.items()}
        if row.get("eval"):
            history.evaluations.append(values)
            if "val/loss" in values:
                history.curves["val"].append((values["step"], values["val/loss"]))
        elif "train/loss" in values:
            history.curves["train"].append((values["step"], values["train/loss"]))
    if len(history.curves["train"]) < len(history.evaluations):  # steps so few that hardly one was logged
        history.curves["train"][:] = [(row["step"], row["train/loss"]) for row in history.evaluations]
    return history
