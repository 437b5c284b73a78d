"""What doctor does: every guard on one batch, as a table."""

import textwrap
from collections.abc import Sequence

from trainer.config.settings import Settings
from trainer.data.splits import Splits
from trainer.diagnosis import short_run
from trainer.guards import start
from trainer.guards.finding import CHECKS, Finding
from trainer.guards.shared_rows import shared_rows
from trainer.listeners.guards import WATCHED, Guards
from trainer.loop import train
from trainer.run import header, out_of_memory, replay
from trainer.state import TrainState
from trainer.stopping import StopReason
from trainer.terminal.screen import Screen
from trainer.text import first_line

COLUMNS = (14, 38, 24)  # of the table, with a space between


def examine(composed: Settings, screen: Screen) -> int:
    """Print the table. Returns 1 where a guard has tripped; a note is none."""
    run, setup = short_run.prepare(composed, WATCHED)
    header.show(screen, run, setup)
    found = list(setup.findings) + train_on_one_batch(composed, run, WATCHED)
    found += shared_rows(setup.splits)
    screen.say()
    screen.say(" ".join(f"{name:<{w}}" for name, w in zip(("check", "found", "what to type"), COLUMNS, strict=True)))
    screen.say(("-" if screen.ascii_only else "─") * (sum(COLUMNS) + 2))
    for line in rows(found, left_out(run, setup.splits)):
        screen.say(line)
    tripped = {finding.check for finding in found if not finding.note}
    num_checks = len(CHECKS)
    verdict = f"{len(tripped)} tripped" if tripped else "no guard trips"
    screen.say(f"\n{num_checks} checks: {verdict}", style="bold red" if tripped else "bold green")
    return 1 if tripped else 0


def train_on_one_batch(composed: Settings, run: TrainState, num_steps: int) -> list[Finding]:
    """What the guards find in some steps over the first batch; an error in them is a finding too."""
    found: list[Finding] = []
    run.train_batches = short_run.OneBatch.of(run.train_batches)
    run.progress.steps_per_epoch = 1
    guards = Guards(run, found.append)
    try:
        for event in train(run):
            guards(event)
    except Exception as error:
        if out_of_memory.is_out_of_memory(error):
            raise
        text = first_line(error)
        found.append(Finding("training step", "the loop", f"it raised {text}", "nothing is trained", "see above"))
    if run.progress.stop_reason == StopReason.DIVERGED:
        again, _ = short_run.prepare(composed, num_steps)
        again.train_batches, again.progress.steps_per_epoch = run.train_batches, 1
        if (source := replay.replay(again)) is not None:
            found.append(source)
    return found


def left_out(run: TrainState, splits: Splits) -> dict[str, str]:
    """Checks that this config gives nothing to look at, and why."""
    reasons = {}
    if start.chance_level(run.loss_fn, run.facts.num_outputs) is None:
        reasons["first loss"] = f"nothing to compare {type(run.loss_fn).__name__} with"
    if splits.val is None:
        reasons["shared rows"] = "no validation rows"
    return reasons


def rows(found: Sequence[Finding], reasons: dict[str, str]) -> list[str]:
    """Lines of check, found, what to type; every check of CHECKS and whatever else was found."""
    lines: list[str] = []
    extra = [finding.check for finding in found if finding.check not in CHECKS]
    for check in dict.fromkeys([*CHECKS, *extra]):
        hits = [finding for finding in found if finding.check == check]
        for finding in hits:
            text = f"{'note: ' if finding.note else ''}{finding.where}: {finding.what}; {finding.why}"
            lines += _row(check, text, finding.remedy)
        if not hits:
            lines += _row(check, f"– {reasons[check]}" if check in reasons else "ok", "")
    return lines


def _row(*texts: str) -> list[str]:
    cells = [textwrap.wrap(text, width) or [""] for text, width in zip(texts, COLUMNS, strict=True)]
    height = max(map(len, cells))
    padded = [cell + [""] * (height - len(cell)) for cell in cells]
    lines = zip(*padded, strict=True)
    return [" ".join(f"{text:<{width}}" for text, width in zip(line, COLUMNS, strict=True)).rstrip() for line in lines]
