"""Train some steps while the learning rate rises from 1e-7 to 10, and suggest a rate. Nothing is written."""

from argparse import Namespace

from trainer.config import compose
from trainer.errors import TrainerError
from trainer.processes.torch_import import uncollected
from trainer.text import WIDTH
from trainer.verbs import arguments


def parser() -> arguments.Parser:
    return arguments.config_parser("lr-find", __doc__)


def run(args: Namespace) -> int:
    """Try learning rates and print a suggestion. Raises TrainerError if no rate lowers the loss."""
    settings = compose.one_run("lr-find", args)
    with uncollected():
        from trainer.diagnosis import lr_range, short_run
        from trainer.run import header
    from trainer.terminal.chart import chart
    from trainer.terminal.screen import Screen

    with Screen() as screen:
        with settings.locating():
            changes = {"guards": "none", "scheduler": short_run.CONSTANT, "accumulate": 1}
            state, setup = short_run.prepare(settings, lr_range.NUM_STEPS, **changes)
            header.show(screen, state, setup)
            curve = lr_range.sweep(state)
        shown = lr_range.shown(curve)
        points = [(float(step), loss) for step, (_, loss) in enumerate(shown)]
        ends = (f"{curve[0][0]:.0e}", f"learning rate {shown[-1][0]:.2g}")
        lines = chart({"train": points}, title="loss", width=WIDTH, height=10, ascii_only=screen.ascii_only, ends=ends)
        screen.say("", *lines, "")
        suggestion = lr_range.suggest(curve)
        if suggestion is None:
            raise TrainerError("the loss does not fall at any learning rate", "trainer doctor --overfit")
        rate, lowest = suggestion
        screen.say(f"suggest  optimizer.lr={rate:.2g}: the loss falls fastest; it is lowest at {lowest:.2g}")
        rest = short_run.typed(settings.source.overrides, without="optimizer.lr")
        words = " ".join(lr_range.settings(setup.config.optimizer, state.optimizer.defaults["lr"], rate))
        command = f"trainer train {rest + ' ' if rest else ''}{words}"
        screen.entry("next", [command], style="bold green")
    return 0
