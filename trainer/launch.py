"""From a checked config to a run: build it, give it a folder, carry it out. Used by train, resume and sweeps."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from trainer import checkpoint, rundir, storage
from trainer.build import build
from trainer.errors import ConfigError, TrainerError
from trainer.runner import Result, carry_out
from trainer.schema.config import Config
from trainer.screen import Screen, complain


def start(
    config: Config,
    overrides: list[str],
    make_folder: Callable[[str], Path],
    screen: Screen,
    begun: float,
    *,
    brief: bool = False,
) -> Result:
    """Build a new run, make its folder with `make_folder(label)` and train. begun: perf_counter at the program's start.

    The folder is made after the build, so that what cannot be built leaves none behind.
    """
    run, setup = build(config)
    try:
        checkpoint.contents(run, {})
    except TypeError as error:
        raise ConfigError(f"a checkpoint of this run could not be written: {error}") from error
    folder = make_folder(f"{setup.splits.name}-{type(run.model).__name__}")
    storage.write_file(folder / rundir.CONFIG, dump(dataclasses.asdict(setup.config)))
    storage.write_file(folder / rundir.OVERRIDES, dump(overrides))
    return carry_out(run, setup, folder, screen, begun, brief=brief)


def go_on(folder: Path, config: Config, screen: Screen, begun: float) -> Result:
    """Build a stored run again, load its newest good checkpoint and train on; from step 0 where there is none."""
    run, setup = build(config)
    found = checkpoint.newest(folder)
    offsets: Mapping[str, int] = {}
    if found is not None:
        files, path = found
        offsets, differing = checkpoint.load(run, files, path)
        if run.progress.step > run.progress.num_steps:
            text = f"{rundir.relative(folder)} is at epoch {run.progress.epoch:g} already"
            raise ConfigError(text, f"epochs={2 * math.ceil(run.progress.epoch)}")
        screen.say(f"resume   {rundir.relative(folder)} at step {run.progress.step:,}")
        if differing:
            complain(
                "warning: the same bits are promised for the same environment only; it had " + ", ".join(differing)
            )
    else:
        screen.say(f"resume   {rundir.relative(folder)}: no checkpoint yet, so from step 0")
    for name in (rundir.METRICS, rundir.RESULTS):
        storage.cut(folder / name, offsets.get(name, 0))
    storage.write_file(folder / rundir.CONFIG, dump(dataclasses.asdict(setup.config)))
    return carry_out(run, setup, folder, screen, begun)


def dump(value: Any) -> bytes:
    """YAML, keys in their order."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text.encode()


def failed(error: Exception, folder: Path | None) -> TrainerError:
    """An error that nobody foresaw, as one line; the traceback is in train.log."""
    if isinstance(error, TrainerError):
        return error
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    where = f"the traceback is in {rundir.relative(folder)}/{rundir.LOG}" if folder else "--debug shows the traceback"
    return TrainerError(f"{type(error).__name__}: {text}", where)
