"""The loss of each row of a batch, as parts of the loss of all of it."""

import copy
from typing import Any

import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.device import widest_dtype
from trainer.tasks import calls, losses
from trainer.tasks.measurable import Measurable
from trainer.tasks.task import Ratio

CLOSE = 1e-3  # relative: how far the parts may be from the whole, in float32
MOST_ALONE = 5_000  # rows that are given to a loss one by one


@torch.no_grad()
def of_batch(run: Measurable, prediction: Tree, y: Tree, x: Tree, num_rows: int) -> Ratio | None:
    """What each row adds to the loss of a batch: (its loss times its weight, its weight), both (num_rows,) in the
    widest dtype; the loss of a split is the sum of the first over that of the second. None where a loss of your own
    does not come apart into rows."""
    _, counts = losses.denominator(run.loss_fn)
    whole = run.loss(prediction, y, x)
    whole = whole[0] if run.terms else whole
    found = _elements(run, prediction, y, x, num_rows)
    if found is None:
        try:
            found = _alone(run, prediction, y, x, num_rows)
        except Exception:  # a loss of your own that takes no single row
            return None
    if found is None:
        return None
    total = found[0].sum() / found[1].sum()
    expected = (whole / num_rows if counts == "sum" else whole).to(total.dtype)
    is_same = torch.isclose(total, expected, rtol=CLOSE, atol=CLOSE * CLOSE, equal_nan=True)
    return found if bool(is_same) else None


def _elements(run: Measurable, prediction: Tree, y: Tree, x: Tree, num_rows: int) -> Ratio | None:
    """By a loss of torch's that gives each element, at once."""
    loss_fn, dtype = run.loss_fn, widest_dtype(tree.device(y))
    if type(loss_fn).__module__ != torch.nn.MSELoss.__module__ or not isinstance(y, Tensor):
        return None
    each: Any = copy.copy(loss_fn)
    each.reduction = "none"
    values = each(calls.picked(prediction, run.fit.path), y)
    if values.shape[:1] != (num_rows,):
        return None
    values = values.to(dtype).reshape(num_rows, -1)
    weights = torch.ones_like(values)
    if isinstance(loss_fn, (torch.nn.CrossEntropyLoss, torch.nn.NLLLoss)):
        counted = y != loss_fn.ignore_index
        known = weights.new_ones(()) if loss_fn.weight is None else loss_fn.weight.to(dtype)[y.where(counted, 0)]
        weights = (known * counted).reshape(num_rows, -1)
    if getattr(loss_fn, "reduction", "mean") == "sum":  # of a split it is a mean over samples
        return values.sum(1), torch.ones_like(values[:, 0])
    return values.sum(1), weights.sum(1)


def _alone(run: Measurable, prediction: Tree, y: Tree, x: Tree, num_rows: int) -> Ratio | None:
    """By giving the loss one row at a time. None where what the model gives has no row first."""
    if num_rows > MOST_ALONE or any(leaf.shape[:1] != (num_rows,) for leaf in tree.leaves(prediction)):
        return None
    denominator, _ = losses.denominator(run.loss_fn)
    values, weights = list[Tensor](), list[Tensor]()
    for row in range(num_rows):
        mine = _row(y, row)
        loss = run.loss(_row(prediction, row), mine, _row(x, row))
        weight = denominator(mine, 1)
        loss = (loss[0] if run.terms else loss).to(weight.dtype)
        values.append(torch.where(weight == 0, weight, loss * weight))
        weights.append(weight)
    return torch.stack(values), torch.stack(weights)


def _row(batch: Tree, row: int) -> Tree:
    return tree.mapped(lambda leaf: leaf[row : row + 1], batch)
