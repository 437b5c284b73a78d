"""trainer.train(): the verb `train` for scripts and notebooks. It leaves the Python session as it was."""

import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer import kernels
from trainer.config import compose, files, user_modules
from trainer.config.check import check
from trainer.config.run_config import read_config
from trainer.config.source import Source
from trainer.disk import layout
from trainer.disk.reading import Damaged, read_file
from trainer.errors import ConfigError, Interrupted, TrainerError
from trainer.inference import model as trained
from trainer.processes import signals
from trainer.run import launch
from trainer.run.session import Session
from trainer.terminal import output
from trainer.terminal.screen import Screen


@dataclass(frozen=True)
class Result:
    """A finished run, which a notebook shows as results.png.

    metrics: {name: value} of the best weights; summary: the contents of summary.json; model: with the best weights.
    """

    run_dir: Path
    metrics: dict[str, float]
    summary: dict[str, Any]
    model: nn.Module

    def _repr_png_(self) -> bytes | None:
        try:
            return read_file(self.run_dir / layout.PICTURE)
        except (FileNotFoundError, Damaged):  # report=false, or the folder is gone
            return None


def train(overrides: Sequence[str] = (), *, config_dir: str | None = None) -> Result:
    """Train as `trainer train key=value …` does: the same lines, the same run folder in outputs/, the same bits.

    overrides: words such as "epochs=3"; config_dir: a folder of your own configs, instead of ./conf.
    Raises ConfigError, Diverged, StorageError and other TrainerErrors. Ctrl-C finishes the step, saves and raises
    KeyboardInterrupt; a second Ctrl-C raises it at once.
    """
    started = time.perf_counter()
    if isinstance(overrides, str):
        raise ConfigError("train takes a list of settings", f'train(["{overrides}"])')
    source = Source(list(overrides), files.roots([config_dir] if config_dir else []))
    try:
        return _train(source, started)
    except Interrupted as error:
        raise KeyboardInterrupt(f"{error.message}. Continue with: {error.hint}") from error
    except TrainerError as error:
        if error.hint:
            error.add_note(f"try: {error.hint}")
        raise


def _train(source: Source, started: float) -> Result:
    settings = None if {"-m", "--multirun"} & set(source.overrides) else compose.compose(source)
    if settings is None or settings.multirun:
        raise ConfigError("a sweep starts its own processes, so it needs the command line", "trainer train -m …")
    config = settings.check()
    layout.check_writable(config.output_dir)
    user_modules.allow_user_modules(settings.data, source.folders)
    with output.installed(), Screen() as screen, _restoring_session(), _finishing_step_on_ctrl_c():
        session = Session(screen, started)
        with settings.locating():
            run = launch.start(
                config, settings.overrides, lambda label: layout.create(config.output_dir, label), session
            )
        model = trained.load(run.run_dir, check(read_config(run.run_dir))).model
    return Result(Path(run.run_dir), run.best or run.last, layout.read_summary(run.run_dir), model)


@contextmanager
def _restoring_session() -> Iterator[None]:
    """Within: a run may set the process's threads, seeds, kernels and treatment of denormals. Afterwards they are as
    before."""
    threads, python_state, numpy_state = torch.get_num_threads(), random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices), kernels.kept():
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(False)  # torch's default; the current value cannot be read
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextmanager
def _finishing_step_on_ctrl_c() -> Iterator[None]:
    """Within: Ctrl-C asks the run to stop instead of raising KeyboardInterrupt. Only in the main thread, and only if
    no other code handles SIGINT."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _ask_to_stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _ask_to_stop(number: int, frame: FrameType | None) -> None:
    if not signals.request_stop(number):
        raise KeyboardInterrupt
