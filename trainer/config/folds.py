"""Whether the folds that a config asks for are there."""

from collections.abc import Mapping
from typing import Any

from trainer.errors import ConfigError


def check(folds: int | None, fold: int, repeats: int) -> None:
    """Raise ConfigError for a fold out of range, and for one, or repeats, without folds."""
    if folds is None:
        if fold or repeats > 1:
            name, value = ("fold", fold) if fold else ("repeats", repeats)
            text = f"dataset.{name}={value} without dataset.folds: there are no folds"
            raise ConfigError(text, "dataset.folds=5", f"dataset.{name}")
        return
    if fold >= (count := folds * repeats):
        times = f" dataset.repeats={repeats}" * (repeats > 1)
        text = f"dataset.fold={fold}: the folds of dataset.folds={folds}{times} are 0 to {count - 1}"
        raise ConfigError(text, f"dataset.fold={count - 1}", "dataset.fold")


def check_dataset(node: Mapping[str, Any]) -> None:
    """The same for the dataset of a config. One of your own may mean something else by these keys."""
    if str(node.get("_target_")).startswith("trainer."):
        check(node.get("folds"), node.get("fold") or 0, node.get("repeats") or 1)
