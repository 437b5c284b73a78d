"""The words after a verb: flags and key=value in any order, and answers to the usual slips."""

import argparse
import re
import shlex
from collections.abc import Callable, Sequence
from typing import NoReturn

from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

MoreHelp = Callable[[argparse.Namespace], str]


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are ConfigErrors that say what to type. Help and completion are made from it.

    takes: the words after the verb, such as '[RUN|SWEEP] [epochs=80]'; completion offers what they name.
    more_help: makes more lines for the end of the help.
    """

    def __init__(self, verb: str, takes: str, description: str | None, more_help: MoreHelp | None = None) -> None:
        super().__init__(
            f"trainer {verb}",
            usage=f"trainer {verb} {takes}",
            description=description,
            add_help=False,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, width=78),
        )
        self.takes, self.more_help = takes, more_help
        self.add_argument("-h", "--help", action="store_true", help="show this help")
        self.add_argument("--debug", action="store_true", help="show tracebacks")

    @property
    def flags(self) -> list[str]:
        """All flags: -h, --help, …"""
        return [name for action in self._actions for name in action.option_strings]

    def help_text(self, args: argparse.Namespace) -> str:
        """The text that `--help` prints."""
        return self.format_help() + (f"\n{self.more_help(args)}" if self.more_help else "")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse with flags and words in any order. Raises ConfigError."""
        known = set(self.flags)
        for position, word in enumerate(words):
            if spaced := _spaced(words, position):
                raise ConfigError("no spaces around =", shlex.quote(spaced))
            flag, _, value = word.partition("=")
            if word.startswith("--") and flag not in known:
                following = [next_word for next_word in words[position + 1 : position + 2] if "=" not in next_word]
                raise self._no_flag(flag, value or "".join(following) or "VALUE")
        return self.parse_intermixed_args(list(words))

    def _no_flag(self, flag: str, value: str) -> ConfigError:
        """The error for a flag that the verb does not have: mostly a setting, typed as other programs want it."""
        from trainer.config import files, picked, synonyms
        from trainer.config.check import known_keys

        if near := closest(flag, self.flags):
            return ConfigError(f"no flag {flag}. Did you mean {near}?", f"{self.prog} {near}")
        if "=" not in self.takes:
            return ConfigError(f"no flag {flag}", f"{self.prog} --help")
        text = f"no flag {flag}: settings are written without dashes"
        if flag == "--dry-run":
            return ConfigError(text, "trainer plan")
        if flag == "--config":
            return ConfigError(f"no flag {flag}", f"{self.prog} --config-name {shlex.quote(value)}")
        keys = re.findall(r"([\w.]+)=", self.takes)
        if "key" in keys:
            keys += known_keys(picked.picked([], files.roots()))
        if "key" in keys and (setting := synonyms.setting(flag[2:], value, files.options(files.roots()))):
            return ConfigError(text, shlex.quote(setting))
        near = closest(flag[2:], keys)
        return ConfigError(text, f"{near}={value}" if near else f"{self.prog} --help")

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError instead of ending the program."""
        raise ConfigError(message, f"{self.prog} --help")


def _spaced(words: Sequence[str], position: int) -> str | None:
    """`epochs=5` where this word and its neighbours are `epochs = 5`, `epochs= 5` or `epochs =5`; else None."""
    word, before, after = words[position], words[:position][-1:], words[position + 1 : position + 2]
    after = [other for other in after if "=" not in other and not other.startswith("-")]
    if word.startswith("=") and before and "=" not in before[0]:
        return f"{before[0]}={word[1:] or ''.join(after) or 'VALUE'}"
    return word + after[0] if word.endswith("=") and after else None


def config_parser(
    verb: str, description: str | None, takes: str = "[key=value …]", more_help: MoreHelp | None = None
) -> Parser:
    """A parser for verbs that compose a config."""
    parser = Parser(verb, takes, description, more_help)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="a setting, such as epochs=5")
    add_config_dir(parser)
    parser.add_argument("-cn", "--config-name", default="config", help="use another file than config.yaml")
    return parser


def run_parser(verb: str, takes: str, description: str | None, more_help: MoreHelp | None = None) -> Parser:
    """A parser for verbs that open a run folder."""
    parser = Parser(verb, takes, description, more_help)
    parser.add_argument("words", nargs="*", metavar="RUN", help="latest, a folder, or the end of its name")
    add_trust(parser)
    return parser


def add_config_dir(parser: Parser) -> None:
    """Add the flag of verbs that look for the user's own options."""
    parser.add_argument("-cd", "--config-dir", action="append", default=[], help="a folder of your own configs")


def add_top(parser: Parser) -> None:
    """Add the flag of verbs that take several runs of a sweep as one model."""
    text = "of a sweep: the ensemble of the runs of the first K lines of its ranking"
    parser.add_argument("--top", metavar="K|all", help=text)


def add_trust(parser: Parser) -> None:
    """Add the flag of verbs that may import classes named in a stored config."""
    parser.add_argument("--trust", action="store_true", help="import any class that the stored config names")
