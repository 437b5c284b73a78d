"""The classes that a stored config may name: trainer's and torch's, or any in a config that this user has signed.

A `_target_` is imported when it is built. So a stored config is checked before anything is built from it, and a name
that is not known to be harmless needs a signature with this user's key, or --trust. The text of a name is checked
first; then only modules of trainer, torch and torchvision are imported to check what it names. config/run_config.py
(for a run) and sweep/resume.py (for a sweep) look at the signature and --trust too, and refuse.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

NAMES = {  # group: the pattern of its `_target_`
    "dataset": r"trainer\.data\.\w+\.[A-Z]\w*",
    "model": r"(torch\.nn|trainer\.models\.\w+)\.[A-Z]\w*|torchvision\.models\.[a-z]\w*",
    "loss": r"auto|torch\.nn\.[A-Z]\w*",
    "optimizer": r"torch\.optim\.[A-Z]\w*",
    "scheduler": r"(torch\.optim\.lr_scheduler|trainer\.schedules)\.[A-Z]\w*",
}


def strangers(config: Mapping[str, Any]) -> list[str]:
    """Every 'key=_target_' in plain data, however deep, that is not a known class in its usual place."""
    return [f"{key}={target}" for key, target in _named(config) if not _known(key, target, config)]


def _named(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "_target_":
                yield f"{prefix}{name}", value
            else:
                yield from _named(value, f"{prefix}{name}.")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _named(value, f"{prefix}{index}.")


def _known(key: str, target: Any, config: Mapping[str, Any]) -> bool:
    group, _, rest = key.partition(".")
    pattern = NAMES.get(group)
    if rest != "_target_" or pattern is None or not isinstance(target, str) or not re.fullmatch(pattern, target, re.A):
        return False
    if target == "auto":
        return True
    module_name, _, name = target.rpartition(".")
    try:
        module: Any = importlib.import_module(module_name)
    except ImportError:
        return False
    if module_name == "torchvision.models":
        pretrained = [value for option, value in config[group].items() if option.startswith("weights")]
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
        "scheduler": (torch.optim.lr_scheduler.LRScheduler, Constant),
    }[group]
