"""Write a run's best weights to RUN/export/ as a file that loads without trainer, with the preprocessing inside, a
model card and a short program that loads it. The file is written only if its outputs equal the model's."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from trainer.config.run_config import read_overrides
from trainer.disk import layout, storage
from trainer.errors import ConfigError
from trainer.processes.torch_import import uncollected
from trainer.terminal.spelling import closest
from trainer.text import cleaned, counted, cut, labelled
from trainer.verbs.arguments import Parser, add_top, run_parser
from trainer.verbs.open_run import OpenRun, open_members, open_run, split_words

FORMATS = "torch_export|onnx|safetensors"


def parser() -> Parser:
    parser = run_parser("export", "[RUN|SWEEP|latest] [format=onnx|safetensors|torch_export]", __doc__)
    add_top(parser)
    return parser


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
    if args.top is None:
        return _export([open_run(run_name, portable, trust_it=args.trust, command="export RUN")], name)
    if name == "safetensors":
        raise ConfigError("format=safetensors holds the weights of one model, not of several", "format=torch_export")
    runs, _ = open_members(run_name, args.top, portable, trust_it=args.trust, command="export RUN", say=print)
    return _export(runs, name, layout.find_sweep(run_name))


def _export(runs: Sequence[OpenRun], name: str, sweep: Path | None = None) -> int:
    """Write a run's model, or with a sweep the ensemble of its runs, into its folder."""
    with uncollected():
        from trainer.inference import exported
        from trainer.inference.ensemble import alike, ensemble
        from trainer.inference.model import Trained, load
    from trainer.data import tree
    from trainer.inference import loading_program, model_card
    from trainer.inference.formats import FORMATS as KINDS
    from trainer.inference.layer_chain import is_chain

    chosen = KINDS[name]
    chosen.check_installed(name)
    folder, config, members = runs[0].folder, runs[0].config, [str(layout.relative(run.folder)) for run in runs]
    models = [load(run.folder, run.config) for run in runs]
    model: Trained = models[0] if sweep is None else alike(ensemble(models, members), members)
    preprocessing = model.preprocessing
    made = exported.export(model, chosen)
    plain = sweep is None and is_chain(model.model, preprocessing.x(tree.first(made.rows, 2)))

    export = storage.open_folder((sweep or folder) / layout.EXPORT)
    storage.write_file(export / chosen.file, made.data)
    text = loading_program.program(name, model, made, config.model, plain)
    storage.write_file(export / model_card.PROGRAM.format(name=name), text.encode())
    files = {key: entry.file for key, entry in KINDS.items() if (export / entry.file).exists()}
    page = model_card.card(folder, files, model, made, read_overrides(folder), members if sweep is not None else ())
    storage.write_file(export / layout.CARD, page.encode())

    facts, program_file = preprocessing.facts, model_card.PROGRAM.format(name=name)
    units = preprocessing.of_answers
    of_spread = " of the targets' spread" * (units is not None and units.mean_and_std is not None)
    meaning = ", ".join(facts.classes or [counted(facts.num_outputs, "number")])
    first = f"{made.outputs[0].name}: {made.outputs[0]}" + f": {meaning}" * (facts.task != "free")
    values = "raw values" if preprocessing.pictures is None else "pixels from 0 to 255"
    lines = [
        f"export   {export / chosen.file} ({len(made.data) / 1000:,.1f} kB)",
        *(f"input    {port.name}: {port}, {values}" for port in made.inputs),
        cut(f"output   {first}"),
        *(f"output   {port.name}: {port}" for port in made.outputs[1:]),
        *(f"left out {left}: not one axis of it is as long as there are rows" for left in made.left),
        f"checked  {made.num_rows:,} rows through the file: as predict gives them, within {made.off:.1g}{of_spread}",
        f"files    {layout.CARD} {program_file}",
        f"next     python {export / program_file}{' PICTURE' * (preprocessing.pictures is not None)}",
    ]
    for line in lines:
        for part in labelled(line[:9], [line[9:]]):
            print(cleaned(part))
    return 0
