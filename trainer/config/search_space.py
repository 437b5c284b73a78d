"""What a search may propose, as plain data: a job is made of it without composing, also in a later process."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.config.search_settings import DEFAULT_PRUNER, KEY, SearchSettings
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk import reading
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError

MARK = "\0"  # around the key of an axis whose value goes here; no word and no YAML can hold it


@dataclass(frozen=True)
class Axis:
    """One key to search: one of `choices`, or a number from low to high, an integer or not, on a log scale or not.
    values: the choices as plain data."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    integer: bool = False
    log: bool = False
    values: tuple[Any, ...] = ()

    @classmethod
    def of_data(cls, entry: dict[str, Any]) -> "Axis":
        """The axis that Space.as_data has stored. Raises KeyError or TypeError for others."""
        return cls(**entry | {name: tuple(entry[name]) for name in ("choices", "values")})

    def samples(self) -> tuple[str, ...]:
        """Every choice, or the ends of the interval, as they are typed."""
        ends = (int(self.low), int(self.high)) if self.integer else (self.low, self.high)
        return self.choices or tuple(dict.fromkeys(map(str, ends)))

    def value(self, text: str) -> Any:
        """The value of a word. Raises ValueError for one that is not on the axis."""
        if self.choices:
            return self.values[self.choices.index(text)]
        number = int(text) if self.integer else float(text)
        if not self.low <= number <= self.high:
            raise ValueError(f"{self.key}={text} is outside {self.low} to {self.high}")
        return number

    def distribution(self, optuna: Any) -> Any:
        """The axis as optuna, the library, has it."""
        kinds = optuna.distributions
        if self.choices:
            return kinds.CategoricalDistribution(self.choices)
        if self.integer:
            return kinds.IntDistribution(int(self.low), int(self.high), log=self.log)
        return kinds.FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Variant:
    """The jobs that pick the same options. picks: {axis: choice}; words: what each has beside its axes; keys: the axes
    that it has; data: its config, with MARK key MARK where the value of an axis goes."""

    picks: dict[str, str]
    words: list[str]
    keys: list[str]
    data: dict[str, Any]


@dataclass(frozen=True)
class Space:
    """What a search proposes jobs from, and how. num_evaluations: of the longest job; None if unknown."""

    axes: Sequence[Axis]
    variants: Sequence[Variant]
    settings: SearchSettings
    num_evaluations: int | None = None

    def job(self, number: int, trial: Mapping[str, str]) -> Job:
        """The job of a trial, {axis: value as typed}. Raises ConfigError for a wrong value, ValueError for a trial that
        is not of this space."""
        variant = next((v for v in self.variants if all(trial[key] == text for key, text in v.picks.items())), None)
        if variant is None:
            raise ValueError(f"the options {dict(trial)} are not in the search space")
        values = {axis.key: axis.value(trial[axis.key]) for axis in self.axes}
        words = [*variant.words, *(f"{axis.key}={trial[axis.key]}" for axis in self.axes if axis.key in variant.keys)]
        data = filled(variant.data, values)
        Settings(data, Source(words)).check()
        return Job(number, words, data, dict(trial))

    def planned(self, num_evaluations: int | None) -> "Space":
        """The space of jobs with so many evaluations, its pruner chosen. Raises ConfigError for a pruner that was typed
        if there is nothing that it could look at before a job ends."""
        typed = self.settings.pruner
        pruner = typed or DEFAULT_PRUNER
        if num_evaluations is not None and num_evaluations < 2:
            if typed not in (None, "none"):
                never = "are never evaluated: they have no validation rows"
                text = "are evaluated only once, when they end" if num_evaluations else never
                hint = f"{KEY}.pruner=none" + (", or for example eval_every=0.1epoch" if num_evaluations else "")
                raise ConfigError(f"{KEY}.pruner={typed}, but the jobs {text}", hint)
            pruner = "none"
        settings = dataclasses.replace(self.settings, pruner=pruner)
        return dataclasses.replace(self, settings=settings, num_evaluations=num_evaluations)

    def samples(self) -> list[dict[str, str]]:
        """Trials with every choice, and both ends of each interval."""
        first = {axis.key: axis.samples()[0] for axis in self.axes}
        return [first, *({**first, axis.key: text} for axis in self.axes for text in axis.samples()[1:])]

    def changed(self, changes: Mapping[str, Mapping[str, Any]]) -> "Space":
        """The space with other values for some keys of its configs: {group: {key: value}}."""

        def with_changes(data: dict[str, Any]) -> dict[str, Any]:
            return data | {group: data[group] | dict(values) for group, values in changes.items()}

        variants = [dataclasses.replace(variant, data=with_changes(variant.data)) for variant in self.variants]
        return dataclasses.replace(self, variants=variants)

    def as_data(self) -> dict[str, Any]:
        """The space as plain data; of each variant's config, the top-level keys that differ from the first one's."""
        first = self.variants[0].data
        content: dict[str, Any] = dataclasses.asdict(self)
        for variant, entry in zip(self.variants, content["variants"], strict=True):
            entry["data"] = {name: value for name, value in variant.data.items() if first.get(name) != value}
        settings: dict[str, Any] = content.pop("settings")
        return content | settings | {"base": first}

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> "Space":
        """The space that as_data has stored. Raises KeyError, TypeError, ValueError or AttributeError for others."""
        axes = [Axis.of_data(entry) for entry in data["axes"]]
        variants = [Variant(**entry | {"data": data["base"] | entry["data"]}) for entry in data["variants"]]
        if not axes or not variants:
            raise ValueError("a search without axes or variants")
        return cls(axes, variants, SearchSettings.of_data(data), reading.count(data.get("num_evaluations")))


def filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Plain data with the values of the axes in their places."""
    if isinstance(value, dict):
        return {name: filled(inner, values) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, values) for inner in value]
    if not isinstance(value, str) or MARK not in value:
        return value
    parts = value.split(MARK)
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return values[parts[1]]
    return "".join(str(values[part]) if index % 2 else part for index, part in enumerate(parts))
