"""Predict new rows with a run's best weights: the input's columns, then the prediction and, for classes, the
probability of each. INPUT: CSV or TSV, gzipped or not, or Parquet, with the columns that the run was trained on; - is
standard input; for other runs an .npz or .safetensors file, or a folder of pictures. Rows are read, predicted and
written some at a time."""

import shlex
from argparse import Namespace

from trainer.errors import ConfigError, complain
from trainer.processes.torch_import import uncollected
from trainer.verbs.arguments import Parser, add_trust
from trainer.verbs.open_run import open_run


def parser() -> Parser:
    parser = Parser("predict", "RUN|SWEEP INPUT [-o OUT]", __doc__)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="RUN INPUT",
        help="RUN: latest, a folder, or the end of its name; of a sweep, its best run; INPUT: a file, or -",
    )
    formats = ".csv, .tsv, .csv.gz, .tsv.gz or .parquet; without, CSV to standard output"
    parser.add_argument("-o", "--out", metavar="OUT", help=formats)
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 or mps; without, that of the run")
    add_trust(parser)
    return parser


def run(args: Namespace) -> int:
    """Predict the rows and write them. Returns the exit code."""
    if len(args.words) != 2:
        raise ConfigError("predict takes a run and a file of rows", "trainer predict latest new.csv -o out.csv")
    changes = {"device": args.device} if args.device is not None else {}
    command = f"predict RUN {shlex.quote(args.words[1])}"
    stored = open_run(
        args.words[0], changes, trust_it=args.trust, command=command, say=complain
    )  # standard output is for the rows
    with uncollected():
        from trainer.inference import predict
        from trainer.inference.model import load

    predict.check_out(args.out)
    config, model = stored.config, load(stored.folder, stored.config)
    return predict.write(model, args.words[1], args.out, config.dataset, config.loader.eval_batch_size)
