"""Frozen parameters: they get no gradient and no state in the optimizer, and their batch norms stay in eval mode."""

import shlex
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn
from torch.optim import Optimizer

from trainer.errors import ConfigError
from trainer.optim import patterns
from trainer.optim.several import parts

BATCH_NORMS = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Frozen:
    """What `freeze` has frozen, until `thaw`."""

    parameters: tuple[nn.Parameter, ...] = ()
    norms: tuple[nn.Module, ...] = ()

    def thaw(self) -> None:
        """Let everything train that did so before."""
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        for norm in self.norms:
            del norm.train


def freeze(model: nn.Module, chosen: Sequence[str], trained: nn.Module) -> Frozen:
    """Freeze the parameters that the patterns pick. trained: the model, with the loss beside it if that is trained too.
    Raises ConfigError for a pattern that picks none, and where nothing is left to train."""
    if not chosen:
        return Frozen()
    named = dict(model.named_parameters(remove_duplicate=False))
    names = {name for one in chosen for name in patterns.chosen(one, named, "freeze=[{}]")}
    parameters = {id(p): p for name, p in named.items() if name in names and p.requires_grad}
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    if not any(p.requires_grad for p in trained.parameters()):
        all_but_last = patterns.modules(named)[:-1]
        text = f"freeze=[{','.join(chosen)}] freezes all parameters of the model, so there is nothing to train"
        raise ConfigError(text, shlex.quote(f"freeze=[{','.join(all_but_last)}]"), "freeze")
    norms = tuple(module for module in frozen_norms(model, parameters) if module.training)
    for norm in norms:
        keep_in_eval(norm)
    return Frozen(tuple(parameters.values()), norms)


def take_over(optimizer: Optimizer, before: Optimizer) -> None:
    """Give an optimizer over more parameters the state of the one before it, and the values in its groups, which may
    count its steps; rates are a schedule's. In each group, parameters that it did not have become a group of their own:
    they count their steps from now on."""
    held = {id(p): group for group in before.param_groups for p in group["params"]}
    for part in parts(optimizer):
        groups = []
        for group in part.param_groups:
            olds, news = ([p for p in group["params"] if (id(p) in held) is was_held] for was_held in (True, False))
            groups += [{**held[id(olds[0])], "params": olds, "lr": group["lr"]}] if olds else []
            groups += [{**group, "params": news}] if news else []
        part.param_groups[:] = groups
    optimizer.param_groups[:] = [group for part in parts(optimizer) for group in part.param_groups]
    optimizer.state.update(before.state)
    for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        setattr(optimizer, hooks, getattr(before, hooks))  # with the handles that remove them


def frozen_norms(model: nn.Module, chosen: Container[int]) -> list[nn.Module]:
    """The batch norms whose parameters are all frozen, by us. One without parameters goes with the module around it.
    chosen: the ids of what we have frozen."""
    found: list[nn.Module] = []
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if isinstance(module, BATCH_NORMS):
            around = [module, *(modules[path] for path in reversed(patterns.parents(name)[:-1]) if path in modules)]
            parameters = next((held for one in around if (held := list(one.parameters()))), [])
            if any(id(p) in chosen for p in parameters) and not any(p.requires_grad for p in parameters):
                found.append(module)
    return found


def keep_in_eval(module: nn.Module) -> None:
    """Leave a module in eval mode, whatever mode the modules around it are in; `del module.train` ends that."""
    module.eval()
    module.train = partial(_stay, module)  # type: ignore[method-assign]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return module
