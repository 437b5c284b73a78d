"""Makes reference.md, every key of a config, from the schema and conf/: python docs/reference.py."""

import dataclasses
import json
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from trainer.config.options import target_schema
from trainer.config.schema import Config

HERE = Path(__file__).resolve().parent
CONF = HERE.parent / "conf"
GROUPS = {
    "dataset": "Keys that are `null` are optional. `val_fraction` and `split_seed` hold for every dataset.",
    "model": "Sizes that are `null` come from the data.",
    "loss": "With `loss=auto` classes get cross-entropy and numbers the mean squared error.",
    "optimizer": "Weight decay leaves out biases and norms.",
    "scheduler": "Lengths are written as `10epochs`, `500steps` or `10000samples`.",
}
NAMES = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true, false",
    type(None): "null",
    "Duration": "duration",
    "Time": "time",
    "DeviceName": "device",
}
LISTS = {str: "texts", Any: "names or mappings", dict[str, Any]: "mappings"}
INTRODUCTION = """# Reference

Every key of a config: `key=value` on the command line, or in a YAML file. A key that the class takes and its option
leaves out is typed with a plus: `+optimizer.amsgrad=true`. This page is generated from the schema that checks the keys.
`trainer config` shows the same for the config that you type.

"""
HEAD = "| key | type | range | default | what it does |\n|---|---|---|---|---|\n"
Fields = Iterable["dataclasses.Field[Any]"]


def reference() -> str:
    """The whole page, as Markdown."""
    defaults = _read(CONF / "config.yaml")
    top = [field for field in dataclasses.fields(Config) if field.name not in GROUPS]
    plain = [field for field in top if not dataclasses.is_dataclass(field.type)]
    parts = [INTRODUCTION, "## Top level\n\n", _table("", plain, defaults)]
    for field in top:
        if dataclasses.is_dataclass(field.type):
            options = [f"`{field.name}={path.stem}`" for path in sorted((CONF / field.name).glob("*.yaml"))]
            listed = f"\nOptions: {', '.join(options)}." if options else ""
            intro = f"\n## {field.name}\n\n{_sentence(field.metadata['help'])}{listed}\n\n"
            parts += [intro, _table(f"{field.name}.", dataclasses.fields(field.type), defaults[field.name])]
    for group, hint in GROUPS.items():
        (option,) = (entry[group] for entry in defaults["defaults"] if isinstance(entry, dict) and group in entry)
        parts.append(f"\n## {group}\n\n{hint} The default is `{group}={option}`.\n")
        parts += (_option(group, path, defaults.get(group)) for path in sorted((CONF / group).glob("*.yaml")))
    return "".join(parts)


def _option(group: str, path: Path, common: Any) -> str:
    node = {**(common if isinstance(common, dict) else {}), **_read(path)}
    about = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()
    text = f"\n### {group}={path.stem}\n\n{_sentence(about)}\n\n`_target_`: {_value(node['_target_'])}\n\n"
    fields = target_schema(group, node)
    if fields is None:
        return text + "Its keys are the keyword arguments of your class or function.\n"
    return text + (_table(f"{group}.", fields.values(), node) if fields else "It has no keys.\n")


def _table(prefix: str, fields: Fields, defaults: Mapping[str, Any]) -> str:
    return HEAD + "".join(
        f"| `{prefix}{field.name}` | {', '.join(dict.fromkeys(_type(field.type)))} | {_range(field.metadata)} "
        f"| {_value(defaults.get(field.name))} | {field.metadata['help'].replace('|', chr(92) + '|')} |\n"
        for field in fields
    )


def _type(kind: Any) -> Iterator[str]:
    """The words for a type, one for each of its alternatives."""
    if get_origin(kind) in (Union, types.UnionType):
        for one in get_args(kind):
            yield from _type(one)
    elif get_origin(kind) is Literal:
        yield from (f"`{choice}`" for choice in get_args(kind))
    elif get_origin(kind) in (list, Sequence):
        yield f"list of {LISTS.get(get_args(kind)[0], 'numbers')}"
    else:
        yield NAMES.get(kind) or NAMES.get(getattr(kind, "__name__", ""), "mapping")


def _range(bounds: Mapping[str, Any]) -> str:
    signs = {"above": "> ", "at_least": "≥ ", "below": "< ", "at_most": "≤ "}
    text = ", ".join(sign + _number(bounds[name]) for name, sign in signs.items() if bounds[name] is not None)
    return " ".join(part for part in (text, bounds["unit"]) if part)


def _number(bound: float) -> str:
    return "2⁶³" if bound == 2**63 else f"{bound:g}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "required" if value == "???" else f"`{text}`"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    (HERE / "reference.md").write_text(reference(), encoding="utf-8")
