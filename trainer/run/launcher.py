"""Starts the ranks of a run on this machine by torch's elastic launcher, and says in one line what ended them.

The parent composes the config, makes the run folder and hears the signals; rank 0 writes, to the parent's screen.
"""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trainer.config import compose
from trainer.config.check import check
from trainer.errors import Interrupted, TrainerError
from trainer.listeners import Listener
from trainer.processes import environment, parent_death, signals
from trainer.processes.ranks import PeerLost
from trainer.run import last_words, launch
from trainer.run.runner import Result
from trainer.sweep import pool
from trainer.terminal.screen import Screen

TICK = 0.05  # seconds between two looks at the wish to stop


@dataclass(frozen=True)
class Work:
    """What the ranks carry out, as plain data. overrides: of a new run; folder: of one that is gone on with.

    shown: whether rank 0's lines go to the parent's screen. The rest: see `launch.start` and `launch.go_on`.
    """

    config: dict[str, Any]
    begun: float
    shown: bool
    brief: bool
    watchers: Sequence[Listener] = ()
    cores: int | None = None
    overrides: Sequence[str] = ()
    folder: Path | None = None
    download: bool = True


@dataclass(frozen=True)
class Line:
    """What ties a rank to its parent. alive: ends with the parent. desk: where rank 0 asks for its folder. scratch:
    for what a rank has to say. out, err: the parent's."""

    alive: Connection
    desk: Connection
    scratch: Path
    out: Connection
    err: Connection


def run(num_ranks: int, work: Work, make_folder: Callable[[str], Path] | None = None) -> Result:
    """Carry out a run on so many processes of this machine. Returns rank 0's result, raises what ended a rank.

    make_folder(label): called here, once the ranks have built the run. Raises TrainerError for a rank that died.
    """
    context = _start_method()
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    alive, held = context.Pipe(duplex=False)
    desk, counter = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="trainer-ranks-") as name, _quiet(), _hangup_kept():
        scratch = Path(name)
        host = Host(counter, make_folder, work.folder)
        line = Line(alive, desk, scratch, _writable(1), _writable(2))
        how = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_ranks,
            run_id=scratch.name,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",  # a free port: jobs side by side never meet
            local_addr="localhost",
            max_restarts=0,
            monitor_interval=TICK,
            start_method=context.get_start_method(),
            signals_to_handle="SIGHUP",  # the others are trainer's
            logs_specs=DefaultLogsSpecs(log_dir=name),
        )
        host.start()
        try:
            results = elastic_launch(how, main)(work, line)
            result: Result = results[0]
            return result
        except SignalException as error:
            raise Interrupted(error.sigval, "the terminal went away; the last checkpoint counts") from None
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            raise last_words.read(rank, failure.pid, failure.exitcode, scratch, host.folder) from None
        finally:
            host.close()
            for end in (alive, held, desk, counter, line.out, line.err):
                end.close()


def _start_method() -> Any:
    """A sweep's job was forked from a server that has torch imported, and forks its ranks in turn; others start such a
    server, or spawn. (A process that has touched CUDA cannot be forked.)"""
    import torch

    is_forked = type(multiprocessing.current_process()).__name__ == "ForkServerProcess"
    if is_forked and not torch.cuda.is_initialized():
        return multiprocessing.get_context("fork")
    return pool.start_method()


class Host(threading.Thread):
    """Beside the launcher, in the parent: gives rank 0 its folder, and passes signals on to it from then on."""

    def __init__(self, counter: Connection, make_folder: Callable[[str], Path] | None, folder: Path | None) -> None:
        super().__init__(daemon=True)
        self.counter, self.make_folder, self.folder = counter, make_folder, folder
        self.over = threading.Event()

    def run(self) -> None:
        """Until `close`."""
        while not self.counter.poll(TICK):
            if self.over.is_set():
                return
        label, process = self.counter.recv()
        with signals.listening():
            try:
                if self.make_folder is not None:
                    self.folder = self.make_folder(label)
                self.counter.send(self.folder)
            except TrainerError as error:
                self.counter.send(error)
            told = False
            while not self.over.wait(TICK):
                number = signals.wish()
                if number is not None and not told:
                    told = _pass_on(process, number)
                if signals.save_wanted():
                    _pass_on(process, signal.SIGUSR1)

    def close(self) -> None:
        """End the thread."""
        self.over.set()
        self.join()


def _pass_on(process: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, signals.PASSED_ON[number])
    return True


def main(work: Work, line: Line) -> Result:
    """A rank, from its first to its last line. Ends with the exit code of the error that it met."""
    rank = environment.number()
    signals.install_in_rank()
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C reaches the parent alone
    parent_death.die_with_it()
    threading.Thread(target=parent_death.watch, args=(line.alive,), daemon=True).start()
    out, err = line.out.fileno(), line.err.fileno()
    if rank > 0:
        out = err = os.open(line.scratch / f"{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(err, 2)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are here, whatever the host's name resolves to

    def ask_for_folder(label: str) -> Path:
        line.desk.send((label, os.getpid()))
        answer = line.desk.recv()
        if isinstance(answer, TrainerError):
            raise answer
        folder: Path = answer
        return folder

    compose.allow_user_modules()
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, Screen(None if work.shown else nowhere) as screen:
            return _carry_out(work, screen, ask_for_folder)
    except PeerLost:
        sys.exit(1)
    except Exception as error:
        sys.exit(last_words.leave(error, rank, line.scratch))


def _carry_out(work: Work, screen: Screen, ask_for_folder: Callable[[str], Path]) -> Result:
    config, begun, brief, cores = check(work.config), work.begun, work.brief, work.cores
    if work.folder is None:
        return launch.start(
            config,
            list(work.overrides),
            ask_for_folder,
            screen,
            begun,
            brief=brief,
            watchers=work.watchers,
            cores=cores,
        )

    def ready() -> None:
        ask_for_folder("")

    return launch.go_on(
        work.folder,
        config,
        screen,
        begun,
        download=work.download,
        brief=brief,
        cores=cores,
        ready=ready,
    )


def _writable(descriptor: int) -> Connection:
    """A copy of stdout or stderr that can be handed to another process."""
    return Connection(os.dup(descriptor), readable=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within: torch's launcher keeps its log to itself; trainer says what went wrong."""
    loggers = [logging.getLogger(name) for name in ("torch.distributed", "torch.multiprocessing")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _hangup_kept() -> Iterator[None]:
    """Within: the launcher may take over SIGHUP."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.getsignal(signal.SIGHUP)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
