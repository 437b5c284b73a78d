"""How training calls the model: as it is, or through DDP, which averages gradients over the ranks."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from trainer.build.probe import Probed
from trainer.data import tree
from trainer.data.batches import Sync
from trainer.data.tree import Tree
from trainer.processes.ranks import Joint, Ranks, averaging
from trainer.tasks import loss_modules
from trainer.tasks.calls import Call


def connected(
    model: nn.Module,
    probed: Probed,
    loss_of_rows: Callable[[nn.Module], Tensor],
    x: Tree,
    device: torch.device,
    ranks: Ranks,
) -> tuple[Call, Sync]:
    """(The forward of training, the context in which ranks do not average gradients)."""
    if ranks.size == 1:
        return probed.call, nullcontext
    whole = Joint(model, probed.loss_fn) if loss_modules.state(probed.loss_fn) else model
    ddp = averaging(whole, loss_of_rows, device)
    return probed.around(ddp, x), ddp.no_sync


def loss_of(
    probed: Probed, autocast: Callable[[], Any], sample: tuple[Tree, Tree], num_rows: int
) -> Callable[[nn.Module], Tensor]:
    """The loss of a batch of num_rows rows, by the model or by DDP around it; the rows of the sample, again and
    again."""
    x, y = (tree.cycled(part, num_rows) for part in sample)

    def loss_of(module: nn.Module) -> Tensor:
        with autocast():
            loss = probed.loss(probed.around(module, x)(x), y, x)
        return loss[0] if loss.ndim else loss

    return loss_of
