"""summary.json: the facts of a run and its result."""

import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from trainer import __version__
from trainer.build import sizes
from trainer.build.build import Setup
from trainer.config import given
from trainer.disk import layout, storage
from trainer.disk.json_text import finite
from trainer.run.result import Result
from trainer.state import TrainState
from trainer.stopping import StopReason


def write(run: TrainState, setup: Setup, result: Result, error: str | None = None) -> None:
    """Write RUN/summary.json. error: why the run failed."""
    progress, throughput, baseline = run.progress, result.throughput, result.baseline
    reason = progress.stop_reason
    best = {"step": progress.best_step, **{name: finite(value) for name, value in result.best.items()}}
    config = setup.config
    summary: dict[str, Any] = {
        "name": config.name,
        "tags": config.tags,
        "notes": config.notes,
        "status": result.status,
        "stop_reason": progress.stop_note if reason == StopReason.LISTENER else reason,
        "error": error,
        "monitor": run.stopping.monitor,
        "modes": dict(run.stopping.modes),
        "best": best if progress.best is not None else None,
        "last": {name: finite(value) for name, value in result.last.items()},
        "test": {name: finite(value) for name, value in result.test.items()} or None,
        "baseline": {"answer": baseline.answer, **baseline.metrics} if baseline.metrics else None,
        "calibration": asdict(result.calibration) if result.calibration is not None else None,
        "steps": progress.step,
        "num_steps": progress.num_steps,
        "epochs": round(progress.epoch, 6),
        "samples": progress.samples,
        "parameters": sizes.num_parameters(run.model),
        "model": sizes.describe(run.model),
        "dataset": setup.splits.name,
        "data": setup.splits.fingerprint.digest,
        "loss": config.loss["_target_"],
        "num_train": setup.splits.num_rows("train"),
        "num_val": setup.splits.num_rows("val"),
        "num_test": setup.splits.num_rows("test"),
        "ended": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        "seconds": {name: round(value, 3) for name, value in result.seconds.items()},
        "samples_per_second": round(throughput.rate, 1) if throughput is not None else None,
        "waiting_for_data": round(throughput.waiting, 4) if throughput is not None else None,
        "given": given.described(vars(setup.config)),
        "seed": run.seed,
        "device": str(run.device),
        "threads": setup.threads,
        "argv": sys.argv[1:],
        "git": git_commit() if setup.reaches_out else None,
        "versions": versions(),
    }
    storage.write_json(result.run_dir / layout.SUMMARY, summary)


@cache
def versions() -> dict[str, str]:
    """The versions of everything that the numbers depend on."""
    packages = {name: version(name) for name in ("torch", "hydra-core", "omegaconf", "numpy")}
    return {"trainer": __version__, "python": platform.python_version()} | packages


@cache
def git_commit() -> str | None:
    """The commit of the folder where the command was typed, with + for changes; None outside a repository.

    git runs what the repository's own settings name (filters): do not call it for a stranger's folder.
    """
    try:
        command = ["git", "-c", "core.fsmonitor=false", "describe", "--always", "--dirty=+"]
        command += ["--abbrev=12", "--exclude=*"]
        git = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return git.stdout.strip() or None
