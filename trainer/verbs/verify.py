"""Prove that this config, or that of a run, resumes exactly on this machine: train it once undisturbed and once killed
(SIGKILL) at a random step and resumed, and compare the results bit for bit."""

import multiprocessing
import random
import re
import shlex
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trainer.config import compose, user_modules
from trainer.config.run_config import read_plain
from trainer.config.settings import Settings
from trainer.config.trust import TRACKERS
from trainer.disk import layout
from trainer.errors import ConfigError, TrainerError, complain
from trainer.processes import environment, parent_death, scratch, signals
from trainer.verbs import arguments
from trainer.verbs.open_run import open_run


def parser() -> arguments.Parser:
    parser = arguments.config_parser("verify", __doc__, "[RUN | key=value …]")
    arguments.add_trust(parser)
    return parser


def run(args: Namespace) -> int:
    """Train twice, once with a kill, and compare. Returns 0 if the results are the same, else 1."""
    overrides = [word for word in args.overrides if "=" in word or word.startswith("~")]
    names = [word for word in args.overrides if word not in overrides]
    if len(names) > 1 or (names and overrides):
        raise ConfigError("verify takes one run, or settings", f"trainer verify {shlex.quote(names[0])}")
    if names:
        stored = open_run(names[0], trust_it=args.trust).data
        data, trusted = dict(stored), stored.trusted
    else:
        data, trusted = compose.one_run("verify", args).data, True
    from trainer.terminal.screen import Screen

    with scratch.folder("trainer-verify-") as folder, Screen() as screen:
        off: dict[str, Any] = {"report": False, "max_time": None, "listeners": [], **dict.fromkeys(TRACKERS, False)}
        return _compare({**data, **off}, trusted, folder, screen.say)


def _compare(data: dict[str, Any], trusted: bool, folder: Path, say: Callable[..., None]) -> int:
    undisturbed = folder / "undisturbed"
    say("verify   1 of 3: undisturbed")
    _attempt(undisturbed, data, trusted)
    num_steps = layout.read_summary(undisturbed)["steps"]
    data = {**data, "threads": read_plain(undisturbed)["threads"]}  # auto may take other ones by now
    if num_steps < 2:
        raise ConfigError("a run of one step cannot be killed between two steps", "max_steps=2")
    killed = _killed(folder, data, trusted, num_steps, say)
    _attempt(killed, data, trusted)

    from trainer.diagnosis.fingerprint import evidence

    expected, resumed = evidence(undisturbed), evidence(killed)
    for part, digest in expected.items():
        say(f"{'same' if resumed[part] == digest else 'DIFFERS':<9}{part:<32}{resumed[part][:16]}")
    if resumed == expected:
        say(f"ok       killed and resumed, {num_steps:,} steps end with the same bits")
        return 0
    say("failed   something that a checkpoint does not hold decides the result")
    log = (undisturbed / layout.LOG).read_text(encoding="utf-8")
    warnings = re.findall(r"^warning  .+\n(?:         .+\n)*", log, flags=re.MULTILINE)  # they may explain it
    for warning in warnings:
        say(*warning.splitlines())
    return 1


def _killed(folder: Path, data: dict[str, Any], trusted: bool, num_steps: int, say: Callable[..., None]) -> Path:
    """The folder of a run that was killed after a random step, and whose newest checkpoint leaves steps to take: one
    that is saved late, at the end of a compiled call, may be that of the last step, and would prove nothing."""
    from trainer.checkpoint import checkpoints, name_at

    for save_at in dict.fromkeys((random.SystemRandom().randint(0, num_steps - 2), 0)):
        kill_at = random.SystemRandom().randint(save_at + 1, num_steps)
        killed = folder / f"killed-{save_at}"
        say(f"         2 of 3: asked to save after step {save_at:,}, killed after step {kill_at:,} of {num_steps:,}")
        _attempt(killed, data, trusted, save_at, kill_at)
        newest = checkpoints(killed)[-1].name
        if newest != name_at(num_steps):
            say(f"         3 of 3: resumed from {newest}")
            return killed
    raise TrainerError("no checkpoint leaves a step to take after a resume: nothing is proved", "compiler.steps=1")


def _attempt(folder: Path, data: dict[str, Any], trusted: bool, save_at: int = 0, kill_at: int = 0) -> None:
    """Train in a separate process. Raises TrainerError if it does not end as it should."""
    scratch.for_sockets()
    context = multiprocessing.get_context("spawn")
    lifeline, held = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(lifeline, folder, data, trusted, save_at, kill_at))
    with signals.held(), environment.safe_path():
        process.start()
    process.join()
    for end in (lifeline, held):
        end.close()
    killed = -signal.SIGKILL if data.get("nproc", 1) == 1 else 1  # of several processes the first is killed
    if process.exitcode != (killed if kill_at else 0):
        raise TrainerError(
            f"training ended with exit code {process.exitcode}", "train with the same settings to see why"
        )


def _train(lifeline: Connection, folder: Path, data: dict[str, Any], trusted: bool, save_at: int, kill_at: int) -> None:
    """In the child process: start or resume the run. Its lines go to the log only."""
    environment.forget_safe_path()
    signals.install_in_child()
    parent_death.die_with_it(lifeline)
    signals.release()
    from trainer.disk import storage
    from trainer.run import launch
    from trainer.run.session import Session
    from trainer.terminal.screen import Screen

    if trusted:
        user_modules.allow_user_modules(data)
    config = Settings(data).check()
    sys.stdout = (folder.parent / "lines").open("a", encoding="utf-8")

    def make_folder(label: str) -> Path:
        storage.make_folder(folder)
        return folder

    try:
        with Screen() as screen:
            if (folder / layout.CONFIG).exists():
                launch.resume(folder, config, Session(screen, time.perf_counter()), sign=False, download=trusted)
            else:
                listeners = [_Killer(folder, save_at, kill_at)] if kill_at else []
                session = Session(screen, time.perf_counter(), listeners=listeners)
                launch.start(config, [], make_folder, session, sign=False, download=trusted)
    except TrainerError as error:
        complain(f"error: {error.message}")
        sys.exit(error.exit_code)


class _Killer:
    """A listener that asks for a checkpoint after one step, and kills its own process after another.

    A step followed by an evaluation is saved after it, so the kill waits for the checkpoint: without one the run would
    start again from step 0, which proves nothing.
    Asked for before the first step, it is that of step 1.
    """

    per_call = True  # it reads no weights

    def __init__(self, folder: Path, save_at: int, kill_at: int) -> None:
        self.folder, self.save_at, self.kill_at = folder, save_at, kill_at

    def __call__(self, event: Any) -> None:
        from trainer.checkpoint import checkpoints

        if event.step == self.save_at:
            signal.raise_signal(signal.SIGUSR1)
        elif event.step >= self.kill_at and checkpoints(self.folder):
            signal.raise_signal(signal.SIGKILL)

    def close(self) -> None:
        """Nothing is open."""
