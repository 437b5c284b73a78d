"""The result of a run, as it stays in memory."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.disk.calibration import Calibration
from trainer.run.throughput import Throughput
from trainer.tasks.baseline import Baseline


@dataclass
class Result:
    """The result of a run. best, last and test: metrics by name. measured: the values that `expect` may name.
    baseline: of the validation split."""

    run_dir: Path
    status: str
    best: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    baseline: Baseline = Baseline()
    calibration: Calibration | None = None
    throughput: Throughput | None = None
    checkpoint: Path | None = None  # the newest

    @property
    def cut_short(self) -> bool:
        """Whether a signal or a search ended it, so that nobody waits for its pictures or its test."""
        return self.status in ("stopped", "pruned")
