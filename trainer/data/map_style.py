"""Whether an object is a Dataset whose rows can be read by their number."""

from typing import Any

from torch.utils.data import Dataset, IterableDataset

from trainer.errors import ConfigError, described


def check(dataset: Any, name: str) -> None:
    """Raise ConfigError for what cannot be read by row number."""
    kind = type(dataset)
    reads = getattr(kind, "__getitem__", Dataset.__getitem__) is not Dataset.__getitem__
    if isinstance(dataset, IterableDataset) or not reads or not hasattr(kind, "__len__"):
        text = f"{name} is not a map-style Dataset" + ", but an IterableDataset" * isinstance(dataset, IterableDataset)
        hint = "a class with __len__ and __getitem__, see torch.utils.data.Dataset"
        raise ConfigError(f"{text}: rows are read by their number", hint)
    try:
        num_rows = len(dataset)
    except Exception as error:
        raise ConfigError(f"len({name}) raises {described(error)}") from error
    if num_rows == 0:
        raise ConfigError(f"{name} has no rows")
