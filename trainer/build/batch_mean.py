"""Whether a loss over a batch is the mean over its parts, weighted by what it counts. Only then can a batch be taken in
parts: by accumulate, or by several processes."""

import copy
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainer.build.probe import Probed
from trainer.config.schema import Config
from trainer.data import tree
from trainer.data.splits import Splits
from trainer.data.tree import Tree
from trainer.data.workers import Workers
from trainer.errors import ConfigError
from trainer.processes.ranks import Ranks
from trainer.tasks import calls, losses, model_loss
from trainer.tasks.calls import Loss
from trainer.tasks.model_loss import OfModel

Verdict = Literal["fits", "differs", "draws"]
Batches = Sequence[tuple[Tree, Tree]]  # two parts, and both of them as one batch
MOST = 5  # rows of both
CLOSE = {torch.float64: 1e-6, torch.float32: 1e-5}  # relative, by the dtype of the loss
MOVED = 0.1  # the deviation of what is added to weights: a head of zeros would hide which targets count


def verdict(config: Config, model: nn.Module, probed: Probed, splits: Splits, ranks: Ranks) -> Verdict | None:
    """What `check` finds; None for a loss of your own that is taken of whole batches. Raises ConfigError where a
    batch is taken in parts, and the loss of the whole is not the mean over them."""
    loss_fn, in_parts = probed.loss_fn, config.accumulate > 1 or ranks.size > 1
    if losses.is_torchs(type(loss_fn)):
        return "fits"
    if not (in_parts or isinstance(loss_fn, OfModel)):
        return None
    found = check(model, loss_fn, probed.terms, splits)
    parts = f"accumulate={config.accumulate}" if config.accumulate > 1 else f"nproc={ranks.size}"
    if found == "differs" and in_parts:
        name, why = type(loss_fn).__name__, "rows depend on each other"
        if isinstance(loss_fn, OfModel):
            name, why = f"the loss of {type(model).__name__}", f"it is not a mean over {loss_fn.counts}"
        text = f"{parts}, but {name} over a batch is not the mean over its parts: {why}"
        raise ConfigError(text, "accumulate=1 nproc=1")
    return found


def check(model: nn.Module, loss_fn: nn.Module, terms: Sequence[str], splits: Splits) -> Verdict | None:
    """Compare the loss of two uneven batches with that of their union, in eval mode, in float64 on the CPU where the
    model allows. "draws" where two calls differ, or a collate_fn draws; None where it cannot be told. Sets the shift of
    a model's own loss.

    Works on copies; the generators are left as they were.
    """
    num_rows = min(MOST, splits.num_rows("train"))
    first = max(1, 2 * num_rows // MOST)
    if num_rows < 2:
        return None
    parts = [range(first), range(first, num_rows), range(num_rows)]
    with _generators_kept(splits.device):
        try:
            return _checked(model, loss_fn, terms, splits, parts, torch.device("cpu"), torch.float64)
        except Exception:  # a model that makes float32 tensors itself, or only runs on its device
            try:
                return _checked(model, loss_fn, terms, splits, parts, splits.device, torch.float32)
            except Exception:  # a model that cannot be copied
                return None


def _checked(
    model: nn.Module,
    loss_fn: nn.Module,
    terms: Sequence[str],
    splits: Splits,
    parts: Sequence[Sequence[int]],
    device: torch.device,
    dtype: torch.dtype,
) -> Verdict | None:
    batches, drawn = _batches(splits, parts)
    batches = [tree.mapped(lambda leaf: leaf.to(device), tree.cast(batch, dtype)) for batch in batches]
    trial = copy.deepcopy(model).to(device, dtype).eval()
    trial_loss = copy.deepcopy(loss_fn).to(device, dtype).eval()
    loss = calls.of_loss(trial_loss, (), terms, is_flat=True)
    if isinstance(loss_fn, OfModel) and isinstance(trial_loss, OfModel):
        _move(trial)
        trial_loss.shift = loss_fn.shift = _shift(trial, trial_loss, loss, batches[-1])
    if drawn:
        return "draws"
    return _compare(trial, trial_loss, loss, batches, list(map(len, parts)))


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])


def _batches(splits: Splits, parts: Sequence[Sequence[int]]) -> tuple[Batches, bool]:
    """(A batch of each part, whether a collate_fn draws what is in them.)"""
    loader = splits.train.loader
    found, any_drawn = [], False
    for rows in parts:
        batch: Any = torch.tensor(rows, device=splits.device)
        if isinstance(loader, Workers):
            batch, drawn = loader.read(rows)
            any_drawn |= drawn
        found.append(loader.load(batch))
    return found, any_drawn


@torch.no_grad()
def _compare(
    model: nn.Module, loss_fn: nn.Module, loss: Loss, batches: Batches, sizes: Sequence[int]
) -> Verdict | None:
    """sizes: the rows of each batch."""
    (denominator, counted), found, counts = losses.denominator(loss_fn), list[float](), list[float]()
    close = CLOSE[torch.float32]
    for (x, y), num_rows in zip(batches, sizes, strict=True):
        value, again = (_value(model, loss_fn, loss, x, y) for _ in range(2))
        close = CLOSE.get(value.dtype, close)
        if not math.isclose(value, again, rel_tol=close / 1e3):
            return "draws" if value.isfinite() and again.isfinite() else None
        found.append(float(value))
        counts.append(float(denominator(y, num_rows)))
    mean = (found[0] * counts[0] + found[1] * counts[1]) / max(counts[0] + counts[1], 1e-12)
    whole = found[0] + found[1] if counted == "sum" else mean
    return "fits" if math.isclose(whole, found[2], rel_tol=close, abs_tol=1e-9) else "differs"


def _value(model: nn.Module, loss_fn: nn.Module, loss: Loss, x: Tree, y: Tree) -> Tensor:
    """The loss of a batch, 0-dim."""
    of_outputs = model_loss.of_outputs if isinstance(loss_fn, OfModel) else calls.of_outputs
    found = loss(of_outputs(calls.of_model(model, x))(x), y, x)
    return found[0] if found.ndim else found


@torch.no_grad()
def _move(model: nn.Module) -> None:
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.add_(MOVED * torch.randn_like(parameter))


@torch.no_grad()
def _shift(model: nn.Module, loss_fn: OfModel, loss: Loss, batch: tuple[Tree, Tree]) -> int:
    """1 if the first target of each sequence does not count, as in a causal language model; else 0."""
    x, y = batch
    if loss_fn.ignored is None or y.ndim != 2 or y.shape[1] < 2:
        return 0
    other = y.clone()
    other[:, 0] = (y[:, 0] == 0).to(y.dtype)  # class 1 where it was 0, else 0
    values = []
    for target in (y, other):
        torch.manual_seed(0)  # for a model that draws in eval mode too
        values.append(_value(model, loss_fn, loss, {**x, loss_fn.argument: target}, target))
    return int(torch.equal(*values))
