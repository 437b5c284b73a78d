"""trainer ls [GROUP]"""

from collections.abc import Sequence
from pathlib import Path

from trainer.config import files
from trainer.errors import ConfigError
from trainer.terminal.spelling import did_you_mean
from trainer.verbs.arguments import Parser


def run(words: Sequence[str]) -> int:
    """List what can be picked, in all groups or one. Returns the exit code."""
    parser = Parser("ls", "What can be picked for each group: GROUP=OPTION on the command line of train.")
    parser.add_argument("group", nargs="?", help="dataset, model, loss, optimizer, scheduler or experiment")
    parser.add_argument("-cd", "--config-dir", action="append", default=[], help="a folder of configs of your own")
    args = parser.read(words)
    if args.help:
        print(parser.format_help())
        return 0
    folders = files.roots(args.config_dir)
    groups = files.options(folders)
    if args.group and args.group not in groups:
        raise ConfigError(
            f"no group '{args.group}'.{did_you_mean(args.group, groups)}", "trainer ls " + "|".join(groups)
        )
    show_all(folders, args.group)
    return 0


def show_all(folders: list[Path], only: str | None = None) -> None:
    """Print each group with its options, one a line, in at most 78 columns."""
    for group, options in files.options(folders).items():
        if only in (None, group):
            print(f"{group}=")
            width = max(map(len, options))
            for option, text in options.items():
                print(_shortened(f"  {option:<{width}}  {text}"))


def _shortened(line: str, width: int = 78) -> str:
    line = line.rstrip()
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
