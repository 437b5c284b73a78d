"""The jobs of a grid: composed once for each set of options picked, then copied for each set of values."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, read_write

from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk.sweep_plan import Job


def compose_jobs(
    loader: Any, config: DictConfig, batch: Sequence[Sequence[str]], first: int, source: Source
) -> Iterator[Job]:
    """The jobs of a batch, numbered from `first`. Hydra composes once for each set of options picked; other values
    are put into a copy by the code that Hydra itself uses. Raises ConfigError for a wrong key or value.
    """
    parser = OverridesParser.create(config_loader=loader)
    groups: dict[str, bool] = {}
    bases: dict[tuple[str, ...], tuple[Any, dict[str, str]]] = {}
    for number, words in enumerate(batch, first):
        pairs = list(zip(words, parser.parse_overrides(list(words)), strict=True))
        values = [override for _, override in pairs if is_value(override, loader, groups)]
        picks = tuple(word for word, override in pairs if override not in values)
        if picks not in bases:
            base = loader.load_sweep_config(config, list(picks))
            bases[picks] = base, split_off_choices(base)
        base, choices = bases[picks]
        cfg = copy.deepcopy(base)
        with read_write(cfg):
            ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        task = [word for word, override in pairs if not override.is_hydra_override()]
        settings = Settings(plain_data(cfg), Source(task, source.folders, source.name), choices)
        settings.check()
        yield Job(number, task, settings.data)


def is_value(override: Override, loader: Any, groups: dict[str, bool]) -> bool:
    """Whether it only sets, adds or removes a key, and picks no option. groups: which keys are known to be groups."""
    key = override.key_or_group
    if key not in groups:
        groups[key] = bool(loader.get_group_options(key))
    return override.package is None and not override.is_hydra_override() and not groups[key]


def split_off_choices(cfg: Any) -> dict[str, str]:
    """Remove Hydra's part of a composed config. Returns the option picked in each group."""
    choices = cfg._content.pop("hydra").runtime.choices
    return {str(group): str(option) for group, option in choices.items() if option is not None}


def plain_data(cfg: Any) -> dict[str, Any]:
    """A composed config as plain data, its interpolations resolved."""
    data: Any = OmegaConf.to_container(cfg, resolve=True)
    return {str(key): value for key, value in data.items() if key != "experiment"}
