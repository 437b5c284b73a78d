"""The variants of a search: one for each set of options that its axes can pick, composed by Hydra at the start."""

import itertools
from collections.abc import Iterator, Sequence

from omegaconf import OmegaConf, open_dict, read_write

from trainer.config.grid import Grid, copied, plain_data
from trainer.config.search_space import MARK, Axis, Variant
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.errors import ConfigError

MOST = 1000  # variants: each is composed before the first job starts


def variants(grid: Grid, axes: Sequence[Axis], constant: Sequence[str]) -> list[Variant]:
    """Compose every variant. constant: the words that every job has, where its options have the key. Raises ConfigError
    for a key that no variant has, and for too many variants."""
    picking = [axis for axis in axes if _picks(grid, axis)]
    count = 1
    for axis in picking:
        count *= len(axis.choices)
    if count > MOST:
        text = f"this search would pick from {count:,} sets of options, more than {MOST:,}"
        raise ConfigError(text, f"fewer values for {' or '.join(axis.key for axis in picking)}")
    sets = [dict(zip([axis.key for axis in picking], texts, strict=True)) for texts in _sets(picking)]
    words = [[*constant, *(f"{axis.key}={picks.get(axis.key, axis.samples()[0])}" for axis in axes)] for picks in sets]
    grid.applicable(words)  # refuses a key that none of them has
    return [_variant(grid, axes, constant, picks, own) for picks, own in zip(sets, words, strict=True)]


def _sets(picking: Sequence[Axis]) -> Iterator[tuple[str, ...]]:
    return itertools.product(*(axis.choices for axis in picking))


def _picks(grid: Grid, axis: Axis) -> bool:
    """Whether an axis changes what there is beside its own value: an option, a class, or several keys at once."""
    if not axis.choices:
        return False
    override = grid.parse(f"{axis.key}={axis.choices[0]}")
    is_option = override.package is not None or grid.is_group(override.key_or_group)
    is_class = override.key_or_group.endswith("_target_")
    return is_option or is_class or any(isinstance(value, dict) or "${" in str(value) for value in axis.values)


def _variant(
    grid: Grid, axes: Sequence[Axis], constant: Sequence[str], picks: dict[str, str], words: list[str]
) -> Variant:
    (own,) = grid.applicable([words])
    options, values, task = grid.read(own)
    base, choices = grid.base(options)
    cfg = copied(base, [override for _, override in values])
    keys = [axis.key for axis in axes if any(word.startswith(f"{axis.key}=") for word in task)]
    with read_write(cfg), open_dict(cfg):
        for word, override in values:
            key = word.partition("=")[0]
            if key in keys and key not in picks:
                OmegaConf.update(cfg, override.key_or_group, f"{MARK}{key}{MARK}", merge=False)
    settings = Settings(plain_data(cfg), Source(task, grid.source.folders, grid.source.name), choices)
    shared = [word for word in settings.overrides if word.partition("=")[0] not in keys]
    return Variant(picks, shared, keys, settings.data)
