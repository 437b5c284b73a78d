"""The jobs of a grid: composed once for each set of options picked, then copied for each set of values."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.config.unknown_key import unknown_to_hydra
from trainer.disk.sweep_plan import Job

NO_KEY = (ConfigAttributeError, ConfigKeyError)
Words = Sequence[str]  # the overrides of one job


class Grid:
    """Composes the jobs of a sweep. config: what Hydra composed without the words; source: what was typed."""

    def __init__(self, loader: Any, config: DictConfig, source: Source) -> None:
        self.loader, self.config, self.source = loader, config, source
        self.parser = OverridesParser.create(config_loader=loader)
        self.parse = cache(lambda word: self.parser.parse_overrides([word])[0])  # a grid repeats its words
        self.is_group = cache(lambda key: bool(loader.get_group_options(key)))
        self.bases: dict[tuple[str, ...], tuple[DictConfig, dict[str, str]]] = {}
        self.found: dict[tuple[tuple[str, ...], bool, str], bool] = {}  # see _has
        self.known: set[str] = set()  # keys that some job has had

    def applicable(self, batch: Sequence[Words]) -> list[list[str]]:
        """The words of each job without the keys that its options do not have, if those of another job do. Jobs that
        become equal by that are planned once. Raises ConfigError for a key that no job has."""
        jobs: list[list[str]] = []
        seen, missing = set(), dict[str, None]()
        for words in batch:
            picks, values, _ = self.read(words)
            added = {override.key_or_group for _, override in values if override.is_add() or override.is_force_add()}
            fits = {word: override.key_or_group in added or self._has(picks, override) for word, override in values}
            self.known |= {override.key_or_group for word, override in values if fits[word]}
            missing |= {override.key_or_group: None for word, override in values if not fits[word]}
            job = [word for word in words if fits.get(word, True)]
            if len(job) == len(words) or tuple(job) not in seen:
                jobs.append(job)
            seen.add(tuple(job))
        if unknown := [key for key in missing if key not in self.known]:
            configs = [OmegaConf.to_container(base, resolve=False) for base, _ in self.bases.values()]
            raise unknown_to_hydra(unknown[0], OmegaConf.merge(*configs), self.source)
        return jobs

    def compose_jobs(self, batch: Sequence[Words], first: int) -> Iterator[Job]:
        """The jobs of a batch, numbered from `first`. Hydra composes once for each set of options picked; other values
        are put into a copy by the code that Hydra itself uses. Raises ConfigError for a wrong value."""
        for number, words in enumerate(batch, first):
            picks, values, task = self.read(words)
            base, choices = self.base(picks)
            cfg = copied(base, [override for _, override in values])
            settings = Settings(plain_data(cfg), Source(task, self.source.folders, self.source.name), choices)
            settings.check()
            yield Job(number, settings.overrides, settings.data)

    def read(self, words: Words) -> tuple[tuple[str, ...], list[tuple[str, Override]], list[str]]:
        """(words that pick options, words that only set, add or remove a key, all words but Hydra's own)."""
        picks, values, task = [], [], []
        for word, override in zip(words, map(self.parse, words), strict=True):
            hydras = override.is_hydra_override()
            if hydras or override.package is not None or self.is_group(override.key_or_group):
                picks.append(word)
            else:
                values.append((word, override))
            if not hydras:
                task.append(word)
        return tuple(picks), values, task

    def base(self, picks: tuple[str, ...]) -> tuple[DictConfig, dict[str, str]]:
        """(the config of these options, the option picked in each group)."""
        if picks not in self.bases:
            base = self.loader.load_sweep_config(self.config, list(picks))
            choices = split_off_choices(base)
            self.bases[picks] = base, choices
        return self.bases[picks]

    def _has(self, picks: tuple[str, ...], override: Override) -> bool:
        """Whether these options have the key that an override sets or removes."""
        at = picks, override.is_delete(), override.key_or_group
        if at not in self.found:
            self.found[at] = True
            try:
                copied(self.base(picks)[0], [override])
            except ConfigCompositionException as error:
                self.found[at] = not override.is_delete() and not isinstance(error.__cause__, NO_KEY)
        return self.found[at]


def frame(hydra: Any, source: Source, own: list[str]) -> tuple[DictConfig, list[str]]:
    """(the config around a sweep, with Hydra's settings; the words of its jobs, as typed). own: words of trainer's.

    Words that suit the options of some jobs only, not those of the frame, are left out of the frame.
    """
    typed = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(source.overrides)
    words = [str(override.input_line) for override in typed if not override.is_hydra_override()]

    def compose(overrides: list[str]) -> DictConfig:
        args = source.name, [*overrides, *own], RunMode.MULTIRUN
        cfg: DictConfig = hydra.compose_config(*args, with_log_configuration=False)
        return cfg

    try:
        return compose(source.overrides), words
    except HydraException:
        kept = [override for override in source.overrides if override not in words]
        for word in words:
            with suppress(HydraException):
                compose([*kept, word])
                kept.append(word)
        return compose(kept), words


def copied(base: DictConfig, values: list[Override]) -> DictConfig:
    """A copy of a config with some values set, added or removed, as Hydra itself does it."""
    cfg = copy.deepcopy(base)
    with read_write(cfg):
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    return cfg


def split_off_choices(cfg: Any) -> dict[str, str]:
    """Remove Hydra's part of a composed config. Returns the option picked in each group."""
    choices = cfg._content.pop("hydra").runtime.choices
    return {str(group): str(option) for group, option in choices.items() if option is not None}


def unresolved(cfg: Any) -> Any:
    """A composed config as plain data, Hydra's part included, its interpolations as they are."""
    return OmegaConf.to_container(cfg, resolve=False)


def plain_data(cfg: Any) -> dict[str, Any]:
    """A composed config as plain data, its interpolations resolved."""
    data: Any = OmegaConf.to_container(cfg, resolve=True)
    return {str(key): value for key, value in data.items() if key != "experiment"}
