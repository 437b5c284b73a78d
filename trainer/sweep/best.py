"""The best results of a sweep so far."""

from collections.abc import Sequence

from trainer.compare import rows
from trainer.compare.protocol import protocol
from trainer.compare.rows import Row
from trainer.disk.sweep_plan import Job


class Best:
    """The best value so far, for each metric and what it was trained and measured on."""

    def __init__(self) -> None:
        self.values: dict[tuple[object, ...], float] = {}
        self.is_mixed = False  # whether not all jobs are compared with each other

    def compare(self, jobs: Sequence[Job], monitor: str) -> None:
        """Look at which of the jobs can be compared. monitor: the metric of those that name none."""
        self.is_mixed = len({(job.data.get("monitor"), protocol(job.data).key(monitor)) for job in jobs}) > 1

    def praise(self, row: Row) -> str:
        """Take in a job's result. Returns what its line says if it is the best; otherwise ''."""
        value, key = row.value(row.monitor), (row.monitor, row.fraction, row.protocol.key(row.monitor))
        best, better = self.values.get(key), max if rows.mode(row.monitor, [row]) == "max" else min
        if value is None or not (best is None or better(value, best) == value != best):
            return ""
        self.values[key] = value
        text = f"best so far of {row.protocol.name}" if self.is_mixed else "best so far"
        return text + (f" of fraction {row.fraction:g}" if row.fraction < 1 else "")

    @property
    def is_one(self) -> bool:
        """Whether all results so far can be compared."""
        return len(self.values) == 1
