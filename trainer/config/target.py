"""The class that a `_target_` names, its signature, and an instance of it. Errors say which keys it takes.

A node is a mapping with a `_target_`; its other keys are the arguments, and may hold nodes again, however deep.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from trainer.errors import ConfigError, advised, place
from trainer.terminal.spelling import closest, did_you_mean

# The parameters that build fills in from the data where they are null: our names, torchvision's and Hugging Face's.
INPUT_NAMES = ("in_features", "num_features", "input_size", "input_dim")
OUTPUT_NAMES = ("out_features", "num_classes", "num_outputs", "num_labels", "output_size", "output_dim")
VOCABULARY_NAMES = ("vocab_size", "num_embeddings", "num_tokens")
FILLED_IN = (*INPUT_NAMES, *VOCABULARY_NAMES, *OUTPUT_NAMES, "in_channels")


def locate(dotted: str, group: str) -> Any:
    """Import the object with a dotted name. Raises ConfigError, which says which part does not exist."""
    parts = str(dotted).split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(f"{group}._target_={dotted} is not a dotted name", f"{group}._target_=my_file.MyClass")
    for length in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:length])
        try:
            thing: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
                continue
            text = f"{group}._target_={dotted}: {module_name} needs {error.name}, which is not installed"
            raise ConfigError(text) from error
        except Exception as error:
            raise ConfigError(f"{group}._target_={dotted}: importing {module_name} raised {error!r}") from error
        for part in parts[length:]:
            if not hasattr(thing, part):
                near = did_you_mean(part, [name for name in dir(thing) if not name.startswith("_")])
                raise ConfigError(f"{group}._target_={dotted}: {module_name} has no {part}.{near}")
            thing = getattr(thing, part)
        return thing
    raise ConfigError(f"{group}._target_={dotted}: no module {parts[0]} is installed or in this folder")


def parameters(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function, by name, without self and *args; and the properties that a class sets from
    further keywords, see _properties."""
    found = {name: p for name, p in inspect.signature(target).parameters.items() if p.kind is not p.VAR_POSITIONAL}
    return found | {name: p for name, p in _properties(target).items() if name not in found}


def _properties(target: Any) -> dict[str, inspect.Parameter]:
    """The properties that can be set, of a class whose constructor is behind a decorator and takes any keyword, as
    num_labels of Hugging Face's configs."""
    if not isinstance(target, type) or not hasattr(inspect.getattr_static(target, "__init__"), "__wrapped__"):
        return {}
    outer = inspect.signature(target, follow_wrapped=False).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in outer):
        return {}
    members = [(name, inspect.getattr_static(target, name)) for name in dir(target) if not name.startswith("_")]
    names = [name for name, member in members if isinstance(member, property) and member.fset is not None]
    return {name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names}


def mapped(value: Any, key: str, change: Callable[[Mapping[str, Any], str], Any]) -> Any:
    """A copy of plain data in which change(node, its dotted key) stands for each outermost node."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            return change(value, key)
        return {name: mapped(inner, f"{key}.{name}", change) for name, inner in value.items()}
    if isinstance(value, list):
        return [mapped(inner, f"{key}.{place}", change) for place, inner in enumerate(value)]
    return value


def nodes(value: Any, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (dotted key of its `_target_`, node) of every node in plain data, however deep."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield f"{prefix}_target_", value
        for name, inner in value.items():
            yield from nodes(inner, f"{prefix}{name}.")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from nodes(inner, f"{prefix}{index}.")


def targets(value: Any) -> set[str]:
    """The dotted names that the nodes in plain data name."""
    return {str(node["_target_"]) for _, node in nodes(value)}


def complete(node: Mapping[str, Any], group: str, **facts: Any) -> dict[str, Any]:
    """A node with its null or absent keys that its target takes filled in from `facts`; in nested nodes, the null ones.

    Raises ConfigError for a key that the target does not take, and names the closest that it does.
    """
    accepted = _checked(node, group)
    missing = {k: fact for k, fact in facts.items() if (k in accepted or k in node) and node.get(k) is None}
    inside = partial(_complete_nested, facts=facts)
    return {name: mapped(value, f"{group}.{name}", inside) for name, value in node.items()} | missing


def _complete_nested(node: Mapping[str, Any], key: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    null = {name for name, value in node.items() if value is None}
    return complete(node, key, **{name: fact for name, fact in facts.items() if name in null})


def _checked(node: Mapping[str, Any], group: str) -> dict[str, inspect.Parameter]:
    """The parameters of a node's target. Raises ConfigError for a key that is not among them."""
    target = locate(node["_target_"], group)
    if not callable(target):
        raise ConfigError(f"{group}._target_={node['_target_']} is not a class or function")
    accepted = parameters(target)
    anything = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for name in node:
        if name not in accepted and not anything and name != "_target_":
            near = closest(name, accepted)
            takes = f"it takes {', '.join(accepted)}" if accepted else "it takes no settings"
            text = f"no key '{group}.{name}': {node['_target_']} does not take it"
            raise ConfigError(text, f"{group}.{near}=VALUE" if near else takes, f"{group}.{name}")
    return accepted


def construct(node: Mapping[str, Any], group: str, given: Mapping[str, Any] | None = None, **facts: Any) -> Any:
    """Call a node's `_target_` with its keys, completed by `facts`, after building the nodes in it. Raises ConfigError.

    given: objects for the parameters of these names, in nested nodes too, such as the optimizer of each scheduler. An
    outermost target without such a parameter gets them first.
    """
    return _built(complete(node, group, **facts), group, given or {}, outermost=True)


def check(node: Mapping[str, Any], group: str, **facts: Any) -> None:
    """Raise ConfigError if `construct` could not call the `_target_` of this node."""
    keywords = {name: value for name, value in complete(node, group, **facts).items() if name != "_target_"}
    _check_call(node, group, locate(node["_target_"], group), [], keywords, outermost=True)


def _built(node: Mapping[str, Any], key: str, given: Mapping[str, Any], outermost: bool = False) -> Any:
    inside = partial(_built, given=given)
    keywords = {name: mapped(value, f"{key}.{name}", inside) for name, value in node.items() if name != "_target_"}
    target = locate(node["_target_"], key)
    named = {name: value for name, value in given.items() if name in parameters(target)}
    first = list(given.values()) if outermost and not named else []
    keywords = named | keywords
    _check_call(node, key, target, first, keywords, outermost=outermost)
    try:
        return target(*first, **keywords)
    except (TypeError, ValueError) as error:
        said, hint = advised(str(error), key)
        raise ConfigError(f"{key}: {node['_target_']} refused its settings: {said}{place(error)}", hint) from error


def _check_call(
    node: Mapping[str, Any], key: str, target: Any, first: list[Any], keywords: Mapping[str, Any], *, outermost: bool
) -> None:
    """Raise ConfigError if a target's signature does not take these arguments."""
    properties = _properties(target)
    try:
        own = {name: value for name, value in keywords.items() if name not in properties}
        inspect.signature(target).bind(*first, **own)
    except TypeError as error:
        name = str(error).rpartition("'")[0].rpartition("'")[2]
        parameter = parameters(target).get(name)
        can_be_typed = parameter is not None and parameter.kind is not parameter.POSITIONAL_ONLY
        text = f"{node['_target_']}: {error}" if outermost else f"{key}: {node['_target_']}: {error}"
        raise ConfigError(text, f"++{key}.{name}=VALUE" if can_be_typed and outermost else None) from error
