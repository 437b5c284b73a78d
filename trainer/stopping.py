"""Reasons to stop, the metrics by name, and which evaluation is better: for the best weights and an early stop."""

import math
import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from trainer.config.asked_metrics import SHORT
from trainer.config.schema import EarlyStop
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

METRICS = {  # of a validation split, by task, and the better direction of each
    "classes": {"loss": "min", "acc": "max", "f1": "max", "balanced_acc": "max"},
    "numbers": {"loss": "min", "mse": "min", "mae": "min", "r2": "max"},
    "labels": {"loss": "min", "f1": "max", "subset_acc": "max"},
    "tokens": {"loss": "min", "acc": "max", "perplexity": "min", "bits": "min"},
    "pixels": {"loss": "min", "acc": "max", "iou": "max"},
    "input": {"loss": "min", "mse": "min"},
    "free": {"loss": "min"},
}
MODES = {name: mode for metrics in METRICS.values() for name, mode in metrics.items()}
MONITORS = ("train/loss", *(f"val/{name}" for name in MODES))  # all that a run can report


class StopReason(StrEnum):
    """Why a run ended before its last step. The values are stored in checkpoints and summary.json."""

    DIVERGED = "diverged"
    EARLY_STOP = "early stop"
    GUARD = "guard"
    MAX_TIME = "max time"
    PRUNED = "pruned"
    LISTENER = "listener"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGHUP = "SIGHUP"

    @property
    def status(self) -> str:
        """The run's status in summary.json: ok, failed, diverged, pruned or stopped."""
        ends = {"early stop": "ok", "max time": "ok", "listener": "ok"}
        known = ends | {"guard": "failed", "diverged": "diverged", "pruned": "pruned"}
        return known.get(self, "stopped")

    @property
    def signal(self) -> int | None:
        """The number of the signal that stopped the run, if one did."""
        return getattr(signals, self, None) if self.status == "stopped" else None


def status_of(reason: StopReason | None) -> str:
    """The status of a run that ended for this reason, or, with None, took all of its steps."""
    return reason.status if reason is not None else "ok"


class Standing(NamedTuple):
    """How good an evaluation is: the larger of two is the better. The loss decides between equal values of the metric;
    NaN is worse than any number."""

    value: float
    loss: float


@dataclass(frozen=True)
class Stopping:
    """The monitored metric, and how many evaluations in a row without improvement end the run (None: never). mode: max
    if a larger value is better, else min; modes: that of each metric for which it is known."""

    monitor: str
    patience: int | None
    min_delta: float
    mode: str = "min"
    modes: Mapping[str, str] = field(default_factory=dict)

    def standing(self, value: float, loss: float | None) -> Standing:
        """Where an evaluation stands. value: of the monitored metric; loss: of the same weights, None if unknown."""
        if math.isnan(value):
            return Standing(-math.inf, -math.inf)
        known = loss is not None and not math.isnan(loss)
        return Standing(value if self.mode == "max" else -value, -loss if known else -math.inf)  # type: ignore[operator]

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than min_delta, so that patience starts again."""
        if reference is None:
            return not math.isnan(value)
        return (value - reference if self.mode == "max" else reference - value) > self.min_delta


def loss_of(metrics: Mapping[str, float]) -> float | None:
    """The loss that decides between equal values of the metric: of the validation split, if there is one."""
    return metrics.get("val/loss", metrics.get("train/loss"))


def unknown_metric(monitor: str, known: Sequence[str]) -> ConfigError:
    """The error for a metric that is not among those known; the hint is the full name of a short one, what asks for one
    that no task has, or auto."""
    last, ends = monitor.rpartition("/")[2], [name.rpartition("/")[2] for name in known]
    short = SHORT.get(last, last)
    near = short if short in ends else closest(last, ends)
    meant = [name for name, end in zip(known, ends, strict=True) if end == near]
    text = f"monitor={monitor}: this run reports no such metric"
    if meant:
        return ConfigError(text + (f". Did you mean {meant[-1]}?" if near != last else ""), f"monitor={meant[-1]}")
    is_new = monitor == f"val/{last}" and last not in MODES
    hint = f"'metrics=[{last}]' monitor=val/{short}" if is_new else "monitor=auto"
    return ConfigError(f"{text}; it has {', '.join(known)}", hint)


def make_stopping(
    monitor: str, early_stop: EarlyStop, modes: Mapping[str, str | None], favourite: str, typed: str | None = None
) -> Stopping:
    """Choose the monitored metric, and its better direction.

    modes: the metrics that the validation split can give, each with its direction, None where it does not say; empty
    without such a split. favourite: the one of them that monitor=auto means. typed: monitor_mode. Raises ConfigError
    for a metric that the run cannot report, and for a direction that is not known, or not the typed one.
    """
    known = {"train/loss": "min", **{f"val/{name}": mode for name, mode in modes.items()}}
    if monitor == "auto":
        monitor = f"val/{favourite}" if modes else "train/loss"
    if monitor not in known:
        raise unknown_metric(monitor, list(known))
    mode = known[monitor] or typed
    if mode is None:
        text = f"monitor={monitor}: whether more or less of it is better is not known, so say max or min"
        raise ConfigError(text, "monitor_mode=max", "monitor")
    if typed not in (None, mode):
        text = f"monitor_mode={typed}, but of {monitor} {'more' if mode == 'max' else 'less'} is better"
        raise ConfigError(text, "monitor_mode=null", "monitor_mode")
    stored = {name: mode for name, mode in known.items() if mode is not None} | {monitor: mode}
    return Stopping(monitor, early_stop.patience, early_stop.min_delta, mode, stored)
