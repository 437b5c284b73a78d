"""The formats: each makes the bytes of a file from a Whole, and runs such bytes as somebody else would."""

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
from trainer.data.scaling import Standardize
from trainer.disk.tensors import tensor_bytes
from trainer.errors import ConfigError, TrainerError
from trainer.inference.whole import Whole, likely_rows, output_name

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Format:
    """file: its name. make: the bytes. load: a function that runs them. needs: libraries of an extra."""

    file: str
    make: Callable[[Whole, Preprocessing], bytes]
    load: Callable[[bytes, Whole], Run]
    needs: tuple[str, ...] = ()

    def check_installed(self, name: str) -> None:
        """Raise ConfigError where a library is missing."""
        missing = [library for library in self.needs if find_spec(library) is None]
        if missing:
            raise ConfigError(f"format={name} needs {' and '.join(missing)}", f"pip install 'fiveline[{name}]'")


def _torch_export(whole: Whole, made: Preprocessing) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(whole, made), buffer)
    return buffer.getvalue()


def _program(whole: Whole, made: Preprocessing) -> torch.export.ExportedProgram:
    example = likely_rows(made, 3, whole.dtype)
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):  # before it raises it logs and prints pages
            return torch.export.export(whole, (example,), dynamic_shapes={"x": {0: torch.export.Dim("batch", min=1)}})
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        text = f"torch.export cannot trace {type(whole.model).__name__} for any number of rows: {reason}"
        raise TrainerError(text, "format=safetensors keeps the weights") from error


def _load_program(data: bytes, whole: Whole) -> Run:
    run: Run = torch.export.load(io.BytesIO(data)).module()
    return run


def _onnx(whole: Whole, made: Preprocessing) -> bytes:
    program = _program(whole, made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        exported = torch.onnx.export(
            program,
            input_names=["x"],
            output_names=[output_name(made)],
            dynamo=True,
            verbose=False,
        )
    if exported is None:
        raise TrainerError("torch.onnx made no program")
    data: bytes = exported.model_proto.SerializeToString()
    return data


def _load_onnx(data: bytes, whole: Whole) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])

    return run


def _safetensors(whole: Whole, made: Preprocessing) -> bytes:
    if not isinstance(whole.inputs, Standardize) and made.table is not None:
        text = "format=safetensors holds tensors, and what is done to this run's table is more than numbers"
        raise ConfigError(text, "format=onnx|torch_export")
    tensors = dict(whole.model.state_dict())
    for place, scale in (("input", whole.inputs), ("output", whole.outputs)):
        tensors |= {f"{place}.{name}": tensor for name, tensor in (scale.state_dict() if scale else {}).items()}
    return tensor_bytes(tensors)


def _load_safetensors(data: bytes, whole: Whole) -> Run:
    from safetensors.torch import load

    tensors = load(data)
    model = copy.deepcopy(whole.model)
    model.load_state_dict({name: tensors[name] for name in model.state_dict()})

    def run(x: Tensor) -> Tensor:
        if "input.mean" in tensors:
            x = (x - tensors["input.mean"]) / tensors["input.std"]
        output: Tensor = model(x)
        if whole.classes:
            return output.softmax(1)
        return output * tensors["output.std"] + tensors["output.mean"] if "output.mean" in tensors else output

    return run


FORMATS = {
    "torch_export": Format("model.pt2", _torch_export, _load_program),
    "onnx": Format("model.onnx", _onnx, _load_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "safetensors": Format("model.safetensors", _safetensors, _load_safetensors),
}
