"""Whether a loss over a batch is the mean over its parts, weighted by what it counts. Only then can a batch be taken in
parts: by accumulate, or by several processes."""

import copy
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainer.data import tree
from trainer.data.labels import Denominator
from trainer.data.splits import Splits
from trainer.data.tree import Tree
from trainer.tasks import calls, losses
from trainer.tasks.calls import Loss
from trainer.tasks.model_loss import OfModel

Verdict = Literal["fits", "differs", "draws"]
ROWS = ((0, 2), (2, 5))  # of two uneven parts
CLOSE = 1e-6  # relative, in float64


def check(model: nn.Module, loss_fn: nn.Module, path: Any, terms: Any, splits: Splits) -> Verdict | None:
    """Compare the loss of two uneven batches with that of their union, in eval mode and in float64 where the model
    allows. "draws" where two calls differ; None where it cannot be told. Sets the shift of a model's own loss.

    Works on copies; the generators are left as they were.
    """
    loader, num_rows = splits.train.loader, ROWS[-1][1]
    if splits.num_rows("train") < num_rows:
        return None
    wanted = [torch.arange(*ROWS[0]), torch.arange(*ROWS[1]), torch.arange(num_rows)]
    with torch.random.fork_rng([splits.device] if splits.device.type == "cuda" else []):
        try:
            batches = [loader.load(batch) for batch in loader.fetch(wanted, 0)]
            trial, trial_loss = copy.deepcopy(model).eval(), copy.deepcopy(loss_fn).eval()
        except Exception:  # a model that cannot be copied
            return None
        loss = calls.of_loss(trial_loss, path, terms)
        try:
            found = _losses(trial.double(), trial_loss.double(), loss, batches, torch.float64)
        except Exception:  # a model that makes float32 tensors itself
            try:
                found = _losses(trial.float(), trial_loss.float(), loss, batches, torch.float32)
            except Exception:
                return None
    if found is None:
        return "draws"
    return _compare(found, loss_fn, batches)


@torch.no_grad()
def _losses(model: nn.Module, loss_fn: nn.Module, loss: Loss, batches: Any, dtype: torch.dtype) -> list[float] | None:
    """The loss of each batch; None where a second call gives another."""
    found = []
    for x, y in batches:
        x, y = tree.cast(x, dtype), tree.cast(y, dtype)
        call = calls.of_outputs(calls.of_model(model, x))
        first, second = (float(_first(loss(call(x), y, x))) for _ in range(2))
        if not math.isclose(first, second, rel_tol=1e-12 if dtype is torch.float64 else 1e-5):
            return None
        found.append(first)
    return found


def _first(loss: Tensor) -> Tensor:
    return loss[0] if loss.ndim else loss


def _compare(found: list[float], loss_fn: nn.Module, batches: Any) -> Verdict:
    shifts = (0, 1) if isinstance(loss_fn, OfModel) and loss_fn.ignored is not None else (0,)
    for shift in shifts:
        if isinstance(loss_fn, OfModel):
            loss_fn.shift = shift
        counts = [_count(losses.denominator(loss_fn)[0], y) for _, y in batches]
        mean = (found[0] * counts[0] + found[1] * counts[1]) / max(counts[0] + counts[1], 1e-12)
        if math.isclose(mean, found[2], rel_tol=CLOSE if abs(found[2]) > 1e-9 else 1.0, abs_tol=1e-9):
            return "fits"
    return "differs"


def _count(denominator: Denominator, y: Tree) -> float:
    rows = next((len(leaf) for leaf in tree.leaves(y)), 0)
    return float(denominator(y, rows))
