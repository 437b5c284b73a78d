"""The classes that a stored config may name: trainer's and torch's, or any in a config that this user has signed.

A `_target_` is imported when it is built. So a stored config is checked before anything is built from it, and a name
that is not known to be harmless needs a signature with this user's key, or --trust. The text of a name is checked
first; then only modules of trainer, torch and torchvision are imported to check what it names. config/run_config.py
(for a run) and sweep/resume.py (for a sweep) look at the signature and --trust too, and refuse.
"""

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainer.config import given
from trainer.config.target import nodes, targets

NAMES = {  # group: the pattern of its `_target_`
    "dataset": r"trainer\.data\.\w+\.[A-Z]\w*",
    "model": r"(torch\.nn|trainer\.models\.\w+)\.[A-Z]\w*|torchvision\.models\.[a-z]\w*",
    "loss": r"auto|(torch\.nn|trainer\.tasks\.\w+)\.[A-Z]\w*",
    "optimizer": r"(torch\.optim|trainer\.optim\.(lion|muon))\.[A-Z]\w*",
    "augment": r"torchvision\.transforms\.v2\.[A-Z]\w*",
    "scheduler": r"(torch\.optim\.lr_scheduler|trainer\.schedules)\.[A-Z]\w*",
}
TRACKERS = ("mlflow", "wandb", "trackio")  # those that write outside the run folder
NESTED = (
    "model",
    "loss",
    "optimizer",
    "scheduler",
    "augment",
)  # groups whose known classes may also stand inside one another


@dataclass(frozen=True)
class Trust:
    """What the jobs of a sweep may do. signed: this user signed the stored sweep, or has just typed it, so they sign
    what is written there. typed: --trust was typed."""

    signed: bool = True
    typed: bool = False

    @property
    def granted(self) -> bool:
        """Whether the jobs may import any class and download data."""
        return self.signed or self.typed


OWN = Trust()  # of a sweep that was typed by this user


def kept_inside(configs: Iterable[Mapping[str, Any]], granted: bool) -> str | None:
    """The line that says what is off in runs that nobody has signed or trusts; None where nothing of theirs is."""
    configs = [] if granted else list(configs)
    off = [f"{name} is off" for name in TRACKERS if any(config.get(name) for config in configs)]
    if any(name.startswith("trainer.data.vision.") for name in targets(configs)):
        off.append("nothing is downloaded")
    return f"note     {' and '.join(off)}: not signed with your key (--trust turns this on)" if off else None


def strangers(config: Mapping[str, Any]) -> list[str]:
    """Every 'key=_target_' in plain data, however deep, that is not a known class in its usual place."""
    return [f"{key}={node['_target_']}" for key, node in nodes(config) if not _known(key, node)]


def _known(key: str, node: Mapping[str, Any]) -> bool:
    (group, _, rest), target = key.partition("."), node["_target_"]
    if target in given.TARGETS.values():  # they return what this program itself gives
        return True
    pattern = NAMES.get(group)
    in_place = rest == "_target_" or (group in NESTED and bool(rest))
    if not in_place or pattern is None or not isinstance(target, str) or not re.fullmatch(pattern, target, re.A):
        return False
    if target == "auto":
        return True
    module_name, _, name = target.rpartition(".")
    try:
        module: Any = importlib.import_module(module_name)
    except ImportError:
        return False
    if module_name == "torchvision.models":
        pretrained = [value for option, value in node.items() if option.startswith(("weights", "pretrained"))]
        return name in module.list_models(module=module) and not any(pretrained)
    cls = getattr(module, name, None)
    home = getattr(cls, "__module__", "")
    at_home = home == module_name if module_name.startswith("trainer.") else home.startswith(module_name)
    return isinstance(cls, type) and at_home and issubclass(cls, _kind(group))


def _kind(group: str) -> tuple[type, ...]:
    import torch

    from trainer.schedules import Constant

    return {
        "dataset": (torch.utils.data.Dataset,),
        "model": (torch.nn.Module,),
        "loss": (torch.nn.Module,),
        "optimizer": (torch.optim.Optimizer,),
        "augment": (torch.nn.Module,),
        "scheduler": (torch.optim.lr_scheduler.LRScheduler, Constant),
    }[group]
