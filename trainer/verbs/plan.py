"""trainer plan: what a run would be."""

import dataclasses
import textwrap
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trainer.config import compose
from trainer.processes.torch_import import uncollected
from trainer.text import WIDTH, clock
from trainer.verbs import arguments

if TYPE_CHECKING:
    from trainer.diagnosis.plan import Layer, Memory
    from trainer.terminal.screen import Screen

DESCRIPTION = (
    "What a run would be: layers, steps, the learning rate's curve, memory and time. It is built and some steps are "
    "timed, then thrown away; nothing is written."
)


def parser() -> arguments.Parser:
    """The words and flags of this verb."""
    return arguments.config_parser("plan", DESCRIPTION)


def run(args: Namespace) -> int:
    """Say what would be trained. Returns the exit code."""
    composed = compose.one_run("plan", args)
    from trainer.terminal.screen import Screen

    with Screen() as screen, composed.locating():
        _plan(composed.checked(), screen, args.started)
    return 0


def _plan(config: Any, screen: "Screen", started: float) -> None:
    with uncollected():
        from trainer.build.build import build
        from trainer.diagnosis import plan
        from trainer.run import header
    from trainer.terminal.chart import chart

    run_state, setup = build(dataclasses.replace(config, compile="none"))
    start_up = time.perf_counter() - started
    header.show(screen, run_state, setup)
    for finding in setup.findings:
        header.show_finding(screen, finding)
    progress = run_state.progress
    x, y = (repeated(part, config.loader.batch_size) for part in setup.splits.sample)
    screen.say()
    for line in layer_lines(plan.layers(run_state.model, x)):
        screen.say(line)
    points = plan.schedule(run_state)
    timed = plan.timing(run_state)
    held = plan.memory(run_state, x, y, min(config.loader.eval_batch_size, setup.splits.num_val))
    evaluation = timed.num_evaluations * timed.evaluation
    screen.say()
    if points:
        title, plain = "learning rate", screen.ascii_only
        lines = chart({"lr": points}, title=title, width=WIDTH, ascii_only=plain, may_be_log=False)
        screen.say("\n".join(lines) + "\n")
    else:
        screen.say(f"lr       {run_state.optimizer.defaults['lr']:g}, and {plan.how_it_changes(run_state)}")
    screen.say(wrapped(f"memory   {memory_line(held)}"))
    parts = f"start-up {clock(start_up)}, train {clock(timed.train)}, eval {clock(evaluation)}"
    steps = f"{progress.num_steps:,} steps of {clock(timed.step)}"
    evaluations = f"{timed.num_evaluations:,} evaluations of {clock(timed.evaluation)}"
    screen.say(wrapped(f"time     about {clock(start_up + timed.train + evaluation)}: {parts}"))
    screen.say(wrapped(f"         {steps}, {evaluations}; {timed.num_timed} steps were timed and thrown away"))
    if config.compile != "none":
        screen.say(f"         without compile={config.compile}: trainer bench measures that")


def layer_lines(layers: "Sequence[Layer]") -> Iterator[str]:
    """A table in at most 78 columns: name, kind, output of one batch, parameters."""
    name_width = min(30, max(5, *(len(layer.name) for layer in layers)))
    kind_width = min(18, max(4, *(len(layer.kind) for layer in layers)))
    yield f"{'layer':<{name_width}} {'kind':<{kind_width}} {'output':<14} {'parameters':>12}"
    for layer in layers:
        shape = "×".join(map(str, layer.output)) if layer.output else "-"
        name = layer.name if len(layer.name) <= name_width else "…" + layer.name[-name_width + 1 :]
        count = f"{layer.num_parameters:,}" if layer.num_parameters else "-"
        yield f"{name:<{name_width}} {layer.kind[:kind_width]:<{kind_width}} {shape:<14} {count:>12}"


def memory_line(held: "Memory") -> str:
    """'1.2 MB: weights 0.1, …'"""
    unit, size = ("GB", 1e9) if held.total >= 1e9 else ("MB", 1e6)
    parts = ", ".join(f"{field.name} {getattr(held, field.name) / size:.2f}" for field in dataclasses.fields(held))
    return f"about {held.total / size:.2f} {unit}: {parts}"


def wrapped(line: str) -> str:
    """In 78 columns, what goes on below the text."""
    return textwrap.fill(line, 78, subsequent_indent=" " * 9, drop_whitespace=True)


def repeated(part: Any, num_rows: int) -> Any:
    """A batch of so many rows, from the one or two that are at hand."""
    return part.repeat(-(-num_rows // len(part)), *[1] * (part.ndim - 1))[:num_rows]
