"""Sums over a split, added up on the device and divided once, so that uneven batches and ranks weigh right."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.data.tree import Tree
from trainer.processes.ranks import Ranks


class Totals:
    """The loss and its terms, and what a task's metrics are computed from. names: of the metrics to measure."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.sums: dict[str, Tensor] = {}

    def add_loss(self, loss: Tensor, denominator: Tensor) -> None:
        """Add a batch's loss: 0-dim, or of a loss with terms (1 + terms,), see calls.Loss; denominator: 0-dim."""
        weighted = loss.to(denominator.dtype) * denominator
        self.sum("loss", weighted.where(denominator != 0, denominator))  # 0/0 where all targets of a batch are ignored
        self.sum("denominator", denominator)

    def add(self, prediction: Tree, y: Tree) -> None:
        """Add a batch's predictions and targets."""

    def values(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The metrics by name, each 0-dim. sums: float64 on the CPU."""
        return {}

    def of_each(self) -> dict[str, Tensor]:
        """{metric: its value for each class, label or output} of those metrics that have such values; NaN where it is
        not defined."""
        return {}

    def sum(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def add_ranks(self, ranks: Ranks) -> None:
        """Add up the sums of all ranks."""
        self.sums = ranks.add_sums(self.sums)

    def reduce(self, split: str, terms: Sequence[str] = ()) -> dict[str, float]:
        """{'val/loss': …, 'val/acc': …}: the metrics by name, NaN where undefined. terms: the names of those that the
        loss has beside what it minimises."""
        sums = {name: value.to("cpu", torch.float64) for name, value in self.sums.items()}
        loss = sums.pop("loss") / sums.pop("denominator")
        values = {"loss": loss[0] if terms else loss, **self.values(sums)}
        of_terms = zip(terms, loss[1:], strict=True) if terms else ()
        measured = [*((name, values[name]) for name in ("loss", *self.names)), *of_terms]
        return {f"{split}/{name}": float(value) for name, value in measured}
