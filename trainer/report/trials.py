"""The trials of a search, from its plan and the results of its jobs. No study is stored, and optuna is not needed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.compare.rows import Row
from trainer.config.search_space import Axis
from trainer.disk.sweep_plan import Job, Plan

DONE, PRUNED, FAILED = "finished", "pruned", "failed"


@dataclass(frozen=True)
class Trial:
    """One that has ended. number: of its job. params: what was proposed, as typed. kind: DONE, PRUNED or FAILED.
    value: the metric; of a pruned one where it stopped, of a failed one NaN."""

    number: int
    params: dict[str, str]
    kind: str
    value: float


def trials(jobs: Sequence[Job], results: Sequence[Row], metric: str) -> list[Trial]:
    """The trials that have ended, in order. jobs: of the plan; results: their rows. [] for a grid."""
    found = []
    for job, row in zip(jobs, results, strict=True):
        value = row.metrics.get(metric, math.nan)
        is_known = math.isfinite(value) and not row.failed
        kind = {"ok": DONE, "pruned": PRUNED}.get(row.status, FAILED) if is_known else FAILED
        if job.trial and (row.status in ("ok", "pruned") or row.failed):
            found.append(Trial(job.number, job.trial, kind, value if is_known else math.nan))
    return found


def axes(plan: Plan) -> dict[str, Axis]:
    """The axes of a stored search by key; {} where the plan does not say them, as one of version 0.1.0."""
    search: Mapping[str, Any] = plan.search or {}
    try:
        found = [Axis.of_data(entry) for entry in search["axes"]]
        return {axis.key: axis for axis in found if axis.choices or _is_interval(float(axis.low), float(axis.high))}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return {}


def _is_interval(low: float, high: float) -> bool:
    return -math.inf < low < high < math.inf
