"""The layout of a run folder: its place, its files, how it is named and found. Imports no torch."""

import datetime
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.disk import reading, storage
from trainer.errors import ConfigError, StorageError

CONFIG, OVERRIDES, SUMMARY = "config.yaml", "overrides.yaml", "summary.json"
METRICS, RESULTS, LOG = "metrics.jsonl", "results.csv", "train.log"
MODEL, PICTURE, CHECKPOINTS = "model.safetensors", "results.png", "checkpoints"
PREPROCESSING, PREPROCESSING_FACTS = "preprocessing.safetensors", "preprocessing.json"
DATA, DATA_ROWS = "data.json", "data.safetensors"
OUTCOME, REPORT = "outcome.json", "report.html"
EXPORT, CARD = "export", "README.md"
LATEST, SWEEPS = "latest", "sweeps"
SWEEP, TABLE = "sweep.json", "sweep.csv"


def create(output_dir: str, label: str) -> Path:
    """Make a run folder, outputs/DATE/TIME-label-ID, and point the latest link at it. Raises StorageError."""
    return _create(Path(output_dir).expanduser(), "", "-" + re.sub(r"[^a-z0-9_-]+", "-", label.lower()))


def create_sweep(output_dir: str) -> Path:
    """Make a sweep folder, outputs/sweeps/DATE/TIME-ID, and point the latest link at it. Its jobs are run folders."""
    return _create(Path(output_dir).expanduser(), SWEEPS, "")


def check_writable(output_dir: str) -> None:
    """Raise StorageError if no run folder could be made here, before any time is spent on the run."""
    folder = Path(output_dir).expanduser().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise StorageError(f"run folders cannot go into {folder}, which is a file", "output_dir=FOLDER")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{folder} is not writable", "output_dir=FOLDER")


def _create(root: Path, kind: str, label: str) -> Path:
    while True:
        now = datetime.datetime.now()
        folder = root / kind / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}{label}-{secrets.token_hex(2)}"
        try:
            storage.make_folder(folder)
        except FileExistsError:  # another run has drawn the same name
            continue
        storage.point(root / LATEST, folder.relative_to(root))
        return folder


def find(name: str, output_dir: str = "outputs") -> Path:
    """The run folder that a user means: a path, the end of a run's name, or latest. Raises ConfigError."""
    root = Path(output_dir)
    if name == LATEST and not os.path.lexists(root / LATEST):
        raise ConfigError(f"there is no run below {root}/ yet", "trainer train")
    folder = _find(name, root, CONFIG, runs(root))
    if folder is None:
        raise ConfigError(f"no run '{name}' below {root}/", "trainer runs")
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} is not a run folder: it has no {CONFIG}", "trainer runs")
    return relative(folder)


def find_sweep(name: str, output_dir: str = "outputs") -> Path | None:
    """The sweep folder that a user means: a path, the end of a sweep's name, or latest; None if it is not a sweep."""
    root = Path(output_dir)
    sweeps = (path.parent for path in sorted(root.glob(f"{SWEEPS}/*/*/{SWEEP}")))
    folder = _find(name, root, SWEEP, sweeps)
    return relative(folder) if folder is not None and (folder / SWEEP).is_file() else None


def is_latest(folder: Path, output_dir: str = "outputs") -> bool:
    """Whether `latest` means this folder."""
    link = Path(output_dir) / LATEST
    return os.path.lexists(link) and (_latest(link).resolve() == folder.resolve())


def _latest(link: Path) -> Path:
    return link.parent / link.read_text(encoding="utf-8").strip() if link.is_file() else link.resolve()


def _find(name: str, root: Path, marker: str, folders: Iterable[Path]) -> Path | None:
    """latest's target, the path `name` if `marker` is there, or the only one of `folders` whose path ends so."""
    link = root / LATEST
    if name == LATEST and os.path.lexists(link):
        return _latest(link)
    if (Path(name) / marker).is_file():
        return Path(name)
    matches = [folder for folder in folders if folder.as_posix().endswith(name.rstrip("/"))]
    if len(matches) > 1:
        kind = "runs" if marker == CONFIG else "sweeps"
        raise ConfigError(
            f"'{name}' is the end of {len(matches)} {kind}", f"name one: {' or '.join(map(str, matches[:3]))}"
        )
    return matches[0] if matches else None


def jobs(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs that have started training."""
    return [path.parent for path in sorted(sweep.glob(f"*/{CONFIG}"))]


def relative(path: Path) -> Path:
    """The path as you would type it in the current folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def log_name(folder: Path) -> str:
    """The path of a run's log, as you would type it in the current folder."""
    return (relative(folder) / LOG).as_posix()


def runs(root: Path) -> Iterator[Path]:
    """Run folders below root, oldest first; then the jobs of sweeps."""
    for config in sorted(root.glob(f"*/*/{CONFIG}")) + sorted(root.glob(f"{SWEEPS}/*/*/*/{CONFIG}")):
        if config.parts[-3] != LATEST:
            yield config.parent


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json as data; {} if it is missing or broken."""
    with suppress(FileNotFoundError, reading.Damaged):
        summary = reading.read_json(folder / SUMMARY)
        return summary if isinstance(summary, dict) else {}
    return {}
