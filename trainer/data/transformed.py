"""The rows of a Dataset of pictures, each changed at random when it is read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from trainer.augment import transforms
from trainer.augment.transforms import Transform
from trainer.config import target
from trainer.config.schema import Augment
from trainer.data.augmentation import Augmented
from trainer.data.partition import RowData
from trainer.data.parts import Part
from trainer.data.pixel_range import white
from trainer.errors import TrainerError, described

Change = Callable[[Dataset[Any]], Dataset[Any]]


class Transformed(Dataset[Any]):
    """Rows whose input was changed by transforms. They draw from the global generators, which Seeded has seeded."""

    def __init__(self, dataset: Dataset[Any], transforms: Sequence[Transform], white: float) -> None:
        self.dataset, self.transforms, self.white = dataset, transforms, white

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        x, y = self.dataset[index]
        try:
            return transforms.applied(self.transforms, x.clone(), self.white), y  # some change it in place
        except TrainerError:
            raise
        except Exception as error:
            text = f"augment.transforms: row {index:,}: {described(error)}"
            raise TrainerError(text, "augment.transforms=[]") from error


def changes(config: Augment, train: Part[RowData], *, augment: bool) -> Change | None:
    """What training rows go through as they are read; None where they stay as they are. augment: dataset.augment."""
    if config.transforms and config.per == "sample":
        own, brightest = made(config.transforms), white(train)
        return lambda rows: Transformed(rows, own, brightest)
    return Augmented if augment else None


def made(nodes: Sequence[Mapping[str, Any]], **facts: Any) -> list[Transform]:
    """The transforms that a config names. facts: for keys that are null or left out. Raises ConfigError."""
    return [target.construct(node, f"augment.transforms.{place}", **facts) for place, node in enumerate(nodes)]
