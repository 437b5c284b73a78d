"""The program beside an exported file: about ten lines that load it, without trainer, and predict one row."""

import functools
import inspect
import math
from typing import Any

from torch import Tensor, nn

from trainer.data import picture_file
from trainer.data.picture_file import PictureFormat
from trainer.data.preprocessing import Preprocessing
from trainer.inference.layer_chain import chain, source

MOST_VALUES = 64  # values of a row above which zeros stand in for it

PROGRAM = """\
\"\"\"Predicts {what}; needs {needs}.\"\"\"

{imports}

{classes}{reader}{body}
    print({shown})
"""

ONNX = """\
session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
x = {rows}
for output in session.run(None, {{"x": x}})[0]:"""

TORCH_EXPORT = """\
model = torch.export.load(Path(__file__).with_name("model.pt2")).module()
x = {rows}
for output in model(x).detach().numpy():"""

SAFETENSORS = """\
model = {model}
tensors = load_file(Path(__file__).with_name("model.safetensors"))
model.load_state_dict({{name: tensors[name] for name in model.state_dict()}})
x = {rows}
{scale}output = model.eval()(x).detach()
{unscale}for output in output.numpy():"""

SCALE = 'x = ((x - tensors["input.mean"]) / tensors["input.std"]).to(torch.{dtype})\n'
UNSCALE = 'output = output.double() * tensors["output.std"] + tensors["output.mean"]\n'
READER = """

{shown}

{square}

def read(path):
    with Image.open(path) as picture:
        return {name}(shown(picture, grey={grey}, background={background!r}), {size})


paths = sys.argv[1:] or sys.exit("name the pictures to predict")
"""


def program(
    name: str, preprocessing: Preprocessing, rows: Tensor, model: nn.Module, node: dict[str, Any], is_chain: bool
) -> str:
    """The Python code for a format. rows: raw; the first is the example. node: the model's `_target_` with its keys.
    is_chain: whether the model is a chain of torch's layers."""
    has_classes = preprocessing.facts.classes is not None
    array, dtype = "np.array" if name == "onnx" else "torch.tensor", str(rows.dtype).rpartition(".")[2]
    given = _literal(rows) if preprocessing.pictures is None else ""
    values = {"rows": f"{array}({given}, dtype={array.partition('.')[0]}.{dtype})"}
    imports, needs = ["from pathlib import Path", "", "import torch"], "torch"
    if name == "onnx":
        imports, needs, body = [*imports[:2], "import numpy as np", "import onnxruntime"], "onnxruntime", ONNX
    elif name == "torch_export":
        body = TORCH_EXPORT
    else:
        layers = chain(model) if is_chain else None
        module, _, kind = str(node["_target_"]).rpartition(".")
        settings = ", ".join(f"{key}={value!r}" for key, value in node.items() if key != "_target_")
        text = source(layers) if layers is not None else f"{kind}({settings})"
        imports = ["from collections import OrderedDict"] * ("OrderedDict" in text) + imports
        imports += ["from safetensors.torch import load_file"]
        imports += ["from torch import nn"] if layers is not None else ["", f"from {module} import {kind}"]
        needs = "torch and safetensors" + ("" if layers is not None else f", and {module}")
        values["unscale"] = "output = output.softmax(1)\n"
        if preprocessing.y is not None:
            link = f"output = output.{preprocessing.y.link}()\n" if preprocessing.y.link else ""
            values["unscale"] = UNSCALE if preprocessing.y.state_dict() else link
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        text += ".double()" * (dtype == "float64")
        values |= {"model": text, "scale": SCALE.format(dtype=dtype) if preprocessing.x.state_dict() else ""}
        body = SAFETENSORS
    if (pictures := preprocessing.pictures) is not None:
        values["rows"] = "np.stack([read(path) for path in paths])"
        values["rows"] = values["rows"] if name == "onnx" else f"torch.tensor({values['rows']})"
        imports = ["import sys", *imports, *["import numpy as np"] * (name != "onnx"), "from PIL import Image"]
        needs = f"pillow, numpy, {needs}"
    return PROGRAM.format(
        what="pictures" if pictures is not None else "one row of raw values",
        needs=needs,
        imports="\n".join(imports),
        classes=f"CLASSES = {preprocessing.facts.classes!r}\n" if has_classes else "",
        reader=_reader(pictures) if pictures is not None else "",
        body=body.format(**values),
        shown="CLASSES[output.argmax()], output.round(6)" if has_classes else "output",
    )


def _reader(how: PictureFormat) -> str:
    """Code that reads pictures with the functions that the run reads them with."""
    square = picture_file.SQUARES[how.resize]
    sources = {"shown": inspect.getsource(picture_file.shown), "square": inspect.getsource(square)}
    return READER.format(**sources, name=square.__name__, grey=how.grey, background=how.background, size=how.size)


def _literal(rows: Tensor) -> str:
    """The first row that is complete, to about a thousandth of the spread of each column."""
    complete = rows[~rows.flatten(1).isnan().any(1)]
    rows = complete if len(complete) > 1 else rows.nan_to_num(0.0)
    row, spread = rows[:1], rows.std(0, keepdim=True)
    if row.numel() <= MOST_VALUES:
        return str(_rounded(row.tolist(), spread.tolist()))
    return functools.reduce(lambda inner, size: f"[{inner}] * {size}", reversed(row.shape), "0.0")


def _rounded(value: Any, spread: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(*pair) for pair in zip(value, spread, strict=True)]
    return round(value, 3 - math.floor(math.log10(spread))) if spread else value
