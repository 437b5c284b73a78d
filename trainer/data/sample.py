"""Which parts of a sample are its input and its target: by the rules below, or as dataset.inputs and dataset.target
say.

A sample is a pair, a longer tuple, a dict, or one tensor, which is its own target.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import listed

AUTO = "auto"
TARGETS = ("labels", "label", "target")  # the keys of a dict that hold its target
WHOLE = object()  # picks the sample itself
Pick = Any  # a name or position; a list of them; a mapping from an argument of forward to one; WHOLE; None for nothing


@dataclass(frozen=True)
class Choice:
    """What is picked of every sample. note: a line for the header, where a rule decided."""

    inputs: Pick
    target: Pick
    note: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the input is the target too."""
        return self.target is WHOLE

    @property
    def keys(self) -> list[Any]:
        """The names or positions that are picked."""
        return [key for pick in (self.inputs, self.target) if pick is not WHOLE for key in _keys(pick)]

    def __call__(self, sample: Any) -> tuple[Any, Any]:
        """(input, target) of a sample or of a collated batch; what is not picked is left out."""
        return picked(sample, self.inputs), picked(sample, self.target)


def picked(sample: Any, pick: Pick) -> Any:
    """What a Pick picks of a sample. Raises KeyError or IndexError for what the sample does not have."""
    if pick is None:
        return None
    if pick is WHOLE:
        return sample[0] if isinstance(sample, (tuple, list)) else sample
    if isinstance(pick, Mapping):
        return {name: sample[key] for name, key in pick.items()}
    if isinstance(pick, (list, tuple)):
        return {key: sample[key] for key in pick} if isinstance(sample, Mapping) else tuple(sample[key] for key in pick)
    return sample[pick]


def choose(sample: Any, place: str, inputs: Pick = AUTO, target: Pick = AUTO) -> Choice:
    """Choose by a first sample. place: what messages call it. Raises ConfigError for a sample that leaves it open, or
    that does not have what was typed."""
    if sample is None or (isinstance(sample, (Mapping, tuple, list)) and not sample):
        raise ConfigError(f"{place} is {sample!r}: there is nothing in it", "return (input, target)")
    if isinstance(sample, Mapping):
        return _of_dict(sample, place, inputs, target)
    if isinstance(sample, (tuple, list)) and len(sample) > 1:
        return _of_tuple(sample, place, inputs, target)
    if (inputs, target) != (AUTO, AUTO):
        key = "inputs" if inputs != AUTO else "target"
        raise ConfigError(f"dataset.{key} picks from a tuple or dict, but {place} is one value", f"dataset.{key}=auto")
    return Choice(WHOLE, WHOLE)


def _of_dict(sample: Mapping[Any, Any], place: str, inputs: Pick, target: Pick) -> Choice:
    _check(sample, list(sample), place, inputs, target)
    used = _keys(inputs) if inputs != AUTO else []
    note = ""
    if target == AUTO:
        found = [name for name in TARGETS if name in sample and name not in used]
        if len(found) > 1:
            text = f"{place} has {listed(found)}, each of which may be the target"
            raise ConfigError(text, f"dataset.target={found[0]}")
        target = found[0] if found else None
        note = f"the target is '{target}'" if found else ""
    if inputs == AUTO:
        rest = [key for key in sample if key not in _keys(target)]
        inputs = [key for key in rest if is_number(sample[key])]
        if not inputs:
            others = "".join(f", and '{key}' is {kind_of(sample[key])}" for key in rest[:1])
            raise ConfigError(f"{place} has no number or tensor for the input{others}", "return numbers or tensors")
        left = [str(key) for key in rest if key not in inputs]
        note = "; ".join(filter(None, [note, f"left out: {listed(left)}" if left else ""]))
    return Choice(inputs, target, note)


def _of_tuple(sample: Sequence[Any], place: str, inputs: Pick, target: Pick) -> Choice:
    everything = list(range(len(sample)))
    _check(sample, everything, place, inputs, target)
    if (inputs, target) == (AUTO, AUTO):
        if len(sample) > 2:
            shapes = {tuple(getattr(part, "shape", ())) for part in sample}
            are_views = len(shapes) == 1 and shapes != {()}
            parts, last = (everything, "null") if are_views else (everything[:-1], everything[-1])
            text = f"{place} has {len(sample)} parts: which of them are the input and the target is open"
            raise ConfigError(text, f"'dataset.inputs=[{','.join(map(str, parts))}]' dataset.target={last}")
        return Choice(0, 1)
    if target == AUTO:
        left = [position for position in everything if position not in _keys(inputs)]
        if len(left) > 1:
            text = f"{place} has {len(left)} parts that dataset.inputs does not pick: which is the target is open"
            raise ConfigError(text, f"dataset.target={left[-1]}")
        target = left[0] if left else None
        return Choice(inputs, target, f"the target is part {target}" if left else "")
    if inputs == AUTO:
        left = [position for position in everything if position not in _keys(target)]
        inputs = left[0] if len(left) == 1 else left
    return Choice(inputs, target)


def _check(sample: Any, there: list[Any], place: str, inputs: Pick, target: Pick) -> None:
    """Raise ConfigError for a part that a sample does not have."""
    for key, pick in (("inputs", inputs), ("target", target)):
        for name in _keys(pick) if pick != AUTO else []:
            if name not in there or isinstance(name, bool):
                what = "keys" if isinstance(sample, Mapping) else "positions"
                text = f"dataset.{key} asks for {name!r}, but {place} has the {what} {listed(list(map(str, there)))}"
                raise ConfigError(text, _instead(key, pick, name, there), f"dataset.{key}")


def _instead(key: str, pick: Pick, wrong: Any, there: list[Any]) -> str:
    """The same pick as it is typed, with the part that may be meant in place of a wrong one."""
    left = [part for part in there if part not in _keys(pick) and (key == "target" or part not in TARGETS)]
    near = closest(wrong, map(str, left)) if isinstance(wrong, str) else None
    first = there[-1] if key == "target" else there[0]
    right = near or (left[0] if left and key == "inputs" and isinstance(wrong, str) else first)
    if isinstance(pick, Mapping):
        typed = f"{{{', '.join(f'{name}: {right if part == wrong else part}' for name, part in pick.items())}}}"
    elif isinstance(pick, (list, tuple)):
        parts = [right if part == wrong else part for part in pick]
        typed = f"[{','.join(map(str, dict.fromkeys(parts)))}]"  # a position that is too large falls on the first one
    else:
        typed = right
    return shlex.quote(f"dataset.{key}={typed}")


def _keys(pick: Pick) -> list[Any]:
    if isinstance(pick, Mapping):
        return list(pick.values())
    return list(pick) if isinstance(pick, (list, tuple)) else [] if pick is None else [pick]


def is_number(value: Any) -> bool:
    """Whether a value is a number, an array or tensor of numbers, or a tuple or dict of such."""
    if isinstance(value, Mapping):
        return all(map(is_number, value.values()))
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(is_number, value))
    return kind_of(value) is None


def kind_of(value: Any) -> str | None:
    """None for a number, an array or a tensor of numbers; else what the value is, in words."""
    import numpy as np
    from torch import Tensor

    if isinstance(value, np.generic) and value.dtype.kind in "US":
        return f"the text {str(value)[:20]!r}"
    if isinstance(value, (np.ndarray, np.generic)):
        return f"an array of {value.dtype}" if value.dtype.kind in "OUSMmV" else None
    if isinstance(value, (Tensor, int, float, complex)):
        return None
    return "a PIL picture" if type(value).__module__.startswith("PIL.") else f"a {type(value).__name__}"
