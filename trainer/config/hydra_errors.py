"""Hydra's errors as ConfigErrors that say what to type."""

import shlex
from typing import Any

from trainer.config import files
from trainer.config.check import target_schema
from trainer.config.key import dotted
from trainer.config.source import Source
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest, did_you_mean
from trainer.text import first_line


def as_config_error(error: Exception, source: Source) -> ConfigError:
    """An error of Hydra or OmegaConf as a ConfigError. source: what was being composed."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf import errors

    cause = error.__cause__ if isinstance(error.__cause__, errors.OmegaConfBaseException) else error
    first = first_line(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _no_option(str(error.missing_cfg_file), list(error.options or []), source)
    if isinstance(error, OverrideParseException):
        name, equals, value = str(error.override).partition("=")
        if not equals:
            return ConfigError(f"'{name}' is not key=value", f"{name}=VALUE")
        text = f"quote the special characters in it: '{name}=\"{value}\"'"
        return ConfigError(f"cannot read {error.override}", text)
    if isinstance(cause, (errors.ConfigKeyError, errors.ConfigAttributeError)) and cause.full_key:
        root = cause.parent_node._get_root() if cause.parent_node is not None else {}
        return _no_key(str(cause.full_key), root, source)
    if isinstance(cause, errors.InterpolationResolutionError):
        return ConfigError(f"{cause.full_key}: {first_line(cause)}")
    if first.startswith("Ambiguous value for argument"):
        command = shlex.join(["trainer", "train", "-m", *source.overrides])
        return ConfigError(f"{first.split(chr(39))[1]}: several values make a sweep, which needs -m", command)
    return ConfigError(first)


def _no_option(missing: str, choices: list[str], source: Source) -> ConfigError:
    group, _, name = missing.removesuffix(".yaml").rpartition("/")
    if not group:
        return ConfigError(f"there is no config named {name}", "trainer ls")
    choices = choices or list(files.options(source.folders).get(group.partition("/")[0], {}))
    return ConfigError(f"no {group} '{name}'.{did_you_mean(name, choices)}", f"{group}=" + "|".join(choices))


def _no_key(key: str, root: Any, source: Source) -> ConfigError:
    from omegaconf import OmegaConf

    names = {override: override.lstrip("+~").partition("=")[0] for override in source.overrides}
    typed = next((word for word, name in names.items() if name == key or name.startswith(f"{key}.")), None)
    key = names[typed] if typed else key  # Hydra names the first part that is wrong, the user typed the full key
    data: Any = OmegaConf.to_container(root, resolve=False) if OmegaConf.is_config(root) else {}
    keys = [name for name, _ in dotted(data) if not name.startswith("hydra")]
    near = closest(key, [*keys, *files.options(source.folders)])
    value = f"={typed.partition('=')[2]}" if typed else ""
    hint = f"{near}{value}" if near else "trainer config shows all keys"
    if typed and typed[0] not in "+~" and _may_be_added(key, data, near):
        hint = f"+{typed}"
    return ConfigError(f"no key '{key}' ({'on the command line' if typed else 'in a config file'})", hint)


def _may_be_added(key: str, data: Any, near: str | None) -> bool:
    """Whether a group's class takes a key that the config does not set. A class of your own may take any."""
    group, _, name = key.partition(".")
    node = data.get(group) if isinstance(data, dict) else None
    if not name or not isinstance(node, dict) or "_target_" not in node:
        return False
    known = target_schema(group, node)
    return name in known if known is not None else near is None
