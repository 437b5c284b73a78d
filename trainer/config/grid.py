"""The jobs of a grid: composed once for each set of options picked, then copied for each set of values."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, read_write

from trainer.config import composition
from trainer.config.source import Source
from trainer.disk.sweep_plan import Job


def composed(
    loader: Any, config: DictConfig, batch: Sequence[Sequence[str]], first: int, source: Source
) -> Iterator[Job]:
    """The jobs of a batch. Hydra composes once for each set of options picked; plain values are put into a copy by the
    code that Hydra itself uses. Raises ConfigError for a value of a wrong type.
    """
    parser = OverridesParser.create(config_loader=loader)
    groups: dict[str, bool] = {}
    bases: dict[tuple[str, ...], tuple[Any, dict[str, str]]] = {}
    for number, words in enumerate(batch, first):
        pairs = list(zip(words, parser.parse_overrides(list(words)), strict=True))
        plain = [override for _, override in pairs if is_plain(override, loader, groups)]
        shape = tuple(word for word, override in pairs if override not in plain)
        if shape not in bases:
            base = loader.load_sweep_config(config, list(shape))
            choices = composition.choices_of(base.hydra.runtime.choices)
            del base._content["hydra"]
            bases[shape] = base, choices
        base, choices = bases[shape]
        cfg = copy.deepcopy(base)
        with read_write(cfg):
            ConfigLoaderImpl._apply_overrides_to_config(plain, cfg)
        task = [word for word, override in pairs if not override.is_hydra_override()]
        data = composition.plain_data(cfg)
        composition.checked(data, Source(task, source.folders, source.name), choices)
        yield Job(number, task, data)


def is_plain(override: Override, loader: Any, groups: dict[str, bool]) -> bool:
    """Whether it picks no option: it only sets, adds or removes a key. groups: which keys are known to be groups."""
    key = override.key_or_group
    if key not in groups:
        groups[key] = bool(loader.get_group_options(key))
    return override.package is None and not override.is_hydra_override() and not groups[key]
