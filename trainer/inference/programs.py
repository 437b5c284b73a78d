"""The program beside an exported file: about ten lines that load it, without trainer, and predict one row."""

import functools
from typing import Any

from torch import Tensor, nn

from trainer.data.preprocessing import Preprocessing
from trainer.inference.chain import chain, source

MOST_VALUES = 64  # values of a row above which zeros stand in for it

ONNX = """\
\"\"\"{what}; needs onnxruntime.\"\"\"

from pathlib import Path

import numpy as np
import onnxruntime

{classes}session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
x = np.array({row}, dtype=np.{dtype})
for output in session.run(None, {{"x": x}})[0]:
    print({shown})
"""

TORCH_EXPORT = """\
\"\"\"{what}; needs torch.\"\"\"

from pathlib import Path

import torch

{classes}model = torch.export.load(Path(__file__).with_name("model.pt2")).module()
x = torch.tensor({row}, dtype=torch.{dtype})
for output in model(x).detach().numpy():
    print({shown})
"""

SAFETENSORS = """\
\"\"\"{what}; needs torch and safetensors{own}.\"\"\"

{imports}
{classes}model = {model}
tensors = load_file(Path(__file__).with_name("model.safetensors"))
model.load_state_dict({{name: tensors[name] for name in model.state_dict()}})
x = torch.tensor({row}, dtype=torch.{dtype})
{scale}output = model.eval()(x).detach()
{unscale}for output in output.numpy():
    print({shown})
"""


def program(
    name: str, preprocessing: Preprocessing, rows: Tensor, model: nn.Module, node: dict[str, Any], is_chain: bool
) -> str:
    """The Python code for a format.

    rows: raw rows, of which the first is the example. node: the model's `_target_` with its keys. is_chain: whether the
    model is a chain of torch's layers.
    """
    facts = preprocessing.facts
    words = {
        "what": "Predicts one row of raw values",
        "classes": f"CLASSES = {facts.classes!r}\n" if facts.classes is not None else "",
        "dtype": str(rows.dtype).removeprefix("torch."),
        "shown": "CLASSES[output.argmax()], output.round(3)" if facts.classes is not None else "output",
        "row": _literal(rows[:1]),
    }
    if name != "safetensors":
        return (ONNX if name == "onnx" else TORCH_EXPORT).format(**words)
    layers = chain(model) if is_chain else None
    module, _, kind = str(node["_target_"]).rpartition(".")
    settings = ", ".join(f"{key}={value!r}" for key, value in node.items() if key != "_target_")
    text = source(layers) if layers is not None else f"{kind}({settings})"
    imports = ["from pathlib import Path", "", "import torch", "from safetensors.torch import load_file"]
    imports = ["from collections import OrderedDict"] * ("OrderedDict" in text) + imports
    imports += ["from torch import nn"] if layers is not None else ["", f"from {module} import {kind}"]
    unscale = ""
    if facts.classes is not None:
        unscale = "output = output.softmax(1)\n"
    elif preprocessing.y is not None and preprocessing.y.state_dict():
        unscale = 'output = output * tensors["output.std"] + tensors["output.mean"]\n'
    return SAFETENSORS.format(
        **words,
        imports="\n".join(imports) + "\n",
        own="" if layers is not None else f", and {module}",
        model=text,
        scale='x = (x - tensors["input.mean"]) / tensors["input.std"]\n' if preprocessing.x.state_dict() else "",
        unscale=unscale,
    )


def _literal(rows: Tensor) -> str:
    if rows.numel() <= MOST_VALUES:
        return str(_rounded(rows.nan_to_num(0.0).tolist()))
    return functools.reduce(lambda inner, size: f"[{inner}] * {size}", reversed(rows.shape), "0.0")


def _rounded(values: Any) -> Any:
    return [_rounded(value) for value in values] if isinstance(values, list) else float(f"{values:.4g}")
