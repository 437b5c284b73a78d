"""What the data tells about the sizes of a model."""

import math
from dataclasses import dataclass
from typing import Any

from trainer.config.target import INPUT_NAMES, OUTPUT_NAMES
from trainer.data.labels import IGNORED


@dataclass(frozen=True)
class Facts:
    """What is known from the data alone. input_shape: of one sample; classes: their names, None for numbers; ignored:
    the label that marks a target to leave out; class_counts: the training rows of each class, if known, as they were at
    the first start of a run."""

    input_shape: tuple[int, ...]
    classes: list[str] | None
    num_outputs: int
    ignored: int = IGNORED
    class_counts: tuple[int, ...] | None = None

    @property
    def task(self) -> str:
        """The kind of targets: "classes" or "numbers"."""
        return "classes" if self.classes is not None else "numbers"

    def for_model(self) -> dict[str, Any]:
        """The sizes that a model may leave null, as keyword arguments."""
        in_features = math.prod(self.input_shape)
        facts: dict[str, Any] = dict.fromkeys(INPUT_NAMES, in_features) | dict.fromkeys(OUTPUT_NAMES, self.num_outputs)
        if len(self.input_shape) == 3:
            facts["in_channels"] = self.input_shape[0]
        return facts
