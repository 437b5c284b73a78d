"""trainer ls: what can be picked."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from trainer.config import files
from trainer.errors import ConfigError
from trainer.terminal.spelling import did_you_mean
from trainer.text import cut
from trainer.verbs.arguments import Parser, add_config_dir


def parser() -> Parser:
    """The words and flags of this verb."""
    parser = Parser("ls", "[GROUP]", "What can be picked for each group: GROUP=OPTION on the command line of train.")
    parser.add_argument("group", nargs="?", help="dataset, model, loss, optimizer, scheduler or experiment")
    add_config_dir(parser)
    return parser


def run(args: Namespace) -> int:
    """List what can be picked, in all groups or one. Returns the exit code."""
    folders = files.roots(args.config_dir)
    groups = files.options(folders)
    if args.group and args.group not in groups:
        raise ConfigError(
            f"no group '{args.group}'.{did_you_mean(args.group, groups)}", "trainer ls " + "|".join(groups)
        )
    print("\n".join(lines(folders, args.group)))
    return 0


def lines(folders: list[Path], only: str | None = None) -> Iterator[str]:
    """Each group with its options, one a line, in at most 78 columns."""
    for group, options in files.options(folders).items():
        if only in (None, group):
            yield f"{group}="
            width = max(map(len, options))
            for option, text in options.items():
                yield cut(f"  {option:<{width}}  {text}".rstrip())
