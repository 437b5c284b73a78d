"""Predict new rows with a run's best weights. INPUT: CSV or TSV, gzipped or not, or Parquet, with the columns that the
run was trained on; - is standard input; for other runs an .npz or .safetensors file whose arrays have the names of the
model's inputs (x, input_ids, views.0), or a folder of pictures. Token rows of different lengths come padded to one. The
output has the input's columns, then for classes the prediction and the probability of each; for labels a 0 or 1 and a
probability each; for tokens a line for each position, padded ones too; for numbers a column each (prediction_0_1).
OUT.npz and OUT.safetensors hold what the task says, prediction (of classes the index) and probabilities, and every
output of the model under its name; pixels and outputs of any other kind need one of them. Rows of tables and pictures
are read, predicted and written some at a time."""

import shlex
from argparse import Namespace
from typing import Any

from trainer.disk import layout
from trainer.errors import ConfigError, complain
from trainer.processes.torch_import import uncollected
from trainer.text import cleaned, counted
from trainer.verbs.arguments import Parser, add_top, add_trust
from trainer.verbs.open_run import open_members, open_run


def parser() -> Parser:
    parser = Parser("predict", "RUN|SWEEP INPUT [-o OUT]", __doc__)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="RUN INPUT",
        help="RUN: latest, a folder, or the end of its name; of a sweep, its best run; INPUT: a file, or -",
    )
    formats = ".csv, .tsv, .csv.gz, .tsv.gz, .parquet, .npz or .safetensors; without, CSV to standard output"
    parser.add_argument("-o", "--out", metavar="OUT", help=formats)
    add_top(parser)
    oof = "of a sweep over dataset.fold, without INPUT: each row by the run that held it back, in the first line"
    parser.add_argument("--out-of-fold", action="store_true", help=oof)
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 or mps; without, that of the run")
    parser.add_argument(
        "--mirror", action="store_true", help="pictures: the mean of the answers for each and for its mirror image"
    )
    add_trust(parser)
    return parser


def run(args: Namespace) -> int:
    """Predict the rows and write them. Returns the exit code."""
    changes = {"device": args.device} if args.device is not None else {}
    if args.out_of_fold:
        return _out_of_fold(args, changes)
    if len(args.words) != 2:
        raise ConfigError("predict takes a run and a file of rows", "trainer predict latest new.csv -o out.csv")
    command = f"predict RUN {shlex.quote(args.words[1])}"
    how: Any = {"trust_it": args.trust, "command": command, "say": complain}  # standard output is for the rows
    if args.top is None:
        runs = [open_run(args.words[0], changes, **how)]
    elif args.words[1] == "-":
        raise ConfigError("each member of an ensemble reads the rows: they need a file", "predict SWEEP FILE --top K")
    else:
        runs, _ = open_members(args.words[0], args.top, changes, **how)
    with uncollected():
        from trainer.inference import predict
        from trainer.inference.ensemble import ensemble
        from trainer.inference.mirror import mirrored
        from trainer.inference.model import load

    predict.check_out(args.out)
    models, config = [load(run.folder, run.config) for run in runs], runs[0].config
    models = [mirrored(model) if args.mirror else model for model in models]
    model = models[0] if args.top is None else ensemble(models, [str(layout.relative(run.folder)) for run in runs])
    return predict.write(model, args.words[1], args.out, config.dataset, config.loader.eval_batch_size)


def _out_of_fold(args: Namespace, changes: dict[str, Any]) -> int:
    """Write the predictions of each row by the runs that held it back. Returns the exit code."""
    from trainer.inference.array_file import ENDINGS

    if len(args.words) != 1:
        raise ConfigError("--out-of-fold takes a sweep, and no file of rows", "trainer predict SWEEP --out-of-fold")
    other = "--top" if args.top is not None else "--mirror" if args.mirror else ""
    if other or (args.out or "").endswith(ENDINGS):
        text = f"takes no {other}" if other else f"writes a table, and {args.out} is for arrays"
        raise ConfigError(f"--out-of-fold {text}", "trainer predict SWEEP --out-of-fold -o held_back.csv")
    name, command = args.words[0], "predict RUN --out-of-fold"
    if layout.find_sweep(name) is None:
        layout.find(name)  # or there is no such run
        text = f"--out-of-fold takes a sweep over dataset.fold, and {name} is one run"
        raise ConfigError(text, "trainer train experiment=cv")
    runs, _ = open_members(name, "1", changes, trust_it=args.trust, command=command, say=complain)
    if any(run.config.dataset.get("folds") is None for run in runs):
        raise ConfigError(f"{name} is not a sweep over dataset.fold", "trainer train experiment=cv")
    with uncollected():
        from trainer.data import fingerprint
        from trainer.inference import labelled, out_of_fold, predict
        from trainer.inference.model import load

    predict.check_out(args.out)
    held = []
    for run in runs:
        trained, known = load(run.folder, run.config), fingerprint.read(run.folder)
        rows = labelled.open_own(run.config, trained, known, "val", download=run.data.trusted)
        folds, number = run.config.dataset["folds"], run.config.dataset.get("fold") or 0
        place = str(layout.relative(run.folder))
        held.append(out_of_fold.Held(place, trained, rows, known, *divmod(number, folds)))  # type: ignore[arg-type]
    num_lines = out_of_fold.write(held, args.out)
    if args.out is not None:
        print(cleaned(f"{counted(num_lines, 'line')} in {args.out}"))
    return 0
