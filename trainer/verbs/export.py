"""Write a run's best weights to RUN/export/ as a file that loads without trainer, with the preprocessing inside, a
model card and a short program that loads it. The file is written only if its outputs equal the model's."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from trainer.config.run_config import read_overrides
from trainer.disk import layout, storage
from trainer.errors import ConfigError, TrainerError
from trainer.processes.torch_import import uncollected
from trainer.terminal.spelling import closest
from trainer.text import WIDTH, cleaned, counted, labelled
from trainer.verbs.arguments import Parser, run_parser
from trainer.verbs.open_run import open_run, split_words

FORMATS = "torch_export|onnx|safetensors"
ROWS, TOLERANCE = 1000, 1e-5  # of the check, see _off
AT_ONCE = 2**22  # values that go through the file at once in the check: 27 pictures of 224×224


def parser() -> Parser:
    return run_parser("export", "[RUN|SWEEP|latest] [format=onnx|safetensors|torch_export]", __doc__)


def run(args: Namespace) -> int:
    """Export the model and check the file. Returns the exit code."""
    run_name, words = split_words("export", args.words)
    settings = dict(word.split("=", 1) for word in words)
    name = settings.pop("format", "torch_export")
    if settings:
        text = f"export has no '{next(iter(settings))}', only format={FORMATS.replace('|', ', ')}"
        raise ConfigError(text, f"format={name}" if name in FORMATS.split("|") else "format=torch_export")
    if name not in FORMATS.split("|"):
        formats = FORMATS.split("|")
        text = f"no format '{name}': there are {', '.join(formats)}"
        raise ConfigError(text, f"format={closest(name, formats) or 'torch_export'}")
    portable = {"device": "cpu", "autocast": "none"}
    stored = open_run(run_name, portable, trust_it=args.trust, command="export RUN")
    return _export(stored.folder, stored.config, name)


def _export(folder: Path, config: Any, name: str) -> int:
    with uncollected():
        import torch

        from trainer.inference.model import load
    from trainer.inference import loading_program, model_card
    from trainer.inference.formats import FORMATS as KINDS
    from trainer.inference.layer_chain import is_chain
    from trainer.inference.pipeline import Whole, likely_rows, output_name

    chosen = KINDS[name]
    chosen.check_installed(name)
    model = load(folder, config)
    preprocessing = model.preprocessing
    whole = Whole(model).eval()
    rows = likely_rows(preprocessing, ROWS)
    size = max(1, min(ROWS, AT_ONCE // rows[0].numel()))

    def some_at_a_time(predict: Any, count: int = ROWS) -> Any:
        return torch.cat([predict(part) for part in rows[:count].split(size)])

    with torch.no_grad():
        units = preprocessing.y.mean_and_std if preprocessing.y is not None else None
        expected = some_at_a_time(model.predict)
        data = chosen.make(whole, preprocessing)
        run_file = chosen.load(data, whole)
        off = max(_off(some_at_a_time(run_file, count), expected[:count], units) for count in (1, 7, ROWS))
        plain = is_chain(model.model, preprocessing.x(rows[:2]))
    if not off <= TOLERANCE:
        raise TrainerError(f"{chosen.file} differs from the model by {off:.2g} on {ROWS:,} rows; it was not written")

    export = storage.open_folder(folder / layout.EXPORT)
    storage.write_file(export / chosen.file, data)
    text = loading_program.program(name, preprocessing, rows, model.model, config.model, plain)
    storage.write_file(export / model_card.PROGRAM.format(name=name), text.encode())
    files = {key: entry.file for key, entry in KINDS.items() if (export / entry.file).exists()}
    dtype, gives = (str(tensor.dtype).removeprefix("torch.") for tensor in (rows, expected))
    page = model_card.card(folder, files, preprocessing, dtype, read_overrides(folder))
    storage.write_file(export / layout.CARD, page.encode())

    facts, program_file = preprocessing.facts, model_card.PROGRAM.format(name=name)
    of_spread = " of the targets' spread" * (units is not None)
    outputs = ", ".join(facts.classes or [counted(facts.num_outputs, "number")])
    values = "raw values" if preprocessing.pictures is None else "pixels from 0 to 255"
    lines = [
        f"export   {export / chosen.file} ({len(data) / 1000:,.1f} kB)",
        f"input    x: {dtype} (rows, {', '.join(map(str, preprocessing.raw_shape))}), {values}",
        f"output   {output_name(preprocessing)}: {gives} (rows, {facts.num_outputs}): {outputs}"[:WIDTH],
        f"checked  {ROWS:,} rows through the file: as predict gives them, within {off:.1g}{of_spread}",
        f"files    {layout.CARD} {program_file}",
        f"next     python {export / program_file}{' PICTURE' * (preprocessing.pictures is not None)}",
    ]
    for line in lines:
        for part in labelled(line[:9], [line[9:]]):
            print(cleaned(part))
    return 0


def _off(got: Any, expected: Any, units: Any) -> float:
    """The largest difference, relative to the largest output if that is above 1. NaN if an output is NaN.

    units: (mean, standard deviation) of the targets, as which outputs are measured; None takes them as they are.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return float("inf")
    if units is not None:
        got, expected = ((output - units[0]) / units[1] for output in (got, expected))
    return float((got - expected).abs().max() / max(1.0, float(expected.abs().max())))
