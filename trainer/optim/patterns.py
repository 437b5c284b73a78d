"""Patterns over the full names of parameters, by which a config picks some of them.

A pattern is a glob: `*.bias`, `features.*`. One without a wildcard is a module or a parameter, with all below it:
`backbone` picks backbone.0.weight, not backbone2.weight.
"""

import shlex
from collections.abc import Iterable
from fnmatch import fnmatchcase

from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import listed

WILDCARDS = set("*?[")


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern picks, in their order."""
    if WILDCARDS & set(pattern):
        return [name for name in names if fnmatchcase(name, pattern)]
    below = (f"{pattern}.", f"{pattern}:")  # loss picks what is trained in the loss, whose names begin with loss:
    return [name for name in names if name == pattern or name.startswith(below)]


def chosen(pattern: str, names: Iterable[str], setting: str) -> list[str]:
    """The names that a pattern picks. Raises ConfigError where it picks none, which names the modules that exist.

    setting: what is typed for a pattern, with {} in its place, such as freeze=[{}].
    """
    names = list(names)
    if found := matching(pattern, names):
        return found
    there = modules(names)
    every = dict.fromkeys(part for name in names for part in parents(name))
    near = closest(pattern, every) or there[0]
    text = f"{setting.format(pattern)}: no parameter has a name like {pattern}; there are {listed(there)}"
    raise ConfigError(text, shlex.quote(setting.format(near)))


def modules(names: Iterable[str]) -> list[str]:
    """The outermost modules and parameters that these names are in; of a single one, the parts of it, and so on."""
    names = list(names)
    for depth in range(1, 2 + max(name.count(".") for name in names)):
        found = list(dict.fromkeys(".".join(name.split(".")[:depth]) for name in names))
        if len(found) > 1:
            break
    return found


def parents(name: str) -> list[str]:
    """The modules around a parameter, outermost first, and its own name."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
