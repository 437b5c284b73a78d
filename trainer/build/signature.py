"""Why a model's forward cannot be called with some inputs, and what would fit it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.data.tree import Tree
from trainer.text import listed

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def misfit(forward: Callable[..., Any], x: Tree, *, has_target: bool = True) -> tuple[str, str] | None:
    """(What does not fit, what to type instead); None where the names or the number of the inputs fit. x: an input, see
    calls.of_model; has_target: whether the rows have a target."""
    known = inspect.signature(forward)
    try:
        if isinstance(x, Mapping):
            known.bind(**x)
        else:
            known.bind(*(x if isinstance(x, tuple) else (x,)))
    except TypeError as error:
        hint = _instead(list(known.parameters.values()), x, has_target=has_target)
        return f"it is {_bare(known)}, and {_given(x)}: {error}", hint
    return None


def _bare(known: inspect.Signature) -> str:
    """forward(x, size=None): without types, which are long."""
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in known.parameters.values()]
    return f"forward{known.replace(parameters=parameters, return_annotation=inspect.Signature.empty)}"


def _given(x: Tree) -> str:
    if isinstance(x, Mapping):
        return f"the inputs are called {listed(list(map(str, x)))}"
    return f"the input is a tuple of {len(x)}" if isinstance(x, tuple) else "the input is one tensor"


def _instead(parameters: Sequence[inspect.Parameter], x: Tree, *, has_target: bool) -> str:
    names = [p.name for p in parameters if p.kind in NAMED]
    needed = [p.name for p in parameters if p.kind in NAMED and p.default is p.empty]
    if not isinstance(x, Mapping):
        if isinstance(x, tuple) and len(names) < len(x):
            places = ",".join(map(str, range(len(names))))
            return f"dataset.inputs={places}" if len(names) == 1 else f"'dataset.inputs=[{places}]'"
        return f"return {', '.join(needed)} in a dict from the Dataset; dataset.inputs=auto takes them all"
    missing, spare = [name for name in needed if name not in x], [key for key in x if key not in names]
    if not missing and len(spare) == 1 and not has_target:
        return f"dataset.target={spare[0]}"
    if not missing:
        return f"'dataset.inputs=[{','.join(name for name in names if name in x)}]'"
    if len(spare) < len(missing):
        return f"rows that hold {', '.join(missing)} too"
    renamed = {name: name for name in names if name in x} | dict(zip(missing, spare, strict=False))
    return f"'dataset.inputs={{{', '.join(f'{name}: {key}' for name, key in renamed.items())}}}'"
