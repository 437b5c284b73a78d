"""How rows are held back: a share of them or a fold validates, a share is kept for the test, the rest trains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.config import folds
from trainer.data import roles, seeds
from trainer.data.folds import CHUNK, group_folds, label_folds, random_folds, stratified_folds, time_blocks
from trainer.data.roles import LEFT_OUT, TEST, TRAIN, VAL, Roles
from trainer.errors import ConfigError
from trainer.text import counted

KEYS = ("val_fraction", "split_seed", "folds", "fold", "repeats", "test_fraction", "test_seed", "fraction")


@dataclass(frozen=True)
class Rule:
    """What rows are drawn by. name: random, stratified, labels, group or time. values: of each row, which the rule
    depends on: the number of its class or group, int (N,); its labels, 0 or 1 (N, C); its time, float64 (N,); for
    random any array of N. word: the name of a class or group, by its number."""

    name: str
    values: Any
    word: Callable[[int], str] = str
    chunk: int = CHUNK  # rows permuted at once, for random

    def of(self, rows: Any) -> "Rule":
        """The rule for some of the rows, int64."""
        return replace(self, values=self.values[rows])

    def share(self, fraction: float, seed: int) -> Any:
        """(N,) bool: the rows of a share."""
        if self.name == "labels":
            return label_folds(self.values, (1 - fraction, fraction), seed) == 1
        if self.name == "random":
            return roles.random_roles(len(self.values), fraction, seed, self.chunk) == VAL
        if self.name == "time":
            return roles.time_roles(self.values, fraction) == VAL
        draw = roles.stratified_roles if self.name == "stratified" else roles.group_roles
        return draw(self.values, fraction, seed) == VAL

    def folds(self, count: int, seed: int) -> Any:
        """(N,) int64: the fold of each row; by time, -1 is the block before the first. Raises ConfigError where there
        are more folds than rows, groups or rows of a class."""
        self._check(count)
        if self.name == "random":
            return random_folds(len(self.values), count, seed, self.chunk)
        if self.name == "labels":
            return label_folds(self.values, np.full(count, 1 / count), seed)
        if self.name == "time":
            return time_blocks(self.values, count)
        return (stratified_folds if self.name == "stratified" else group_folds)(self.values, count, seed)

    def _check(self, count: int) -> None:
        most, of_what = len(self.values) - (self.name == "time"), counted(len(self.values), "row")
        if self.name == "group":
            most = len(np.unique(self.values))
            of_what = counted(most, "group")
        elif self.name == "stratified" and len(self.values) >= count:
            codes, sizes = np.unique(self.values, return_counts=True)
            most = int(sizes.min())
            of_what = f"{counted(most, 'row')} of the class {self.word(int(codes[sizes.argmin()]))}"
        if most < count:
            hint = f"dataset.folds={most}" if most > 1 else "dataset.split=random"
            raise ConfigError(f"dataset.folds={count}, but there {'is' if most == 1 else 'are'} only {of_what}", hint)


@dataclass(frozen=True)
class Splitting:
    """split: random, stratified, group, time or column; auto is stratified where classes or labels are cut into folds,
    and random else. by: the column of a table that it depends on. The other fields are the keys of dataset=.

    Raises ConfigError for a fold that does not exist."""

    split: str = "auto"
    by: str | None = None
    val_fraction: float = 0.0
    split_seed: int = 0
    folds: int | None = None
    fold: int = 0
    repeats: int = 1
    test_fraction: float = 0.0
    test_seed: int = 0
    fraction: float = 1.0

    def __post_init__(self) -> None:
        folds.check(self.folds, self.fold, self.repeats)
        if self.folds is None:
            return
        if self.split == "time" and self.repeats > 1:
            raise ConfigError("dataset.split=time cuts the same folds each time", "dataset.repeats=1")
        if self.split == "column":
            text = "dataset.split=column names the rows that validate: there is nothing to cut into folds"
            raise ConfigError(text, "dataset.split=auto dataset.split_by=null")

    def typed(self, node: Mapping[str, Any]) -> "Splitting":
        """The same with the keys that a dataset node has a value for."""
        return replace(self, **{key: node[key] for key in KEYS if node.get(key) is not None})

    def settled(self, *, classes: bool) -> "Splitting":
        """The same with what auto means. classes: whether targets are classes or labels."""
        if self.split != "auto":
            return self
        return replace(self, split="stratified" if classes and self.folds is not None else "random")

    def check_brought(self, brings: Sequence[str], name: str) -> list[str]:
        """Lines for the header about the splits that data bring, val or test, and that are not drawn. name: of the
        data. Raises ConfigError for a key that asks to draw them all the same."""
        if "val" in brings and self.folds is not None:
            text = f"dataset.folds={self.folds}, but {name} brings its own val: it is not cut into folds"
            raise ConfigError(text, "leave dataset.folds out")
        if "val" in brings and self.split != "auto":
            raise ConfigError(f"dataset.split={self.split}, but {name} brings its own val", "leave dataset.split out")
        if "test" in brings and self.test_fraction:
            text = f"dataset.test_fraction={self.test_fraction:g}, but {name} brings its own test"
            raise ConfigError(text, "leave dataset.test_fraction out")
        return [f"val comes with {name}: dataset.val_fraction is not used"] if "val" in brings else []

    def draw(self, rule: Rule) -> Roles:
        """The role of each row: the test is taken first, then a fold or a share validates, then a share of the rest
        trains. Raises ConfigError for more folds than there can be."""
        drawn = np.zeros(len(rule.values), dtype=np.int8)
        if self.test_fraction:
            drawn[rule.share(self.test_fraction, seeds.derive(self.test_seed, "test"))] = TEST
        rest = np.flatnonzero(drawn == TRAIN)
        drawn[rest] = self._validating(rule.of(rest) if len(rest) < len(drawn) else rule)
        return self.thinned(drawn, rule)

    def _validating(self, rule: Rule) -> Roles:
        """The rows that validate and those that train; by time those that come later are left out."""
        if self.folds is None:
            return np.where(rule.share(self.val_fraction, self.split_seed), VAL, TRAIN).astype(np.int8)
        repeat, fold = divmod(self.fold, self.folds)
        seed = seeds.derive(self.split_seed, "repeat", repeat)
        cut = rule.folds(self.folds, seed)
        others = np.where(cut < fold, TRAIN, LEFT_OUT) if rule.name == "time" else TRAIN
        return np.where(cut == fold, VAL, others).astype(np.int8)

    def thinned(self, drawn: Roles, rule: Rule) -> Roles:
        """The roles where only a share of the rows trains, dataset.fraction: of each class where the rule has classes,
        by time the latest. A smaller share is a part of a larger one."""
        if self.fraction == 1:
            return drawn
        train, result = np.flatnonzero(drawn == TRAIN), drawn.copy()
        if rule.name == "time":
            latest = np.argsort(rule.values[train], kind="stable")
            result[train[latest[: len(train) - kept(len(train), self.fraction)]]] = LEFT_OUT
            return result
        codes = rule.values[train] if rule.name == "stratified" else np.zeros(len(train), dtype=np.int64)
        for code in np.unique(codes):
            rows = train[codes == code]
            order = seeds.permutation(len(rows), seeds.derive(self.split_seed, "fraction", int(code))).numpy()
            result[rows[order[kept(len(rows), self.fraction) :]]] = LEFT_OUT
        return result


def kept(num_rows: int, fraction: float) -> int:
    """How many of some rows a share is, at least one."""
    return max(1, round(num_rows * fraction))
