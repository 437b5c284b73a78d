"""Which of the runs a command means: key=value words that their config, their status, or their tags must match."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.compare.rows import IDENTITY, ClassName, flat
from trainer.config.run_config import parse, read_plain
from trainer.disk import layout, reading
from trainer.errors import ConfigError, TrainerError
from trainer.terminal.spelling import closest

STATUS, TAGS = "status", "tags"


@dataclass(frozen=True)
class Filter:
    """wanted: texts in lower case with the wildcards * and ?: of tags all of them, else the one that must match."""

    key: str
    wanted: Sequence[str]

    def matches(self, facts: Mapping[str, Sequence[str]]) -> bool:
        """Whether a run is meant. facts: its texts by key."""
        own = facts.get(self.key, ())
        return all(any(_same(text, wanted) for text in own) for wanted in self.wanted)


def split(words: Sequence[str]) -> tuple[list[str], list[Filter]]:
    """Words that name runs, and those that filter them: name=base*, tags=baseline, optimizer.lr=1e-3, status=ok."""
    filters = [word for word in words if "=" in word and not Path(word).exists()]
    return [word for word in words if word not in filters], [_read(word) for word in filters]


def meant(folders: Sequence[Path], filters: Sequence[Filter]) -> list[Path]:
    """The runs that match all filters; a run whose config cannot be read matches none. Raises ConfigError for a key
    that no run has."""
    if not filters:
        return list(folders)
    facts = {folder: found for folder in folders if (found := _facts(folder))}
    known = list(dict.fromkeys(key for found in facts.values() for key in found))
    for each in filters:
        if facts and each.key not in known:
            near = closest(each.key, known)
            hint = f"{near}={','.join(each.wanted)}" if near else "tags=NAME, name=NAME, status=ok"
            raise ConfigError(f"no run here has a key '{each.key}'", hint)
    return [folder for folder, found in facts.items() if all(each.matches(found) for each in filters)]


def _read(word: str) -> Filter:
    key, _, text = word.partition("=")
    value: Any = parse(f"value: {text}".encode(), Path(word)).get("value") if key == TAGS else text
    wanted = value if isinstance(value, list) else [value]
    return Filter(key, [str(each).lower() for each in wanted])


def _facts(folder: Path) -> dict[str, Sequence[str]]:
    """{key: texts} of a run: each key of its config, of a group the name of its class; {} if it cannot be read."""
    try:
        config = read_plain(folder)
    except TrainerError:
        return {}
    found: dict[str, Sequence[str]] = {key: _texts(text) for key, text in flat(config)}
    found |= {key: [text] if isinstance(text := config.get(key), str) else [] for key in IDENTITY}
    status = reading.text(layout.read_summary(folder).get(STATUS)) or "unknown"
    return found | {TAGS: reading.items(config.get(TAGS), str), STATUS: [status]}


def _texts(text: str) -> list[str]:
    """A value, or the names of a class, with and without its module."""
    return [text, text.rpartition(".")[2]] if isinstance(text, ClassName) else [text]


def _same(text: str, wanted: str) -> bool:
    try:
        return float(text) == float(wanted)
    except ValueError:
        return fnmatch.fnmatchcase(text.lower(), wanted)
