"""Hydra's errors as ConfigErrors that say what to type."""

import re
import shlex
from itertools import pairwise

from trainer.config import data_files, files, optimizer_groups
from trainer.config.picked import default, shown
from trainer.config.source import Source
from trainer.config.special import LISTENERS, TRANSFORMS
from trainer.config.unknown_key import ALL_KEYS, unknown_to_hydra
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import first_line, listed

TORCHVISION = re.compile(
    r"(resnet|resnext|wide_resnet|vgg|alexnet|densenet|mobilenet|efficientnet|convnext|vit|swin)_?\w?\d"
)
LISTS = {  # the key that each of their entries has, and what to type
    "augment.transforms": ("_target_", TRANSFORMS),
    "listeners": ("_target_", LISTENERS),
    "optimizer.groups": ("params", optimizer_groups.EXAMPLE),
    "hydra.sweeper.zip": ("", "hydra.sweeper.zip=[model,optimizer.lr]"),
}
KINDS = {
    "Integer": ("a whole number", "10"),
    "Float": ("a number", "0.5"),
    "bool": ("true or false", "true"),
}  # OmegaConf's


def as_config_error(error: Exception, source: Source) -> ConfigError:
    """An error of Hydra or OmegaConf as a ConfigError. source: what was being composed."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf import errors

    cause = error.__cause__ if isinstance(error.__cause__, errors.OmegaConfBaseException) else error
    first = first_line(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _no_option(str(error.missing_cfg_file), list(error.options or []), source)
    if isinstance(error, OverrideParseException):
        return _unread(str(error.override), source)
    group = next((word for word in source.overrides if word.lstrip("+~").startswith("optimizer.groups.")), None)
    if group is not None and "optimizer.groups" in str(getattr(cause, "full_key", "")):
        return optimizer_groups.unknown(group, is_there=not isinstance(cause, errors.ConfigIndexError))
    if isinstance(cause, (errors.ConfigKeyError, errors.ConfigAttributeError)) and cause.full_key:
        root = cause.parent_node._get_root() if cause.parent_node is not None else {}
        return unknown_to_hydra(str(cause.full_key), root, source)
    if isinstance(cause, errors.InterpolationResolutionError):
        return ConfigError(f"{cause.full_key}: {first_line(cause)}")
    if first.startswith("Ambiguous value for argument"):
        return _sweep(first.split("'")[1], source)
    if first.startswith("Sweep parameters "):
        return _sweep(first.split("'")[1], source)
    if first.startswith("Error merging override "):
        kind = re.search(r"(?:could not be converted to|is not a valid) (\w+)", str(cause))
        if kind is not None and kind[1] in KINDS:
            return _other_kind(first.removeprefix("Error merging override "), *KINDS[kind[1]])
        return _other_shape(first.removeprefix("Error merging override "), source)
    if first.startswith("Could not append to config"):
        name = first.split("'")[1]
        word = next((word for word in source.overrides if word.startswith(f"+{name}=")), f"+{name}=VALUE")
        return ConfigError(f"{word}: {name} is there already and takes no +", shlex.quote(word[1:]))
    if first.startswith("Could not delete from config"):
        return ConfigError(f"no key '{first.split(chr(39))[1]}' to delete", ALL_KEYS)
    return ConfigError(first)


def _other_kind(word: str, kind: str, example: str) -> ConfigError:
    """The error for a value that one of Hydra's own keys does not take. kind: what it takes."""
    name = word.lstrip("+~").partition("=")[0]
    return ConfigError(f"{word}: {name} must be {kind}", f"{name}={example}", name)


def _other_shape(word: str, source: Source) -> ConfigError:
    """The error for a mapping in the place of a list, or a list in the place of a mapping."""
    name, _, value = word.lstrip("+~").partition("=")
    now = default(name, source.overrides, source.folders)
    if isinstance(now, dict):
        return ConfigError(f"{name}={value}: {name} is a group of keys", ALL_KEYS, name)
    part, example = LISTS.get(name, ("", f"{name}={shown(now or [])}"))
    hint = f"{name}=[{value}]" if part and part in value else example
    return ConfigError(f"{name}={value}: {name} must be a list", shlex.quote(hint), name)


def _sweep(word: str, source: Source) -> ConfigError:
    search = ["hydra/sweeper=optuna"] * any("interval(" in word for word in source.overrides)
    command = shlex.join(["trainer", "train", "-m", *search, *source.overrides])
    return ConfigError(f"{word}: several values make a sweep, which needs -m", command)


def _unread(word: str, source: Source) -> ConfigError:
    """The error for a word that Hydra's grammar does not have."""
    name, equals, value = word.partition("=")
    if not equals:
        after = [other for one, other in pairwise(source.overrides) if one == word and "=" not in other]
        if after and re.fullmatch(r"[\w.]+", word):
            return ConfigError(f"'{word} {after[0]}' is not key=value", shlex.quote(f"{word}={after[0]}"))
        return ConfigError(f"'{word}' is not key=value", _as_setting(word, source))
    if re.fullmatch(r"\w+\(.*\)", value):
        text = f"{word}: Hydra has range(FROM,TO,STEP) and, for a search, interval(FROM,TO), not this"
        return ConfigError(text, f"list the values: trainer train -m {name}=A,B,C")
    now = default(name.lstrip("+~"), source.overrides, source.folders)
    if value.startswith("="):
        hint = shlex.quote(f"{name}={value.lstrip('=')}")
    elif isinstance(now, list) and value.startswith("(") and value.endswith(")"):
        hint = shlex.quote(f"{name}=[{value[1:-1]}]")
    elif now is None or isinstance(now, str):  # quotes make text of it; the shell takes the outer ones
        hint = shlex.quote(f'{name}="{value}"')
    else:
        hint = f"{name}={shown(now)}"
    return ConfigError(f"cannot read {word}", hint)


def _as_setting(word: str, source: Source) -> str:
    """What to type for a word without =: a file of data or of code, key:value, a key, or an option."""
    if opened := data_files.settings(word):
        return opened
    if word.endswith(".py"):
        return f"model=own model._target_={word.removesuffix('.py').strip('./').replace('/', '.')}.CLASS"
    name, mark, value = word.partition(":")
    if mark and value:
        return shlex.quote(f"{name}={value}")
    if (now := default(word, source.overrides, source.folders)) is not None and not isinstance(now, dict):
        return f"{word}={shown(now)}"
    groups = files.options(source.folders)
    return next((f"{group}={word}" for group, options in groups.items() if word in options), ALL_KEYS)


def _no_option(missing: str, choices: list[str], source: Source) -> ConfigError:
    group, _, name = missing.removesuffix(".yaml").partition("/")
    options = files.options(source.folders)
    if not name and group in options:
        return ConfigError(f"{group}= names no option", f"trainer ls {group}")
    if not name:
        hint = f"experiment={group}" if group in options["experiment"] else "trainer ls"
        return ConfigError(f"there is no config named {group}", hint)
    if group == "hydra":  # hydra/launcher, hydra/sweeper
        kind, _, name = name.rpartition("/")
        group = f"{group}/{kind}"
        if name.startswith("submitit_"):
            return ConfigError(f"{group}: {name} needs hydra-submitit-launcher", "pip install 'fiveline[slurm]'")
    choices = list(options.get(group, {})) or choices
    if group == "dataset" and (hint := data_files.settings(name)):
        return ConfigError(f"no dataset '{name}'", hint)
    near = next((choice for choice in choices if choice.endswith(f"/{name}")), None) or closest(name, choices)
    if near:
        return ConfigError(f"no {group} '{name}'. Did you mean {near}?", f"{group}={near}")
    if dotted := _target(group, name):
        return ConfigError(f"no {group} '{name}' among the options: a class of your own is its _target_", dotted)
    hint = f"{group}={choices[0]}" if group.startswith("hydra") else f"trainer ls {group}"
    return ConfigError(f"no {group} '{name}': there are {listed(choices, 200)}", hint)


def _target(group: str, name: str) -> str:
    """What to type for an option that looks like the name of a class, or of a model of torchvision; or ''."""
    own = f"{group}=own " if group in ("model", "dataset") else ""
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        return f"{own}{group}._target_={name}"
    return f"{own}model._target_=torchvision.models.{name}" if group == "model" and TORCHVISION.match(name) else ""
