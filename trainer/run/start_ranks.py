"""Starts the ranks of a run on this machine with torch's elastic launcher, and reports in one line what ended them.

The parent composes the config, makes the run folder and receives the signals; rank 0 writes to the parent's screen.
"""

import dataclasses
import logging
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trainer.config import given, user_modules
from trainer.config.schema import Config
from trainer.data.earlier import IfChanged
from trainer.errors import ConfigError, TrainerError
from trainer.listeners import Listener
from trainer.processes import environment, forking, parent_death, signals
from trainer.processes.ranks import PeerLost
from trainer.processes.scratch import folder as scratch_folder
from trainer.run import rank_errors
from trainer.run.result import Result
from trainer.run.session import Session
from trainer.terminal import output
from trainer.terminal.screen import Screen
from trainer.text import first_line

TICK = 0.05  # seconds between two checks for signals


@dataclass(frozen=True)
class Work:
    """The run that the ranks carry out, as plain data."""

    config: dict[str, Any]  # checked
    session: dict[str, Any]  # the fields of a Session except its screen
    is_shown: bool  # whether rank 0's lines go to the parent's screen
    overrides: Sequence[str] = ()  # typed for a new run
    folder: Path | None = None  # of the run being resumed; None for a new run
    sign: bool = True  # whether the config is signed
    download: bool = True  # whether missing data may be fetched
    if_changed: IfChanged = "refuse"  # the data of the run being resumed, see data/earlier.py
    objects: bytes = b""  # what a Python program gave, pickled: config/given.py, and its listeners

    @classmethod
    def of(cls, config: Config, session: Session, **rest: Any) -> "Work":
        """Make the work from a config and a session. rest: the other fields. Raises ConfigError for an object that no
        other process can get."""
        plain = {name: value for name, value in vars(session).items() if name not in ("screen", "listeners")}
        objects = _pickled((given.current(), session.listeners))
        return cls(dataclasses.asdict(config), plain, session.screen.shown, objects=objects, **rest)

    def opened(self) -> tuple[given.Given, Sequence[Listener]]:
        """The objects and the listeners, as copies of a rank's own. Raises ConfigError for a class of a notebook."""
        try:
            found: tuple[given.Given, Sequence[Listener]] = pickle.loads(self.objects)  # noqa: S301 - of our own parent
        except (AttributeError, ImportError) as error:
            raise _unsendable(error) from error
        return found


@dataclass(frozen=True)
class Links:
    """The connections of a rank to its parent."""

    alive: Connection  # closed when the parent ends
    folder: Connection  # rank 0 asks for its folder here
    scratch: Path  # the folder for the ranks' errors
    out: Connection  # the parent's stdout
    err: Connection  # the parent's stderr


def _pickled(objects: Any) -> bytes:
    """Objects as bytes: the ranks get copies, and share no memory. Raises ConfigError."""
    try:
        return pickle.dumps(objects)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _unsendable(error) from error


def _unsendable(error: Exception) -> ConfigError:
    said = re.sub(" at 0x[0-9a-f]+", "", first_line(error))
    text = f"nproc starts other processes, which cannot get an object: {said}"
    return ConfigError(text, "a class or function in a file, which is imported; or nproc=1")


# Carries out the work in a rank; the third argument asks the parent for the folder of a run with that label.
CarryOut = Callable[[Work, Screen, Callable[[str], Path]], Result]


def run(num_ranks: int, work: Work, carry_out: CarryOut, make_folder: Callable[[str], Path] | None = None) -> Result:
    """Carry out a run in num_ranks processes on this machine. Returns rank 0's result; raises the TrainerError that
    ended a rank. make_folder(label): called here, once the ranks have built the run."""
    context = _start_method()
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    alive, held = context.Pipe(duplex=False)
    asking, answering = context.Pipe()
    with scratch_folder("trainer-ranks-") as scratch, _silent_launcher():
        host = FolderHost(answering, make_folder, work.folder)
        out, err = (Connection(os.dup(descriptor), readable=False) for descriptor in (1, 2))
        links = Links(alive, asking, scratch, out, err)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_ranks,
            run_id=scratch.name,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",  # a free port, so that jobs running side by side do not collide
            local_addr="localhost",
            max_restarts=0,
            monitor_interval=TICK,
            start_method=context.get_start_method(),
            signals_to_handle="none",  # trainer handles them
            logs_specs=DefaultLogsSpecs(log_dir=str(scratch)),
        )
        host.start()
        try:
            result: Result
            result, error = elastic_launch(config, main)(work, links, carry_out)[0]
            output.of(sys.stdout).end_with(error)
            return result
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            raise rank_errors.read(rank, failure.pid, failure.exitcode, scratch, host.folder) from None
        finally:
            host.over.set()
            host.join()
            for end in (alive, held, asking, answering, out, err):
                end.close()


def _start_method() -> Any:
    """How to start ranks: fork in a sweep's job, itself forked from a server that has imported torch; elsewhere from
    such a server, or spawn. A process that has used CUDA cannot be forked."""
    import torch

    is_forked = type(multiprocessing.current_process()).__name__ == "ForkServerProcess"
    if is_forked and not torch.cuda.is_initialized():
        return multiprocessing.get_context("fork")
    return forking.start_method()


class FolderHost(threading.Thread):
    """A thread in the parent that gives rank 0 its folder, and from then on passes signals to it."""

    def __init__(self, requests: Connection, make_folder: Callable[[str], Path] | None, folder: Path | None) -> None:
        super().__init__(daemon=True)
        self.requests, self.make_folder, self.folder = requests, make_folder, folder
        self.over = threading.Event()

    def run(self) -> None:
        """Serve rank 0 until `over` is set."""
        while not self.requests.poll(TICK):
            if self.over.is_set():
                return
        label, process = self.requests.recv()
        with signals.listening():
            try:
                if self.make_folder is not None:
                    self.folder = self.make_folder(label)
                self.requests.send(self.folder)
            except TrainerError as error:
                self.requests.send(error)
            is_stopping = False
            while not self.over.wait(TICK):
                if not is_stopping and (number := signals.stop_requested()) is not None:
                    is_stopping = True
                    _pass_on(process, number)
                if signals.save_requested():
                    _pass_on(process, signal.SIGUSR1)


def _pass_on(process: int, number: int) -> None:
    signals.send(process, signals.PASSED_ON[number])


def main(work: Work, links: Links, carry_out: CarryOut) -> tuple[Result, OSError | None]:
    """Run the process of a rank. Returns the result and what ended its output, if anything did; exits with the code of
    the error that ended it."""
    rank = environment.number()
    (links.scratch / f"{os.getpid()}.process").touch()
    signals.install_in_rank(lambda: [int(path.stem) for path in links.scratch.glob("*.process")])
    parent_death.die_with_it()
    threading.Thread(target=parent_death.watch, args=(links.alive,), daemon=True).start()
    out, err = links.out.fileno(), links.err.fileno()
    if rank > 0:
        out = err = os.open(links.scratch / f"{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(err, 2)
    signals.release()
    output.install(work_first=True)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine

    def ask_for_folder(label: str) -> Path:
        links.folder.send((label, os.getpid()))
        answer = links.folder.recv()
        if isinstance(answer, TrainerError):
            raise answer
        folder: Path = answer
        return folder

    if work.download:  # a config of the user's own, or one that they trust
        user_modules.allow_user_modules(work.config)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, Screen(None if work.is_shown else nowhere) as screen:
            return carry_out(work, screen, ask_for_folder), screen.output.error
    except PeerLost:
        sys.exit(1)
    except Exception as error:
        sys.exit(rank_errors.leave(error, rank, links.scratch))


@contextmanager
def _silent_launcher() -> Iterator[None]:
    """Silence the log of torch's launcher, since trainer reports errors."""
    levels = {logger: logger.level for logger in map(logging.getLogger, ("torch.distributed", "torch.multiprocessing"))}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
