"""What the config of a run folder may name: trainer's and torch's own classes, or what this user has signed.

A `_target_` is imported when it is built. So a stored config is looked at before anything is built from it, and what
is not known to be harmless needs a signature by this user's key, or --trust. Names are judged by their text first;
only modules of trainer, torch and torchvision are imported for the second look.
"""

import hashlib
import hmac
import importlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.disk import reading, storage
from trainer.errors import TrainerError

SIGNATURE = "config.sig"
KEY_BYTES = 32

NAMES = {  # group: what its `_target_` may look like
    "dataset": r"trainer\.data\.\w+\.[A-Z]\w*",
    "model": r"(torch\.nn|trainer\.models\.\w+)\.[A-Z]\w*|torchvision\.models\.[a-z]\w*",
    "loss": r"auto|torch\.nn\.[A-Z]\w*",
    "optimizer": r"torch\.optim\.[A-Z]\w*",
    "scheduler": r"(torch\.optim\.lr_scheduler|trainer\.schedules)\.[A-Z]\w*",
}


def strangers(config: Mapping[str, Any]) -> list[str]:
    """Every `_target_` in plain data, however deep, that is not one of the known classes in its own place."""
    return [f"{key}={target}" for key, target in _targets(config) if not _known(key, target, config)]


def _targets(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "_target_":
                yield f"{prefix}{name}", value
            else:
                yield from _targets(value, f"{prefix}{name}.")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{prefix}{index}.")


def _known(key: str, target: Any, config: Mapping[str, Any]) -> bool:
    group, _, rest = key.partition(".")
    pattern = NAMES.get(group)
    if rest != "_target_" or pattern is None or not isinstance(target, str) or not re.fullmatch(pattern, target, re.A):
        return False
    if target == "auto":
        return True
    module_name, _, name = target.rpartition(".")
    if module_name == "torchvision.models":
        pretrained = [value for option, value in config[group].items() if option.startswith("weights")]
        return name in _builders() and not any(pretrained)
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ImportError:
        return False
    home = getattr(found, "__module__", "")
    at_home = home == module_name if module_name.startswith("trainer.") else home.startswith(module_name)
    return isinstance(found, type) and at_home and issubclass(found, _kind(group))


def _builders() -> list[str]:
    try:
        import torchvision
    except ImportError:
        return []
    builders: list[str] = torchvision.models.list_models(module=torchvision.models)
    return builders


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


def sign(folder: Path, config: bytes) -> None:
    """Put this user's signature of a config beside it, to be called before the config is written.

    The signature before stays too: a kill in between leaves the config before. Without a key, such as on a read-only
    home, there is none.
    """
    key = _key(make=True)
    if key is not None:
        lines = [_signature(key, config), *_signatures(folder)]
        storage.write_file(folder / SIGNATURE, b"".join(line + b"\n" for line in dict.fromkeys(lines[:2])))


def is_signed(folder: Path, config: bytes) -> bool:
    """Whether this user signed exactly these bytes."""
    key = _key(make=False)
    return key is not None and any(hmac.compare_digest(line, _signature(key, config)) for line in _signatures(folder))


def _signature(key: bytes, config: bytes) -> bytes:
    return hmac.new(key, b"trainer config 1\n" + config, hashlib.sha256).hexdigest().encode()


def _signatures(folder: Path) -> list[bytes]:
    try:
        return reading.read_file(folder / SIGNATURE, 200).splitlines()
    except (FileNotFoundError, reading.Damaged):
        return []


def key_file() -> Path:
    """Where the key lies: trainer/key in the user's configuration folder."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "trainer" / "key"


def _key(*, make: bool) -> bytes | None:
    path = key_file()
    if make and not path.exists():
        with suppress(TrainerError, OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            storage.write_file(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
    try:
        key = reading.read_file(path, KEY_BYTES)
        found = path.stat()
    except (OSError, reading.Damaged):
        return None
    private = os.name == "nt" or (found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077)
    return key if private and len(key) == KEY_BYTES else None
