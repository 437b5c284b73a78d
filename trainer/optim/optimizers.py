"""Optimizers: groups of parameters, no weight decay for biases and norms, fused kernels where torch has them."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainer.config import target
from trainer.errors import ConfigError
from trainer.optim import groups, rates, shortcuts
from trainer.optim.groups import Group, Named, Row
from trainer.optim.several import Several

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase, nn.LocalResponseNorm)


def make_optimizer(node: Mapping[str, Any], modules: Mapping[str, nn.Module], device: torch.device) -> Optimizer:
    """Construct the config's optimizer over all trainable parameters. Raises ConfigError.

    modules: the model, and what else is trained, by what its names of parameters begin with: {"": model}.
    """
    named = named_parameters(modules)
    if not any(p.requires_grad for p in named.values()):
        if any(True for _ in modules[""].parameters()):
            hint = "parameter.requires_grad_(True) for those to train"
            raise ConfigError("all parameters of the model are frozen", hint)
        raise ConfigError("the model has no trainable parameter", "is a list of modules kept outside nn.ModuleList?")
    found = [group for group in groups.split(node, modules[""], named) if group.trains]
    spared = spared_ids(modules.values(), named)
    is_named = len(found) > 1 or bool(found[0].name)
    parts: list[tuple[Group, list[dict[str, Any]]]] = []  # the first group of each optimizer, and what it is given
    for group in found:
        ours = torch_groups(group, spared, is_named=is_named)
        same = next((members for first, members in parts if first.node == group.node), None)
        if same is None:
            parts.append((group, ours))
        else:
            same += ours
    with shortcuts.without_compiler():
        made = [_construct(first, members, named, device) for first, members in parts]
        optimizer = made[0] if len(made) == 1 else Several(made)
    if "lr" in node:
        optimizer.defaults["lr"] = node["lr"]  # also where every parameter is in a group of its own
    for one in {id(one): one for one in (*made, optimizer)}.values():
        shortcuts.strip(one)
        shortcuts.shorten(one)
    for one in made:
        if rates.are_wanted(device) and type(one) in (SGD, Adam, AdamW) and all(g["fused"] for g in one.param_groups):
            rates.on_device(one)
    return optimizer


def group_rows(
    optimizer: Optimizer,
    node: Mapping[str, Any],
    modules: Mapping[str, nn.Module],
    frozen: Iterable[Tensor],
    *,
    thaws: bool,
) -> list[Row]:
    """What is shown of the groups of an optimizer, and after them of those that are frozen until later, see
    groups.frozen_rows. node, modules: those it was made of."""
    found = groups.split(node, modules[""], named_parameters(modules))
    return [*groups.rows(optimizer), *groups.frozen_rows(found, frozen, thaws=thaws)]


def named_parameters(modules: Mapping[str, nn.Module]) -> Named:
    """The parameters of all modules by their full names, each under its first one. modules: see make_optimizer."""
    first: dict[int, tuple[str, Tensor]] = {}
    for prefix, module in modules.items():
        for name, p in module.named_parameters():
            first.setdefault(id(p), (f"{prefix}{name}", p))
    return dict(first.values())


def spared_ids(modules: Iterable[nn.Module], named: Named) -> set[int]:
    """The ids of the parameters without weight decay: biases and the parameters of norms."""
    norms = (m for module in modules for m in module.modules() if isinstance(m, NORMS))
    biases = {id(p) for name, p in named.items() if name.rpartition(".")[2].rpartition(":")[2] == "bias"}
    return biases | {id(p) for norm in norms for p in norm.parameters(recurse=False)}


def torch_groups(group: Group, spared: Set[int], *, is_named: bool) -> list[dict[str, Any]]:
    """A group as torch takes it: two where some decay and some do not. A weight_decay typed for it holds for all."""
    numbers = {**group.numbers, "name": group.name} if is_named else group.numbers
    trained = [p for p in group.parameters.values() if p.requires_grad]
    if "weight_decay" in group.numbers or not group.node.get("weight_decay"):
        return [{"params": trained, **numbers}]
    decaying, others = ([p for p in trained if (id(p) in spared) is answer] for answer in (False, True))
    halves = (decaying, group.node["weight_decay"]), (others, 0.0)
    return [{"params": half, "weight_decay": decay, **numbers} for half, decay in halves if half]


def _construct(first: Group, members: list[dict[str, Any]], named: Named, device: torch.device) -> Optimizer:
    """The optimizer of a group's node, over groups of parameters as torch takes them."""
    name = first.node["_target_"]
    accepted = target.parameters(target.locate(name, first.key))
    if "closure" in accepted or name.endswith(".LBFGS"):
        hint = f"{first.key}=adamw" if first.key.endswith(".optimizer") else None
        raise ConfigError(f"{name} calls a closure several times a step, which the loop does not support", hint)
    has_kernel = "fused" in accepted and device.type in ("cpu", "cuda", "mps")  # one for the entire update
    has_kernel &= not any(p.is_complex() for p in named.values())
    facts = {"fused": True} if has_kernel else {}
    is_plain = len(members) == 1 and members[0].keys() == {"params"}
    params = members[0]["params"] if is_plain else members  # an optimizer of your own may take a list of tensors only
    optimizer = target.construct(first.node, first.key, {"params": params}, **facts)
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"{first.key}._target_={name} is not a torch.optim.Optimizer")
    return optimizer
