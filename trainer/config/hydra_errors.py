"""Hydra's errors as ConfigErrors that say what to type."""

import re
import shlex
from pathlib import Path

from trainer.config import files
from trainer.config.source import Source
from trainer.config.unknown_key import unknown_to_hydra
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import first_line, listed

SUFFIXES = {  # of the files that each kind of dataset reads
    "table": (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq"),
    "npz": (".npz",),
    "safetensors": (".safetensors",),
}


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
            return ConfigError(f"'{name}' is not key=value", data_keys(name) or f"{name}=VALUE")
        if re.fullmatch(r"\w+\(.*\)", value):
            text = f"{error.override}: Hydra has range(FROM,TO,STEP) and, for a search, interval(FROM,TO), not this"
            return ConfigError(text, f"list the values: trainer train -m {name}=A,B,C")
        return ConfigError(f"cannot read {error.override}", f"quote what is special in it: '{name}=\"{value}\"'")
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
    group, _, name = missing.removesuffix(".yaml").partition("/")
    if not name:
        return ConfigError(f"there is no config named {group}", "trainer ls")
    if group == "hydra":  # hydra/launcher, hydra/sweeper
        kind, _, name = name.rpartition("/")
        group = f"{group}/{kind}"
    choices = list(files.options(source.folders).get(group, {})) or choices
    if group == "dataset" and (hint := data_keys(name)):
        return ConfigError(f"no dataset '{name}'", hint)
    near = next((choice for choice in choices if choice.endswith(f"/{name}")), None) or closest(name, choices)
    if near:
        return ConfigError(f"no {group} '{name}'. Did you mean {near}?", f"{group}={near}")
    hint = f"{group}={choices[0]}" if group.startswith("hydra") else f"trainer ls {group}"
    return ConfigError(f"no {group} '{name}': there are {listed(choices, 200)}", hint)


def data_keys(word: str) -> str:
    """What to type for a word that names a file or a folder of data, or '' for another word."""
    if Path(word).is_dir():
        return f"dataset=images dataset.path={word}"
    kind = next((kind for kind, suffixes in SUFFIXES.items() if word.lower().endswith(suffixes)), None)
    if kind is None:
        return ""
    return f"dataset={kind} dataset.path={word}" + (" dataset.target=COLUMN" if kind == "table" else "")
