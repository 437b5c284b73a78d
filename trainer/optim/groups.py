"""The groups of parameters that an optimizer's node asks for: by pattern, by layer, and what Muon leaves to AdamW."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.config import target
from trainer.config.check import optimizer_key
from trainer.errors import ConfigError
from trainer.optim import layers, muon, patterns
from trainer.optim.several import parts
from trainer.text import listed

MUON = "trainer.optim.muon.Muon"
ADAMW = "torch.optim.AdamW"
OURS = ("groups", "layer_decay")  # keys of every optimizer, beside those of its class
UNSET: tuple[Any, ...] = ([], None)  # their defaults, which a class with a parameter of this name is not given
NOT_A_GROUPS = ("params", "foreach", "fused", "capturable", "differentiable")  # arguments that hold for all groups
REST = "the rest"
Named = dict[str, Tensor]


@dataclass(frozen=True)
class Group:
    """Parameters, by name, that one optimizer updates with the same numbers. name: what tells them from other groups.
    key: the dotted key of the optimizer's node. numbers: those typed for the group, over the node's."""

    name: str
    key: str
    node: Mapping[str, Any]
    parameters: Named
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trains(self) -> bool:
        """Whether any of its parameters is trained now."""
        return any(p.requires_grad for p in self.parameters.values())

    @property
    def entry(self) -> str:
        """The dotted key of its entry in optimizer.groups; optimizer, of the rest."""
        return self.key.removesuffix(".optimizer")

    def number(self, name: str) -> float | None:
        """A number typed for the group, or the node's, or its class's default; None without one."""
        accepted = target.parameters(target.locate(self.node["_target_"], self.key)).get(name)
        value = self.numbers.get(name, self.node.get(name, accepted.default if accepted is not None else None))
        return value if isinstance(value, (int, float)) else None

    @property
    def lr(self) -> float:
        """The learning rate. Raises ConfigError where there is none."""
        if (rate := self.number("lr")) is None:
            raise ConfigError(f"optimizer.layer_decay: {self.node['_target_']} has no lr", "optimizer.layer_decay=null")
        return rate


@dataclass(frozen=True)
class Row:
    """What is shown of a group. spared: it is the part of a group that does not decay, see torch_groups. frozen: all of
    it is, and will be trained later."""

    name: str
    spared: bool
    num_parameters: int
    lr: float | None
    weight_decay: float | None
    optimizer: str
    frozen: bool = False


def split(node: Mapping[str, Any], model: nn.Module, named: Named) -> list[Group]:
    """The groups of an optimizer's node; without any asked for, one of all parameters. The first is the optimizer's
    own, unless it is left without parameters. Raises ConfigError for a pattern that gets no parameter.

    named: all parameters, frozen ones too, so that a pattern may pick those.
    """
    asked, rest = asked_of_us(node), dict(named)
    own = {
        name: value for name, value in node.items() if name not in OURS or (name not in asked and value not in UNSET)
    }
    entries, decay = asked.get("groups") or [], asked.get("layer_decay")
    found = [_typed(number, entry, own, named, rest) for number, entry in enumerate(entries)]
    found.insert(0, Group(REST if entries else "", "optimizer", own, rest))
    found = [part for group in found for part in _for_muon(group, model)]
    if decay is not None:
        depths = layers.depths(model)
        found = [part for group in found for part in _by_layer(group, decay, depths)]
    return [group for group in found if group.parameters]


def asked_of_us(node: Mapping[str, Any]) -> dict[str, Any]:
    """`groups` and `layer_decay` of an optimizer's node, checked, without one that is a parameter of its class. Raises
    ConfigError."""
    theirs = target.parameters(target.locate(node["_target_"], "optimizer"))
    return {name: optimizer_key(name, node[name], node) for name in OURS if name in node and name not in theirs}


def frozen_rows(found: Iterable[Group], frozen: Iterable[Tensor], *, thaws: bool) -> list[Row]:
    """What is shown of the groups that are frozen until later. Raises ConfigError for a typed one that never trains.

    found: see split. frozen: the parameters that `freeze` picked; thaws: whether they are trained later.
    """
    chosen = {id(p) for p in frozen}
    idle = [(group, any(id(p) in chosen for p in group.parameters.values())) for group in found if not group.trains]
    waiting = [group for group, is_ours in idle if is_ours and thaws]
    good = {"optimizer", *(group.entry for group in found if group.trains or group in waiting)}
    for group, is_ours in idle:
        if group.entry not in good:
            text = f"{group.entry} trains nothing: all parameters of {group.name.partition(': ')[0]} are frozen"
            way = "unfreeze_at=1epochs" if is_ours else "parameter.requires_grad_(True) for those to train"
            raise ConfigError(text, f"leave the group out, or {way}")
    return [
        Row(g.name, False, size(g.parameters.values()), g.number("lr"), g.number("weight_decay"), "", frozen=True)
        for g in waiting
    ]


def _typed(number: int, entry: Mapping[str, Any], own: Mapping[str, Any], named: Named, rest: Named) -> Group:
    """The group of one entry of optimizer.groups; it takes its parameters out of `rest`."""
    key, texts = f"optimizer.groups.{number}", as_list(entry["params"])
    words = listed(texts)
    matched = [name for text in texts for name in patterns.chosen(text, named, f"{key}.params={{}}")]
    taken = {name: rest.pop(name) for name in matched if name in rest}
    if not taken:
        text = f"{key} gets no parameter: groups before it have all of {words}, and the first match wins"
        raise ConfigError(text, "put it before them, or leave it out")
    numbers = {name: value for name, value in entry.items() if name not in ("params", "optimizer")}
    node = entry.get("optimizer", own)
    accepted = target.parameters(target.locate(node["_target_"], key))
    names = [name for name in accepted if name not in NOT_A_GROUPS]
    anything = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    if wrong := [name for name in numbers if name not in names and not anything]:
        raise ConfigError(f"no key '{key}.{wrong[0]}': a group of {node['_target_']} takes {', '.join(names)}")
    return Group(words, f"{key}.optimizer" if "optimizer" in entry else key, node, taken, numbers)


def _for_muon(group: Group, model: nn.Module) -> Iterator[Group]:
    """The group itself, or in Muon's place a group of matrices for it, and one of what AdamW takes."""
    if group.node["_target_"] != MUON or not group.parameters:
        yield group
        return
    node, asked = {name: value for name, value in group.node.items() if name != "adamw"}, group.node.get("adamw")
    texts = muon.for_adamw(model) if asked in (None, "auto") else as_list(asked)
    names = [name for name, _ in model.named_parameters()]
    left = {name for text in texts for name in patterns.chosen(text, names, "optimizer.adamw=[{}]")}
    hidden = muon.matrices(model).keys() - left
    matrices = {name: p for name, p in group.parameters.items() if name in hidden}
    if not matrices and group.name != REST:
        hint = f"{group.key}=adamw" if group.key.endswith("optimizer") else f"++{group.key}.optimizer=adamw"
        raise ConfigError(f"Muon updates hidden matrices, and {group.name or type(model).__name__} has none", hint)
    yield dataclasses.replace(group, name=_joined(group.name, "matrices"), node=node, parameters=matrices)
    defaults = target.parameters(muon.Muon)
    shared = {name: node.get(name, defaults[name].default) for name in ("lr", "weight_decay")}
    numbers = {name: value for name, value in group.numbers.items() if name in shared}
    others = {name: p for name, p in group.parameters.items() if name not in hidden}
    words = _joined(group.name, listed([*texts, "vectors"]))
    yield Group(words, group.key, {"_target_": ADAMW, **shared}, others, numbers)


def _by_layer(group: Group, decay: float, depths: Mapping[str, tuple[int, str]]) -> Iterator[Group]:
    """The group's parameters by layer, from the head on, each with the group's rate · decay^(depth from the head)."""
    layer_of = {name: depths.get(name, (0, "loss")) for name in group.parameters}
    for depth, layer in sorted(set(layer_of.values())):
        members = {name: p for name, p in group.parameters.items() if layer_of[name] == (depth, layer)}
        numbers = {**group.numbers, "lr": group.lr * decay**depth}
        yield dataclasses.replace(group, name=_joined(group.name, layer), parameters=members, numbers=numbers)


def _joined(name: str, more: str) -> str:
    return f"{name}: {more}" if name else more


def as_list(value: str | Sequence[str]) -> list[str]:
    """A pattern, or a list of them, as a list."""
    return [value] if isinstance(value, str) else list(value)


def size(parameters: Iterable[Tensor]) -> int:
    """The number of numbers in parameters."""
    return sum(p.numel() for p in parameters)


def rows(optimizer: Optimizer) -> list[Row]:
    """What is shown of the groups of an optimizer; [] where nobody asked for groups."""
    return list(_rows(optimizer)) if "name" in optimizer.param_groups[0] else []


def _rows(optimizer: Optimizer) -> Iterator[Row]:
    for part in parts(optimizer):
        for before, group in zip([{}, *part.param_groups], part.param_groups, strict=False):
            name, num_parameters = group["name"], size(group["params"])
            spared, numbers = name == before.get("name"), (float(group["lr"]), group.get("weight_decay"))
            yield Row(name, spared, num_parameters, *numbers, type(part).__name__)


def count(groups: Iterable[Row]) -> int:
    """The number of groups without counting biases and norms apart."""
    return sum(not row.spared for row in groups)
