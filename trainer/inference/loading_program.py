"""The program beside an exported file: about ten lines that load it, without trainer, and predict one row."""

import functools
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.data import picture_file, tree
from trainer.data.facts import Facts
from trainer.data.picture_file import PictureFormat
from trainer.data.preprocessing import Preprocessing
from trainer.data.tree import Tree
from trainer.device import dtype_name
from trainer.inference.exported import Exported
from trainer.inference.formats import TEMPERATURE
from trainer.inference.layer_chain import chain, source
from trainer.inference.model import Trained
from trainer.tasks import calls

MOST_VALUES = 64  # values of a row above which zeros stand in for it

PROGRAM = """\
\"\"\"Predicts {what}; needs {needs}.{outputs}\"\"\"

{imports}

{classes}{reader}{body}
    print({shown})
"""

ONNX = """\
session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
x = {rows}
for output in session.run(None, {feeds})[0]:"""

TORCH_EXPORT = """\
model = torch.export.load(Path(__file__).with_name("model.pt2")).module()
x = {rows}
for output in model({call}){answer}.detach().numpy():"""

SAFETENSORS = """\
model = {model}
tensors = load_file(Path(__file__).with_name("model.safetensors"))
model.load_state_dict({{name: tensors[name] for name in model.state_dict()}})
x = {rows}
{scale}output = model.eval()({call}){access}.detach()
{unscale}for output in output.numpy():"""

SCALE = 'x = ((x - tensors["input.mean"]) / tensors["input.std"]).to(torch.{dtype})\n'
UNSCALE = 'output = output.double() * tensors["output.std"] + tensors["output.mean"]\n'
TEMPERED = f'output = output / tensors["{TEMPERATURE}"]\n'
RESHAPE = "output = output.reshape(-1, *{shape})\n"
READER = """

{shown}

{square}

def read(path):
    with Image.open(path) as picture:
        return {name}(shown(picture, grey={grey}, background={background!r}), {size})


paths = sys.argv[1:] or sys.exit("name the pictures to predict")
"""


def program(name: str, model: Trained, made: Exported, node: dict[str, Any], is_chain: bool) -> str:
    """The Python code for a format. node: the model's `_target_` with its keys. is_chain: whether the model is a chain
    of torch's layers."""
    preprocessing, facts = model.preprocessing, model.facts
    pictures, is_array = preprocessing.pictures, name == "onnx"
    values = _call(made) | {"rows": _rows(made.rows, is_array)}
    values["answer"] = f"[{made.outputs[0].name!r}]" * (len(made.outputs) > 1)
    imports, needs = ["from pathlib import Path", "", "import torch"], "torch"
    if is_array:
        imports, needs, body = [*imports[:2], "import numpy as np", "import onnxruntime"], "onnxruntime", ONNX
    elif name == "torch_export":
        body = TORCH_EXPORT
    else:
        layers = chain(model.model) if is_chain else None
        module, _, kind = str(node["_target_"]).rpartition(".")
        settings = ", ".join(f"{key}={value!r}" for key, value in node.items() if key != "_target_")
        text = source(layers) if layers is not None else f"{kind}({settings})"
        imports = ["from collections import OrderedDict"] * ("OrderedDict" in text) + imports
        imports += ["from safetensors.torch import load_file"]
        imports += ["from torch import nn"] if layers is not None else ["", f"from {module} import {kind}"]
        needs = "torch and safetensors" + ("" if layers is not None else f", and {module}")
        dtype = dtype_name(model.dtype)
        text += ".double()" * (dtype == "float64")
        values |= {"model": text, "scale": SCALE.format(dtype=dtype) if preprocessing.x.state_dict() else ""}
        divided = TEMPERED if model.task.temperature is not None else ""
        values |= {"unscale": divided + _closing(preprocessing), "access": _access(model, made)}
        body = SAFETENSORS
    if pictures is not None:
        values["rows"] = "np.stack([read(path) for path in paths])"
        values["rows"] = values["rows"] if is_array else f"torch.tensor({values['rows']})"
        imports = ["import sys", *imports, *["import numpy as np"] * (not is_array), "from PIL import Image"]
        needs = f"pillow, numpy, {needs}"
    return PROGRAM.format(
        what="pictures" if pictures is not None else "one row of raw values",
        needs=needs,
        outputs=f"\n\nOutputs: {', '.join(port.name for port in made.outputs)}.\n" * (len(made.outputs) > 1),
        imports="\n".join(imports),
        classes=f"CLASSES = {_classes(facts)}\n" if facts.classes is not None else "",
        reader=_reader(pictures) if pictures is not None else "",
        body=body.format(**values),
        shown=_shown(facts, preprocessing.class_axis),
    )


def _call(made: Exported) -> dict[str, str]:
    """What a model, or an ONNX session, is called with."""
    x = made.rows
    return {"call": "x" if isinstance(x, Tensor) else "**x" if isinstance(x, dict) else "*x"} | {
        "feeds": '{"x": x}' if isinstance(x, Tensor) else "x"
    }


def _rows(rows: Tree, is_array: bool) -> str:
    """Code for the example: arrays as a dict of paths, tensors as the tree that the model takes."""
    if isinstance(rows, Tensor):
        array, dtype = "np.array" if is_array else "torch.tensor", str(rows.dtype).rpartition(".")[2]
        return f"{array}({_literal(rows)}, dtype={array.partition('.')[0]}.{dtype})"
    parts: Sequence[tuple[Any, Tree]] = []
    if is_array:
        parts = list(tree.named(rows))
    elif isinstance(rows, Mapping):
        parts = list(rows.items())
    else:
        return f"({', '.join(_rows(inner, is_array) for inner in rows)},)"
    return "{" + ", ".join(f"{key!r}: {_rows(inner, is_array)}" for key, inner in parts) + "}"


def _classes(facts: Facts) -> str:
    """Code that gives the names of the classes."""
    size = len(facts.classes or [])
    is_short = size <= MOST_VALUES or not facts.are_numbered
    return repr(facts.classes) if is_short else f"[str(number) for number in range({size})]"


def _closing(preprocessing: Preprocessing) -> str:
    """Code that makes the answer of the task's output."""
    task, scale = preprocessing.facts.task, preprocessing.of_answers
    if task == "labels":
        return "output = output.sigmoid()\n"
    if preprocessing.facts.classes is not None:
        return f"output = output.softmax({preprocessing.class_axis})\n"
    if scale is None or not scale.state_dict():
        return f"output = output.{scale.link}()\n" if scale is not None and scale.link else ""
    return RESHAPE.format(shape=preprocessing.facts.input_shape) + UNSCALE if task == "input" else UNSCALE


@torch.no_grad()
def _access(model: Trained, made: Exported) -> str:
    """Code that picks the task's output, or the first one, of what the model returns."""
    x = model.preprocessing.x(tree.first(made.rows, 2))
    output, text = calls.of_model(model.model, x)(x), ""
    path = list(model.fit.path)
    while not isinstance(output, Tensor):
        by_key = isinstance(output, Mapping) or (isinstance(output, (tuple, list)) and not hasattr(output, "_fields"))
        found = calls.plain(output)
        key = path.pop(0) if path else next(iter(found)) if isinstance(found, dict) else 0
        if isinstance(output, Mapping):
            key = next(name for name in output if str(name) == key)  # a tree's keys are text
        text += f"[{key!r}]" if by_key else f".{key}"
        output = output[key] if by_key else getattr(output, str(key))
    return text


def _shown(facts: Facts, class_axis: int) -> str:
    """Code that shows a row of the first output."""
    if facts.task == "labels":
        return "{name: round(float(value), 6) for name, value in zip(CLASSES, output)}"
    if facts.task == "tokens":
        return f"[CLASSES[place] for place in output.argmax({class_axis - 1})]"
    if facts.task == "pixels":
        return f"output.argmax({class_axis - 1})"
    return "CLASSES[output.argmax()], output.round(6)" if facts.classes is not None else "output"


def _reader(how: PictureFormat) -> str:
    """Code that reads pictures with the functions that the run reads them with."""
    square = picture_file.SQUARES[how.resize]
    sources = {"shown": inspect.getsource(picture_file.shown), "square": inspect.getsource(square)}
    return READER.format(**sources, name=square.__name__, grey=how.grey, background=how.background, size=how.size)


def _literal(rows: Tensor) -> str:
    """The first row that is complete, to about a thousandth of the spread of each column."""
    if not rows.is_floating_point():
        row = rows[:1]
        return str(row.tolist()) if row.numel() <= MOST_VALUES else _filled(row, str(row.flatten()[0].item()))
    complete = rows[~rows.flatten(1).isnan().any(1)]
    rows = complete if len(complete) > 1 else rows.nan_to_num(0.0)
    row, spread = rows[:1], rows.std(0, keepdim=True)
    if row.numel() <= MOST_VALUES:
        return str(_rounded(row.tolist(), spread.tolist()))
    return _filled(row, "0.0")


def _filled(row: Tensor, value: str) -> str:
    """A row of one value."""
    return functools.reduce(lambda inner, size: f"[{inner}] * {size}", reversed(row.shape), value)


def _rounded(value: Any, spread: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(*pair) for pair in zip(value, spread, strict=True)]
    return round(value, 3 - math.floor(math.log10(spread))) if spread else value
