"""Plain data against the schema: types, ranges, unknown and missing keys. Says what is wrong and what to type."""

import dataclasses
import math
import operator
import re
import shlex
import types
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from trainer.config import folds, optimizer_groups
from trainer.config.durations import Duration, Time, is_duration, is_empty, is_time
from trainer.config.expectations import is_number
from trainer.config.options import MAY_BE_THEIRS, common, target_schema
from trainer.config.picked import shown
from trainer.config.schema import TARGETS, Config, DeviceName, Target
from trainer.config.schema_key import keys
from trainer.config.special import SPECIAL
from trainer.config.unknown_key import ALL_KEYS, unknown_key
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
EXAMPLES = {"_target_": "my_file.MyClass", "path": "FILE", "target": "COLUMN"}
MISSING = "???"  # OmegaConf's word for a value that the user has to give
SWITCHES = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false", "off": "false", "none": "false"}
BOUNDS = {"above": operator.gt, "at_least": operator.ge, "below": operator.lt, "at_most": operator.le}
TYPE_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    DeviceName: "auto, cpu, cuda, cuda:1 or mps",
    Time: "a time like 90s, 10m or 1h30m",
    Duration: "a duration like 2epochs, 500steps or 10000samples",
    dict[str, str]: "a mapping like {age: number}",
}
Data = Mapping[str, Any]


def check(data: Data) -> Config:
    """The Config that plain data describes. Raises ConfigError, which names the first key that is wrong."""
    known = set(known_keys(data))
    config: Config = _check_fields(Config, data, "", known)
    for group in TARGETS:
        _check_target(group, getattr(config, group), known)
    folds.check_dataset(config.dataset)
    return config


def known_keys(data: Data) -> Iterator[str]:
    """Every dotted key that this config may have, groups included."""
    for name, field in keys(Config).items():
        yield name
        node = data.get(name)
        if is_dataclass(field.type):
            yield from (f"{name}.{part}" for part in keys(field.type))
        elif field.type == Target and isinstance(node, Mapping):
            schema = target_schema(name, node)
            yield from (f"{name}.{part}" for part in (node if schema is None else schema))


def _check_target(group: str, node: dict[str, Any], known: set[str]) -> None:
    for name in ("_target_", *node):
        if node.get(name) == MISSING:
            raise _missing(f"{group}.{name}")
    if not isinstance(node.get("_target_"), str):
        raise ConfigError(f"{group} needs a _target_: the dotted name of a class", key=f"{group}._target_")
    schema = target_schema(group, node)
    fields = common(group) if schema is None else schema
    for name, value in node.items():
        if (schema is None and name in MAY_BE_THEIRS) or (name == "task" and isinstance(value, Mapping)):
            continue  # a class decides: of the data, of the optimizer, or of the task
        if group == "optimizer" and name in common(group):
            node[name] = optimizer_key(name, value, node)
        elif name in fields:
            node[name] = check_value(f"{group}.{name}", value, fields[name])
        elif schema is not None and name != "_target_":
            raise unknown_key(f"{group}.{name}", _typed(value), known)


def optimizer_key(name: str, value: Any, node: Data) -> Any:
    """The value of optimizer.groups or optimizer.layer_decay as the schema has it. Raises ConfigError.

    Of a class that does not ship it is checked where the class is known: a parameter of this name is its own.
    """
    if name == "groups":
        return optimizer_groups.check(value, node, check_value)
    return check_value(f"optimizer.{name}", value, common("optimizer")[name])


def _check_fields(schema: Any, data: Data, prefix: str, known: set[str]) -> Any:
    fields, values = keys(schema), {}
    for name in data:
        if name not in fields:
            raise unknown_key(f"{prefix}{name}", _typed(data[name]), known)
    for name, field in fields.items():
        path, value = prefix + name, data.get(name, MISSING)
        if name not in data and field.metadata["if_absent"] is not dataclasses.MISSING:
            value = field.metadata["if_absent"]
        if value == MISSING:
            raise _missing(path)
        if is_dataclass(field.type):
            if not isinstance(value, Mapping):
                text = f"{path} is a group of keys: {', '.join(keys(field.type))}"
                raise ConfigError(text, ALL_KEYS, path)
            values[name] = _check_fields(field.type, value, f"{path}.", known)
        elif field.type == Target:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{path}={value} names no option", f"trainer ls {path}", path)
            values[name] = dict(value)
        else:
            values[name] = special(value) if (special := SPECIAL.get(field.type)) else check_value(path, value, field)
    return schema(**values)


def check_value(path: str, value: Any, field: Any) -> Any:
    """The value, converted to the first of the field's types that it fits."""
    options = get_args(field.type) if get_origin(field.type) in (Union, types.UnionType) else (field.type,)
    for option in options:
        try:
            converted = _convert(value, option)
        except ValueError:
            continue
        _check_range(path, converted, field.metadata)
        return converted
    choices = [str(choice) for option in options if get_origin(option) is Literal for choice in get_args(option)]
    instead = field.metadata["instead_of_true"] if value is True else None
    if DeviceName in options:
        choices = ["auto", "cpu", "cuda", "mps"]
    elif bool in options:
        choices, instead = ["true", "false"], SWITCHES.get(str(value).lower())
    if isinstance(value, str):
        instead = instead or closest(value, choices)
    instead = instead or next(iter(choices), None) or field.metadata["example"] or None
    for item in (option for option in options if get_origin(option) is list):
        if get_args(item) == (str,) and isinstance(value, list):  # quotes make text of a number
            instead = f"[{','.join(repr(str(part)) for part in value)}]"
        elif not isinstance(value, list) and _fits([value], item):
            instead = shown([value])
    hint = _in_shell(f"{path}={instead}") if instead else None
    wanted = " or ".join(map(_type_name, options))
    raise ConfigError(f"{path}={shown(value)}: {path} must be {wanted}", hint, path)


def _in_shell(word: str) -> str:
    """A setting in double quotes where its value has single ones."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def _fits(value: Any, hint: Any) -> bool:
    try:
        _convert(value, hint)
    except ValueError:
        return False
    return True


def _convert(value: Any, hint: Any) -> Any:
    """The value as this type: whole floats count as ints, ints as floats. Raises ValueError if it does not fit."""
    if get_origin(hint) is list and isinstance(value, (list, tuple)):
        return [_convert(item, get_args(hint)[0]) for item in value]
    if hint == dict[str, str] and isinstance(value, Mapping):
        return {str(name): str(item) for name, item in value.items()}
    if hint is int and is_number(value) and math.isfinite(value) and value == int(value):
        return int(value)
    if hint is float and is_number(value):
        return float(value)
    if hint is DeviceName:
        value = f"cuda:{value}" if type(value) is int else str(value)
        fits = DEVICE.fullmatch(value) is not None
    elif hint in (Duration, Time):
        fits = is_duration(value) if hint is Duration else is_time(value)
    elif get_origin(hint) is Literal:
        fits = isinstance(value, str) and value in get_args(hint)
    else:
        fits = hint in (bool, str, type(None)) and isinstance(value, hint)
    if fits:
        return value
    raise ValueError


def _check_range(path: str, value: Any, bounds: Data) -> None:
    if is_empty(value) and (bounds["above"] is not None or bounds["at_least"]):
        unit = value.lstrip("0._ ").rstrip("s")
        raise ConfigError(f"{path}={value}: {path} must be above 0", f"{path}=1{unit}", path)
    for item in filter(is_number, value if isinstance(value, list) else [value]):
        if math.isnan(item):
            raise ConfigError(f"{path}={shown(value)}: {path} must be a number", key=path)
        for name, holds in BOUNDS.items():
            bound = bounds[name]
            if bound is not None and not holds(item, bound):
                wanted = f"{name.replace('_', ' ')} {bound}"
                hint = f"{path}={bounds['example']}" if bounds["example"] else None
                raise ConfigError(f"{path}={shown(value)}: {path} must be {wanted}", hint, path)


def _missing(path: str) -> ConfigError:
    example = EXAMPLES.get(path.rpartition(".")[2])
    return ConfigError(f"{path} needs a value", f"{path}={example}" if example else None, path)


def _typed(value: Any) -> str:
    return "VALUE" if isinstance(value, Mapping) else shown(value)


def _type_name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if get_origin(hint) is list:
        item = _type_name(get_args(hint)[0]).removeprefix("a ")
        return "a list of text, like [a,b]" if item == "text" else f"a list of {item}s, like [1,2]"
    return TYPE_NAMES[hint]
