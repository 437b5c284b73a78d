"""Hydra's errors as ConfigErrors that say what to type."""

import shlex

from trainer.config import files
from trainer.config.source import Source
from trainer.config.unknown_key import unknown_to_hydra
from trainer.errors import ConfigError
from trainer.terminal.spelling import did_you_mean
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
        return unknown_to_hydra(str(cause.full_key), root, source)
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
