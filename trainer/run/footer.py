"""The lines that report the result of a run, at its end."""

import math
import shlex

from trainer.build.build import Setup
from trainer.config import durations, given
from trainer.data.kept_pictures import KeptPictures
from trainer.disk import layout
from trainer.disk.calibration import Calibration
from trainer.disk.history import History
from trainer.disk.outcome import Predictions
from trainer.processes.machine import num_cores
from trainer.report import hints, measured
from trainer.run.result import Result
from trainer.run.session import Session
from trainer.state import TrainState
from trainer.stopping import StopReason
from trainer.tasks import losses
from trainer.tasks.metrics import is_uneven
from trainer.terminal.chart import chart
from trainer.text import WIDTH, counted, decimal


def remedy(setup: Setup) -> str:
    """What to try where a model is no better than its baseline: weights of the classes, if these are uneven."""
    can_weigh = losses.can_weigh(setup.config.loss)
    if can_weigh and is_uneven(setup.splits.facts.class_counts):
        return "loss.weight=balanced with monitor=val/f1"
    return "another optimizer.lr"


def visible(name: str) -> str:
    """The name of a class, in quotes where it begins or ends in a space, or is one."""
    return name if name.strip() == name != "" else repr(name)


def calibrated(found: Calibration) -> str:
    """What a temperature gains, in words."""
    if found.temperature == 1:
        return f"1: the model is right on all {found.num_fitted:,} validation rows, so none can be fitted"
    text = f"{found.temperature:.4g}, fitted on {counted(found.num_fitted, 'validation row')}"
    if found.before is None or found.after is None:
        return text
    nll, ece = (f"{name.upper()} {found.after[name]:.4f} (was {found.before[name]:.4f})" for name in ("nll", "ece"))
    return f"{text}: {nll}, {ece} {found.where}"


def out_of_time(run: TrainState, limit: str) -> list[str]:
    """How far a run was when max_time ended it, and what to type for a schedule that ends with the run."""
    progress, schedule = run.progress, type(getattr(run.scheduler, "scheduler", run.scheduler)).__name__
    share = progress.step / progress.num_steps
    text = f"max_time={limit}: at step {progress.step:,} of {progress.num_steps:,} ({share:.0%})"
    if schedule == "Constant":
        return [text, f"try: max_steps={progress.step} for the same steps again"]
    rate = f"the learning rate, of {schedule}, was {run.optimizer.param_groups[0]['lr']:.3g}"
    return [f"{text}; {rate}", f"try: max_steps={progress.step}, with which the schedule ends in the same time"]


def show(
    session: Session, run: TrainState, setup: Setup, result: Result, predictions: Predictions | None, past: History
) -> None:
    """Report how the run went; a sweep's job shows no chart, files or next commands."""
    screen, config, progress, monitor = session.screen, setup.config, run.progress, run.stopping.monitor
    plain = screen.ascii_only
    if lines := [] if session.is_brief else chart(past.curves, title="loss", width=WIDTH, height=10, ascii_only=plain):
        screen.say("", *lines)
    screen.say()
    if progress.best is not None:
        at = f"at epoch {decimal(progress.best_step / progress.steps_per_epoch)} (step {progress.best_step:,})"
        loss = result.best.get("val/loss") if monitor != "val/loss" else None
        extra = f"   val/loss {loss:.4f}" if loss is not None else ""
        missed = result.baseline.missed(monitor, result.best)
        screen.say(f"best     {monitor} {progress.best:.4f} {at}{extra}", style="bold" if missed else "bold green")
        if missed:
            value = f"{missed} {result.baseline.metrics[missed]:.4f}"
            text = f"the model does no better than {result.baseline.answer}, which gives {value}"
            screen.warn([text, f"try: more epochs, or {remedy(setup)}"])
    if result.test:
        shown = monitor.replace("val/", "test/")
        shown = shown if shown in result.test else "test/loss"
        rows = counted(setup.splits.num_rows("test"), "row")
        screen.say(f"test     {shown} {result.test[shown]:.4f} with these weights, on {rows} that select nothing")
    if result.calibration is not None:
        screen.entry("temp.", [calibrated(result.calibration)])
    if predictions is not None and (weakest := predictions.weakest()) is not None:
        name, score, other, count = weakest
        confused = f"; taken for {visible(other)}: {count}×" if count else ""
        screen.say(f"weakest  {visible(name)} (F1 {score:.2f}{confused})")
    if progress.stop_reason == StopReason.EARLY_STOP:
        screen.say(f"stopped  early: {counted(progress.bad_evaluations, 'evaluation')} without improvement")
    elif progress.stop_reason == StopReason.MAX_TIME:
        screen.entry("stopped", out_of_time(run, str(config.max_time)))
    elif progress.stop_reason == StopReason.LISTENER:
        screen.entry("stopped", [f"by a listener at step {progress.step:,}: {progress.stop_note}"])
    elif progress.stop_reason == StopReason.PRUNED:
        screen.say(f"pruned   at step {progress.step:,}: other jobs of the search did better by then")
    for line in measured.lines(result.measured, setup.splits.truth, config.expect):
        screen.say(line)
    parts = ", ".join(f"{name} {value:.1f}" for name, value in result.seconds.items() if value >= 0.05)
    screen.entry("time", [f"{sum(result.seconds.values()):.1f} s" + (f": {parts}" if parts else "")])
    if (speed := result.throughput) is not None:
        screen.say(f"speed    {speed.rate:,.0f} samples/s, {speed.waiting:.0%} of the training time waiting for data")
    if session.is_brief:
        return
    names = [layout.REPORT, layout.PICTURE, layout.MODEL, layout.METRICS]
    screen.say("files    " + " ".join(name for name in names if (result.run_dir / name).exists()))
    lr, finished = run.optimizer.defaults["lr"], progress.step == progress.num_steps
    kept = isinstance(setup.splits.train.loader, KeptPictures)
    hint = speed.hint(config.loader, num_cores(), kept=kept) if speed is not None else None
    folder = result.run_dir
    name = layout.LATEST if layout.is_latest(folder, config.output_dir) else shlex.quote(str(layout.relative(folder)))
    objects = given.arguments(vars(config))
    settings = durations.longer(config.epochs, config.max_steps, progress.num_steps, progress.steps_per_epoch)
    longer = given.resuming(vars(config), name, **settings)
    hint = hint or hints.hint(past.evaluations, lr=lr, finished=finished, longer=longer)
    if progress.stop_reason == StopReason.MAX_TIME:
        seconds = f"{2 * max(durations.in_seconds(config.max_time), math.ceil(run.timer.seconds)):g}s"
        hint = f"to train on: {given.resuming(vars(config), name, max_time=seconds)}"
    if hint:
        screen.entry("hint", [hint])
    load = f"trainer.load('{name}', {objects})" if objects else f"trainer eval {name}"
    screen.entry("next", [f"{load} · trainer runs · trainer ls"])
