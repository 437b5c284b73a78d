"""The objects that a program hands to a run: checked, and as the settings that stand for them in its config."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import given
from trainer.config.asked_metrics import snake
from trainer.config.given import Given
from trainer.errors import ConfigError
from trainer.python import rows
from trainer.text import listed

FLOATS = (torch.float32, torch.float64)
Settings = dict[str, Any]


def read(model: Any, data: Any, loss: Any, metrics: Any, overrides: Iterable[str]) -> tuple[Given, Settings]:
    """(The objects, the settings that stand for them). What is no object, such as the name of a loss, is a setting as
    it is. Raises ConfigError for objects that cannot be trained, or that an override would replace."""
    objects, settings = Settings(), Settings()
    for name, thing, take in (("model", model, _model), ("data", data, rows.read), ("loss", loss, _loss)):
        group = "dataset" if name == "data" else name
        if thing is None:
            continue
        if name != "data" and isinstance(thing, (str, Mapping)):
            settings[group] = thing
            continue
        if typed := [word for word in overrides if word.lstrip("+").partition("=")[0] in (group, f"{group}._target_")]:
            raise ConfigError(f"{name}= gives the {group}, and {typed[0]} names another", f"leave {typed[0]} out")
        objects[name], settings[group] = take(thing)
    if metrics is not None:
        objects["metrics"], settings["metrics"] = _metrics(metrics)
    if isinstance(model, nn.Module):
        settings |= _dtype(model)
    return Given(**objects), settings


def check_same(objects: Given, theirs: Settings, config: Mapping[str, Any]) -> None:
    """Raise ConfigError for objects that a run was not given, or classes of text that differ from its own. theirs: the
    settings of the objects; config: of the run, as plain data."""
    known = {key.partition(".")[0] for key in given.described(config)}
    for key, name in given.ARGUMENTS.items():
        thing = getattr(objects, name)
        if thing is not None and thing != () and key not in known:
            raise ConfigError(f"this run was given no {name}, but builds its own", f"leave {name}= out")
    if objects.data is not None and theirs["dataset"].get("classes") != config["dataset"].get("classes"):
        mine, its = (node["dataset"].get("classes") or ["numbers"] for node in (theirs, config))
        raise ConfigError(f"y holds {listed(mine)}, and the classes of the run are {listed(its)}", "y as it was")


def check_target(settings: Settings, words: Iterable[str]) -> None:
    """Raise ConfigError for a table whose target nobody names. settings: as read returns them; words: all of a run."""
    node = settings.get("dataset") or {}
    is_frame = node.get("_target_") == "trainer.data.table.Frame"
    typed = [word for word in words if word.lstrip("+").startswith("dataset.target=")]
    if is_frame and not typed:
        raise ConfigError("data is a DataFrame: name the column to predict", 'dataset__target="COLUMN"')
    if is_frame and "target" in node and len(typed) > 1:
        raise ConfigError("data is (DataFrame, Series): the Series is the column to predict", f"leave {typed[-1]} out")


def _model(model: Any) -> tuple[nn.Module, Settings]:
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model is {_said(model)}, not an nn.Module", _made(model, "model"))
    return model, {"_target_": given.TARGETS["model"], "of": given.class_of(model)}


def _dtype(model: nn.Module) -> Settings:
    """The dtype of a model that is not of float32."""
    found = {p.dtype for p in model.parameters() if p.is_floating_point()}
    if strange := sorted(map(str, found.difference(FLOATS))):
        kind = strange[0].removeprefix("torch.")
        raise ConfigError(f"the model has parameters of {kind}", "model.float(), and autocast='bf16'")
    return {"dtype": "float64"} if found == {torch.float64} else {}


def _loss(loss: Any) -> tuple[nn.Module | None, Settings]:
    if isinstance(loss, type) or not callable(loss):
        raise ConfigError(f"loss is {_said(loss)}, not an nn.Module or a function", _made(loss, "loss"))
    if (node := _of_torch(loss)) is not None:
        return None, node
    module = loss if isinstance(loss, nn.Module) else FunctionLoss.of(loss)
    return module, {"_target_": given.TARGETS["loss"], "of": given.class_of(module)}


def _of_torch(loss: Any) -> Settings | None:
    """The node of one of torch's losses, from which it can be built again; None for others."""
    kind = type(loss)
    if getattr(torch.nn, kind.__name__, None) is not kind or not hasattr(loss, "reduction"):
        return None
    if loss.reduction != "mean":
        raise ConfigError(f"loss has reduction='{loss.reduction}': a step takes the mean", f"{kind.__name__}()")
    node: Settings = {"_target_": f"torch.nn.{kind.__name__}"}
    for name, parameter in inspect.signature(kind).parameters.items():
        value = getattr(loss, name, None)
        value = value.tolist() if isinstance(value, Tensor) else value
        if not isinstance(value, (int, float, str, list, type(None))):
            return None
        if value is not None and value != parameter.default:
            node[name] = value
    return node


class FunctionLoss(nn.Module):
    """A function (prediction, target) as a loss."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function, self.given_as = function, f"{function.__module__}.{getattr(function, '__qualname__', function)}"

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "FunctionLoss":
        """The loss of a function, which may ask for `inputs` too."""
        wants = "inputs" in inspect.signature(function).parameters
        return (FunctionLossOfInputs if wants else cls)(function)

    def forward(self, prediction: Any, target: Any) -> Any:
        return self.function(prediction, target)


class FunctionLossOfInputs(FunctionLoss):
    """A function (prediction, target, inputs=…) as a loss."""

    def forward(self, prediction: Any, target: Any, *, inputs: Any = None) -> Any:
        return self.function(prediction, target, inputs=inputs)


def _metrics(metrics: Any) -> tuple[list[Any], list[Any]]:
    """(The metrics that are objects, the entries of the config). metrics: names, dicts and torchmetrics.Metrics, or a
    dict of these by column."""
    entries = metrics if isinstance(metrics, (list, tuple, Mapping)) else [metrics]
    objects, asked = list[Any](), list[Any]()
    for name, entry in entries.items() if isinstance(entries, Mapping) else [(None, entry) for entry in entries]:
        node = entry
        if isinstance(entry, str):
            node = {"name": entry} if name is not None else entry
        elif not isinstance(entry, Mapping):
            if not callable(getattr(entry, "compute", None)):
                text = f"metrics holds {_said(entry)}, not a name or a torchmetrics.Metric"
                raise ConfigError(text, "metrics=['f1', torchmetrics.CohenKappa(…)]")
            kind = given.class_of(entry)
            node = {"_target_": given.TARGETS["metric"], "place": len(objects), "of": kind, "as": snake(kind)}
            objects.append(entry)
        asked.append(node if name is None else {**node, "as": name})
    return objects, asked


def _said(thing: Any) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"


def _made(thing: Any, name: str) -> str:
    if isinstance(thing, type):
        return f"{name}={thing.__name__}(…): an object of it"
    return f"{name}=my_{name}, or one of: trainer ls {name}"
