"""The model card: a README.md with the model's inputs, outputs, metrics and origin."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.data.picture_file import PictureFormat
from trainer.data.preprocessing import Preprocessing
from trainer.disk import layout
from trainer.inference.exported import Exported, Port
from trainer.inference.model import Trained
from trainer.text import cleaned

PROGRAM = "load_{name}.py"
MOST_LISTED = 100  # classes that are named by their index
READ = {"number": "a number", "date": "a date, as days since 1970-01-01"}


def card(
    folder: Path,
    files: Mapping[str, str],
    model: Trained,
    made: Exported,
    overrides: list[str],
    members: Sequence[str] = (),
) -> str:
    """The card as Markdown. folder: of the run; files: {format: file name} of all files in RUN/export/; members: the
    runs of an ensemble, of which `folder` is the first."""
    preprocessing = model.preprocessing
    summary = layout.read_summary(folder)
    lines = [
        f"# {plain(summary.get('model', 'A model'))} on {plain(summary.get('dataset', 'data'))}",
        f"\nExported from {_source(folder, members)}, trained with trainer.",
        *_input(preprocessing, made.inputs),
        *_output(model, made),
        *(_metrics(summary) if not members else _of_members(members)),
        *_origin(summary, overrides),
        "\n## Files\n",
    ]
    pictures = preprocessing.pictures is not None
    what = "pictures" if pictures else "one row"
    for name, file in files.items():
        command = f"python {PROGRAM.format(name=name)}{' PICTURE' * pictures}"
        lines.append(f"- `{file}` ({name.replace('_', '.')}): `{command}` loads it and predicts {what}")
    return "\n".join(lines) + "\n"


def _input(preprocessing: Preprocessing, ports: Sequence[Port]) -> Iterator[str]:
    yield "\n## What goes in\n"
    first, shape = code(ports[0].name), ", ".join(ports[0].shape)
    if preprocessing.pictures is not None:
        yield f"`{first}`: {ports[0].dtype}, of shape ({shape}), any number of rows."
        yield from _pictures(preprocessing.pictures, preprocessing.x.state_dict())
        return
    if len(ports) > 1 or "length" in ports[0].shape:
        yield from (f"- `{code(port.name)}`: {port.dtype}, of shape ({', '.join(port.shape)})" for port in ports)
        length = " and any length" * any("length" in port.shape for port in ports)
        yield f"\nAny number of rows{length}. Raw values, as in the training data: the file applies the preprocessing"
        yield "of the training."
        return
    yield f"`{first}`: {ports[0].dtype}, of shape ({shape}), any number of rows. Raw values, in the units of the"
    yield "training data: the file applies the preprocessing of the training."
    if preprocessing.table is not None:
        yield "\n| place | column | value |\n|---|---|---|"
        for place, column in enumerate(preprocessing.table.columns):
            levels = ", ".join(f"{index} = {plain(level)}" for index, level in enumerate(column.levels))
            unknown = f"; {len(column.levels)} is any other" if column.other else "; -1 is any other"
            value = READ.get(column.kind, f"a category as its index: {levels}{unknown}")
            yield f"| {place} | {plain(column.name)} | {value}; NaN where it is missing |"


def _pictures(how: PictureFormat, normalisation: Mapping[str, Any]) -> Iterator[str]:
    means, deviations = (", ".join(f"{v:.6g}" for v in normalisation[k].flatten().tolist()) for k in ("mean", "std"))
    yield f"Pixels from 0 to 255, the channel{' is grey' if how.grey else 's are red, green and blue, in this order'}."
    yield f"The file subtracts {means} and divides by {deviations}. Before that, each picture is\n"
    yield "1. turned upright, as the orientation in its EXIF data says; of several pictures in a file, the first counts"
    yield "2. brought to 8 bits: values of 16 bits are divided by 257, floats from 0 to 1 are multiplied by 255"
    yield f"3. laid over {how.background} where it is transparent"
    yield f"4. converted to RGB{', and then to grey,' if how.grey else ''} as Pillow does, without its colour profile"
    yield "5. cut to the square in its middle"
    filter = "the bilinear filter of Pillow" if how.resize == "pillow" else "torchvision, bilinear with antialias"
    yield f"6. resized to {how.size} × {how.size} pixels by {filter}"


def _output(model: Trained, made: Exported) -> Iterator[str]:
    yield "\n## What comes out\n"
    facts, table, first = model.facts, model.preprocessing.table, made.outputs[0]
    name, shape = code(first.name), ", ".join(first.shape)
    if facts.task == "labels":
        yield f"`{name}`: ({shape}), the probability of each label, in this order:"
        yield ", ".join(plain(label) for label in facts.classes or []) + "."
    elif facts.classes is not None:
        along = "" if facts.task == "classes" else f" along axis {model.fit.class_axis}"
        text = f"`{name}`: ({shape}), adding up to 1{along}, of the classes"
        if facts.are_numbered and len(facts.classes) > MOST_LISTED:
            yield f"{text} 0 to {len(facts.classes) - 1}."
        else:
            yield f"{text} in this order:"
            yield ", ".join(plain(label) for label in facts.classes) + "."
    elif facts.task in ("numbers", "input"):
        targets = f": {', '.join(map(plain, table.targets))}" if table is not None else ""
        dtype = "float64" if first.dtype == "float64" else "floats"
        yield f"`{name}`: {dtype}, of shape ({shape}), in the units of the training data{targets}."
    else:
        yield f"`{name}`: {first.dtype}, of shape ({shape}), as the model gives it."
    if model.task.temperature is not None:
        divisor = f"{model.task.temperature:.6g}"
        yield f"\nThe file divides the logits by the temperature {divisor}, fitted to the validation rows."
    if rest := made.outputs[1:]:
        yield "\nAs the model gives them:\n"
        yield from (f"- `{code(port.name)}`: {port.dtype}, of shape ({', '.join(port.shape)})" for port in rest)
    if made.left:
        names = ", ".join(f"`{code(left)}`" for left in made.left)
        yield f"\nLeft out, as not one axis is as long as there are rows: {names}."


def _metrics(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## How good it is\n\n| metric | value |\n|---|---|"
    for name, value in (summary.get("best") or summary.get("last") or {}).items():
        if "/" in str(name) and isinstance(value, (int, float)):
            yield f"| {plain(name)} | {value:.4f} |"
    yield "\n`train/…` is measured during training, `val/…` on rows that were held back and used to choose the best"
    yield "weights. On other data the model may be worse; these numbers do not say how much."


def _source(folder: Path, members: Sequence[str]) -> str:
    return f"the mean of {len(members)} runs" if members else f"the run `{code(folder.name)}`"


def _of_members(members: Sequence[str]) -> Iterator[str]:
    yield "\n## How good it is\n"
    yield "`trainer eval SWEEP --top K` measures it on rows that none of its members has seen. Its members:\n"
    yield from (f"- `{code(name)}`" for name in members)


def _origin(summary: Mapping[str, Any], overrides: list[str]) -> Iterator[str]:
    yield "\n## How it was made\n"
    yield f"    trainer train {' '.join(code(word) for word in overrides)}".rstrip() + "\n"
    keys = {"parameters": "parameters", "seed": "seed", "steps": "steps", "commit": "git"}
    versions = (f"{name} {version}" for name, version in sorted((summary.get("versions") or {}).items()))
    rows = {name: summary.get(key) for name, key in keys.items()} | {"versions": ", ".join(versions)}
    yield from (f"- {name}: {plain(value)}" for name, value in rows.items() if value is not None)


def plain(value: Any) -> str:
    """Text that Markdown shows unchanged, on one line, whatever it contains."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", html.escape(cleaned(str(value), " "), quote=False))


def code(value: Any) -> str:
    """Text to put between backticks or in a block of code."""
    return cleaned(str(value), " ").replace("`", " ")
