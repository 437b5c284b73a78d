"""trainer doctor [key=value …] [--overfit]"""

from collections.abc import Sequence

from trainer.config import compose
from trainer.config.compose import Composed
from trainer.errors import ConfigError
from trainer.processes.torch_import import uncollected
from trainer.verbs import arguments

DESCRIPTION = "Check a config for the known traps, with some steps on one batch. Nothing is written."


def run(words: Sequence[str]) -> int:
    """Returns 0 where no guard trips (with --overfit: where the batch is learned), else 1."""
    parser = arguments.config_parser("doctor", DESCRIPTION)
    parser.add_argument("--overfit", action="store_true", help="train on one batch until it is learned, or say why not")
    args = parser.read(words)
    if args.help:
        print(parser.format_help())
        return 0
    return _look(compose.one_run("doctor", args), one_batch=args.overfit)


def _look(composed: Composed, *, one_batch: bool) -> int:
    with uncollected():
        from trainer.diagnosis.doctor import examine
        from trainer.diagnosis.overfit import overfit
        from trainer.run import launch
    from trainer.terminal.screen import Screen

    with Screen() as screen:
        try:
            return overfit(composed, screen) if one_batch else examine(composed, screen)
        except ConfigError as error:
            raise compose.located(error, composed.source, composed.choices) from error
        except Exception as error:
            raise launch.failed(error, None) from error
