"""From a checked config to a run: build it, make its folder, carry it out. Used by train, resume and sweeps."""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from trainer import checkpoint, kernels
from trainer.build import init_from
from trainer.build.build import Setup, build
from trainer.config import given, run_config
from trainer.config.check import check
from trainer.config.schema import Config
from trainer.data.earlier import Earlier, IfChanged, about_pictures
from trainer.data.fingerprint import Fingerprint
from trainer.disk import layout, storage
from trainer.disk.lock import only_writer
from trainer.errors import BadRow, ConfigError, TrainerError, complain, failed
from trainer.listeners import own
from trainer.processes import ranks as distributed
from trainer.processes import signals
from trainer.run import best_weights, data_files, git_diff, lost_rows, start_ranks
from trainer.run.result import Result
from trainer.run.runner import carry_out, until_wish
from trainer.run.session import Session
from trainer.state import TrainState
from trainer.stopping import status_of
from trainer.terminal.screen import Screen

BUILDING = "reading the data and building the model"


def start(
    config: Config,
    overrides: list[str],
    make_folder: Callable[[str], Path],
    session: Session,
    *,
    sign: bool = True,
    download: bool = True,
) -> Result:
    """Build a new run, then make its folder with `make_folder(label)` and train. A failed build leaves no folder.

    sign, download: false for a job of a sweep that this user has not signed: its config stays unsigned, and it reaches
    nothing outside its folder, see build. Raises ConfigError if the folder holds a run already.
    """
    if (num_ranks := distributed.num_ranks(config)) > 1:
        work = start_ranks.Work.of(config, session, overrides=overrides, sign=sign, download=download)
        return start_ranks.run(num_ranks, work, in_rank, make_folder)
    with distributed.joined() as ranks, kernels.kept():
        session.screen.status(BUILDING)
        run, setup = _built(config, session, ranks, download=download)
        try:
            checkpoint.contents(run, {})
        except TypeError as error:
            raise ConfigError(f"a checkpoint of this run could not be written: {error}") from error
        if ranks.rank > 0:
            return follow(run)
        folder = make_folder(config.name or f"{setup.splits.name}-{type(run.model).__name__}")
        with only_writer(folder) as folder, signals.listening(may_abandon=ranks.size == 1):
            check_empty(folder)
            run_config.write(folder, setup.config, sign=sign)
            storage.write_file(folder / layout.OVERRIDES, run_config.dump(overrides))
            data_files.write(folder, setup.splits)
            if setup.reaches_out:
                git_diff.write(folder)
            if setup.first_weights.path is not None or given.current().model is not None:  # a resume has no others
                checkpoint.save(run, folder, config.checkpoint.keep, dict)
            return carry_out(run, setup, folder, session)


def _built(
    config: Config, session: Session, ranks: distributed.Ranks, *, download: bool, earlier: Earlier | None = None
) -> tuple[TrainState, Setup]:
    """Build a run on what its session may use of this machine. Its time began with the session; its listeners are made
    later, when there is a folder."""
    if ranks.rank == 0:
        own.check(config.listeners)
    run, setup = build(
        config,
        cores=session.num_cores,
        num_jobs=session.num_jobs,
        download=download,
        ranks=ranks,
        earlier=earlier,
        may_measure=session.may_measure,
    )
    run.timer.started = session.started
    return run, setup


def resume(
    folder: Path,
    config: Config,
    session: Session,
    *,
    sign: bool = True,
    download: bool = True,
    if_changed: IfChanged = "refuse",
    ready: Callable[[], object] = lambda: None,
) -> Result:
    """Build a stored run again, load its newest good checkpoint and train on; from step 0 if there is none.

    sign: whether this user had signed the stored config, and so signs it again. download: whether the run may reach
    outside its folder, see build. if_changed: see data/earlier.py. ready: called after the build. Raises ConfigError
    for data that has changed.
    """
    if (num_ranks := distributed.num_ranks(config)) > 1:
        rest = {"folder": folder, "sign": sign, "download": download, "if_changed": if_changed}
        return start_ranks.run(num_ranks, start_ranks.Work.of(config, session, **rest), in_rank)
    with ExitStack() as stack:
        ranks = stack.enter_context(distributed.joined())
        stack.enter_context(kernels.kept())
        if ranks.rank == 0:
            folder = stack.enter_context(only_writer(folder))
        with nullcontext() if ranks.size > 1 else traceback_in_log(folder, session.screen):
            session.screen.status(BUILDING)
            earlier = data_files.read(folder, config, if_changed=if_changed)
            run, setup = _built(config, session, ranks, download=download, earlier=earlier)
        if ranks.rank > 0:
            if newest := ranks.tell(None):
                checkpoint.load(run, *newest)
            else:
                init_from.load_again(run.model, setup.config, setup.splits, folder, is_trusted=download)
            forget_best(run, setup.splits.fingerprint, earlier)
            return follow(run)
        ready()
        if earlier is not None and earlier.fingerprint is None:
            complain("warning: this run did not store what its data was, as version 0.1.0 did not")
            complain("         whether the data has changed since cannot be told")
        for line in about_pictures(folder, config):
            complain(line)
        with signals.listening(may_abandon=ranks.size == 1):
            offsets = load_newest(run, folder, session.screen)
            if not offsets:
                init_from.load_again(run.model, setup.config, setup.splits, folder, is_trusted=download)
            if offsets and (folder / layout.MODEL).exists():
                best_weights.restore(folder, checkpoint.most_bytes(run.model))
            if forget_best(run, setup.splits.fingerprint, earlier):
                session.screen.say("best     starts again: other rows validate now")
            for name in (layout.METRICS, layout.RESULTS):
                lost_rows.warn(folder / name, offsets.get(name, 0), run.progress.step)
                storage.truncate(folder / name, offsets.get(name, 0))
            storage.remove_leftovers(folder)
            storage.remove_leftovers(folder / layout.CHECKPOINTS)
            run_config.write(folder, setup.config, sign=sign)
            data_files.write(folder, setup.splits)
            return carry_out(run, setup, folder, session)


def check_empty(folder: Path) -> None:
    """Raise ConfigError if a folder holds the metrics of a run: a new run would append its own to them."""
    for path in (folder / layout.METRICS, folder / layout.RESULTS):
        if os.path.lexists(path):
            raise ConfigError(f"{path} is there already", f"trainer resume {layout.relative(folder)}")


def forget_best(run: TrainState, now: Fingerprint, earlier: Earlier | None) -> bool:
    """Forget the best weights if they were measured on other validation rows than those of now. Returns whether."""
    before = earlier.fingerprint if earlier is not None else None
    if earlier is None or before is None:
        return False
    is_same = earlier.if_changed == "refuse" or now.validates_as(before)
    now.since = before.since if is_same else run.progress.step
    if run.progress.best is None or run.progress.best_step > now.since:
        return False
    run.forget_best()
    return True


def in_rank(work: start_ranks.Work, screen: Screen, ask_for_folder: Callable[[str], Path]) -> Result:
    """Carry out a run as one of several ranks, each in its own process."""
    objects, listeners = work.opened()
    config, session = check(work.config), Session(screen, listeners=listeners, **work.session)
    how: dict[str, Any] = {"sign": work.sign, "download": work.download}
    with given.using(objects):
        if work.folder is None:
            return start(config, list(work.overrides), ask_for_folder, session, **how)
        ready = lambda: ask_for_folder("")  # noqa: E731
        return resume(work.folder, config, session, if_changed=work.if_changed, ready=ready, **how)


@contextmanager
def traceback_in_log(folder: Path, screen: Screen) -> Iterator[None]:
    """Write the traceback of an unexpected error, or of a bad row, to the run's log."""
    try:
        yield
    except BadRow:
        with suppress(TrainerError):
            screen.note(traceback.format_exc())
        raise
    except TrainerError:
        raise
    except Exception as error:
        with suppress(TrainerError):  # a full disk, which the first error reports
            screen.open_log(folder / layout.LOG)
            screen.note(traceback.format_exc())
        raise failed(error, layout.log_name(folder)) from error


def follow(run: TrainState) -> Result:
    """Train as a rank that writes nothing: rank 0 reports the result."""
    with signals.listening(may_abandon=False):
        for _ in until_wish(run):
            pass
    return Result(Path(), status_of(run.progress.stop_reason))


def load_newest(run: TrainState, folder: Path, screen: Screen) -> dict[str, int]:
    """Load a run's newest good checkpoint and report it. Returns the sizes of the metrics files at that checkpoint."""
    newest = run.ranks.tell(checkpoint.newest(run, folder))
    name = layout.relative(folder)
    if newest is None:
        screen.say(f"resume   {name}: no checkpoint yet, so from step 0")
        return {}
    loaded = checkpoint.load(run, *newest)
    if "status" not in layout.read_summary(folder):  # every run writes one before it trains
        complain(f"warning: {name / layout.SUMMARY} is missing or damaged; it is written again from the run")
    screen.say(f"resume   {name} at step {run.progress.step:,}")
    if loaded.schedule:
        screen.say(f"schedule {loaded.schedule}")
    if loaded.elsewhere:
        complain("warning: exact resume needs the same environment; the checkpoint was saved with")
        complain("         " + ", ".join(loaded.elsewhere))
    return loaded.offsets
