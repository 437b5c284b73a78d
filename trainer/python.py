"""trainer.train(): the verb from a script or a notebook. It leaves the session as it found it."""

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
from trainer.terminal.screen import Screen


@dataclass(frozen=True)
class Result:
    """A run that ended well. metrics: of the best weights, by name, which are those that `model` has.

    summary: what summary.json says. A notebook shows results.png in its place.
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
    """Train as `trainer train key=value …` does: the same lines, the same run folder below outputs/, the same bits.

    config_dir: a folder of configs of your own, instead of ./conf. Raises ConfigError, Diverged, StorageError and
    other TrainerErrors. Ctrl-C finishes the step, saves, and goes on as KeyboardInterrupt; a second one is one at once.
    """
    begun = time.perf_counter()
    if isinstance(overrides, str):
        raise ConfigError("train takes a list of settings", f'train(["{overrides}"])')
    source = Source(list(overrides), files.roots([config_dir] if config_dir else []))
    try:
        return _train(source, begun)
    except Interrupted as error:
        raise KeyboardInterrupt(f"{error.message}. Go on with: {error.hint}") from error
    except TrainerError as error:
        if error.hint:
            error.add_note(f"try: {error.hint}")
        raise


def _train(source: Source, begun: float) -> Result:
    sweep = next((word for word in source.overrides if word in ("-m", "--multirun")), None)
    composed = compose.compose(source) if sweep is None else None
    if composed is None or composed.multirun:
        raise ConfigError("a sweep runs in processes of its own, from the command line", "trainer train -m …")
    config = composed.checked()
    layout.check_writable(config.output_dir)
    user_modules.allow_user_modules(source.folders)
    with Screen() as screen, _session_kept(), _interrupts_as_wishes():
        with composed.locating():
            session = Session(screen, begun)
            done = launch.start(
                config, source.overrides, lambda label: layout.create(config.output_dir, label), session
            )
        model = trained.load(done.run_dir, check(read_config(done.run_dir))).model
    return Result(done.run_dir, done.best or done.last, layout.read_summary(done.run_dir), model)


@contextmanager
def _session_kept() -> Iterator[None]:
    """A run sets threads, seeds and the treatment of denormals for the whole process; afterwards all is as before."""
    threads = torch.get_num_threads()
    states = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(False)  # torch's default; it cannot be asked
            random.setstate(states[0])
            np.random.set_state(states[1])


@contextmanager
def _interrupts_as_wishes() -> Iterator[None]:
    """Ctrl-C asks the run to stop, where it would raise KeyboardInterrupt: in the main thread, unless somebody else
    has taken over SIGINT."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _wish)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _wish(number: int, frame: FrameType | None) -> None:
    if not signals.request_stop(number):
        raise KeyboardInterrupt
