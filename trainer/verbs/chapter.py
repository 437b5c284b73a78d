"""Run the tutorial chapter's examples, each with the expected value beside the measured one."""

import textwrap
import time
from argparse import Namespace
from pathlib import Path

from trainer.config import files
from trainer.errors import ConfigError, Interrupted
from trainer.processes import scratch
from trainer.terminal.spelling import did_you_mean
from trainer.text import WIDTH
from trainer.verbs.arguments import Parser, add_config_dir


def parser() -> Parser:
    parser = Parser("chapter", "[NAME…] [key=value …] [--list]", __doc__)
    parser.add_argument("words", nargs="*", metavar="NAME", help="the examples to run; with one, also key=value")
    parser.add_argument("-l", "--list", action="store_true", help="list the examples without running them")
    add_config_dir(parser)
    return parser


def run(args: Namespace) -> int:
    """Run the examples and compare. Returns 0 if every value is as expected, else 1."""
    from trainer.chapter import example

    folders = files.roots(args.config_dir)
    paths = example.files(folders)
    overrides = [word for word in args.words if "=" in word]
    names = list(dict.fromkeys(word for word in args.words if "=" not in word))
    for name in names:
        if name not in paths:
            raise ConfigError(f"no example '{name}'.{did_you_mean(name, paths)}", "trainer chapter --list")
    if overrides and len(names) != 1:
        raise ConfigError(f"{overrides[0]}: settings apply to one example", f"trainer chapter NAME {overrides[0]}")
    if args.list:
        for name in names or paths:
            claim = files.description(paths[name])
            print(textwrap.fill(claim, WIDTH, initial_indent=f"{name:<16} ", subsequent_indent=" " * 17))
        return 0
    return _run({name: paths[name] for name in names or paths}, overrides, folders, alone=len(names) == 1)


def _run(paths: dict[str, Path], overrides: list[str], folders: list[Path], *, alone: bool) -> int:
    from trainer.chapter import example, table
    from trainer.terminal.screen import Screen

    started, rows, shown_rows = time.perf_counter(), [], []
    with Screen() as screen, scratch.folder("trainer-chapter-") as output:
        for name, path in paths.items():
            screen.status(name)
            if alone:
                screen.say(*example.source(name, path).split("\n"), "")
            try:
                shown = example.show(name, path, overrides, folders, output)
            except (ConfigError, Interrupted):
                raise
            except Exception as error:
                shown = example.failed(name, error)
            screen.clear()
            if alone and shown.lines:
                screen.say(*shown.lines)
            rows += shown.rows
            shown_rows += shown.rows if alone else table.headlines(shown.rows)
        screen.say(*[""] * alone, *table.lines(shown_rows))
        screen.say(table.verdict(rows, time.perf_counter() - started))
        if not alone:
            screen.say("trainer chapter NAME prints one with its code and all its values")
    return 1 if any(row.ok is False for row in rows) else 0
