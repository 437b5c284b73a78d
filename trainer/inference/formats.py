"""The export formats: each makes the bytes of a file from a Whole, and loads such bytes as a user of the file would."""

import copy
import io
import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from trainer.data import facts as inputs_of
from trainer.data import tree
from trainer.data.preprocessing import Preprocessing
from trainer.data.tree import Tree
from trainer.disk.tensors import tensor_bytes
from trainer.errors import ConfigError
from trainer.inference.outputs import Outputs
from trainer.inference.pipeline import Whole, arguments, parameters
from trainer.text import first_line

Predict = Callable[[Tree], Outputs]
TEMPERATURE = "output.temperature"  # in format=safetensors


@dataclass(frozen=True)
class Format:
    """file: its name. make: makes its bytes, with a few rows as an example. load: makes a function that predicts from
    them. needs: libraries."""

    file: str
    make: Callable[[Whole, Preprocessing, Tree], bytes]
    load: Callable[[bytes, Whole], Predict]
    needs: tuple[str, ...] = ()

    def check_installed(self, name: str) -> None:
        """Raise ConfigError where a library is missing."""
        missing = [library for library in self.needs if find_spec(library) is None]
        if missing:
            raise ConfigError(f"format={name} needs {' and '.join(missing)}", f"pip install 'fiveline[{name}]'")


def _torch_export(whole: Whole, preprocessing: Preprocessing, rows: Tree) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(whole, preprocessing, rows), buffer)
    return buffer.getvalue()


def _program(whole: Whole, preprocessing: Preprocessing, rows: Tree) -> torch.export.ExportedProgram:
    """The whole as a program for any number of rows and, where the model allows it, any length of token rows."""
    args, words = arguments(rows)
    by_name = words or dict(zip(parameters(preprocessing.facts.inputs), args, strict=True))
    named = tree.mapped_leaves(lambda leaf: _dynamic(preprocessing, leaf), by_name)
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():  # it prints pages before it raises
            warnings.simplefilter("ignore")
            return torch.export.export(whole, args, words, dynamic_shapes=named)
    except Exception as error:
        text = f"torch.export cannot trace {type(whole.model).__name__} for any number of rows: {first_line(error)}"
        raise ConfigError(text, "format=safetensors") from error


def _dynamic(preprocessing: Preprocessing, leaf: Tensor) -> dict[int, Any]:
    """The axes of an input that may have any size: the rows', and the length of token rows if the model takes it."""
    axes: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    return axes | {1: torch.export.Dim.AUTO} if leaf_has_length(preprocessing, leaf) else axes


def leaf_has_length(preprocessing: Preprocessing, leaf: Tensor) -> bool:
    """Whether an input (B, T, …) is a sequence: of tokens to be told apart, or of whole numbers, as embeddings take."""
    facts = preprocessing.facts
    is_sequence = facts.task == "tokens" or leaf.dtype in (torch.int32, torch.int64, torch.bool)
    return is_sequence and leaf.ndim > 1 and preprocessing.x.mean_and_std is None and preprocessing.table is None


def _load_program(data: bytes, whole: Whole) -> Predict:
    return _by_name(torch.export.load(io.BytesIO(data)).module(), whole)


def _by_name(module: Callable[..., Any], whole: Whole) -> Predict:
    """A module as a function from the inputs to its outputs by name."""

    def predict(x: Tree) -> Outputs:
        args, words = arguments(x)
        found = module(*args, **words)
        return found if isinstance(found, dict) else {next(iter(whole.names.values())): found}

    return predict


def _onnx(whole: Whole, preprocessing: Preprocessing, rows: Tree) -> bytes:
    program = _program(whole, preprocessing, rows)
    inputs, outputs = list(inputs_of.names(preprocessing.facts.inputs)), list(whole.names.values())
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # from the exporter
            exported = torch.onnx.export(program, input_names=inputs, output_names=outputs, dynamo=True, verbose=False)
    except Exception as error:
        text = f"ONNX cannot express {type(whole.model).__name__}: {first_line(error)}"
        raise ConfigError(text, "format=torch_export") from error
    if exported is None:
        raise ConfigError("torch.onnx made no program", "format=torch_export")
    data: bytes = exported.model_proto.SerializeToString()
    return data


def _load_onnx(data: bytes, whole: Whole) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails raises as well
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def predict(x: Tree) -> Outputs:
        values = {name or "x": leaf.numpy() for name, leaf in tree.named(x)}
        return dict(zip(whole.names.values(), map(torch.from_numpy, session.run(None, values)), strict=True))

    return predict


def _safetensors(whole: Whole, preprocessing: Preprocessing, rows: Tree) -> bytes:
    if preprocessing.table is not None:
        text = "format=safetensors holds only tensors, and the preprocessing of this run's table needs more than that"
        raise ConfigError(text, "format=torch_export")
    tensors = dict(whole.model.state_dict())
    if others := [name for name, value in tensors.items() if not isinstance(value, Tensor)]:
        raise ConfigError(f"format=safetensors holds only tensors, and {others[0]} is not one", "format=torch_export")
    for place, scale in (("input", whole.inputs), ("output", whole.outputs)):
        tensors |= {f"{place}.{name}": tensor for name, tensor in (scale.state_dict() if scale else {}).items()}
    if whole.task.temperature is not None:
        tensors[TEMPERATURE] = torch.tensor(whole.task.temperature, dtype=torch.float64)
    return tensor_bytes(tensors)


def _load_safetensors(data: bytes, whole: Whole) -> Predict:
    from safetensors.torch import load

    tensors, loaded = load(data), copy.deepcopy(whole)
    loaded.model.load_state_dict({name: tensors[name] for name in loaded.model.state_dict()})
    for place, scale in (("input", loaded.inputs), ("output", loaded.outputs)):
        if scale is not None:
            scale.load_state_dict({name: tensors[f"{place}.{name}"] for name in scale.state_dict()})
    if TEMPERATURE in tensors:
        loaded.task.temperature = float(tensors[TEMPERATURE])
    return _by_name(loaded, whole)


FORMATS = {
    "torch_export": Format("model.pt2", _torch_export, _load_program),
    "onnx": Format("model.onnx", _onnx, _load_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "safetensors": Format("model.safetensors", _safetensors, _load_safetensors),
}
