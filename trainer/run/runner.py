"""Carries out a built run: the loop with its listeners, then its results: weights, summary, picture, last lines."""

import dataclasses
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from trainer.build import stepping
from trainer.build.build import Setup
from trainer.config import files, given
from trainer.config.durations import in_seconds
from trainer.data import fingerprint
from trainer.disk import folder as folders
from trainer.disk import history, layout, outcome
from trainer.disk.outcome import Change, Outcome
from trainer.errors import BadRow, Interrupted, ListenerFailed, TrainerError, failed
from trainer.events import Ended, Evaluated, Event, Stepped
from trainer.guards.finding import Finding
from trainer.listeners import Listener, Tracker, own
from trainer.listeners.checkpoints import Checkpoints
from trainer.listeners.closing import closing
from trainer.listeners.console import Console
from trainer.listeners.explain import Explain
from trainer.listeners.guards import Guards
from trainer.listeners.max_time import MaxTime, seconds_of_report
from trainer.listeners.metrics_files import MetricsFiles
from trainer.listeners.pruning import Pruning
from trainer.listeners.trackers import trackers
from trainer.loop import train
from trainer.processes import signals
from trainer.report import measured, training_pictures
from trainer.report.changes import changes
from trainer.report.layers import layers
from trainer.run import (
    ended,
    footer,
    header,
    importance,
    kept_weights,
    lost_rows,
    out_of_memory,
    replay,
    summary,
    test_split,
)
from trainer.run.result import Result
from trainer.run.session import Session
from trainer.run.throughput import Throughput
from trainer.state import TrainState
from trainer.stopping import StopReason, status_of
from trainer.tasks import baseline


def carry_out(run: TrainState, setup: Setup, folder: Path, session: Session) -> Result:
    """Train to the end or to a stop. Raises TrainerError after saving what can be saved: Diverged, Interrupted,
    StorageError, or one for an unexpected error, whose traceback is in the log."""
    screen = session.screen
    screen.open_log(folder / layout.LOG)
    folders.of(folder).needed = (layout.CONFIG, layout.PREPROCESSING, layout.PREPROCESSING_FACTS)
    # Now, since conf/ may be edited during the run.
    changed = changes(dataclasses.asdict(setup.config), files.roots()) if setup.config.report else []
    start_up = time.perf_counter() - session.started - setup.data_seconds
    seconds = {"start-up": start_up, "data": setup.data_seconds, "train": 0.0, "eval": 0.0, "save": 0.0, "report": 0.0}
    result = Result(folder, "running", seconds=seconds)
    try:
        listeners = own.listening(run, setup.config, folder, session.listeners, screen.warn)
        if whole := [each.name for each in listeners if not each.per_call]:
            stepping.one_by_one(run, run.step, f"{whole[0]} looks at the run after each")
        header.show(screen, run, setup, folder)
        for finding in setup.findings:
            header.show_finding(screen, finding)
        summary.write(run, setup, result)
        try:
            tools: list[Tracker] = []
            with closing(tools), closing(listeners):  # when the report is made
                tripped = _train(run, setup, result, session, tools, listeners)
                _conclude(run, setup, result, session, tripped, changed)
        except folders.Gone as gone:
            raise ended.gone_error(gone, result) from gone
        return result
    except Interrupted as error:  # all is saved
        screen.note(f"{error.message}\n  try: {error.hint}")
        raise
    except Exception as error:
        screen.clear()
        with suppress(TrainerError):  # a full disk, which the first error reports
            screen.note(traceback.format_exc())
        is_full = out_of_memory.is_out_of_memory(error)
        known = out_of_memory.explain(error, run, setup.config) if is_full else failed(error, layout.log_name(folder))
        text = known.message if is_full or known is error else f"{type(error).__name__}: {error}"
        result.status = ended.status(known)
        with suppress(TrainerError, OSError):  # a full disk, which the first error reports
            summary.write(run, setup, result, text)
        if known is error or (run.ranks.size > 1 and not is_full):
            raise  # of several ranks: run/rank_errors.py makes the message, unless this one has only lost a peer
        raise known from error
    finally:
        screen.close()


def _train(
    run: TrainState, setup: Setup, result: Result, session: Session, tools: list[Tracker], last: Sequence[Listener]
) -> Finding | None:
    """Run the loop with its listeners. Returns the finding that stopped it under guards=strict. tools: the trackers are
    added here, and stay open for the report; last: the user's own listeners, which do, too."""
    config, folder, screen = setup.config, result.run_dir, session.screen
    metrics = MetricsFiles(run, folder)
    tools += trackers(config, run, folder, reaches_out=setup.reaches_out)

    data, place = setup.splits.fingerprint, folders.of(folder)
    stored = data.parts.digests.clone()

    def sync() -> dict[str, int]:
        if data.lazy and not torch.equal(stored, data.parts.digests):  # more has been read since the last checkpoint
            stored.copy_(data.parts.digests)
            fingerprint.write_rows(folder, data)
        place.check()
        for tool in tools if not place.lost else ():  # TensorBoard writes to the folder by its name
            tool.flush()
        return metrics.sync()

    def saved() -> None:
        for tool in tools:
            tool.saved()

    saver = Checkpoints(run, folder, config.checkpoint.every_seconds, config.checkpoint.keep, sync, saved)
    past = history.read(folder)
    logged = [loss for _, loss in past.curves["train"]]
    console = Console(run, screen, past.curves)
    report, is_table = partial(header.show_finding, screen), setup.splits.preprocessing.table is not None
    guards = Guards(run, report, strict=config.guards == "strict", chosen=is_table, past=logged)
    listeners: list[Listener] = [metrics, *tools, saver, console]
    listeners += [Explain(run, screen, config.explain)] if config.explain else []
    listeners += [guards] if config.guards != "none" else []
    listeners += [Pruning(run, session.search, past.evaluations)] if session.search is not None else []
    if config.max_time is not None:
        report_time = seconds_of_report(result.seconds["start-up"]) if config.report and not session.is_brief else 0.0
        listeners.append(MaxTime(run, in_seconds(config.max_time), result.seconds, saver, report_time))
    ours = [each for each in listeners if each not in tools]
    listeners += last
    samples, waited = run.progress.samples, run.train_batches.waited
    events = until_wish(run)
    with closing(ours):
        try:
            mark = time.perf_counter()
            for event in events:
                if isinstance(event, Stepped):
                    result.seconds["train"] += time.perf_counter() - mark
                elif isinstance(event, Evaluated):
                    result.seconds["eval"] += time.perf_counter() - mark
                for listener in listeners:
                    listener(event)
                mark = time.perf_counter()
        except (BadRow, ListenerFailed, folders.Gone) as error:
            place.lost = isinstance(error, folders.Gone)
            with suppress(TrainerError):  # it was removed, or the weights are not finite
                while not run.is_whole:  # the rest of a call
                    with suppress(folders.Gone):
                        metrics(next(events))
                saver.save()
            result.checkpoint = saver.last
            raise
    for part, name, spent in (("train", "compile", run.compile_seconds), ("eval", "batch norms", run.average.seconds)):
        if spent:
            result.seconds[part] -= spent
            result.seconds[name] = spent
    result.seconds["save"] = saver.seconds
    samples, waited = run.progress.samples - samples, run.train_batches.waited - waited
    result.throughput = Throughput(samples, result.seconds["train"], waited)
    result.checkpoint = saver.last
    return guards.stopped_by


def _conclude(
    run: TrainState, setup: Setup, result: Result, session: Session, tripped: Finding | None, changed: list[Change]
) -> None:
    """Write weights, report and summary, and print the last lines; or raise the error that ends the run."""
    config, folder, progress, begun = setup.config, result.run_dir, run.progress, time.perf_counter()
    data = setup.splits.fingerprint
    if data.lazy and run.ranks.size > 1:  # this process has not seen what only the others have read
        with suppress(TrainerError, OSError):  # a picture that is gone: the next start says so
            data.read_rest()
        fingerprint.write_rows(folder, data)
    result.status = status_of(progress.stop_reason)
    reports = config.report and not result.cut_short
    past = history.read(folder)
    result.best, result.last = lost_rows.best_of(run, folder, past), past.at(progress.evaluated_at)
    kept = kept_weights.keep(run, setup, folder, with_predictions=not result.cut_short)
    predictions, result.calibration = kept.predictions, kept.calibration
    begun += test_split.measure(run, result)
    result.baseline = baseline.of_predictions(predictions, setup.splits.facts.class_counts)
    result.measured = measured.values(run, setup.splits.truth, past, result.last | result.best)
    if reports:
        step = progress.step if run.best_weights is None else progress.best_step
        shape = layers(run.model, run.call, setup.splits.sample[0], run.loss_fn)
        shown = training_pictures.shown(run.train_batches, setup)
        outcome.write(folder, Outcome(step, predictions, shape, changed, kept.each, shown))
        importance.keep(run, setup.splits, folder)
    result.seconds["report"] = time.perf_counter() - begun
    summary.write(run, setup, result)
    if tripped is not None:
        raise TrainerError(f"{tripped.message} (stopped by guards=strict)", tripped.remedy)
    if reports and not session.is_brief:
        session.screen.status("making the report")
        from trainer.report import make  # matplotlib takes a third of a second to import

        make.of_run(folder, past)
        result.seconds["report"] = time.perf_counter() - begun
        summary.write(run, setup, result)
    if progress.stop_reason == StopReason.DIVERGED:
        if config.guards != "none" and (source := replay.explain(setup, folder)) is not None:
            header.show_finding(session.screen, source)
        raise ended.diverged_error(run, result)
    session.screen.clear()
    footer.show(session, run, setup, result, predictions, past)
    reason = progress.stop_reason  # set even if only another rank received the signal
    if (number := signals.stop_requested() or (reason.signal if reason else None)) is not None:
        last = result.checkpoint
        saved = f"saved {last.parent.name}/{last.name}" if last else "nothing saved"
        saved = saved if result.status == "stopped" else "the run was already finished"
        text = f"stopped by {signal.Signals(number).name} at step {progress.step:,}; {saved}"
        raise Interrupted(number, text, given.resuming(vars(config), str(layout.relative(folder))))


def until_wish(run: TrainState) -> Iterator[Event]:
    """Yield train()'s events until a signal asks to stop. The last is always Ended, with the state complete."""
    try:
        for event in train(run):
            yield event
            if not run.progress.done and (number := signals.stop_requested()) is not None:
                run.progress.stop_reason = StopReason(signal.Signals(number).name)
    except signals.Stop:  # during data loading or an evaluation
        run.progress.stop_reason = StopReason(signal.Signals(signals.stop_requested() or signal.SIGINT).name)
        run.look()
        yield Ended(run.progress.step, run.progress.stop_reason)
