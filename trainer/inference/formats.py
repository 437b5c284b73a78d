"""The export formats: each makes the bytes of a file from a Whole, and loads such bytes as a user of the file would."""

import copy
import io
import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor

from trainer.data.preprocessing import Preprocessing
from trainer.disk.tensors import tensor_bytes
from trainer.errors import ConfigError, TrainerError
from trainer.inference.pipeline import Whole, likely_rows, output_name
from trainer.text import first_line

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Format:
    """file: its name. make: makes its bytes. load: makes a function that predicts from them. needs: libraries."""

    file: str
    make: Callable[[Whole, Preprocessing], bytes]
    load: Callable[[bytes, Whole], Predict]
    needs: tuple[str, ...] = ()

    def check_installed(self, name: str) -> None:
        """Raise ConfigError where a library is missing."""
        missing = [library for library in self.needs if find_spec(library) is None]
        if missing:
            raise ConfigError(f"format={name} needs {' and '.join(missing)}", f"pip install 'fiveline[{name}]'")


def _torch_export(whole: Whole, preprocessing: Preprocessing) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(whole, preprocessing), buffer)
    return buffer.getvalue()


def _program(whole: Whole, preprocessing: Preprocessing) -> torch.export.ExportedProgram:
    example = likely_rows(preprocessing, 3)
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():  # it prints pages before it raises
            warnings.simplefilter("ignore")
            return torch.export.export(whole, (example,), dynamic_shapes={"x": {0: torch.export.Dim("batch", min=1)}})
    except Exception as error:
        text = f"torch.export cannot trace {type(whole.model).__name__} for any number of rows: {first_line(error)}"
        raise TrainerError(text, "format=safetensors") from error


def _load_program(data: bytes, whole: Whole) -> Predict:
    module: Predict = torch.export.load(io.BytesIO(data)).module()
    return module


def _onnx(whole: Whole, preprocessing: Preprocessing) -> bytes:
    program, names = _program(whole, preprocessing), [output_name(preprocessing)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from the exporter
        exported = torch.onnx.export(program, input_names=["x"], output_names=names, dynamo=True, verbose=False)
    if exported is None:
        raise TrainerError("torch.onnx made no program")
    data: bytes = exported.model_proto.SerializeToString()
    return data


def _load_onnx(data: bytes, whole: Whole) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def _safetensors(whole: Whole, preprocessing: Preprocessing) -> bytes:
    if preprocessing.table is not None:
        text = "format=safetensors holds only tensors, and the preprocessing of this run's table needs more than that"
        raise ConfigError(text, "format=torch_export")
    tensors = dict(whole.model.state_dict())
    if others := [name for name, value in tensors.items() if not isinstance(value, Tensor)]:
        raise ConfigError(f"format=safetensors holds only tensors, and {others[0]} is not one", "format=torch_export")
    for place, scale in (("input", whole.inputs), ("output", whole.outputs)):
        tensors |= {f"{place}.{name}": tensor for name, tensor in (scale.state_dict() if scale else {}).items()}
    return tensor_bytes(tensors)


def _load_safetensors(data: bytes, whole: Whole) -> Predict:
    from safetensors.torch import load

    tensors = load(data)
    model = copy.deepcopy(whole.model)
    model.load_state_dict({name: tensors[name] for name in model.state_dict()})

    def predict(x: Tensor) -> Tensor:
        if "input.mean" in tensors:
            x = ((x - tensors["input.mean"]) / tensors["input.std"]).to(whole.dtype)
        output: Tensor = model(x)
        if whole.classes:
            return output.softmax(1)
        if "output.mean" in tensors:
            return output.double() * tensors["output.std"] + tensors["output.mean"]
        return output if whole.outputs is None else whole.outputs.predicted(output)

    return predict


FORMATS = {
    "torch_export": Format("model.pt2", _torch_export, _load_program),
    "onnx": Format("model.onnx", _onnx, _load_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "safetensors": Format("model.safetensors", _safetensors, _load_safetensors),
}
