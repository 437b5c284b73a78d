"""A check of labels on the CPU: on a GPU, a wrong label makes CUDA unusable for the whole process."""

from collections.abc import Callable

from torch import Tensor

from trainer.errors import ConfigError

Denominator = Callable[[Tensor], Tensor]


def check_labels(y: Tensor, num_classes: int, place: str, ignore_index: int = -100) -> None:
    """Raise ConfigError for a label outside [0, num_classes), but for ignore_index. place: what messages call y."""
    if y.numel() == 0 or y.is_floating_point():
        return
    wrong = (y != ignore_index) & ((y < 0) | (y >= num_classes))
    if bool(wrong.any()):
        row, label = int(wrong.reshape(len(y), -1).any(1).nonzero()[0]), int(y[wrong][0])
        text = f"label {label} in row {row} of {place} is outside the {num_classes} classes, 0 to {num_classes - 1}"
        raise ConfigError(text, "labels count from 0; a dataset's `classes` names them all")
