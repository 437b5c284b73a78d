"""Carries out a built run: the loop with its listeners around it, then what stays: weights, summary, picture, lines."""

import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from trainer import checkpoint, header, rundir, signals, storage, summary
from trainer.build import Setup
from trainer.errors import Diverged, Interrupted, TrainerError
from trainer.events import Ended, Evaluated, Event, Stepped
from trainer.listeners import Listener
from trainer.listeners.chart import chart
from trainer.listeners.checkpoints import Checkpoints
from trainer.listeners.console import Console
from trainer.listeners.explain import Explain
from trainer.listeners.finite import Finite
from trainer.listeners.metrics_files import MetricsFiles
from trainer.listeners.trackers import trackers
from trainer.loop import train
from trainer.report import hints, history, measured
from trainer.report.history import History
from trainer.report.outcome import Outcome, measure
from trainer.screen import WIDTH, Screen
from trainer.state import TrainState


@dataclass
class Result:
    """What a run came to. best and last are metrics by name; measured is whatever `expect` may name; model has the best
    weights once the run has ended."""

    run_dir: Path
    status: str
    model: nn.Module
    best: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


def carry_out(
    run: TrainState,
    setup: Setup,
    folder: Path,
    screen: Screen,
    begun: float,
    *,
    brief: bool = False,
    watchers: Sequence[Listener] = (),
) -> Result:
    """Train to the end or to a stop. Raises Diverged, Interrupted or StorageError after saving what can be saved.

    begun: perf_counter when the program started. brief: a sweep's job, without picture, chart and next commands.
    watchers: more listeners, after the run's own.
    """
    screen.open_log(folder / rundir.LOG)
    start_up = time.perf_counter() - begun - setup.data_seconds
    seconds = {"start-up": start_up, "data": setup.data_seconds} | dict.fromkeys(
        ("train", "eval", "save", "report"), 0.0
    )
    result = Result(folder, "running", run.model, seconds=seconds)
    try:
        header.show(screen, run, setup, folder)
        _summarise(run, setup, result)
        return _train(run, setup, result, screen, brief, watchers)
    except Interrupted:  # all is saved and told
        raise
    except Exception as error:
        screen.clear()
        with suppress(TrainerError):  # a full disk: the first error says so
            screen.note(traceback.format_exc())
        _fail(run, setup, result, error)
        raise
    finally:
        screen.close()


def _train(
    run: TrainState, setup: Setup, result: Result, screen: Screen, brief: bool, watchers: Sequence[Listener]
) -> Result:
    config, folder = setup.config, result.run_dir
    files = MetricsFiles(run, folder)
    tools = trackers(config, run, folder)

    def sync() -> dict[str, int]:
        for tool in tools:
            tool.flush()
        return files.sync()

    saver = Checkpoints(run, folder, config.checkpoint.every_seconds, config.checkpoint.keep, sync)
    console = Console(run, screen, history.read(folder).curves)
    first_sample = run.progress.samples
    explain = [Explain(run, screen, config.explain)] if config.explain else []
    listeners: Sequence[Listener] = (files, Finite(run), *tools, saver, console, *explain, *watchers)
    try:
        mark = time.perf_counter()
        for event in _until_wish(run):
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
    result.status = summary.STATUS[run.progress.stop_reason]
    past = history.read(folder)
    result.best = past.at(run.progress.best_step)
    result.last = past.at(run.progress.evaluated_at)
    result.seconds["save"] = saver.seconds

    begun = time.perf_counter()
    stopped = result.status == "stopped"  # whoever asked for it does not want to wait for pictures
    outcome = _keep_weights(run, folder, with_outcome=not stopped)
    result.measured = measured.values(run, setup.splits.truth, past, result.last | result.best)
    if config.report and not brief and not stopped and past.evaluations:
        from trainer.report import picture  # matplotlib takes a third of a second to import

        title = f"{setup.splits.name} · {folder.name}"
        storage.write_file(folder / rundir.PICTURE, picture.draw(title, past.curves, outcome))
    result.seconds["report"] = time.perf_counter() - begun
    _summarise(run, setup, result)
    if run.progress.stop_reason == "diverged":
        raise _diverged(run, saver.last)
    rate = (run.progress.samples - first_sample) / max(result.seconds["train"], 1e-9)
    _say_end(run, setup, result, screen, outcome, past, rate, brief)
    if (number := signals.wish()) is not None:
        name, last = signal.Signals(number).name, saver.last
        done = "it was done" if not stopped else f"saved {last.parent.name}/{last.name}" if last else "nothing saved"
        raise Interrupted(number, f"stopped by {name} at step {run.progress.step:,}; {done}", _resume(folder))
    return result


def _until_wish(run: TrainState) -> Iterator[Event]:
    """train()'s events, up to a wish to stop; Ended is the last in any case, and the state is whole then."""
    try:
        for event in train(run):
            yield event
            if not run.progress.done and (number := signals.wish()) is not None:
                run.progress.stop_reason = signal.Signals(number).name
    except signals.Stop:  # while data was fetched or an evaluation went on
        run.progress.stop_reason = signal.Signals(signals.wish() or signal.SIGINT).name
        yield Ended(run.progress.step, run.progress.stop_reason)


def _keep_weights(run: TrainState, folder: Path, *, with_outcome: bool) -> Outcome | None:
    """Write model.safetensors, the best weights or else the last, and measure them on the validation split."""
    if run.best_weights is not None:
        run.model.load_state_dict(run.best_weights)
    elif run.progress.stop_reason == "diverged":
        return None
    storage.write_file(folder / rundir.MODEL, checkpoint.tensor_bytes(run.model.state_dict()))
    if not with_outcome or run.val_batches is None:
        return None
    try:
        return measure(run, run.val_batches, "validation")
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
        error=error,
    )


def _fail(run: TrainState, setup: Setup, result: Result, error: Exception) -> None:
    """Say in summary.json that the run is over; the error itself goes on."""
    result.status = "diverged" if isinstance(error, Diverged) else "failed"
    text = error.message if isinstance(error, TrainerError) else f"{type(error).__name__}: {error}"
    with suppress(TrainerError, OSError):  # a full disk: the first error says so
        _summarise(run, setup, result, text)


def _diverged(run: TrainState, last: Path | None) -> Diverged:
    lr = run.optimizer.param_groups[0]["lr"]
    kept = f"last good checkpoint: {last}" if last else "no checkpoint had been saved yet"
    text = f"the loss is NaN or infinite at step {run.progress.step} with learning rate {lr:g}; {kept}"
    return Diverged(text, f"optimizer.lr={min(lr / 10, 0.01):g}, or clip_grad_norm=1")


def _resume(folder: Path) -> str:
    return f"trainer resume {rundir.relative(folder)}"


def _say_end(
    run: TrainState,
    setup: Setup,
    result: Result,
    screen: Screen,
    outcome: Outcome | None,
    past: History,
    rate: float,
    brief: bool,
) -> None:
    progress, seconds = run.progress, result.seconds
    if not brief:
        lines = chart(past.curves, title="loss", width=WIDTH, height=10, ascii_only=screen.ascii_only)
        if lines:
            screen.say("\n" + "\n".join(lines))
    screen.say()
    if progress.best is not None:
        epoch = progress.best_step / progress.steps_per_epoch
        loss = f"   val/loss {result.best['val/loss']:.4f}" if "val/loss" in result.best else ""
        loss = "" if run.stopping.monitor == "val/loss" else loss
        screen.say(
            f"best     {run.stopping.monitor} {progress.best:.4f} "
            f"at epoch {epoch:g} (step {progress.best_step:,}){loss}",
            style="bold green",
        )
    if outcome is not None and (weakest := outcome.weakest()) is not None:
        name, score, other, count = weakest
        taken = f"; taken for {other}: {count}×" if count else ""
        screen.say(f"weakest  {name} (F1 {score:.2f}{taken})")
    if progress.stop_reason == "early stop":
        screen.say(f"stopped  early: {progress.bad_evaluations} evaluations without improvement")
    for line in measured.lines(result.measured, setup.splits.truth, setup.config.expect):
        screen.say(line)
    parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if value >= 0.05)
    screen.say(f"time     {sum(seconds.values()):.1f} s: {parts}   ({rate:,.0f} samples/s)")
    if brief:
        return
    names = [rundir.PICTURE, rundir.MODEL, rundir.METRICS]
    screen.say("files    " + " ".join(name for name in names if (result.run_dir / name).exists()))
    config = setup.config
    lr = run.optimizer.defaults["lr"]
    found = hints.hint(past.evaluations, epochs=config.epochs, lr=lr, finished=progress.step == progress.num_steps)
    if found:
        screen.say(f"hint     {found}")
    screen.say("next     trainer eval latest · trainer runs · trainer ls")
