"""Show a run's layers, steps, learning rate curve, memory and time without training it. The run is built, some steps
are timed and thrown away, and nothing is written."""

import dataclasses
import math
import textwrap
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trainer.config import compose
from trainer.config.durations import in_seconds
from trainer.processes.torch_import import uncollected
from trainer.text import WIDTH, clock, counted, cut
from trainer.verbs import arguments

if TYPE_CHECKING:
    from trainer.diagnosis.plan import Memory
    from trainer.disk.outcome import Layer
    from trainer.optim.groups import Row
    from trainer.progress import Progress
    from trainer.terminal.screen import Screen


def parser() -> arguments.Parser:
    return arguments.config_parser("plan", __doc__)


def run(args: Namespace) -> int:
    """Print what would be trained. Returns the exit code."""
    settings = compose.one_run("plan", args)
    from trainer.terminal.screen import Screen

    with Screen() as screen, settings.locating():
        _plan(settings.check(), screen, args.started)
    return 0


def _plan(config: Any, screen: "Screen", started: float) -> None:
    with uncollected():
        from trainer.build.build import build
        from trainer.data import tree
        from trainer.diagnosis import budget, plan
        from trainer.listeners.max_time import seconds_of_report
        from trainer.report.layers import layers
        from trainer.run import header
    from trainer.terminal.chart import chart

    run_state, setup = build(dataclasses.replace(config, compile="none"))
    start_up = time.perf_counter() - started
    header.show(screen, run_state, setup)
    for finding in setup.findings:
        header.show_finding(screen, finding)
    size = config.loader.batch_size
    x, y = (tree.mapped(lambda leaf: repeated(leaf, size), part) for part in setup.splits.sample)
    screen.say("", *layer_lines(layers(run_state.model, run_state.call, x, run_state.loss_fn), size))
    if setup.groups:
        screen.say("", *group_lines(setup.groups))
    points = plan.schedule(run_state)
    since, change = header.when(run_state, "unfreeze"), run_state.phases.changes.pop("unfreeze", None)
    limit = in_seconds(config.max_time) if config.max_time is not None else None
    timed, save = budget.measure(run_state, limit) if limit is not None else (plan.timing(run_state), 0.0)
    phases = [(math.inf, timed)]
    eval_rows = min(config.loader.eval_batch_size, setup.splits.num_rows("val"))
    memory = [f"memory   {memory_line(plan.memory(run_state, x, y, size, eval_rows))}"]
    seconds, steps = timed.train, f"{counted(run_state.progress.num_steps, 'step')} of {clock(timed.step)}"
    if change is not None and plan.thaw(run_state, change):
        share = change.at / run_state.progress.num_steps
        later = plan.timing(run_state)
        phases = [(change.at, timed), (math.inf, later)]
        seconds = share * timed.train + (1 - share) * later.train
        steps += f", from {since} on of {clock(later.step)}"
        memory.append(f"         from {since} on {memory_line(plan.memory(run_state, x, y, size, eval_rows))}")
    evaluation = timed.num_evaluations * timed.evaluation
    screen.say()
    if points:
        title, plain = "learning rate", screen.ascii_only
        lines = chart({"lr": points}, title=title, width=WIDTH, ascii_only=plain, may_be_log=False)
        screen.say(*lines, "")
    else:
        screen.say(f"lr       {run_state.optimizer.defaults['lr']:g}, {plan.how_it_changes(run_state)}")
    screen.say(*(line for text in memory for line in wrapped(text)))
    parts = f"start-up {clock(start_up)}, train {clock(seconds)}, eval {clock(evaluation)}"
    evaluations = f"{counted(timed.num_evaluations, 'evaluation')} of {clock(timed.evaluation)}"
    screen.say(*wrapped(f"time     about {clock(start_up + seconds + evaluation)}: {parts}"))
    screen.say(*wrapped(f"         {steps}, {evaluations}; {timed.num_timed} were timed and thrown away"))
    if limit is not None:
        left = limit - start_up - (seconds_of_report(start_up) if config.report else 0.0)
        fit = budget.steps_that_fit(run_state, left, phases, save, config.checkpoint.every_seconds)
        screen.entry("fits", [fitting(fit, run_state.progress, config.max_time)])
    if config.nproc != 1:
        screen.say(f"         measured with one process, not with nproc={config.nproc}")
    if config.compile != "none":
        screen.say(f"         measured without compile={config.compile}; trainer bench measures it")


def fitting(num_steps: int, progress: "Progress", limit: str) -> str:
    """What to type in place of max_time for as many steps as fit into it, and a schedule that ends with them."""
    if num_steps < 1:
        return f"not one step fits into max_time={limit}: type a longer one"
    epochs = math.ceil(num_steps / progress.steps_per_epoch)
    more = f" epochs={epochs}" if num_steps > progress.num_steps else ""
    return f"max_steps={num_steps}{more} takes about as long as max_time={limit}, and the same each time"


def layer_lines(layers: "Sequence[Layer]", num_rows: int) -> Iterator[str]:
    """Yield a table in at most 78 columns: name, kind, output shape of one batch, number of parameters."""
    name_width = min(30, max(5, *(len(layer.name) for layer in layers)))
    kinds = [layer.kind.partition("(")[0] for layer in layers]
    kind_width = min(18, max(4, *map(len, kinds)))
    yield f"{'layer':<{name_width}} {'kind':<{kind_width}} {'output':<14} {'parameters':>12}"
    for layer, kind in zip(layers, kinds, strict=True):
        shape = "×".join(map(str, (num_rows, *layer.output))) if layer.output is not None else "-"
        name = layer.name if len(layer.name) <= name_width else "…" + layer.name[-name_width + 1 :]
        count = f"{layer.parameters:,}" if layer.parameters else "-"
        yield f"{name:<{name_width}} {kind[:kind_width]:<{kind_width}} {shape:<14} {count:>12}"


def group_lines(groups: "Sequence[Row]") -> Iterator[str]:
    """Yield a table in at most 78 columns: the groups of the optimizer, their parameters, rates and weight decay."""
    width = min(34, max(5, *(len(row.name) + 15 * row.spared for row in groups)))
    yield f"{'group':<{width}} {'parameters':>12} {'lr':>9} {'decay':>7}  optimizer"
    for row in groups:
        tail = ": biases, norms" * row.spared
        name = cut(row.name, width - len(tail)) + tail
        decay = "-" if row.weight_decay is None else f"{row.weight_decay:g}"
        lr = "-" if row.lr is None else f"{row.lr:.3g}"
        kind = "frozen" if row.frozen else row.optimizer
        yield f"{name:<{width}} {row.num_parameters:>12,} {lr:>9} {decay:>7}  {kind}"


def memory_line(memory: "Memory") -> str:
    """'1.2 MB: weights 0.1, …'"""
    unit, size = ("GB", 1e9) if memory.total >= 1e9 else ("MB", 1e6)
    parts = ", ".join(f"{name} {num_bytes / size:.2f}" for name, num_bytes in vars(memory).items())
    return f"about {memory.total / size:.2f} {unit}: {parts}"


def wrapped(line: str) -> list[str]:
    """Break a line at 78 columns and align what follows with its text."""
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * 9)


def repeated(part: Any, num_rows: int) -> Any:
    """A batch of `num_rows` rows, made by repeating the rows of `part`."""
    return part.repeat(-(-num_rows // len(part)), *[1] * (part.ndim - 1))[:num_rows]
