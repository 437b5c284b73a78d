"""The answer to a key that does not exist, mostly a typo: it names the closest key, or what to type to add one."""

import shlex
from collections.abc import Iterable
from typing import Any

from trainer.config import data_files, files, search_settings, synonyms
from trainer.config.options import target_schema
from trainer.config.schema_key import dotted
from trainer.config.source import Source
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import listed

ALL_KEYS = "trainer config"  # it shows them


class UnknownKey(ConfigError):
    """near: the key that was meant, or None."""

    def __init__(self, message: str, hint: str, key: str, near: str | None) -> None:
        super().__init__(message, hint, key)
        self.near = near

    def in_a_file(self) -> str:
        """The hint where a file sets the key."""
        return f"write {self.near.rpartition('.')[2]} there" if self.near else ALL_KEYS


def unknown_key(key: str, value: str, known: Iterable[str]) -> UnknownKey:
    """The error for a key that the schema does not have. value: as it is typed."""
    near = closest(key, known)
    return UnknownKey(f"no key '{key}'", f"{near}={value}" if near else ALL_KEYS, key, near)


def unknown_to_hydra(key: str, root: Any, source: Source) -> ConfigError:
    """The error for a key that Hydra does not know. root: the config so far; source: what was typed, and where."""
    from omegaconf import OmegaConf

    names = {override: override.lstrip("+~").partition("=")[0] for override in source.overrides}
    typed = next((word for word, name in names.items() if name == key or name.startswith(f"{key}.")), None)
    key = names[typed] if typed else key  # Hydra names the first part that is wrong, the user typed the full key
    data: Any = OmegaConf.to_container(root, resolve=False) if OmegaConf.is_config(root) else {}
    if key == "hydra.sweeper.zip":
        return ConfigError(f"{key} is for a grid: a search proposes each key by itself", "hydra/sweeper=basic")
    keys = [name for name, _ in dotted(data) if not name.startswith("hydra")]
    groups = files.options(source.folders)
    if typed is None:
        near = closest(key, [*keys, *groups])
        error = UnknownKey(f"no key '{key}' (in a config file)", ALL_KEYS, key, near)
        return ConfigError(error.message, error.in_a_file())
    text, value = f"no key '{key}' (on the command line)", typed.partition("=")[2]
    if typed[0] == "~":
        return ConfigError(text, ALL_KEYS)
    if key.startswith(f"{search_settings.KEY}."):  # which of them there are depends on hydra/sweeper
        near = closest(key, search_settings.KEYS)
        is_typo = near not in (None, key)
        return ConfigError(text, f"{near}={value}" if is_typo else shlex.join(["hydra/sweeper=optuna", typed]))
    if key == "dataset.task._target_":  # the key holds a word by default, which has no parts
        return ConfigError(text, f"+{typed}")
    meant = synonyms.setting(key, value, groups)
    name = meant.partition("=")[0] if meant else key
    if name in ("dataset", "dataset.path") and (opened := data_files.settings(value)):
        return ConfigError(text, opened)
    if meant and (name in keys or name in groups):
        return ConfigError(text, shlex.quote(meant))
    near = closest(key, [*keys, *groups])
    if typed[0] != "+" and _may_be_added(key, data, near):
        return ConfigError(text, shlex.quote(f"+{typed}"))
    if having := _options_with(name, source):
        group = name.partition(".")[0]
        text += f", but {listed([f'{group}={option}' for option in having], 100)} {'have' if having[1:] else 'has'} it"
        return ConfigError(text, f"{group}={having[0]} {shlex.quote(f'{name}={value}')}")
    return ConfigError(text, shlex.quote(f"{near}={value or 'VALUE'}") if near else ALL_KEYS)


def _options_with(key: str, source: Source) -> list[str]:
    """The options of a key's group whose files have this key."""
    group, _, name = key.partition(".")
    paths = {o: files.find(f"{group}/{o}.yaml", source.folders) for o in files.options(source.folders).get(group, {})}
    return [option for option, path in paths.items() if name and path and files.line_of(path, name.split("."))]


def _may_be_added(key: str, data: Any, near: str | None) -> bool:
    """Whether a group's class takes a key that the config does not set. A class of your own may take any."""
    group, _, name = key.partition(".")
    node = data.get(group) if isinstance(data, dict) else None
    if not name or not isinstance(node, dict) or "_target_" not in node:
        return False
    known = target_schema(group, node)
    return name in known if known is not None else near is None
