"""The words after a verb: flags anywhere, key=value anywhere, and an answer to the usual slips."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from trainer.errors import ConfigError
from trainer.terminal.spelling import did_you_mean


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are ConfigErrors that say what to type."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(
            f"trainer {verb}",
            description=description,
            add_help=False,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, width=78),
        )
        self.add_argument("-h", "--help", action="store_true", help="this text")
        self.add_argument("--debug", action="store_true", help="show tracebacks")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse with flags and words in any order. Raises ConfigError."""
        known = {name for action in self._actions for name in action.option_strings}
        for position, word in enumerate(words):
            if word == "=":
                left, right = words[max(position - 1, 0)], words[position + 1 : position + 2]
                raise ConfigError("no spaces around =", f"{left}={''.join(right) or 'VALUE'}")
            flag, _, value = word.partition("=")
            if word.startswith("--") and flag not in known:
                key = flag[2:].replace("-", "_")
                following = words[position + 1 : position + 2]
                value = value or ("".join(following) if following and "=" not in following[0] else "VALUE")
                near = did_you_mean(flag, known)
                raise ConfigError(f"no flag {flag}: settings are written without dashes.{near}", f"{key}={value}")
        return self.parse_intermixed_args(list(words))

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, f"{self.prog} --help")


def config_parser(verb: str, description: str) -> Parser:
    """A parser for verbs that compose a config."""
    parser = Parser(verb, description)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("-cd", "--config-dir", action="append", default=[], help="a folder of configs of your own")
    parser.add_argument("-cn", "--config-name", default="config", help="another file than config.yaml")
    return parser
