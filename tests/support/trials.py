"""Runs in processes of their own that may be killed, forked from one server that has imported torch already."""

import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deaths import Death, arm

from trainer.config import compose, files, source

HERE = Path(__file__).parent
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["warm"])

QUICK = ["threads=1", "device=cpu", "report=false", "epochs=3", "log_every=1", "checkpoint.every_seconds=0.02"]


def config(*overrides: str) -> dict[str, Any]:
    """A small run's composed config as plain data."""
    typed = [*QUICK, *overrides]
    return compose.compose(source.Source(typed, files.roots())).data


def begin(folder: Path, data: dict[str, Any], **how: Any) -> Any:
    """Start a run in `folder`, or go on with it: the process that does."""
    process = FORKS.Process(target=_carry_out, args=(folder, data), kwargs=how)
    process.start()
    return process


def attempt(folder: Path, data: dict[str, Any], **how: Any) -> int:
    """Start a run in `folder`, or go on with it, in a process of its own. Returns its exit code; -9 for a kill."""
    process = begin(folder, data, **how)
    process.join(120)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"{folder} hangs")
    return process.exitcode or 0


def call(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a process of its own."""
    here, there = FORKS.Pipe()
    process = FORKS.Process(target=_answer, args=(there, function, *args))
    process.start()
    there.close()
    answer = here.recv()
    process.join()
    return answer


def _answer(pipe: Any, function: Callable[..., Any], *args: Any) -> None:
    pipe.send(function(*args))


def program(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run `python COMMAND…` in a folder, in a process of its own. Returns its exit code and what it writes."""
    with tempfile.NamedTemporaryFile() as file:
        process = FORKS.Process(target=_run, args=(command, folder, file.name))
        process.start()
        process.join()
        return process.exitcode or 0, file.read().decode()


def _run(command: Sequence[str], folder: Path, output: str) -> None:
    _write_to(output)
    os.chdir(folder)
    os.environ["NO_COLOR"] = "1"
    if command[0] == "-m":
        sys.argv[:] = command[1:]
        runpy.run_module(command[1], run_name="__main__")
    else:
        sys.argv[:] = command
        sys.path.insert(0, str(folder))
        runpy.run_path(command[0], run_name="__main__")


def on_ranks(size: int, function, *args) -> list:
    """What a function returns on each of `size` ranks, started by torch's launcher."""
    return call(_launch, size, function, *args)


def _launch(size: int, function, *args) -> list:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    how = LaunchConfig(1, 1, size, rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost",
                       start_method="forkserver", max_restarts=0, run_id="test",
                       logs_specs=DefaultLogsSpecs(log_dir="logs"))  # fmt: skip
    results = elastic_launch(how, function)(*args)
    return [results[rank] for rank in range(size)]


def _write_to(file: str | Path) -> None:
    """Write what this process prints to the end of a file."""
    quiet = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115 - kept: the command line wraps them
    sys.stderr = sys.__stderr__ = open(2, "w", closefd=False)  # noqa: SIM115


def _carry_out(
    folder: Path,
    data: dict[str, Any],
    kill_after: float | None = None,
    kill_by: int = signal.SIGKILL,
    before: Callable[..., None] | None = None,
    argument: Any = None,
    listeners: Sequence[Any] = (),
    death: Death | None = None,
) -> None:
    """kill_after: seconds from now to the signal `kill_by`. before(argument): is called first, to break something.
    listeners: of a new run, beside its own. death: the moment at which this process is killed."""
    from trainer.config.check import check
    from trainer.disk import layout, storage
    from trainer.errors import TrainerError
    from trainer.processes import signals
    from trainer.run import launch
    from trainer.run.session import Session
    from trainer.terminal.screen import Screen

    _write_to(folder.parent / f"{folder.name}.out")
    os.environ["XDG_CONFIG_HOME"] = str(folder.parent / ".config")
    signals.install()
    signals.release()  # the server may have been started by a sweep, which holds them
    if before is not None:
        before(argument)
    if death is not None:
        arm(death, data["checkpoint"]["every_seconds"])
    if kill_after is not None:
        threading.Timer(kill_after, os.kill, (os.getpid(), kill_by)).start()
    code = 0
    try:
        with Screen() as screen:
            if (folder / layout.CONFIG).exists():
                launch.resume(folder, check(data), Session(screen, time.perf_counter()))
            else:

                def make(label: str) -> Path:
                    shutil.rmtree(folder, ignore_errors=True)  # no config yet: a real start would take a new folder
                    storage.make_folder(folder)
                    return folder

                launch.start(check(data), [], make, Session(screen, time.perf_counter(), listeners=listeners))
    except TrainerError as error:
        print("error:", error.message, file=sys.stderr)
        code = error.exit_code
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)
