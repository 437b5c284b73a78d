"""The updates of SGD, Adam and AdamW as operations of a graph, on the state that torch's optimizer has created."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.sgd import sgd

Update = Callable[[list[Tensor], list[Tensor], Tensor], None]  # parameters, gradients, scalars


def make_update(optimizer: Optimizer, group: dict[str, Any]) -> Update:
    """The in-place update of one parameter group, on the state that the optimizer has created."""
    state = optimizer.state
    if isinstance(optimizer, SGD):
        names = ("weight_decay", "momentum", "dampening", "nesterov", "maximize")
        constants = {name: group[name] for name in names} | {"foreach": False, "fused": False}

        def descend(parameters: list[Tensor], gradients: list[Tensor], scalars: Tensor) -> None:
            buffers = [state[p].get("momentum_buffer") if group["momentum"] else None for p in parameters]
            sgd(parameters, gradients, buffers, lr=scalars[0], **constants)

        return descend

    def adam(parameters: list[Tensor], gradients: list[Tensor], scalars: Tensor) -> None:
        lr, step_size, unroot = scalars.unbind()
        (beta1, beta2), decay = group["betas"], group["weight_decay"]
        for p, g in zip(parameters, gradients, strict=True):
            moments = state[p]
            moments["step"].add_(1)
            g = -g if group["maximize"] else g
            if decay and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay:
                g = g + decay * p
            mean = moments["exp_avg"].lerp_(g, 1 - beta1)
            square = moments["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
            if group["amsgrad"]:
                square = moments["max_exp_avg_sq"].copy_(torch.maximum(moments["max_exp_avg_sq"], square))
            p.sub_(step_size * mean / (square.sqrt() * unroot + group["eps"]))

    return adam


def scalars(group: Mapping[str, Any], step: int) -> tuple[float, float, float]:
    """The numbers in a group's update that change with the step (counted from 1): the learning rate lr and, for Adam,
    lr / (1 - beta1^step) and 1 / sqrt(1 - beta2^step). In the graph, each vector would compute them again."""
    lr = float(group["lr"])
    beta1, beta2 = group.get("betas", (0.0, 0.0))
    return lr, lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)


def taken(optimizer: Optimizer, group: Mapping[str, Any]) -> int:
    """The steps that a group has taken, as Adam counts them; 0 for an optimizer that does not."""
    counts = (optimizer.state[p]["step"] for p in group["params"] if "step" in optimizer.state.get(p, ()))
    return int(next(counts, 0))


def kept_tensors(optimizer: Optimizer) -> list[Tensor]:
    """The tensors of an optimizer's state."""
    return [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]


def leaves_no_trace(optimizer: Optimizer, group: Mapping[str, Any]) -> bool:
    """Whether the state of a group does not tell which parameters have had a gradient."""
    return isinstance(optimizer, SGD) and not group["momentum"]
