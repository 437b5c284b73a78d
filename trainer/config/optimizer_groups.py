"""optimizer.groups as it is typed: a list of {params: PATTERN, lr: …, weight_decay: …, optimizer: …}."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from trainer.config.options import common, target_schema
from trainer.config.options.optimizer import Optimizer
from trainer.config.picked import shown
from trainer.config.schema_key import keys
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import listed

EXAMPLE = "optimizer.groups=[{params: *.bias, lr: 1e-4}]"
OF_THE_WHOLE = ("adamw",)  # keys of an optimizer that a group of its parameters does not have


def unknown(word: str, is_there: bool) -> ConfigError:
    """The error for a word such as optimizer.groups.0.lr=0.1 that Hydra refused. is_there: whether the list has that
    entry, which then lacks the key."""
    key, _, value = word.lstrip("+~").partition("=")
    number, _, name = key.removeprefix("optimizer.groups.").partition(".")
    if is_there:
        return ConfigError(f"no key '{key}': its group does not set {name}", shlex.quote(f"+{word.lstrip('+~')}"))
    text = f"'{word}': optimizer.groups has no entry {number}; the first is 0"
    return ConfigError(text, shlex.quote(f"optimizer.groups=[{{params: *.bias, {name or 'lr'}: {value or '1e-4'}}}]"))


def check(groups: Any, node: Mapping[str, Any], check_value: Callable[[str, Any, Any], Any]) -> list[dict[str, Any]]:
    """The groups of an optimizer's node, with their values as the schema has them. Raises ConfigError.

    check_value: (dotted key, value, its field of the schema) -> the value.
    """
    if not isinstance(groups, (list, tuple)):
        raise ConfigError("optimizer.groups must be a list", shlex.quote(EXAMPLE), "optimizer.groups")
    return [_check(f"optimizer.groups.{number}", group, node, check_value) for number, group in enumerate(groups)]


def _check(key: str, group: Any, node: Mapping[str, Any], check_value: Callable[..., Any]) -> dict[str, Any]:
    if not isinstance(group, Mapping):
        raise ConfigError(f"{key} is not a mapping with params", shlex.quote(EXAMPLE), "optimizer.groups")
    params = group.get("params")
    texts = params if isinstance(params, (list, tuple)) else [params]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        said = "has no params" if params is None else f"has params={params}"
        raise ConfigError(f"{key} {said}: a pattern of names of parameters", f"'++{key}.params=*.bias'", key)
    own = group.get("optimizer", node)
    if not isinstance(own, Mapping) or not isinstance(own.get("_target_"), str):
        raise ConfigError(f"{key}.optimizer names no optimizer", f"++{key}.optimizer=sgd", key)
    schema = target_schema("optimizer", own)
    fields = keys(Optimizer) if schema is None else {k: schema[k] for k in schema if k not in common("optimizer")}
    found = {**group}
    for name, value in group.items():
        if name in ("params", "optimizer"):
            continue
        if name in fields and name not in OF_THE_WHOLE:
            try:
                found[name] = check_value(f"{key}.{name}", value, fields[name])
            except ConfigError as error:
                hint = f"{key}.{name}={shown(own[name])}" if name in own else None
                raise ConfigError(error.message, error.hint or hint, error.key) from error
        elif schema is not None:  # otherwise its class says what it takes
            takes = listed([field for field in fields if field not in OF_THE_WHOLE], 100)
            text = f"no key '{key}.{name}': a group of {own['_target_']} takes {takes}"
            near = closest(name, [field for field in fields if field not in group])
            raise ConfigError(text, f"write {near} in its place" if near else "leave it out", key)
    return found
