"""Plain data against the schema: types, ranges, unknown and missing keys. Says what is wrong and what to type."""

import dataclasses
import math
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from trainer.config import expectations
from trainer.config.durations import Duration, is_duration
from trainer.config.options import TARGETS, DatasetKeys
from trainer.config.schema import Config, DeviceName, Expect, Target
from trainer.terminal.spelling import closest

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
MISSING = "???"  # OmegaConf's word for a value that somebody has to give
Data = Mapping[str, Any]


class Problem(Exception):
    """One key that is wrong. `key` is its dotted path; compose adds where it was set."""

    def __init__(self, key: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint


def check(data: Data) -> Config:
    """The Config that plain data describes. Raises Problem for the first key that is wrong."""
    known = set(known_keys(data))
    config: Config = _check_fields(Config, data, "", known, complete=True)
    for group in ("dataset", "model", "loss", "optimizer", "scheduler"):
        _check_target(group, getattr(config, group), known)
    return config


def known_keys(data: Data) -> Iterator[str]:
    """Every dotted key that this config may have, groups included."""
    for name, hint in _hints(Config).items():
        yield name
        if dataclasses.is_dataclass(hint):
            yield from (f"{name}.{sub}" for sub in _hints(hint))
        elif hint == Target:
            node = data.get(name)
            if isinstance(node, Mapping):
                schema = target_schema(name, node)
                yield from (f"{name}.{sub}" for sub in (node if schema is None else schema))


def target_schema(group: str, node: Data) -> dict[str, dataclasses.Field[Any]] | None:
    """The known keys beside a shipped `_target_`; None where the class's own signature decides."""
    schema = TARGETS.get(node.get("_target_", ""))
    if schema is None:
        return None
    return {field.name: field for cls in _schemas(group, schema) for field in dataclasses.fields(cls)}


def _schemas(group: str, schema: type) -> tuple[Any, ...]:
    return (schema, DatasetKeys) if group == "dataset" else (schema,)


def _check_target(group: str, node: Data, known: set[str]) -> None:
    if node.get("_target_") == MISSING:
        raise _missing(f"{group}._target_")
    if not isinstance(node.get("_target_"), str):
        raise Problem(f"{group}._target_", f"{group} needs a _target_: the dotted name of a class")
    schema = TARGETS.get(node["_target_"])
    rest = {name: value for name, value in node.items() if name != "_target_"}
    for name, value in rest.items():
        if value == MISSING:
            raise _missing(f"{group}.{name}")
    if schema is not None:
        hints = {name: hint for cls in _schemas(group, schema) for name, hint in _hints(cls).items()}
        fields = target_schema(group, node) or {}
        for name, value in rest.items():
            path = f"{group}.{name}"
            if name not in fields:
                raise _unknown(path, known)
            node[name] = _check_value(path, value, hints[name], fields[name].metadata)  # type: ignore[index]
    elif group == "dataset":
        own = {name: value for name, value in rest.items() if name in _hints(DatasetKeys)}
        _check_fields(DatasetKeys, own, "dataset.", known, complete=False)


def _check_fields(schema: type, data: Data, prefix: str, known: set[str], *, complete: bool) -> Any:
    hints = _hints(schema)
    for name in data:
        if name not in hints:
            raise _unknown(prefix + str(name), known)
    values = {}
    for field in dataclasses.fields(schema):
        path = prefix + field.name
        if data.get(field.name, None if field.name in data else MISSING) == MISSING:
            if complete:
                raise _missing(path)
            continue
        value, hint = data[field.name], hints[field.name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise Problem(path, f"{path} is a group of keys: {', '.join(_hints(hint))}", f"{path}.KEY=VALUE")
            values[field.name] = _check_fields(hint, value, path + ".", known, complete=True)  # type: ignore[arg-type]
        elif hint == Target:
            if not isinstance(value, Mapping):
                raise Problem(path, f"{path}={value} names no option", f"trainer ls {path}")
            values[field.name] = dict(value)
        elif hint == Expect:
            values[field.name] = _check_expect(value)
        else:
            values[field.name] = _check_value(path, value, hint, field.metadata)
    return schema(**values) if complete else values


def _check_expect(node: Any) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise Problem("expect", "expect is a group of values by name", "expect.steps=60")
    for name, value in node.items():
        try:
            expectations.parse(value)
        except ValueError as error:
            raise Problem(f"expect.{name}", f"expect.{name} {error}") from error
    return dict(node)


def _check_value(path: str, value: Any, hint: Any, bounds: Mapping[str, Any]) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        matched, converted = _convert(value, option)
        if matched:
            _check_range(path, converted, bounds)
            return converted
    if value == MISSING:
        raise _missing(path)
    wanted = " or ".join(_name(option) for option in options)
    hint_text = None
    if value is True and bounds.get("instead_of_true"):
        hint_text = f"{path}={bounds['instead_of_true']}"
    elif isinstance(value, str):
        choices = [str(c) for option in options if get_origin(option) is Literal for c in get_args(option)]
        near = closest(value, choices)
        hint_text = f"{path}={near}" if near else None
    raise Problem(path, f"{path}={_show(value)}: {path} must be {wanted}", hint_text)


def _convert(value: Any, hint: Any) -> tuple[bool, Any]:
    """(whether `value` is of this type, the value in it). Whole floats count as ints, ints as floats."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if get_origin(hint) is Literal:
        return value in get_args(hint) and isinstance(value, str), value
    if get_origin(hint) is list:
        if not isinstance(value, (list, tuple)):
            return False, None
        items = [_convert(item, get_args(hint)[0]) for item in value]
        return all(ok for ok, _ in items), [item for _, item in items]
    if hint == dict[str, str]:
        return isinstance(value, Mapping), {str(k): str(v) for k, v in value.items()} if isinstance(
            value, Mapping
        ) else {}
    if hint is Duration:
        return is_duration(value), value
    if hint is DeviceName:
        name = f"cuda:{value}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        return DEVICE.fullmatch(name) is not None, name
    if hint is type(None):
        return value is None, None
    if hint is bool:
        return isinstance(value, bool), value
    if hint is int:
        whole = number and math.isfinite(value) and value == int(value)
        return whole, int(value) if whole else None
    if hint is float:
        return number, float(value) if number else None
    return isinstance(value, str), value


def _check_range(path: str, value: Any, bounds: Mapping[str, Any]) -> None:
    values = value if isinstance(value, list) else [value]
    for item in values:
        if not isinstance(item, (int, float)) or isinstance(item, bool):
            continue
        low, least, high, most = (bounds.get(name) for name in ("above", "at_least", "below", "at_most"))
        if math.isnan(item):
            raise Problem(path, f"{path}={_show(value)}: {path} must be a number")
        wrong = [
            (low is not None and not item > low, f"above {low}"),
            (least is not None and not item >= least, f"at least {least}"),
            (high is not None and not item < high, f"below {high}"),
            (most is not None and not item <= most, f"at most {most}"),
        ]
        for is_wrong, words in wrong:
            if is_wrong:
                raise Problem(path, f"{path}={_show(value)}: {path} must be {words}")


def _missing(path: str) -> Problem:
    return Problem(path, f"{path} needs a value", f"{path}=…")


def _unknown(path: str, known: set[str]) -> Problem:
    near = closest(path, known)
    return Problem(path, f"no key '{path}'", f"{near}=VALUE" if near else "trainer config shows all keys")


def _show(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_show(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{…}"
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def _name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) is list:
        return f"a list of {_name(get_args(hint)[0]).removeprefix('a ')}s, like [1,2]"
    names: dict[Any, str] = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }
    names[DeviceName] = "auto, cpu, cuda, cuda:1 or mps"
    names[dict[str, str]] = "a mapping like {age: number}"
    names[Duration] = "a duration like 2epochs, 500steps or 10000samples"
    return names[hint]


def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)
