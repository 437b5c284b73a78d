"""Schedules over groups of parameters keep the ratios of their learning rates.

A rate among a scheduler's settings (max_lr, min_lr, …) is meant for optimizer.lr. Each group gets that number times its
own rate over optimizer.lr: OneCycleLR with a single max_lr would give every group the same rate.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torch.optim import Optimizer, lr_scheduler

from trainer.config import target

LISTS = {  # settings that torch takes as one number a group, by the class that means a rate by them
    lr_scheduler.OneCycleLR: ("max_lr",),
    lr_scheduler.CyclicLR: ("base_lr", "max_lr"),
    lr_scheduler.ReduceLROnPlateau: ("min_lr",),
}


class _OfTheFirst(lr_scheduler.LRScheduler):
    """The rate of the first group decides; the others keep their ratio to it."""

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each group."""
        return self._kept(super().get_lr())

    def _kept(self, rates: Sequence[float | Tensor]) -> list[float | Tensor]:
        return [rates[0] * (base / self.base_lrs[0]) for base in self.base_lrs]


class CosineAnnealingLR(_OfTheFirst, lr_scheduler.CosineAnnealingLR):
    """torch's, with eta_min for the first group."""

    def _get_closed_form_lr(self) -> list[float | Tensor]:
        return self._kept(super()._get_closed_form_lr())


class CosineAnnealingWarmRestarts(_OfTheFirst, lr_scheduler.CosineAnnealingWarmRestarts):
    """torch's, with eta_min for the first group."""


OURS = {f"torch.optim.lr_scheduler.{kind.__name__}": kind for kind in (CosineAnnealingLR, CosineAnnealingWarmRestarts)}


def of(optimizer: Optimizer) -> list[float]:
    """The rate of each group over optimizer.lr."""
    base = optimizer.defaults["lr"]
    return [group["lr"] / base if base else 1.0 for group in optimizer.param_groups]


def kept(node: Mapping[str, Any], key: str, ratios: Sequence[float]) -> dict[str, Any]:
    """A scheduler's node, and those in it, whose rates keep these ratios. Where all are 1 it stays as it is."""
    if set(ratios) == {1.0}:
        return dict(node)
    inner = {name: target.mapped(value, f"{key}.{name}", partial(kept, ratios=ratios)) for name, value in node.items()}
    kind = target.locate(node["_target_"], key)
    bases = kind.__mro__ if isinstance(kind, type) else ()
    names = [name for base, names in LISTS.items() if base in bases for name in names]
    for name in names:
        if isinstance(node.get(name), (int, float)):
            inner[name] = [node[name] * ratio for ratio in ratios]
    if isinstance(node.get("eta_min"), (int, float)):
        inner["eta_min"] = node["eta_min"] * ratios[0]
    if node["_target_"] in OURS:
        inner["_target_"] = f"{__name__}.{OURS[node['_target_']].__name__}"
    return inner
