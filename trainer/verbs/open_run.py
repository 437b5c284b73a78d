"""Open the run that a verb works on, of a sweep its best: find, read, change and check its config, and allow its
imports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.compare import ranking, rows
from trainer.compare.protocol import FOLDED
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row
from trainer.config import user_modules
from trainer.config.run_config import Stored, read_config
from trainer.config.schema import Config
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.text import cleaned, counted, first_few, labelled


@dataclass(frozen=True)
class OpenRun:
    """A stored run. data: its config as plain data, changes included; config: the same, checked."""

    folder: Path
    data: Stored
    config: Config


def split_words(verb: str, words: Sequence[str]) -> tuple[str, list[str]]:
    """(name of the run, or latest if there is none; key=value words). Raises ConfigError for several names."""
    names = [word for word in words if "=" not in word or Path(word).exists()]
    if len(names) > 1:
        raise ConfigError(f"{verb} takes one run, not {' and '.join(names)}", f"trainer {verb} {names[0]}")
    return (names or [layout.LATEST])[0], [word for word in words if word not in names]


def open_run(
    name: str,
    changes: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    trust_it: bool,
    command: str = "eval RUN",
    say: Callable[[str], object] = lambda line: print(cleaned(line)),
) -> OpenRun:
    """Open a run, or the best run of a sweep, ready to be built. A config that this user signed or trusts may import
    from the current folder.

    changes: {dotted key: new value}; overrides: the words typed for them; trust_it: --trust was typed; command: what to
    type for one RUN of a sweep; say: prints the line that names a sweep's best run.
    Raises ConfigError, and StorageError if the config cannot be read.
    """
    sweep = layout.find_sweep(name)
    folder = layout.find(name) if sweep is None else best_run(sweep, command, say)
    data = read_config(folder, trust_it=trust_it)
    for key, value in (changes or {}).items():
        group, _, last = key.rpartition(".")
        (data.setdefault(group, {}) if group else data)[last] = value
    config = Settings(data, Source(list(overrides))).check()
    if data.trusted:
        user_modules.allow_user_modules(data)
    return OpenRun(folder, data, config)


def best_run(sweep: Path, command: str, say: Callable[[str], object]) -> Path:
    """The best run of a sweep. command: what to type for one RUN; say: prints the line that names it. Raises
    ConfigError where there is none, or several, since the jobs are not all comparable."""
    ranked, row = _best(sweep, command)
    cuts = list(zip(*(other.seeds for other in ranked.groups[0].rows), strict=True))
    varied = [f"{key}={row.seeds[at]}" for at, key in enumerate(FOLDED) if at and len({*cuts[at]}) > 1]
    what = f"{' '.join(varied)} of the first line of the ranking" if varied else "the best run of the sweep"
    text = f"{row.name}: {ranked.metric} {row.metrics[ranked.metric]:.4f}, {what}"
    text += f" with {ranked.share}" if ranked.share else ""
    if (count := len(ranked.groups[0].values)) > 1:
        text += f"; its line of the ranking has {count} runs, --top 1 is their ensemble"
    for line in labelled("best     ", [cleaned(text)]):
        say(line)
    return layout.opened(Path(row.name))


def open_members(
    name: str,
    top: str,
    changes: Mapping[str, Any],
    *,
    trust_it: bool,
    command: str,
    say: Callable[[str], object],
) -> tuple[list[OpenRun], str]:
    """(The runs of the first lines of a sweep's ranking, opened; the score of the first line, as text). top: how many
    lines, or all; command: what to type for one RUN; say: prints a line about them. Raises ConfigError."""
    sweep = layout.find_sweep(name)
    if sweep is None:
        layout.find(name)  # or there is no such run
        raise ConfigError(f"--top averages runs of a sweep, and {name} is one run", f"trainer {command} without --top")
    ranked, _ = _best(sweep, command)
    lines = [group for group in ranked.comparable if group.values]
    if top != "all" and not (top.isascii() and top.isdigit() and 1 <= int(top) <= len(lines)):
        text = f"--top {top}: the ranking has {counted(len(lines), 'line')}"
        raise ConfigError(text, f"--top {len(lines)}, or --top all")
    chosen = lines if top == "all" else lines[: int(top)]
    members = [row for group in chosen for row in group.rows if row.value(ranked.metric) is not None]
    text = f"{counted(len(members), 'run')} of {counted(len(chosen), 'line')} of the ranking by {ranked.metric}"
    text += f" with {ranked.share}" if ranked.share else ""
    for line in labelled("ensemble ", [cleaned(text)]):
        say(line)
    score = f"{ranked.metric} {lines[0].mean:.4f} over {counted(len(lines[0].values), 'run')}"
    return [open_run(row.name, changes, trust_it=trust_it) for row in members], score


def _best(sweep: Path, command: str) -> tuple[Ranking, Row]:
    """The one ranking of a sweep with a value, and its best run. Raises ConfigError where there is none, or several."""
    rankings = ranking.rankings(rows.of_sweep(sweep))
    best = [(ranked, ranked.best) for ranked in rankings if ranked.best is not None]
    if not best:
        raise ConfigError(f"no job of {sweep} has ended well", f"trainer resume {sweep}")
    if len(best) > 1:
        named = [f"{row.name} ({ranked.data} by {ranked.metric})" for ranked, row in best]
        text = f"{sweep} has {len(best)} best runs, as data, splits or metrics differ: {first_few(named, 5)}"
        raise ConfigError(text, f"trainer {command.replace('RUN', best[0][1].name, 1)}")
    return best[0]
