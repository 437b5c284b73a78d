"""The program beside an exported file: some ten lines that load it, without trainer, and answer for one row."""

from typing import Any

from torch import Tensor, nn

from trainer.data.preprocessing import Preprocessing
from trainer.inference.chain import chain, source

MOST_VALUES = 64  # of a row that is written out

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


def program(name: str, made: Preprocessing, rows: Tensor, model: nn.Module, node: dict[str, Any], plain: bool) -> str:
    """Python for a format. rows: raw ones, of which the first is shown. node: the model's `_target_` with its keys.
    plain: whether the model is a chain of torch's layers."""
    facts = made.facts
    words = {
        "what": "What the model says of one row of raw values",
        "classes": f"CLASSES = {facts.classes!r}\n" if facts.classes is not None else "",
        "dtype": str(rows.dtype).removeprefix("torch."),
        "shown": "CLASSES[output.argmax()], output.round(3)" if facts.classes is not None else "output",
        "row": _literal(rows[:1]),
    }
    if name != "safetensors":
        return (ONNX if name == "onnx" else TORCH_EXPORT).format(**words)
    layers = chain(model) if plain else None
    module, _, kind = str(node["_target_"]).rpartition(".")
    settings = ", ".join(f"{key}={value!r}" for key, value in node.items() if key != "_target_")
    text = source(layers) if layers is not None else f"{kind}({settings})"
    imports = ["from pathlib import Path", "", "import torch", "from safetensors.torch import load_file"]
    imports = ["from collections import OrderedDict"] * ("OrderedDict" in text) + imports
    imports += ["from torch import nn"] if layers is not None else ["", f"from {module} import {kind}"]
    return SAFETENSORS.format(
        **words,
        imports="\n".join(imports) + "\n",
        own="" if layers is not None else f", and {module}",
        model=text,
        scale='x = (x - tensors["input.mean"]) / tensors["input.std"]\n' if made.x.state_dict() else "",
        unscale=_unscale(made),
    )


def _unscale(made: Preprocessing) -> str:
    if made.facts.classes is not None:
        return "output = output.softmax(1)\n"
    if made.y is not None and made.y.state_dict():
        return 'output = output * tensors["output.std"] + tensors["output.mean"]\n'
    return ""


def _literal(rows: Tensor) -> str:
    if rows.numel() > MOST_VALUES:
        zeros = "0.0"
        for size in reversed(rows.shape):
            zeros = f"[{zeros}] * {size}"
        return zeros
    return str(_rounded(rows.nan_to_num(0.0).tolist()))


def _rounded(values: Any) -> Any:
    return [_rounded(value) for value in values] if isinstance(values, list) else float(f"{values:.4g}")
