"""The layout of a run folder: its place, its files, how it is named and found. Imports no torch."""

import datetime
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.disk import folder as folders
from trainer.disk import reading, storage
from trainer.disk.folder import FolderPath
from trainer.errors import ConfigError, StorageError

CONFIG, OVERRIDES, SUMMARY = "config.yaml", "overrides.yaml", "summary.json"
METRICS, RESULTS, LOG = "metrics.jsonl", "results.csv", "train.log"
MODEL, PICTURE, CHECKPOINTS = "model.safetensors", "results.png", "checkpoints"
LOSS = "loss.safetensors"  # what a run has trained in its loss, if anything
EARLIER = "checkpoints.earlier"  # those of a failed attempt, until the next one has a checkpoint of its own
PREPROCESSING, PREPROCESSING_FACTS = "preprocessing.safetensors", "preprocessing.json"
DATA, DATA_ROWS = "data.json", "data.safetensors"
VAL_ROWS = "val_rows.safetensors"
IMPORTANCE = "importance.json"
CALIBRATION = "calibration.json"
OUTCOME, REPORT = "outcome.json", "report.html"
GIT_DIFF = "git.diff"
EXPORT, CARD = "export", "README.md"
LATEST, SWEEPS = "latest", "sweeps"
LONGEST = 150  # characters of a folder's label
DAY = r"\d{4}-\d\d-\d\d"  # the name of the folder of a day
SWEEP, TABLE = "sweep.json", "sweep.csv"


def create(output_dir: str, label: str) -> FolderPath:
    """Make a run folder, outputs/DATE/TIME-label-ID, and point the latest link at it. Raises StorageError."""
    return _create(Path(output_dir).expanduser(), "", "-" + re.sub(r"[^a-z0-9_-]+", "-", label.lower())[:LONGEST])


def create_sweep(output_dir: str) -> FolderPath:
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


def _create(root: Path, kind: str, label: str) -> FolderPath:
    while True:
        now = datetime.datetime.now()
        folder = root / kind / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}{label}-{secrets.token_hex(2)}"
        try:
            storage.make_folder(folder)
        except FileExistsError:  # another run has drawn the same name
            continue
        storage.point(root / LATEST, folder.relative_to(root))
        return folders.top(folder)


def opened(folder: Path) -> FolderPath:
    """The path of a run or sweep folder, below which no link is followed; a job's folder lies below its sweep's."""
    if isinstance(folder, FolderPath):
        return folder
    is_job = (folder.parent / SWEEP).is_file()
    return folders.top(folder.parent) / folder.name if is_job else folders.top(folder)


def root_of(folder: Path) -> Path:
    """The outputs folder that a run folder lies in, as DATE/RUN or as sweeps/DATE/SWEEP/JOB; outputs/ for others."""
    run, sweep = folder.absolute(), folder.absolute().parent
    if re.fullmatch(DAY, run.parent.name):
        return run.parent.parent
    if re.fullmatch(DAY, sweep.parent.name) and sweep.parent.parent.name == SWEEPS:
        return sweep.parent.parent.parent
    return Path("outputs")


def sweep_of(folder: Path) -> str | None:
    """The name of the sweep's folder that a job's folder lies in; None for another run."""
    return folder.absolute().parent.name if (folder.absolute().parent / SWEEP).is_file() else None


def title(folder: Path) -> str:
    """The name of a run among others elsewhere: of its folder, and for a job of the sweep's before it."""
    sweep = sweep_of(folder)
    return folder.name if sweep is None else f"{sweep}-{folder.name}"


def find(name: str, output_dir: str = "outputs") -> FolderPath:
    """The run folder that a user means: a path, the end of a run's name, or latest. Raises ConfigError."""
    root = Path(output_dir)
    if name == LATEST and not os.path.lexists(root / LATEST):
        raise ConfigError(f"there is no run below {root}/ yet", "trainer train")
    folder = _find(name, root, CONFIG, runs(root))
    if folder is None:
        raise ConfigError(f"no run '{name}' below {root}/", "trainer runs")
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} is not a run folder: it has no {CONFIG}", "trainer runs")
    return opened(relative(folder))


def find_sweep(name: str, output_dir: str = "outputs") -> FolderPath | None:
    """The sweep folder that a user means: a path, the end of a sweep's name, or latest; None if it is not a sweep."""
    root = Path(output_dir)
    sweeps = (path.parent for path in sorted(root.glob(f"{SWEEPS}/*/*/{SWEEP}")))
    folder = _find(name, root, SWEEP, sweeps)
    return folders.top(relative(folder)) if folder is not None and (folder / SWEEP).is_file() else None


def is_latest(folder: Path, output_dir: str = "outputs") -> bool:
    """Whether `latest` means this folder."""
    link = Path(output_dir) / LATEST
    return os.path.lexists(link) and (_latest(link).resolve() == folder.resolve())


def _latest(link: Path) -> Path:
    if link.is_file():
        return link.parent / link.read_text(encoding="utf-8").strip()
    try:
        return link.resolve()
    except (RuntimeError, OSError):  # a circle of links leads to no folder
        return link


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
    """The folders of a sweep's jobs that have started training. A link to a folder is none."""
    sweep = opened(sweep)
    return [sweep / name for name in folders.names(sweep) if (sweep / name / CONFIG).is_file()]


def relative(path: Path) -> Path:
    """The path as you would type it in the current folder."""
    here = Path.cwd()
    return Path(path).relative_to(here) if path.is_relative_to(here) else Path(path)


def log_name(folder: Path) -> str:
    """The path of a run's log, as you would type it in the current folder."""
    return (relative(folder) / LOG).as_posix()


def runs(root: Path) -> Iterator[Path]:
    """Run folders below root, oldest first; then the jobs of sweeps."""
    for config in sorted(root.glob(f"*/*/{CONFIG}")):
        if config.parts[-3] != LATEST:
            yield config.parent
    for config in sorted(root.glob(f"{SWEEPS}/*/*/*/{CONFIG}")):
        yield opened(config.parent)


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json as data; {} if it is missing or broken."""
    with suppress(FileNotFoundError, reading.Damaged):
        summary = reading.read_json(folder / SUMMARY)
        return summary if isinstance(summary, dict) else {}
    return {}
