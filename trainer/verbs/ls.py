"""List the options of each group, which train takes as GROUP=OPTION."""

import textwrap
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from trainer.config import files
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import WIDTH
from trainer.verbs.arguments import Parser, add_config_dir


def parser() -> Parser:
    parser = Parser("ls", "[GROUP]", __doc__)
    parser.add_argument("group", nargs="?", help="dataset, augment, model, loss, optimizer, scheduler or experiment")
    add_config_dir(parser)
    return parser


def run(args: Namespace) -> int:
    """List the options of all groups, or of one. Returns the exit code."""
    folders = files.roots(args.config_dir)
    groups = files.options(folders)
    if args.group and args.group not in groups:
        near = closest(args.group, groups)
        text = f"no group '{args.group}'" + (f". Did you mean {near}?" if near else f": there are {', '.join(groups)}")
        raise ConfigError(text, f"trainer ls {near}" if near else "trainer ls")
    print("\n".join(lines(folders, args.group)))
    return 0


def lines(folders: list[Path], only: str | None = None) -> Iterator[str]:
    """Yield each group and its options, one a line, in at most 78 columns."""
    for group, options in files.options(folders).items():
        if only in (None, group):
            yield f"{group}="
            width = max(map(len, options))
            for option, text in options.items():
                head = f"  {option:<{width}}  "
                yield from textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head)) or [head]
