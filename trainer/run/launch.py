"""From a checked config to a run: build it, give it a folder, carry it out. Used by train, resume and sweeps."""

import dataclasses
import errno
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml

from trainer import checkpoint
from trainer.build.build import build
from trainer.config import trust
from trainer.config.schema import Config
from trainer.data import preprocessing
from trainer.device import kernels_kept
from trainer.disk import layout, storage
from trainer.disk.lock import only_writer
from trainer.errors import ConfigError, StorageError, TrainerError
from trainer.listeners import Listener
from trainer.processes import ranks as distributed
from trainer.processes import signals
from trainer.run import summary
from trainer.run.runner import Result, carry_out, until_wish
from trainer.state import TrainState
from trainer.terminal.screen import Screen, complain

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # OSErrors that mean the disk, wherever they come up


def start(
    config: Config,
    overrides: list[str],
    make_folder: Callable[[str], Path],
    screen: Screen,
    begun: float,
    *,
    brief: bool = False,
    watchers: Sequence[Listener] = (),
    cores: int | None = None,
) -> Result:
    """Build a new run, make its folder with `make_folder(label)` and train. begun: perf_counter at the program's start;
    brief and cores: of a sweep's job, see `carry_out` and `build`.

    The folder is made after the build, so that what cannot be built leaves none behind.
    """
    if (num_ranks := distributed.num_ranks(config)) > 1:
        from trainer.run import launcher

        plain = dataclasses.asdict(config)
        work = launcher.Work(plain, begun, screen.shown, brief, watchers, cores, overrides)
        return launcher.run(num_ranks, work, make_folder)
    with distributed.joined() as ranks, kernels_kept():
        run, setup = build(config, cores=cores, ranks=ranks)
        try:
            checkpoint.contents(run, {})
        except TypeError as error:
            raise ConfigError(f"a checkpoint of this run could not be written: {error}") from error
        if ranks.rank > 0:
            return follow(run)
        folder = make_folder(f"{setup.splits.name}-{type(run.model).__name__}")
        with only_writer(folder), signals.listening(may_abandon=ranks.size == 1):
            keep_config(folder, setup.config)
            storage.write_file(folder / layout.OVERRIDES, dump(overrides))
            preprocessing.write(folder, setup.splits.preprocessing)
            return carry_out(run, setup, folder, screen, begun, brief=brief, watchers=watchers)


def go_on(
    folder: Path,
    config: Config,
    screen: Screen,
    begun: float,
    *,
    download: bool = True,
    brief: bool = False,
    cores: int | None = None,
    ready: Callable[[], None] = lambda: None,
) -> Result:
    """Build a stored run again, load its newest good checkpoint and train on; from step 0 where there is none.

    download: whether data that is missing may be fetched, which writes outside the folder. brief: see `carry_out`.
    ready: is called when all is built.
    """
    if (num_ranks := distributed.num_ranks(config)) > 1:
        from trainer.run import launcher

        plain = dataclasses.asdict(config)
        work = launcher.Work(plain, begun, screen.shown, brief, cores=cores, folder=folder, download=download)
        return launcher.run(num_ranks, work)
    with distributed.joined() as ranks, kernels_kept(), nullcontext() if ranks.rank > 0 else only_writer(folder):
        run, setup = build(config, cores=cores, download=download, ranks=ranks)
        if ranks.rank > 0:
            found = ranks.tell(None)
            if found is not None:
                checkpoint.load(run, *found)
            return follow(run)
        ready()
        with signals.listening(may_abandon=ranks.size == 1):
            offsets = load_newest(run, folder, screen)
            for name in (layout.METRICS, layout.RESULTS):
                storage.cut(folder / name, offsets.get(name, 0))
            storage.clear(folder)
            storage.clear(folder / layout.CHECKPOINTS)
            keep_config(folder, setup.config)
            return carry_out(run, setup, folder, screen, begun, brief=brief)


def follow(run: TrainState) -> Result:
    """Train as a rank that writes nothing: the first one tells what came of it."""
    with signals.listening(may_abandon=False):
        for _ in until_wish(run):
            pass
    return Result(Path(), summary.STATUS[run.progress.stop_reason])


def load_newest(run: TrainState, folder: Path, screen: Screen) -> dict[str, int]:
    """Load a run's newest good checkpoint and say so. Returns the sizes of the metrics files that belong to it."""
    found = run.ranks.tell(checkpoint.newest(run, folder))
    name = layout.relative(folder)
    if found is None:
        screen.say(f"resume   {name}: no checkpoint yet, so from step 0")
        return {}
    loaded = checkpoint.load(run, *found)
    screen.say(f"resume   {name} at step {run.progress.step:,}")
    if loaded.schedule:
        screen.say(f"schedule {loaded.schedule}")
    if loaded.elsewhere:
        complain("warning: the same bits are promised for the same environment only; it had")
        complain("         " + ", ".join(loaded.elsewhere))
    return loaded.offsets


def keep_config(folder: Path, config: Config) -> None:
    """Write config.yaml, and this user's signature of it."""
    data = dump(dataclasses.asdict(config))
    trust.sign(folder, data)
    storage.write_file(folder / layout.CONFIG, data)


def dump(value: Any) -> bytes:
    """YAML, keys in their order."""
    text: str = yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    return text.encode()


class _Plain(yaml.SafeDumper):
    """SafeDumper that writes a value again where others would write an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def failed(error: Exception, folder: Path | None) -> TrainerError:
    """An error that nobody foresaw, as one line; the traceback is in train.log."""
    if isinstance(error, TrainerError):
        return error
    if isinstance(error, OSError) and error.errno in DISK:  # a full disk under stdout, for one
        return StorageError(f"{error.filename or 'the output'} cannot be written: {error.strerror}")
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    where = f"the traceback is in {layout.relative(folder)}/{layout.LOG}" if folder else "--debug shows the traceback"
    return TrainerError(f"{type(error).__name__}: {text}", where)
