"""The jobs of a grid as words: every combination of the lists, or, for the keys of a zip, their values in step."""

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override

from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

MOST = 10_000  # jobs; more need sweep.confirm=true
ZIP = "hydra.sweeper.zip"


def combinations(overrides: Sequence[Override], zips: Sequence[Sequence[str]] = ()) -> Iterator[list[str]]:
    """The words of each job of a grid that `check_size` has let pass, the last key varying fastest.

    Args:
        overrides: those of all jobs. Of a key that was typed twice, the last word counts, as for Hydra.
        zips: groups of keys whose lists go in step, see `zipped`. Each stands at the place of its first key.
    """
    words = {override.get_key_element(): _words(override) for override in overrides}
    axes = [list(zip(*(words[key] for key in keys), strict=True)) for keys in _axes(words, zips)]
    return ([word for step in steps for word in step] for steps in itertools.product(*axes))


def check_size(overrides: Sequence[Override], confirmed: bool, zips: Sequence[Sequence[str]] = ()) -> None:
    """Raise ConfigError for an interval, for a grid without a job, for one too big to start by mistake, and for the
    lists of a zip that have different lengths."""
    lengths = {override.get_key_element(): _length(override) for override in overrides}
    total = 1
    for keys in _axes(lengths, zips):
        if len({lengths[key] for key in keys}) > 1:
            said = ", ".join(f"{key} has {lengths[key]:,}" for key in keys)
            hint = " ".join(f"{key}=VALUE,VALUE" for key in keys)
            raise ConfigError(f"{ZIP}: lists in step need the same number of values, but {said}", hint)
        total *= lengths[keys[0]]
    if total > MOST and not confirmed:
        raise ConfigError(
            f"this grid has {total:,} jobs, more than {MOST:,}: confirm it if you mean it", "sweep.confirm=true"
        )


def zipped(setting: Any, overrides: Sequence[Override]) -> list[list[str]]:
    """The groups of keys of `hydra.sweeper.zip`, as the keys are typed: [a,b] is one group, [[a,b],[c,d]] are two.
    Raises ConfigError for a group of one key, a key that is not swept, and one that is named twice."""
    setting = setting or []
    groups = setting if all(isinstance(group, list) for group in setting) else [setting]
    last = {one.get_key_element().lstrip("+"): one for one in overrides}
    swept = {name: one.get_key_element() for name, one in last.items() if one.is_sweep_override()}
    seen: set[str] = set()
    for group in groups:
        if not all(isinstance(key, str) for key in group):
            raise ConfigError(f"{ZIP}={setting}: it takes the names of keys", f"'{ZIP}=[model,optimizer.lr]'")
        for key in group:
            name = key.lstrip("+")
            if name not in swept:
                why = "has one value" if name in last else "is not swept"
                near = None if name in last else closest(name, swept)
                hint = _typed([near if other == key else other for other in group]) if near else f"{key}=VALUE,VALUE"
                raise ConfigError(f"{ZIP} names {key}, which {why}", hint)
            if name in seen:
                raise ConfigError(f"{ZIP} names {key} twice", _two(group, swept))
            seen.add(name)
        if len(group) == 1:
            raise ConfigError(f"{ZIP}=[{group[0]}]: one key alone is in step with nothing", _two(group, swept))
    return [[swept[key.lstrip("+")] for key in group] for group in groups if group]


def _axes(keys: Mapping[str, object], zips: Sequence[Sequence[str]]) -> list[list[str]]:
    """The keys of each axis of a grid: those of a zip are one axis, at the place of the first, in their own order."""
    together = {key: [other for other in keys if other in group] for group in zips for key in group}
    axes = [together.get(key, [key]) for key in keys]
    return [axis for key, axis in zip(keys, axes, strict=True) if axis[0] == key]


def _words(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _length(override: Override) -> int:
    """Number of values, counted up to 100 times MOST."""
    if not override.is_sweep_override():
        return 1
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line}: an interval is for a search", "hydra/sweeper=optuna")
    count = sum(1 for _ in itertools.islice(override.sweep_string_iterator(), MOST * 100))
    if count == 0:
        text = f"{override.input_line}: an empty list of values, so there are no jobs to run"
        raise ConfigError(text, f"{override.get_key_element()}=VALUE,VALUE")
    return count


def _two(group: Sequence[str], swept: Mapping[str, str]) -> str:
    """What to type for a group without its repeats, with another key that is swept where only one is left."""
    keys = [*dict.fromkeys(group)]
    keys += [name for name in swept if name != keys[0].lstrip("+")][: len(keys) == 1]
    return _typed(keys) if len(keys) > 1 else f"leave {ZIP} out"


def _typed(keys: Sequence[str]) -> str:
    return shlex.quote(f"{ZIP}=[{','.join(keys)}]")
