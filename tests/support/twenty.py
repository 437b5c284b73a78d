"""The example jobs, where a test can run them."""

import os
import runpy
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
JOBS = sorted(file.parent.name for file in EXAMPLES.glob("*/job.py"))
VARIANTS = runpy.run_path(str(EXAMPLES / "checks" / "variants.py"))
COUPLED, DRAWN, RECURRENT = (VARIANTS[name] for name in ("COUPLED", "DRAWN", "RECURRENT"))


def words(job: str, *, exact: bool = False) -> list[str]:
    """What is typed for a job; exact: for its variant without randomness of its own, in double precision."""
    return [f"experiment={job}", "threads=1", "device=cpu", "report=false", *(VARIANTS["exact"](job) if exact else [])]


def copy(job: str, folder: Path) -> Path:
    """A copy of a job's folder, below `folder`, with its data."""
    there = shutil.copytree(EXAMPLES / job, folder / job, ignore=shutil.ignore_patterns("__pycache__", "outputs"))
    with inside(there):
        runpy.run_path("job.py", run_name="__main__")  # writes the data of those jobs that read files
    return there


def enter(there: Path) -> None:
    """Go to a job's folder, for good: what its config names is found there."""
    os.chdir(there)
    sys.path.insert(0, str(there))
    sys.modules.pop("job", None)


@contextmanager
def inside(there: Path) -> Iterator[None]:
    """The same for a while."""
    here, path = Path.cwd(), sys.path[:]
    enter(there)
    try:
        yield
    finally:
        sys.modules.pop("job", None)
        sys.path[:] = path
        os.chdir(here)
