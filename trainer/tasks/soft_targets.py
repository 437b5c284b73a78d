"""Cross-entropy of mixed rows, whose targets are shares of the classes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.device import widest_dtype


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """torch's own, under the name that the config has. Of shares (B, classes) it is the mean over the rows that have
    one: one of zeros does not count, as an ignored class does not."""

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        if not y.is_floating_point():
            return super().forward(prediction, y)
        how = {"weight": self.weight, "label_smoothing": self.label_smoothing}
        each = functional.cross_entropy(prediction, y, reduction="none", **how)  # type: ignore[arg-type]
        counted = y.any(1)
        total = torch.where(counted, each, 0.0).sum()
        return total if self.reduction == "sum" else total / counted.sum()


def denominator(y: Tensor, num_rows: int) -> Tensor:
    """The number of rows with a share, 0-dim, see losses.denominator."""
    return y.any(1).sum().to(widest_dtype(y.device))
