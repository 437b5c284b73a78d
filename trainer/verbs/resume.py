"""Continue a run from its last checkpoint, train it for longer, or finish a sweep."""

import math
import shlex
import textwrap
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Literal

from trainer.config import durations
from trainer.config.changeable_keys import Changeable
from trainer.config.schema import Config
from trainer.config.trust import kept_inside
from trainer.disk import calibration, digest, layout, reading
from trainer.disk.lock import only_writer
from trainer.errors import ConfigError, complain
from trainer.processes import environment
from trainer.processes.torch_import import uncollected
from trainer.stopping import StopReason
from trainer.text import WIDTH, cleaned, counted, folded
from trainer.verbs.arguments import Parser, run_parser
from trainer.verbs.open_run import open_run, split_words

CHANGEABLE = Changeable(
    ("epochs", "max_steps", "max_time", "device", "nproc", "threads", "loader.num_workers", "listener_errors", "data"),
    "cannot change on a resume, which would be a different run",
)


def parser() -> Parser:
    names = textwrap.fill(", ".join(CHANGEABLE.keys), WIDTH, initial_indent="  ", subsequent_indent="  ")
    changeable = f"keys that may change:\n{names}"
    return run_parser("resume", "[RUN|SWEEP|latest] [epochs=80]", __doc__, lambda _: changeable)


def run(args: Namespace) -> int:
    """Continue a run or a sweep. Returns the exit code."""
    name, overrides = split_words("resume", args.words)
    sweep = layout.find_sweep(name)
    if sweep is not None:
        if environment.launched():
            raise ConfigError("torchrun resumes one run; a sweep starts its own processes", "trainer resume")
        from trainer.sweep import resume

        return resume.resume(sweep, overrides, trusted=args.trust)
    changes = CHANGEABLE.read(overrides)
    if_changed = _if_changed(changes.pop("data", None))
    stored = open_run(name, changes, overrides, trust_it=args.trust)
    folder, summary = stored.folder, layout.read_summary(stored.folder)
    is_whole = not (stored.config.calibrate and calibration.is_missing(folder))
    if summary.get("status") == "ok" and not overrides and is_whole:
        with only_writer(folder) as held:
            if not digest.is_whole(held / layout.MODEL):
                from trainer.run import best_weights

                best_weights.restore(held)
        steps = reading.count(found := summary.get("steps"))
        taken = f"{found} steps" if steps is None else counted(steps, "step")
        done = f"{folder} is finished: {taken}. Nothing to do."
        command = f"trainer resume {shlex.quote(str(folder))} {_longer(stored.config, summary)}"
        again = f"to train for longer: {command}"
        print(*folded(cleaned(done)), *folded(cleaned(again)), sep="\n")
        return 0
    if line := kept_inside([stored.data], stored.data.trusted):
        complain(line)
    with uncollected():
        from trainer.run import launch
        from trainer.run.session import Session
    from trainer.terminal.screen import Screen

    with Screen() as screen:
        session = Session(screen, args.started)
        data = stored.data
        launch.resume(folder, stored.config, session, sign=data.signed, download=data.trusted, if_changed=if_changed)
    return 0


def _longer(config: Config, summary: Mapping[str, Any]) -> str:
    """The settings with which a finished run trains as long again."""
    if config.max_time is not None and summary.get("stop_reason") == StopReason.MAX_TIME:
        used = math.ceil(sum(reading.numbers(summary.get("seconds")).values()))
        return f"max_time={2 * max(durations.in_seconds(config.max_time), used):g}s"
    steps, epochs = (reading.number(summary.get(name)) or 0 for name in ("steps", "epochs"))
    planned = reading.count(summary.get("num_steps")) or 0
    settings = durations.longer(
        config.epochs, config.max_steps, planned, steps / epochs if steps and epochs else math.inf
    )
    return " ".join(f"{key}={value}" for key, value in settings.items())


def _if_changed(word: str | None) -> Literal["refuse", "continue"]:
    """What data=changed, or its absence, means."""
    if word not in (None, "changed"):
        raise ConfigError(
            f"data={word}: the only word is changed, to continue with data that has changed", "data=changed"
        )
    return "continue" if word == "changed" else "refuse"
