"""Whether each training row weighs the same in the mean of a loss."""

from torch import Tensor, nn

from trainer.data.splits import Splits


def counts_evenly(loss_fn: nn.Module, counts: str, splits: Splits) -> bool:
    """Whether the loss counts as much in every training row, as far as is known. counts: see losses.denominator."""
    train, facts = splits.train, splits.facts
    if counts in ("samples", "sum"):
        return True
    if counts == "elements":
        return getattr(train.part.data, "pads", None) is None
    if counts != "targets" or loss_fn.weight is not None:
        return False
    if facts.class_counts is not None:
        return sum(facts.class_counts) == train.num_rows
    y = getattr(train.loader, "y", None)
    return isinstance(y, Tensor) and (y.is_floating_point() or bool((y != loss_fn.ignore_index).all()))
