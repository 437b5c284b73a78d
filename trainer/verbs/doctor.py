"""trainer doctor: a config checked for the known traps."""

from argparse import Namespace

from trainer.config import compose
from trainer.processes.torch_import import uncollected
from trainer.verbs import arguments

DESCRIPTION = "Check a config for the known traps, with some steps on one batch. Nothing is written."


def parser() -> arguments.Parser:
    """The words and flags of this verb."""
    parser = arguments.config_parser("doctor", DESCRIPTION, "[key=value …] [--overfit]")
    parser.add_argument("--overfit", action="store_true", help="train on one batch until it is learned, or say why not")
    return parser


def run(args: Namespace) -> int:
    """Returns 0 where no guard trips (with --overfit: where the batch is learned), else 1."""
    composed = compose.one_run("doctor", args)
    with uncollected():
        from trainer.diagnosis.doctor import examine
        from trainer.diagnosis.overfit import overfit
    from trainer.terminal.screen import Screen

    with Screen() as screen, composed.locating():
        return overfit(composed, screen) if args.overfit else examine(composed, screen)
