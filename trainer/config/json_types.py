"""One key of the schema as JSON Schema (draft 7), for an editor: its type, its range, its help and its default."""

import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from trainer.config.durations import PATTERN, TIME, Duration, Time
from trainer.config.expectations import RELATIONS
from trainer.config.schema import DeviceName, Expect, Listeners, Metrics, Target, Transforms

Schema = dict[str, Any]

DEVICE = r"^(auto|cpu|mps|cuda(:[0-9]+)?)$"
LATER: Schema = {"type": "string", "pattern": r"^\?\?\?$|\$\{"}  # a value that is still to be given, or another key's
LIMITS = {"above": "exclusiveMinimum", "at_least": "minimum", "below": "exclusiveMaximum", "at_most": "maximum"}

ANY_TARGET: Schema = {"type": "object", "properties": {"_target_": {"type": "string"}}, "required": ["_target_"]}
METRIC: Schema = {"type": "object", "properties": {"name": {"type": "string"}, "as": {"type": "string"}}}
RANGE: Schema = {"type": "object", "propertyNames": {"enum": list(RELATIONS)}}
NOT_A_MAPPING: Schema = {"type": ["number", "string", "boolean", "array", "null"]}

KNOWN: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    dict[str, str]: {"type": "object"},
    Duration: {"type": "string", "pattern": f"^{PATTERN.pattern}$"},
    Time: {"type": "string", "pattern": f"^(?=.){TIME.pattern}$"},
    DeviceName: {"anyOf": [{"type": "string", "pattern": DEVICE}, {"type": "integer", "minimum": 0}]},
    Target: {"type": "object"},
    Expect: {"type": "object", "additionalProperties": {"anyOf": [NOT_A_MAPPING, RANGE]}},
    Metrics: {"type": "array", "items": {"anyOf": [{"type": "string"}, METRIC, ANY_TARGET]}},
    Listeners: {"type": "array", "items": ANY_TARGET},
    Transforms: {"anyOf": [{"type": "array", "items": ANY_TARGET}, {"type": "null"}]},
}


def value_schema(field: Any, default: Any = None) -> Schema:
    """What a key may hold. field: a dataclass field made by schema_key.key; default: shown while typing; None: not."""
    bounds: Mapping[str, Any] = field.metadata
    limits = {word: bounds[name] for name, word in LIMITS.items() if bounds[name] is not None}
    of_union = get_origin(field.type) in (Union, types.UnionType)
    choices = list(_choices(get_args(field.type) if of_union else (field.type,), limits))
    text = bounds["help"] + (f" (in {bounds['unit']})" if bounds["unit"] else "")
    schema: Schema = {"description": text, "anyOf": [*choices, LATER]}
    return schema if default is None else {**schema, "default": default}


def _choices(kinds: tuple[Any, ...], limits: Schema) -> Iterator[Schema]:
    """One schema for each alternative of a type. A type that is not known here may hold anything."""
    for kind in kinds:
        if kind in (int, float):
            yield {"type": "integer" if kind is int else "number", **limits}
        elif get_origin(kind) is Literal:
            yield {"enum": list(get_args(kind))}
        elif kind in KNOWN:
            yield KNOWN[kind]
        elif get_origin(kind) is list:
            (item,) = get_args(kind)
            yield {"type": "array", "items": {"anyOf": [*_choices((item,), limits), LATER]}}
        else:
            yield {}
