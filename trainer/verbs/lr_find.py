"""trainer lr-find [key=value …]"""

from collections.abc import Sequence

from trainer.config import compose
from trainer.config.compose import Composed
from trainer.errors import TrainerError
from trainer.processes.torch_import import uncollected
from trainer.verbs import arguments

DESCRIPTION = (
    "Train some steps while the learning rate rises over eight decades, show the loss, and suggest a rate. "
    "Nothing is written."
)


def run(words: Sequence[str]) -> int:
    """Try learning rates. Returns 0 with a suggestion; raises TrainerError where no rate lowers the loss."""
    parser = arguments.config_parser("lr-find", DESCRIPTION)
    args = parser.read(words)
    if args.help:
        print(parser.format_help())
        return 0
    return _find(compose.one_run("lr-find", args))


def _find(composed: Composed) -> int:
    with uncollected():
        from trainer.diagnosis import lr_range, short_run
        from trainer.run import header, launch
    from trainer.errors import ConfigError
    from trainer.terminal.chart import chart
    from trainer.terminal.screen import WIDTH, Screen

    with Screen() as screen:
        try:
            state, setup = short_run.prepare(
                composed, lr_range.NUM_STEPS, guards="none", scheduler=short_run.CONSTANT, accumulate=1
            )
            header.show(screen, state, setup)
            curve = lr_range.sweep(state)
        except ConfigError as error:
            raise compose.located(error, composed.source, composed.choices) from error
        except Exception as error:
            raise launch.failed(error, None) from error
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
