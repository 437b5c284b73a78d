"""The modules that a loss holds: parameters that are trained with the model, and frozen ones, such as a teacher."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainer.optim.freezing import keep_in_eval

PREFIX = "loss:"  # before the names of a loss's tensors where they stand beside the model's


def settle(loss_fn: nn.Module) -> None:
    """Leave frozen modules in eval mode, whatever mode the loss is in."""
    for _, module in frozen(loss_fn):
        keep_in_eval(module)


def frozen(loss_fn: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, module) of the outermost modules in a loss whose parameters are all frozen."""
    for child, module in loss_fn.named_children():
        path = f"{name}.{child}".lstrip(".")
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            yield path, module
        else:
            yield from frozen(module, path)


def num_trained(loss_fn: nn.Module, *, recurse: bool = True) -> int:
    """The number of parameters of a loss that are trained with the model. recurse: also those of modules in it."""
    return sum(p.numel() for p in loss_fn.parameters(recurse) if p.requires_grad)


def with_model(model: nn.Module, loss_fn: nn.Module) -> nn.Module:
    """What is trained: the model, with the loss beside it if that has parameters of its own."""
    return nn.ModuleList([model, loss_fn]) if num_trained(loss_fn) else model


def state(loss_fn: nn.Module) -> dict[str, Any]:
    """The state_dict of a loss, the names with PREFIX: what it trains, and its buffers, which training may move. Left
    out are frozen modules, and the weights of classes that torch's own losses hold."""
    if type(loss_fn).__module__.startswith(("torch.", "trainer.tasks.")):
        return {}
    left_out = tuple(f"{name}." for name, _ in frozen(loss_fn))
    return {PREFIX + name: value for name, value in loss_fn.state_dict().items() if not name.startswith(left_out)}


def split(weights: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(The model's, the loss's, with the names of its state_dict) of weights beside each other."""
    of_model = {name: value for name, value in weights.items() if not name.startswith(PREFIX)}
    of_loss = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
    return of_model, of_loss


def load(loss_fn: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load what `state` gave, without PREFIX. Raises RuntimeError or KeyError for other names or shapes."""
    if not weights and not num_trained(loss_fn):  # earlier versions stored no buffers
        return
    known = {name.removeprefix(PREFIX) for name in state(loss_fn)}
    if known != set(weights):
        raise KeyError(next(iter(known ^ set(weights))))
    if weights:
        loss_fn.load_state_dict(weights, strict=False)


def buffers(loss_fn: nn.Module) -> dict[str, Tensor]:
    """Copies of a loss's buffers, by name."""
    return {name: buffer.clone() for name, buffer in loss_fn.named_buffers()}


@torch.no_grad()
def restore(loss_fn: nn.Module, known: Mapping[str, Tensor]) -> None:
    """Give a loss the buffers that it had."""
    for name, buffer in loss_fn.named_buffers():
        if name in known:
            buffer.copy_(known[name])


def frozen_digest(loss_fn: nn.Module) -> str | None:
    """A sha256 of the frozen modules' parameters and buffers; None without such modules."""
    digest, any_frozen = hashlib.sha256(), False
    for name, module in frozen(loss_fn):
        for key, tensor in module.state_dict().items():
            any_frozen = True
            if isinstance(tensor, Tensor):
                data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
                digest.update(f"{name}.{key} {tensor.dtype} {tuple(tensor.shape)}".encode() + data)
    return digest.hexdigest()[:16] if any_frozen else None
