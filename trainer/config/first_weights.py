"""What `init_from` names: a file of weights, or a run. Typed as `latest` or as the end of a run's name, it is stored as
the run that it meant. Imports no torch."""

import re
import shlex
from pathlib import Path
from typing import Any

from trainer.disk import layout
from trainer.errors import ConfigError

KEY = "init_from"
SUFFIXES = (".safetensors", ".pt", ".pth")
VALUE = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^,()\[\]'"]+""")  # one of several, spaces around it
NUMBER = re.compile(r"[\d_.eE+-]+")  # the end of a run's name that Hydra would read as a number


def typed(override: str) -> str:
    """A word of the command line, in which `init_from=latest` names the run that `latest` means now: a sweep's own
    folder is `latest` as soon as it begins. Raises ConfigError."""
    name, _, value = override.partition("=")
    if name.lstrip("+") != KEY:
        return override
    return f"{name}={VALUE.sub(lambda found: _now(found[0]), value)}"


def _now(value: str) -> str:
    """A value as it is typed: in place of `latest`, quoted or not, the run that it means now; a number in quotes."""
    text = value.strip()
    if NUMBER.fullmatch(text):
        return value.replace(text, f"'{text}'")
    return _quoted(resolved(layout.LATEST)) if text.strip(" '\"") == layout.LATEST else value


def in_config(data: dict[str, Any]) -> dict[str, Any]:
    """A composed config in which `init_from` is a path. Raises ConfigError."""
    name = data.get(KEY)
    is_name = isinstance(name, str) and "\0" not in name  # a search puts its values in later, see search_space.py
    return {**data, KEY: resolved(name)} if is_name and name else data


def word(path: str) -> str:
    """What to type for a path."""
    return f"{KEY}={_quoted(path)}"


def resolved(name: str) -> str:
    """The path of the file or the run folder that a user means. Raises ConfigError where it is no run; whether a file
    can be read is seen when it is."""
    path = Path(name).expanduser()
    if layout.LATEST in path.parts and path.exists():  # it will mean another run as soon as this one begins
        path = layout.relative(path.resolve())
    if path.is_file() or (name.lower().endswith(SUFFIXES) and not path.is_dir()):
        return str(path)
    if (sweep := layout.find_sweep(str(path))) is not None:
        text = f"{KEY}={name} is a sweep, {sweep}, and a model starts from one run"
        raise ConfigError(text, f"trainer compare {shlex.quote(str(sweep))}", KEY)
    if path.is_dir() and not (path / layout.CONFIG).is_file():
        raise ConfigError(f"{KEY}={name} is not a run folder: it has no {layout.CONFIG}", "trainer runs", KEY)
    return str(layout.find(str(path)))


def _quoted(path: str) -> str:
    path = path.replace("'", "\\'")
    return path if re.fullmatch(r"[\w./-]+", path, re.ASCII) else f"'{path}'"
