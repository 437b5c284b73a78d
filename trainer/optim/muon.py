"""Muon for convolutions too, and which parameters of a model it is meant for.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
kellerjordan.github.io/posts/muon; the arithmetic is that of torch.optim.Muon.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

TABLES = (nn.Embedding, nn.EmbeddingBag)


class Muon(torch.optim.Muon):
    """torch.optim.Muon that takes kernels of convolutions as well, as matrices of shape (out, rest).

    A gradient's running mean is replaced by the nearest orthogonal matrix, which torch computes in bfloat16 by ns_steps
    steps of Newton and Schulz. adjust_lr_fn: how the rate depends on a matrix's shape; with match_rms_adamw a step is
    about as long as one of AdamW, so that the same lr suits both. params: of two dimensions or more, and not complex.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: Sequence[float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = "match_rms_adamw",
    ) -> None:
        defaults: dict[str, Any] = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "eps": eps,
        }
        defaults |= {"ns_coefficients": tuple(ns_coefficients), "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn}
        Optimizer.__init__(self, params, defaults)  # not torch's Muon's, which refuses what is not a matrix

    def _init_group(self, group: Any, params: list[Tensor], grads: list[Tensor], means: list[Tensor]) -> bool:
        """Fill the three lists with matrices that share the memory of parameters and running means."""
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(p)
            axes = [0, *sorted(range(1, p.ndim), key=p.stride, reverse=True)]  # in the order in memory: a view
            rows, shape = p.shape[0], (p.shape[0], -1)
            params.append(p.permute(axes).view(shape))
            means.append(state["momentum_buffer"].permute(axes).view(shape))
            grads.append(p.grad.permute(axes).reshape(rows, -1))
        return False


def matrices(model: nn.Module) -> dict[str, str]:
    """{full name: the pattern of its module} of the parameters that Muon can update: matrices, embeddings among them,
    and kernels of convolutions. The pattern of a model that is a single layer is the parameter itself."""
    firsts = {id(p): name for name, p in model.named_parameters()}  # a tied one under its first name
    found = {}
    for module_name, module in model.named_modules():
        for p in filter(partial(is_matrix, module), module.parameters(recurse=False)):
            if id(p) in firsts:
                name = firsts.pop(id(p))
                found[name] = module_name or name
    return found


def is_matrix(module: nn.Module, p: Tensor) -> bool:
    """Whether Muon can update a parameter of this module."""
    return not p.is_complex() and (p.ndim == 2 or (p.ndim > 2 and isinstance(module, _ConvNd)))


def for_adamw(model: nn.Module) -> list[str]:
    """The patterns of the matrices that AdamW takes: embeddings, and the module with the last matrix, the head, unless
    that is an embedding too."""
    tables = [name for name, module in model.named_modules() if isinstance(module, TABLES)]
    last = [p for m in model.modules() for p in filter(partial(is_matrix, m), m.parameters(recurse=False))][-1:]
    names = {id(p): name for name, p in model.named_parameters()}
    heads = [matrices(model)[names[id(p)]] for p in last]
    return list(dict.fromkeys([*tables, *heads]))
