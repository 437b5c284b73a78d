"""Doctor: every guard on one batch, as a table."""

import itertools
import textwrap
from collections.abc import Sequence

from trainer.config.settings import Settings
from trainer.data.splits import Splits
from trainer.diagnosis import short_run
from trainer.errors import described
from trainer.guards import start
from trainer.guards.finding import CHECKS, Finding
from trainer.guards.shared_rows import shared_rows
from trainer.listeners.guards import WATCHED, Guards
from trainer.loop import train
from trainer.run import header, out_of_memory, replay
from trainer.state import TrainState
from trainer.stopping import StopReason
from trainer.terminal.screen import Screen

COLUMNS = (14, 38, 24)  # widths in the table, with a space between


def examine(composed: Settings, screen: Screen) -> int:
    """Print the table. Returns 1 if a guard has tripped, else 0; a note does not count."""
    run, setup = short_run.prepare(composed, WATCHED)
    header.show(screen, run, setup)
    findings = [*setup.findings, *train_on_one_batch(composed, run, setup.splits)]
    if not any(finding.check == "shared rows" for finding in findings):
        findings += shared_rows(setup.splits)
    screen.say()
    screen.say(" ".join(map(str.ljust, ("check", "found", "what to type"), COLUMNS)))
    screen.say(("-" if screen.ascii_only else "─") * (sum(COLUMNS) + 2))
    for line in rows(findings, left_out(run, setup.splits)):
        screen.say(line)
    tripped = {finding.check for finding in findings if not finding.note}
    verdict = f"{len(tripped)} tripped" if tripped else "no guard trips"
    screen.say("", f"{len(CHECKS)} checks: {verdict}", style="bold red" if tripped else "bold green")
    return 1 if tripped else 0


def train_on_one_batch(composed: Settings, run: TrainState, splits: Splits) -> list[Finding]:
    """The guards' findings in WATCHED steps over the first batch; an error in a step is a finding too."""
    findings: list[Finding] = []
    short_run.keep_one_batch(run)
    guards = Guards(run, findings.append, chosen=splits.preprocessing.table is not None)
    try:
        for event in train(run):
            guards(event)
    except Exception as error:
        if out_of_memory.is_out_of_memory(error):
            raise
        what = f"it raised {described(error)}"
        findings.append(Finding("training step", "the loop", what, "nothing is trained", "see above"))
    if run.progress.stop_reason == StopReason.DIVERGED:
        again, _ = short_run.prepare(composed, WATCHED)
        short_run.keep_one_batch(again)
        if (source := replay.replay(again)) is not None:
            findings.append(source)
    return findings


def left_out(run: TrainState, splits: Splits) -> dict[str, str]:
    """{check: reason} for the checks that do not apply to this config."""
    reasons = {}
    if start.chance_level(run.loss_fn, run.facts.num_outputs) is None:
        reasons["first loss"] = f"nothing to compare {type(run.loss_fn).__name__} with"
    if splits.val is None:
        reasons["shared rows"] = "no validation rows"
    return reasons


def rows(findings: Sequence[Finding], reasons: dict[str, str]) -> list[str]:
    """Lines of check, found, what to type: for every check of CHECKS, then for any other finding."""
    lines: list[str] = []
    for check in dict.fromkeys([*CHECKS, *(finding.check for finding in findings)]):
        hits = [finding for finding in findings if finding.check == check]
        for finding in hits:
            text = f"{'note: ' if finding.note else ''}{finding.where}: {finding.what}; {finding.why}"
            lines += _row(check, text, finding.remedy)
        if not hits:
            lines += _row(check, f"– {reasons[check]}" if check in reasons else "ok", "")
    return lines


def _row(*texts: str) -> list[str]:
    lines = itertools.zip_longest(*map(textwrap.wrap, texts, COLUMNS), fillvalue="")
    return [" ".join(map(str.ljust, line, COLUMNS)).rstrip() for line in lines]
