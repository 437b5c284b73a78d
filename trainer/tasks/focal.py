"""The focal loss, which counts what the model already gets right for less."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class FocalLoss(nn.Module):
    """The mean of -w (1 - p)^gamma log p, where p is the probability of the right class and w the weight of that class,
    over the targets that are not ignored, by their weights. Formula: Lin et al. (2017), Focal Loss for Dense Object
    Detection. gamma=0 is cross-entropy.

    gamma: 0 or more. weight: (C,) or None. ignore_index: targets with this value do not count. Raises ValueError for
    another gamma.
    """

    class_axis: int = 1  # of the predictions; 0 is the batch

    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None, ignore_index: int = -100) -> None:
        super().__init__()
        if not gamma >= 0:
            raise ValueError(f"gamma={gamma} must be 0 or more")
        self.gamma, self.ignore_index = float(gamma), ignore_index
        self.weight: Tensor | None
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """prediction: logits, of shape (N, C, …) unless class_axis is another axis; y: int64 (N, …). Returns 0-dim."""
        logits = prediction.movedim(self.class_axis, 1)
        log_p = -functional.cross_entropy(logits, y, reduction="none", ignore_index=self.ignore_index)
        missed = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)  # a root of 0 has no gradient
        each = -(missed**self.gamma) * log_p  # 0 where ignored
        if self.weight is not None:
            each = each * self.weight.to(each.dtype)[y.where(y != self.ignore_index, 0)]
        return each.sum() / self.denominator(y).to(each.dtype)

    def denominator(self, y: Tensor) -> Tensor:
        """What the mean of a batch with these targets divides by, 0-dim."""
        counted = y != self.ignore_index
        return counted.sum() if self.weight is None else self.weight[y[counted]].sum()
