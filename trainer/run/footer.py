"""The lines that say what a run came to, after it."""

from trainer.build.build import Setup
from trainer.disk import layout
from trainer.disk.history import History
from trainer.disk.outcome import Outcome
from trainer.processes.machine import num_cores
from trainer.report import hints, measured
from trainer.run.result import Result
from trainer.run.session import Session
from trainer.state import TrainState
from trainer.stopping import StopReason
from trainer.terminal.chart import chart
from trainer.text import WIDTH


def show(
    session: Session, run: TrainState, setup: Setup, result: Result, outcome: Outcome | None, past: History
) -> None:
    """Say how the run went; of a sweep's job without chart, files and next commands."""
    screen, progress, seconds = session.screen, run.progress, result.seconds
    if not session.is_brief:
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
    if progress.stop_reason == StopReason.EARLY_STOP:
        screen.say(f"stopped  early: {progress.bad_evaluations} evaluations without improvement")
    for line in measured.lines(result.measured, setup.splits.truth, setup.config.expect):
        screen.say(line)
    parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if value >= 0.05)
    screen.say(f"time     {sum(seconds.values()):.1f} s: {parts}")
    if result.throughput is not None:
        screen.say(f"speed    {result.throughput.line()}")
    if session.is_brief:
        return
    names = [layout.REPORT, layout.PICTURE, layout.MODEL, layout.METRICS]
    screen.say("files    " + " ".join(name for name in names if (result.run_dir / name).exists()))
    config = setup.config
    lr = run.optimizer.defaults["lr"]
    found = hints.hint(past.evaluations, epochs=config.epochs, lr=lr, finished=progress.step == progress.num_steps)
    waiting = result.throughput.hint(config.loader, num_cores()) if result.throughput is not None else None
    if waiting or found:
        screen.say(f"hint     {waiting or found}")
    screen.say("next     trainer eval latest · trainer runs · trainer ls")
