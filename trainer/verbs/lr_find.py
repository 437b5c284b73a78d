"""trainer lr-find: a learning rate, found by trying them all."""

from argparse import Namespace

from trainer.config import compose
from trainer.errors import TrainerError
from trainer.processes.torch_import import uncollected
from trainer.text import WIDTH
from trainer.verbs import arguments

DESCRIPTION = (
    "Train some steps while the learning rate rises over eight decades, show the loss, and suggest a rate. "
    "Nothing is written."
)


def parser() -> arguments.Parser:
    """The words and flags of this verb."""
    return arguments.config_parser("lr-find", DESCRIPTION)


def run(args: Namespace) -> int:
    """Try learning rates. Returns 0 with a suggestion; raises TrainerError where no rate lowers the loss."""
    composed = compose.one_run("lr-find", args)
    with uncollected():
        from trainer.diagnosis import lr_range, short_run
        from trainer.run import header
    from trainer.terminal.chart import chart
    from trainer.terminal.screen import Screen

    with Screen() as screen:
        with composed.locating():
            state, setup = short_run.prepare(
                composed, lr_range.NUM_STEPS, guards="none", scheduler=short_run.CONSTANT, accumulate=1
            )
            header.show(screen, state, setup)
            curve = lr_range.sweep(state)
        points = [(float(step), loss) for step, (_, loss) in enumerate(lr_range.shown(curve))]
        ends = (f"{curve[0][0]:.0e}", f"learning rate {lr_range.shown(curve)[-1][0]:.2g}")
        lines = chart({"train": points}, title="loss", width=WIDTH, height=10, ascii_only=screen.ascii_only, ends=ends)
        screen.say("\n" + "\n".join(lines) + "\n")
        found = lr_range.suggest(curve)
        if found is None:
            raise TrainerError("the loss falls at no learning rate", "trainer doctor --overfit")
        rate, lowest = found
        screen.say(f"suggest  optimizer.lr={rate:.2g}: the steepest fall; the lowest loss is at {lowest:.2g}")
        rest = short_run.typed(composed.source.overrides, without="optimizer.lr")
        screen.say(f"next     trainer train {rest + ' ' if rest else ''}optimizer.lr={rate:.2g}", style="bold green")
    return 0
