"""Traps in how a model is put together: what is not registered, frozen, not in the optimizer, elsewhere, or in eval."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.guards.finding import Finding, names


def unregistered(model: nn.Module) -> list[Finding]:
    """Tensors and modules among plain attributes, also within lists, tuples and dicts.

    Call it before the first forward: a tensor that forward keeps for itself is no trap.
    """
    known = {id(thing) for thing in (*model.modules(), *model.parameters(), *model.buffers())}
    tensors: list[str] = []
    modules: list[str] = []
    for path, module in model.named_modules():
        stems = {name.rpartition("_")[0] for name in (*module._parameters, *module._buffers)}
        for name, value in vars(module).items():
            if name.startswith("_") or name in stems:  # torch's own; weight beside weight_g, weight_orig, …
                continue
            for thing in _within(value):
                if id(thing) in known or (isinstance(thing, Tensor) and thing is not value and not thing.requires_grad):
                    continue
                (modules if isinstance(thing, nn.Module) else tensors).append(".".join(filter(None, (path, name))))
    found = []
    where = type(model).__name__
    if modules:
        listed = list(dict.fromkeys(modules))
        what = f"{names(listed)} {'hold' if len(listed) > 1 else 'holds'} modules in a plain list or dict"
        why = "their parameters are not trained, not saved and not moved to the device"
        found.append(Finding("unregistered", where, what, why, "nn.ModuleList([…]) or nn.ModuleDict({…})"))
    if tensors:
        listed = list(dict.fromkeys(tensors))
        what = f"{names(listed)} {'are plain tensors' if len(listed) > 1 else 'is a plain tensor'}"
        why = "the optimizer, state_dict and .to(device) know nothing of it"
        name = listed[0].rpartition(".")[2]
        remedy = f"self.{name} = nn.Parameter(…) to train it, self.register_buffer({name!r}, …) to keep it"
        found.append(Finding("unregistered", where, what, why, remedy))
    return found


def _within(value: Any) -> Iterator[Any]:
    """Tensors and modules that a value is or, one level down, holds."""
    if isinstance(value, (list, tuple)):
        values = list(value)
    elif isinstance(value, dict):
        values = list(value.values())
    else:
        values = [value]
    yield from (thing for thing in values if isinstance(thing, (Tensor, nn.Module)))


def frozen(model: nn.Module) -> list[Finding]:
    """Parameters that ask for no gradient: a note, since fine-tuning wants it so."""
    still = [name for name, p in model.named_parameters() if not p.requires_grad]
    if not still:
        return []
    what = f"{len(still)} of {len(list(model.parameters()))} parameters have requires_grad=False: {names(still)}"
    remedy = "parameter.requires_grad_(True), unless it is meant so"
    return [Finding("frozen", type(model).__name__, what, "they stay as they are", remedy, note=True)]


def outside_optimizer(model: nn.Module, optimizer: Optimizer) -> list[Finding]:
    """Parameters that ask for a gradient and that the optimizer does not hold."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    left = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    if not left:
        return []
    what = f"{names(left)} of the model {'are' if len(left) > 1 else 'is'} not among its parameters"
    why = "nobody moves them: a parameter that forward makes anew is another one each time"
    remedy = "make parameters in __init__; in an optimizer of your own, pass all that it was given to super().__init__"
    return [Finding("optimizer", type(optimizer).__name__, what, why, remedy)]


def elsewhere(model: nn.Module, loss_fn: nn.Module, x: Tensor, y: Tensor) -> list[Finding]:
    """Parameters, buffers or a batch on another device than the first parameter."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    places = {f"model.{name}": t.device for name, t in tensors if t.ndim}  # torch mixes numbers of 0 dimensions freely
    if not places:
        return []
    first = next(iter(places.values()))
    places |= {f"loss.{name}": t.device for name, t in loss_fn.named_buffers() if t.ndim}
    places |= {"the batch's inputs": x.device, "the batch's targets": y.device}
    other = {name: device for name, device in places.items() if device != first}
    if not other:
        return []
    devices = names([f"{name} on {device}" for name, device in other.items()])
    why = "one operation cannot take tensors of two devices"
    remedy = "no device of its own in the model: leave .to() and device= out, and the run moves all of it"
    return [Finding("device", type(model).__name__, f"{devices}; the rest is on {first}", why, remedy)]


def left_in_eval(model: nn.Module) -> list[Finding]:
    """Modules in eval mode while the model trains; but for norms whose own parameters are frozen, as in fine-tuning."""
    if not model.training:
        why = "dropout does nothing and batch norm uses its running statistics, which stay as they are"
        remedy = "leave self.eval() out of forward; train() has to pass its mode on"
        return [Finding("eval", type(model).__name__, "it is in eval mode while it trains", why, remedy)]
    odd = [name for name, m in model.named_modules() if not m.training and _differs_in_eval(m)]
    if not odd:
        return []
    what = f"{names(odd)} {'are' if len(odd) > 1 else 'is'} in eval mode while it trains"
    why = "dropout does nothing there, batch norm uses its running statistics"
    remedy = "leave .eval() on parts out of forward and __init__, or freeze them: requires_grad_(False)"
    return [Finding("eval", type(model).__name__, what, why, remedy)]


def _differs_in_eval(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    norm = isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm))
    return norm and any(p.requires_grad for p in module.parameters())


def without_gradient(model: nn.Module) -> set[str]:
    """Names of the parameters that backward has left without .grad; none where no parameter has one at all."""
    wanted = {name: p.grad is None for name, p in model.named_parameters() if p.requires_grad}
    return {name for name, missing in wanted.items() if missing} if not all(wanted.values()) else set()


def never_a_gradient(model: nn.Module, missing: set[str], num_steps: int) -> list[Finding]:
    """missing: parameters that had no gradient in any of the first `num_steps` steps."""
    left = [name for name, _ in model.named_parameters() if name in missing]
    if not left:
        return []
    what = f"{names(left)} had no gradient in {num_steps} step{'s' * (num_steps != 1)}"
    why = "the loss does not depend on them: forward does not use them, or cuts the graph after them"
    remedy = "use them in forward, without .detach(), .data or torch.no_grad(); else remove them"
    return [Finding("gradient", type(model).__name__, what, why, remedy)]
