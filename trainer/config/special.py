"""The keys whose values have a form of their own: expect, metrics, and lists of a `_target_` each."""

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from trainer.config import asked_metrics, expectations
from trainer.config.picked import shown
from trainer.config.schema import Expect, Listeners, Metrics, Transforms
from trainer.errors import ConfigError

TRANSFORMS = "augment.transforms=[{_target_: torchvision.transforms.v2.RandomRotation, degrees: 10}]"
LISTENERS = "listeners=[{_target_: my_file.MyListener}]"


def _check_expect(node: Any) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise ConfigError("expect is a group of values by name", "expect.steps=60", "expect")
    for name, value in node.items():
        try:
            expectations.parse(value)
        except ValueError as error:
            raise ConfigError(f"expect.{name} {error}", key=f"expect.{name}") from error
    return dict(node)


def _check_metrics(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        hint = f"'metrics={shown([value])}'" if isinstance(value, str) else "'metrics=[f1,auroc]'"
        raise ConfigError(f"metrics={shown(value)}: metrics must be a list", hint, "metrics")
    asked_metrics.read(value)
    return list(value)


def _check_nodes(example: str, value: Any) -> list[dict[str, Any]]:
    nodes: list[Any] = list(value) if isinstance(value, (list, tuple)) else [None]
    if not all(isinstance(node, Mapping) and isinstance(node.get("_target_"), str) for node in nodes):
        key = example.partition("=")[0]
        text = f"{key}={shown(value)}: it must be a list of {key.rpartition('.')[2]}, each with a _target_"
        raise ConfigError(text, shlex.quote(example), key)
    return [dict(node) for node in nodes]


SPECIAL: dict[Any, Callable[[Any], Any]] = {
    Expect: _check_expect,
    Metrics: _check_metrics,
    Transforms: partial(_check_nodes, TRANSFORMS),
    Listeners: partial(_check_nodes, LISTENERS),
}
