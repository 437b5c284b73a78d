"""JSON schemas (draft 7) of the files in a conf/, for an editor: config.yaml, each group's options, and experiments.

Which keys a group takes depends on its `_target_`: of a class that ships they are known, of any other everything is
allowed. In an experiment it depends on the option that its defaults pick. Imports neither hydra nor torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from trainer.config import files, picked
from trainer.config.json_types import KNOWN, LATER, Schema, value_schema
from trainer.config.options import BY_GROUP, MAY_BE_THEIRS, common, target_schema
from trainer.config.schema import TARGETS, Augment, Config, Expect
from trainer.config.schema_key import keys

DRAFT = "http://json-schema.org/draft-07/schema#"
FREE: Schema = {"type": "object"}


def schemas(folders: list[Path]) -> dict[str, Schema]:
    """{name: schema}: config, experiment, chapter, and one for each group. folders: as files.roots gives them."""
    choices = files.options(folders)
    default = picked.read(folders, "config.yaml")
    targets = {group: {name: _target(group, name) for name in BY_GROUP[group]} for group in TARGETS}
    definitions: Schema = {"defaults": _defaults(choices)}
    for group in TARGETS:
        nodes = {name: picked.read(folders, f"{group}/{name}.yaml") for name in choices[group]}
        definitions |= {_name(group, name): _option(group, node) for name, node in nodes.items()}
        definitions |= {f"{group}_file": _group(group), f"any_{group}": _union(group, nodes.values()), **targets[group]}
    top = {"type": "object", "properties": _top(default), "additionalProperties": False, "definitions": definitions}
    found = {
        "config": {**top, "allOf": [_within(group, f"any_{group}") for group in TARGETS]},
        "experiment": {**top, "allOf": [_picked(group, choices[group]) for group in TARGETS]},
        "augment": _closed(keys(Augment), default.get("augment", {})),
        **{group: {**_group(group), "definitions": targets[group]} for group in TARGETS},
        "chapter": {"type": "object", "properties": {"expect": KNOWN[Expect]}, "required": ["_target_"]},
    }
    return {name: {"$schema": DRAFT, "title": f"trainer: {name}", **schema} for name, schema in found.items()}


def _top(default: Mapping[str, Any]) -> Schema:
    """The keys of a config. Those of a group with a `_target_` are left to rules of its own."""
    found: Schema = {"defaults": _ref("defaults"), "hydra": FREE}
    for name, field in keys(Config).items():
        value = default.get(name)
        if is_dataclass(field.type):
            inner = _closed(keys(field.type), value if isinstance(value, dict) else {})
            found[name] = {"description": field.metadata["help"], **inner}
        elif name in TARGETS:
            found[name] = {"description": field.metadata["help"], **FREE}
        else:
            found[name] = value_schema(field, value)
    return found


def _within(group: str, definition: str) -> Schema:
    """That the group's keys are those of a definition, or of the `_target_` beside them."""
    rule = {"if": {"required": ["_target_"]}, "then": _ref(f"{group}_file"), "else": _ref(definition)}
    return {"properties": {group: rule}}


def _picked(group: str, choices: Iterable[str]) -> Schema:
    """That the group's keys in an experiment are those of the option that its defaults pick; of any option if they pick
    none. Where they name another experiment, that one may have picked a class of the user's own."""
    exact = [{"if": _picks(group, name), "then": _within(group, _name(group, name))} for name in choices]
    inherits = {"properties": {"defaults": {"contains": {"type": "string", "not": {"const": "_self_"}}}}}
    anything = {"if": {**inherits, "required": ["defaults"]}, "else": _within(group, f"any_{group}")}
    return {"if": _picks(group), "then": {"allOf": exact}, "else": anything}


def _picks(group: str, option: str | None = None) -> Schema:
    """That the defaults of an experiment pick this option of a group, or any."""
    word = f"override /{group}"
    entry = {"type": "object", "properties": {word: {"const": option} if option else {}}, "required": [word]}
    return {"properties": {"defaults": {"contains": entry}}, "required": ["defaults"]}


def _defaults(choices: Mapping[str, Mapping[str, str]]) -> Schema:
    """The list of what a file picks: each option must be there."""
    named = {
        f"{word}{group}": {"anyOf": [{"enum": [*options, None]}, LATER]}
        for group, options in choices.items()
        for word in ("", "/", "override /")
    }
    names = f"^(optional )?(override )?/?({'|'.join(choices)}|hydra/.*)(@.*)?$"
    entry = {"type": "object", "properties": named, "propertyNames": {"pattern": names}}
    return {"type": "array", "items": {"anyOf": [entry, {"type": "string"}]}}


def _group(group: str) -> Schema:
    """A file that is an option of a group: what its keys are depends on its `_target_`."""
    names = list(BY_GROUP[group])
    target = {"description": "the dotted name of a class or function", "anyOf": [{"enum": names}, {"type": "string"}]}
    rules = [
        {"if": {"properties": {"_target_": {"const": name}}, "required": ["_target_"]}, "then": _ref(name)}
        for name in names
    ]
    theirs = {name: {} if name in MAY_BE_THEIRS else value_schema(field) for name, field in common(group).items()}
    whole = [{"required": ["_target_"]}, {"required": ["defaults"]}]  # or what another option of the group holds
    return {"type": "object", "properties": {"_target_": target, **theirs}, "allOf": rules, "anyOf": whole}


def _target(group: str, name: str) -> Schema:
    """The keys beside a `_target_` that ships."""
    return _closed(target_schema(group, {"_target_": name}) or {}, {})


def _option(group: str, node: Schema) -> Schema:
    """The keys of an option: those of its class if it ships; others may be added to those in its file if not."""
    fields = target_schema(group, node)
    if fields is None:
        return {"type": "object", "properties": {key: {"default": value} for key, value in node.items()}}
    return _closed(fields, node)


def _union(group: str, nodes: Iterable[Schema]) -> Schema:
    """The keys of all options of a group."""
    found: dict[str, list[Schema]] = {}
    for node in nodes:
        fields = target_schema(group, node)
        inner = {key: {} for key in node} if fields is None else {key: value_schema(fields[key]) for key in fields}
        for key, schema in ({key: value_schema(field) for key, field in common(group).items()} | inner).items():
            if schema not in found.setdefault(key, []):
                found[key].append(schema)
    properties = {key: {"anyOf": schemas} for key, schemas in found.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _closed(fields: Mapping[str, Any], values: Mapping[str, Any]) -> Schema:
    """A mapping with these keys and no others. values: those to show as defaults."""
    properties = {name: value_schema(field, values.get(name)) for name, field in fields.items()}
    shared: Schema = {"_target_": {"type": "string"}, "defaults": {"type": "array"}}
    return {"type": "object", "properties": {**shared, **properties}, "additionalProperties": False}


def _name(group: str, option: str) -> str:
    """The name of an option's definition: a slash would end it in a reference."""
    return f"{group}={option.replace('/', '.')}"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
