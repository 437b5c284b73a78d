"""Carries out a built run: the loop with its listeners around it, then what stays: weights, summary, picture, lines."""

import dataclasses
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from trainer.build.build import Setup
from trainer.config import files
from trainer.disk import history, layout, storage, tensors
from trainer.disk import outcome as inspection
from trainer.disk.outcome import Inspection, Outcome
from trainer.errors import Diverged, Interrupted, TrainerError, failed
from trainer.events import Ended, Evaluated, Event, Stepped
from trainer.guards.finding import Finding
from trainer.listeners import Listener
from trainer.listeners.checkpoints import Checkpoints
from trainer.listeners.console import Console
from trainer.listeners.explain import Explain
from trainer.listeners.finite import Finite
from trainer.listeners.guards import Guards
from trainer.listeners.metrics_files import MetricsFiles
from trainer.listeners.trackers import trackers
from trainer.loop import train
from trainer.processes import signals
from trainer.report import measured
from trainer.report.changes import changes
from trainer.report.layers import layers
from trainer.report.outcome import measure
from trainer.run import footer, header, out_of_memory, replay, summary
from trainer.run.result import Result
from trainer.run.session import Session
from trainer.run.throughput import Throughput
from trainer.state import TrainState
from trainer.stopping import StopReason, status_of


def carry_out(run: TrainState, setup: Setup, folder: Path, session: Session) -> Result:
    """Train to the end or to a stop. Raises TrainerError after saving what can be saved: Diverged, Interrupted,
    StorageError, or what became of an error that nobody foresaw, whose traceback is in the log then."""
    screen = session.screen
    screen.open_log(folder / layout.LOG)
    # Now, since conf/ may be edited while the run goes on.
    changed = changes(dataclasses.asdict(setup.config), files.roots()) if setup.config.report else []
    start_up = time.perf_counter() - session.started - setup.data_seconds
    seconds = {"start-up": start_up, "data": setup.data_seconds} | dict.fromkeys(
        ("train", "eval", "save", "report"), 0.0
    )
    result = Result(folder, "running", seconds=seconds)
    try:
        header.show(screen, run, setup, folder)
        for finding in setup.findings:
            header.show_finding(screen, finding)
        _summarise(run, setup, result)
        tripped = _train(run, setup, result, session)
        _conclude(run, setup, result, session, tripped, changed)
        return result
    except Interrupted:  # all is saved and told
        raise
    except Exception as error:
        screen.clear()
        with suppress(TrainerError):  # a full disk: the first error says so
            screen.note(traceback.format_exc())
        known = failed(error, layout.log_name(folder))
        if out_of_memory.is_out_of_memory(error):
            known = out_of_memory.explain(error, run, setup.config)
        result.status = "diverged" if isinstance(known, Diverged) else "failed"
        with suppress(TrainerError, OSError):  # a full disk: the first error says so
            _summarise(run, setup, result, known.message)
        if known is error:
            raise
        raise known from error
    finally:
        screen.close()


def _train(run: TrainState, setup: Setup, result: Result, session: Session) -> Finding | None:
    """The loop with its listeners around it. Returns what guards=strict ended it for."""
    config, folder, screen = setup.config, result.run_dir, session.screen
    metrics = MetricsFiles(run, folder)
    tools = trackers(config, run, folder)

    def sync() -> dict[str, int]:
        for tool in tools:
            tool.flush()
        return metrics.sync()

    saver = Checkpoints(run, folder, config.checkpoint.every_seconds, config.checkpoint.keep, sync)
    console = Console(run, screen, history.read(folder).curves)
    guards = Guards(run, partial(header.show_finding, screen), strict=config.guards == "strict")
    listeners: list[Listener] = [metrics, Finite(run), *tools, saver, console]
    listeners += [Explain(run, screen, config.explain)] if config.explain else []
    listeners += [guards] if config.guards != "none" else []
    listeners += session.listeners
    first_sample, waited_before = run.progress.samples, run.train_batches.waited
    try:
        mark = time.perf_counter()
        for event in until_wish(run):
            if isinstance(event, Stepped):
                result.seconds["train"] += time.perf_counter() - mark
            elif isinstance(event, Evaluated):
                result.seconds["eval"] += time.perf_counter() - mark
            for listener in listeners:
                listener(event)
            mark = time.perf_counter()
    finally:
        for listener in listeners:
            listener.close()
    if run.compile_seconds:
        result.seconds["train"] -= run.compile_seconds
        result.seconds["compile"] = run.compile_seconds
    result.seconds["save"] = saver.seconds
    result.throughput = Throughput(
        run.progress.samples - first_sample, result.seconds["train"], run.train_batches.waited - waited_before
    )
    result.checkpoint = saver.last
    return guards.stopped_by


def _conclude(
    run: TrainState,
    setup: Setup,
    result: Result,
    session: Session,
    tripped: Finding | None,
    changed: Sequence[tuple[str, str, str]],
) -> None:
    """What stays: weights, what they do, report, summary, and the last lines; or the error that the run ends in."""
    config, folder, begun = setup.config, result.run_dir, time.perf_counter()
    result.status = status_of(run.progress.stop_reason)
    stopped = result.status == "stopped"  # whoever asked for it does not want to wait for pictures
    past = history.read(folder)
    result.best = past.at(run.progress.best_step)
    result.last = past.at(run.progress.evaluated_at)
    outcome = _keep_weights(run, setup, folder, with_outcome=not stopped)
    result.measured = measured.values(run, setup.splits.truth, past, result.last | result.best)
    if config.report and not stopped:
        at = run.progress.step if run.best_weights is None else run.progress.best_step
        inspection.write(folder, Inspection(at, outcome, layers(run.model, setup.splits.sample[0]), changed))
    result.seconds["report"] = time.perf_counter() - begun
    _summarise(run, setup, result)
    if tripped is not None:
        raise TrainerError(f"{tripped.message} (stopped by guards=strict)", tripped.remedy)
    if config.report and not stopped and not session.is_brief:
        from trainer.report import make  # matplotlib takes a third of a second to import

        make.of_run(folder, past)
        result.seconds["report"] = time.perf_counter() - begun
        _summarise(run, setup, result)
    if run.progress.stop_reason == StopReason.DIVERGED:
        if config.guards != "none" and (source := replay.explain(config, folder)) is not None:
            header.show_finding(session.screen, source)
        raise _diverged(run, result.checkpoint)
    footer.show(session, run, setup, result, outcome, past)
    reason = run.progress.stop_reason  # also where another rank was asked
    if (number := signals.stop_requested() or (reason.signal if reason else None)) is not None:
        name, last = signal.Signals(number).name, result.checkpoint
        done = "it was done" if not stopped else f"saved {last.parent.name}/{last.name}" if last else "nothing saved"
        raise Interrupted(number, f"stopped by {name} at step {run.progress.step:,}; {done}", _resume(folder))


def until_wish(run: TrainState) -> Iterator[Event]:
    """train()'s events, up to a wish to stop; Ended is the last in any case, and the state is whole then."""
    try:
        for event in train(run):
            yield event
            if not run.progress.done and (number := signals.stop_requested()) is not None:
                run.progress.stop_reason = StopReason(signal.Signals(number).name)
    except signals.Stop:  # while data was fetched or an evaluation went on
        run.progress.stop_reason = StopReason(signal.Signals(signals.stop_requested() or signal.SIGINT).name)
        yield Ended(run.progress.step, run.progress.stop_reason)


def _keep_weights(run: TrainState, setup: Setup, folder: Path, *, with_outcome: bool) -> Outcome | None:
    """Write model.safetensors, the best weights or else the last, and measure them on the validation split."""
    if run.best_weights is not None:
        run.model.load_state_dict(run.best_weights)
    elif run.progress.stop_reason == StopReason.DIVERGED:
        return None
    storage.write_file(folder / layout.MODEL, tensors.tensor_bytes(run.model.state_dict()))
    if not with_outcome or run.val_batches is None:
        return None
    try:
        return measure(run, setup.splits.preprocessing, run.val_batches, "validation")
    except signals.Stop:  # the run is done and whole: whoever asks now does not want to wait for its picture
        return None


def _summarise(run: TrainState, setup: Setup, result: Result, error: str | None = None) -> None:
    summary.write(
        result.run_dir,
        run,
        setup,
        status=result.status,
        seconds=result.seconds,
        last=result.last,
        best=result.best,
        throughput=result.throughput,
        error=error,
    )


def _diverged(run: TrainState, last: Path | None) -> Diverged:
    lr = run.optimizer.param_groups[0]["lr"]
    kept = f"last good checkpoint: {last}" if last else "no checkpoint had been saved yet"
    text = f"the loss is NaN or infinite at step {run.progress.step} with learning rate {lr:g}; {kept}"
    return Diverged(text, f"optimizer.lr={min(lr / 10, 0.01):g}, or clip_grad_norm=1")


def _resume(folder: Path) -> str:
    return f"trainer resume {layout.relative(folder)}"
