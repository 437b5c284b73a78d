"""Commands and calls, timed."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PATH = os.pathsep.join([str(HERE.parent), str(HERE / "peers"), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATH}  # finds this checkout and the peers' job


def run(command: list[str], **environment: str) -> tuple["subprocess.CompletedProcess[str]", float]:
    """Run a command in an empty folder. Returns how it ended, and its seconds on the clock, start-up included."""
    settings: dict[str, Any] = {"env": {**ENVIRONMENT, **environment}, "capture_output": True, "text": True}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=folder, check=False, **settings)  # noqa: S603 - our own words
        return done, time.perf_counter() - begun


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """The same function; each call appends its seconds to the list."""

    def call(*args: Any, **keywords: Any) -> Any:
        begun = time.perf_counter()
        result = function(*args, **keywords)
        seconds.append(time.perf_counter() - begun)
        return result

    return call
