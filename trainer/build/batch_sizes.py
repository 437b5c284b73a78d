"""Checks before training that a model can train on the smallest batch of an epoch."""

import copy

import torch
from torch import nn

from trainer.data import tree
from trainer.data.batches import TrainBatches
from trainer.data.tree import Tree
from trainer.errors import ConfigError, place
from trainer.tasks import calls
from trainer.text import counted, first_line


def check(batches: TrainBatches, model: nn.Module, x: Tree) -> None:
    """Raise ConfigError where an epoch has no batch, or a batch of one that batch norm cannot train on."""
    if batches.num_batches == 0:
        rows, size = counted(batches.num_rows, "row"), batches.batch_size
        text = f"loader.drop_last=true leaves no batch: {rows}, batches of {size}"
        raise ConfigError(text, f"loader.batch_size={batches.num_rows}")
    smallest = min(batches.batch_size, batches.num_rows - (batches.num_batches - 1) * batches.batch_size)
    has_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if batches.ranks.size > 1:
        _check_parts(batches, smallest, model, x)
    elif smallest == 1 and has_norm:
        try:
            with torch.no_grad():
                calls.of_model(copy.deepcopy(model).train(), x)(tree.first(x, 1))
        except ValueError as error:
            if batches.batch_size == 1:
                raise ConfigError("batch norm cannot train on batches of one sample", "loader.batch_size=64") from error
            text = f"the last batch of an epoch has one sample ({batches.num_rows} = n × {batches.batch_size} + 1)"
            raise ConfigError(f"{text}, which batch norm cannot train on", "loader.drop_last=true") from error


def _check_parts(batches: TrainBatches, smallest: int, model: nn.Module, x: Tree) -> None:
    """Raise ConfigError where a rank gets fewer rows of the smallest batch than the model can train on."""
    for rows in sorted(set(batches.ranks.parts(smallest))):
        if rows >= tree.num_rows(x):
            return
        trial = copy.deepcopy(model).train()
        few = tree.first(x, rows)
        try:
            outputs = tree.leaves(calls.plain(calls.of_model(trial, x)(few)))
            torch.stack([output.sum() for output in outputs if output.requires_grad]).sum().backward()
            if not all(bool(p.grad.isfinite().all()) for p in trial.parameters() if p.grad is not None):
                raise ValueError("its gradients are not finite")
        except (ValueError, RuntimeError) as error:
            text = f"{batches.ranks.size} processes leave one of them {counted(rows, 'row')} of a batch of {smallest}"
            reason = f"which {type(model).__name__} cannot train on: {first_line(error)}{place(error)}"
            less = "loader.drop_last=true" if smallest < batches.batch_size else "loader.batch_size=64"
            raise ConfigError(f"{text}, {reason}", less) from error
