"""trainer export: a run's model as a file that others can load without trainer."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from trainer.config.run_config import read_overrides
from trainer.disk import layout, storage
from trainer.errors import ConfigError, TrainerError
from trainer.processes.torch_import import uncollected
from trainer.verbs.arguments import Parser, run_parser
from trainer.verbs.open_run import one_name, open_run, split_words

FORMATS = "torch_export|onnx|safetensors"
DESCRIPTION = (
    "A run's best weights as a file that others can load without trainer, in RUN/export/, with the preprocessing "
    "inside, a model card and a program of some ten lines that loads it. It is written if it equals the model."
)
ROWS, TOLERANCE = 1000, 1e-5  # of the check; relative to the largest output, where that is above 1


def parser() -> Parser:
    """The words and flags of this verb."""
    return run_parser("export", "[RUN|latest] [format=onnx|safetensors|torch_export]", DESCRIPTION)


def run(args: Namespace) -> int:
    """Export and check. Returns the exit code."""
    names, words = split_words(args.words)
    settings = dict(word.split("=", 1) for word in words)
    name = settings.pop("format", "torch_export")
    for key in settings:
        raise ConfigError(f"export has no '{key}'", f"format={FORMATS}")
    if name not in FORMATS.split("|"):
        raise ConfigError(f"no format '{name}'", f"format={FORMATS}")
    anywhere = {"device": "cpu", "autocast": "none"}  # the file is for any machine
    stored = open_run(one_name("export", names), anywhere, trusted=args.trust)
    return _export(stored.folder, stored.config, name)


def _export(folder: Path, config: Any, name: str) -> int:
    with uncollected():
        import torch

        from trainer.inference.model import load
    from trainer.inference import card, programs
    from trainer.inference.chain import is_chain
    from trainer.inference.formats import FORMATS as KINDS
    from trainer.inference.whole import Whole, likely_rows, output_name

    chosen = KINDS[name]
    chosen.check_installed(name)
    model = load(folder, config)
    made = model.preprocessing
    whole = Whole(model).eval()
    rows = likely_rows(made, ROWS, whole.dtype)
    with torch.no_grad():
        expected = whole(rows)
        data = chosen.make(whole, made)
        run_file = chosen.load(data, whole)
        off = max(_off(run_file(rows[:count]), expected[:count]) for count in (1, 7, ROWS))
        plain = is_chain(model.model, made.x(rows[:2]))
    if not off <= TOLERANCE:
        raise TrainerError(f"{chosen.file} differs from the model by {off:.2g} on {ROWS:,} rows; it was not written")

    target = folder / layout.EXPORT
    if not target.is_dir():
        storage.make_folder(target)
    storage.write_file(target / chosen.file, data)
    text = programs.program(name, made, rows, model.model, config.model, plain)
    storage.write_file(target / card.PROGRAM.format(name=name), text.encode())
    files = {key: entry.file for key, entry in KINDS.items() if (target / entry.file).exists()}
    dtype = str(whole.dtype).removeprefix("torch.")
    page = card.card(folder, files, made, dtype, read_overrides(folder))
    storage.write_file(target / layout.CARD, page.encode())

    outputs = made.facts.classes or [f"{made.facts.num_outputs} numbers"]
    print(f"export   {target / chosen.file} ({len(data) / 1000:,.1f} kB)")
    print(f"input    x: {dtype} (rows, {', '.join(map(str, made.raw_shape))}), raw values")
    named = f"output   {output_name(made)}: float (rows, {made.facts.num_outputs}): {', '.join(outputs)}"
    print("".join(c if c.isprintable() else "?" for c in named)[:78])
    print(f"checked  {ROWS:,} rows through the file: as the model says, within {off:.1g}")
    print(f"files    {layout.CARD} {card.PROGRAM.format(name=name)}")
    print(f"next     python {target / card.PROGRAM.format(name=name)}")
    return 0


def _off(got: Any, expected: Any) -> float:
    """The largest difference, relative to the largest output where that is above 1; NaN where there is one."""
    if got.shape != expected.shape:
        return float("inf")
    return float((got - expected).abs().max() / max(1.0, float(expected.abs().max())))
