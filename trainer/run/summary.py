"""summary.json: what a run was and what became of it."""

import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainer import __version__
from trainer.build import sizes
from trainer.build.build import Setup
from trainer.disk import layout, storage
from trainer.run.throughput import Throughput
from trainer.state import TrainState


def command() -> str:
    """The command line of this process, as one would type it."""
    return shlex.join(["trainer", *sys.argv[1:]])


def write(
    folder: Path,
    run: TrainState,
    setup: Setup,
    *,
    status: str,
    seconds: dict[str, float],
    last: dict[str, float],
    best: dict[str, float],
    throughput: Throughput | None = None,
    error: str | None = None,
) -> None:
    """Write RUN/summary.json."""
    progress = run.progress
    summary: dict[str, Any] = {
        "status": status,
        "stop_reason": progress.stop_reason,
        "error": error,
        "monitor": run.stopping.monitor,
        "best": {"step": progress.best_step, **finite(best)} if progress.best is not None else None,
        "last": finite(last),
        "steps": progress.step,
        "num_steps": progress.num_steps,
        "epochs": round(progress.epoch, 6),
        "samples": progress.samples,
        "parameters": sizes.num_parameters(run.model),
        "model": sizes.describe(run.model),
        "dataset": setup.splits.name,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "samples_per_second": round(throughput.rate, 1) if throughput is not None else None,
        "waiting_for_data": round(throughput.waiting, 4) if throughput is not None else None,
        "seed": run.seed,
        "device": str(run.device),
        "threads": setup.threads,
        "argv": sys.argv[1:],
        "git": git_commit(),
        "versions": versions(),
    }
    storage.write_json(folder / layout.SUMMARY, summary)


def finite(metrics: dict[str, float]) -> dict[str, float | None]:
    """Metrics with null for NaN and infinity, which JSON has not."""
    return {name: value if value - value == 0 else None for name, value in metrics.items()}


@cache
def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    packages = {name: version(name) for name in ("torch", "hydra-core", "omegaconf", "numpy")}
    return {"trainer": __version__, "python": platform.python_version()} | packages


@cache
def git_commit() -> str | None:
    """The commit of the folder where the command was typed, with + for changes; None outside a repository."""
    try:
        words = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
