"""The run folder's contract: where it lies, what is in it, how it is named and found. No torch."""

import datetime
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.disk import reading, storage
from trainer.errors import ConfigError, StorageError

CONFIG, OVERRIDES, SUMMARY = "config.yaml", "overrides.yaml", "summary.json"
METRICS, RESULTS, LOG = "metrics.jsonl", "results.csv", "train.log"
MODEL, PICTURE, CHECKPOINTS = "model.safetensors", "results.png", "checkpoints"
PREPROCESSING, PREPROCESSING_FACTS = "preprocessing.safetensors", "preprocessing.json"
OUTCOME, REPORT = "outcome.json", "report.html"
EXPORT, CARD = "export", "README.md"
LATEST, SWEEPS = "latest", "sweeps"
SWEEP, TABLE = "sweep.json", "sweep.csv"


def create(output_dir: str, label: str) -> Path:
    """A new run folder, made exclusively: outputs/DATE/TIME-label-ID. Moves the latest link. Raises StorageError."""
    root = Path(output_dir).expanduser()
    folder = _create(root, "-" + re.sub(r"[^a-z0-9_-]+", "-", label.lower()))
    storage.point(root / LATEST, folder.relative_to(root))
    return folder


def create_sweep(output_dir: str) -> Path:
    """A new sweep folder, outputs/sweeps/DATE/TIME-ID; its jobs are run folders in it."""
    root = Path(output_dir).expanduser()
    folder = _create(root / SWEEPS, "")
    storage.point(root / LATEST, folder.relative_to(root))
    return folder


def create_job(sweep: Path, number: int) -> Path:
    """The run folder of a sweep's job: 000, 001, …"""
    folder = sweep / job_name(number)
    storage.make_folder(folder)
    return folder


def job_name(number: int) -> str:
    """The name of a job's folder."""
    return f"{number:03d}"


def check_writable(output_dir: str) -> None:
    """Raise StorageError where no run folder could be made, before anything is spent on the run."""
    folder = Path(output_dir).expanduser().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise StorageError(f"{folder} is a file, and run folders should go there", "output_dir=FOLDER")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{folder} is not writable", "output_dir=FOLDER")


def _create(root: Path, label: str) -> Path:
    while True:
        now = datetime.datetime.now()
        folder = root / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}{label}-{secrets.token_hex(2)}"
        try:
            storage.make_folder(folder)
        except FileExistsError:
            continue
        return folder


def find(name: str, output_dir: str = "outputs") -> Path:
    """The run folder that a user means: a path, the end of a run's name, or latest. Raises ConfigError."""
    root = Path(output_dir)
    if name == LATEST:
        link = root / LATEST
        if not os.path.lexists(link):
            raise ConfigError(f"there is no run below {root}/ yet", "trainer train")
        folder = root / link.read_text(encoding="utf-8").strip() if link.is_file() else link.resolve()
    elif (Path(name) / CONFIG).is_file():
        folder = Path(name)
    else:
        wanted = name.rstrip("/")
        ending = [run for run in runs(root) if run.name.endswith(wanted) or run.as_posix().endswith("/" + wanted)]
        if not ending:
            raise ConfigError(f"no run '{name}' below {root}/", "trainer runs lists them; latest is the newest")
        if len(ending) > 1:
            raise ConfigError(f"'{name}' is the end of {len(ending)} runs", " or ".join(map(str, ending[:3])))
        folder = ending[0]
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} is no run folder: it has no {CONFIG}", "trainer runs lists them")
    return relative(folder)


def find_sweep(name: str, output_dir: str = "outputs") -> Path | None:
    """The sweep folder that a user means: a path, the end of a sweep's name, or latest; None where it is no sweep."""
    root = Path(output_dir)
    link = root / LATEST
    if name == LATEST and os.path.lexists(link):
        folder = root / link.read_text(encoding="utf-8").strip() if link.is_file() else link.resolve()
        return relative(folder) if (folder / SWEEP).is_file() else None
    if (Path(name) / SWEEP).is_file():
        return Path(name)
    wanted = name.rstrip("/")
    ending = [
        path.parent for path in sorted(root.glob(f"{SWEEPS}/*/*/{SWEEP}")) if path.parent.as_posix().endswith(wanted)
    ]
    if len(ending) > 1:
        raise ConfigError(f"'{name}' is the end of {len(ending)} sweeps", " or ".join(map(str, ending[:3])))
    return ending[0] if ending else None


def jobs(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs that have begun to train."""
    return [path.parent for path in sorted(sweep.glob(f"*/{CONFIG}"))]


def relative(path: Path) -> Path:
    """A path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def log_name(folder: Path) -> str:
    """The path of a run's log, as one would type it here."""
    return (relative(folder) / LOG).as_posix()


def runs(root: Path) -> Iterator[Path]:
    """Run folders below root, oldest first, sweeps' jobs among them."""
    for config in sorted(root.glob(f"*/*/{CONFIG}")) + sorted(root.glob(f"{SWEEPS}/*/*/*/{CONFIG}")):
        if config.parts[-3] != LATEST:
            yield config.parent


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json, or {} where it is missing or broken."""
    try:
        summary = reading.read_json(folder / SUMMARY)
    except (FileNotFoundError, reading.Damaged):
        return {}
    return summary if isinstance(summary, dict) else {}
