"""The answer to a key that does not exist, mostly a typo: it names the closest key, or what to type to add one."""

from collections.abc import Iterable
from typing import Any

from trainer.config import files
from trainer.config.options import target_schema
from trainer.config.schema_key import dotted
from trainer.config.source import Source
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

ALL_KEYS = "trainer config"  # it shows them


def unknown_key(key: str, known: Iterable[str]) -> ConfigError:
    """The error for a key that the schema does not have."""
    near = closest(key, known)
    return ConfigError(f"no key '{key}'", f"{near}=VALUE" if near else ALL_KEYS, key)


def unknown_to_hydra(key: str, root: Any, source: Source) -> ConfigError:
    """The error for a key that Hydra does not know. root: the config so far; source: what was typed, and where."""
    from omegaconf import OmegaConf

    names = {override: override.lstrip("+~").partition("=")[0] for override in source.overrides}
    typed = next((word for word, name in names.items() if name == key or name.startswith(f"{key}.")), None)
    key = names[typed] if typed else key  # Hydra names the first part that is wrong, the user typed the full key
    data: Any = OmegaConf.to_container(root, resolve=False) if OmegaConf.is_config(root) else {}
    keys = [name for name, _ in dotted(data) if not name.startswith("hydra")]
    near = closest(key, [*keys, *files.options(source.folders)])
    value = f"={typed.partition('=')[2]}" if typed else ""
    hint = f"{near}{value}" if near else ALL_KEYS
    if having := _options_with(key, source):
        hint = f"{key.partition('.')[0]}={'|'.join(having)}, which {'have' if len(having) > 1 else 'has'} it"
    elif typed and typed[0] not in "+~" and _may_be_added(key, data, near):
        hint = f"+{typed}"
    return ConfigError(f"no key '{key}' ({'on the command line' if typed else 'in a config file'})", hint)


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
