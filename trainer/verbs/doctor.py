"""Check a config for known traps with some steps on one batch. Nothing is written."""

from argparse import Namespace

from trainer.config import compose
from trainer.processes.torch_import import uncollected
from trainer.verbs import arguments


def parser() -> arguments.Parser:
    parser = arguments.config_parser("doctor", __doc__, "[key=value …] [--overfit]")
    parser.add_argument("--overfit", action="store_true", help="train on one batch until it is learned, or say why not")
    return parser


def run(args: Namespace) -> int:
    """Check the config. Returns 0 if no guard trips (with --overfit: if the batch is learned), else 1."""
    settings = compose.one_run("doctor", args)
    with uncollected():
        from trainer.diagnosis.doctor import examine
        from trainer.diagnosis.overfit import overfit
    from trainer.terminal.screen import Screen

    with Screen() as screen, settings.locating():
        return overfit(settings, screen) if args.overfit else examine(settings, screen)
