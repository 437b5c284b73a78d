"""What the data says about the sizes of a model."""

from dataclasses import dataclass
from typing import Any

INPUT_NAMES = ("in_features", "num_features", "input_size", "input_dim")


# What classes call their number of outputs: ours, torchvision's and Hugging Face's words for it.
OUTPUT_NAMES = ("out_features", "num_classes", "num_outputs", "num_labels", "output_size", "output_dim")


@dataclass(frozen=True)
class Facts:
    """What is known from the data alone. input_shape is one sample's; classes is None for numbers."""

    input_shape: tuple[int, ...]
    classes: list[str] | None
    num_outputs: int

    @property
    def task(self) -> str:
        """classes or numbers."""
        return "classes" if self.classes is not None else "numbers"

    def for_model(self) -> dict[str, Any]:
        """Keyword arguments that a model may leave null."""
        in_features = 1
        for size in self.input_shape:
            in_features *= size
        facts: dict[str, Any] = dict.fromkeys(INPUT_NAMES, in_features) | dict.fromkeys(OUTPUT_NAMES, self.num_outputs)
        if len(self.input_shape) == 3:
            facts["in_channels"] = self.input_shape[0]
        return facts
