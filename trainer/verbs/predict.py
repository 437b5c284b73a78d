"""trainer predict RUN INPUT [-o OUT]"""

from collections.abc import Sequence

from trainer.config import compose
from trainer.config.compose import Source
from trainer.config.run_config import read_config
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.processes.torch_import import uncollected
from trainer.verbs.arguments import Parser

DESCRIPTION = (
    "What a run's best weights say of new rows: the input's columns, then the prediction and, for classes, the "
    "probability of each. INPUT: CSV, TSV, either gzipped, or Parquet with the columns that the run was trained on; - "
    "is standard input; for other runs an .npz or .safetensors, or a folder of pictures. Rows are read, predicted and "
    "written some at a time."
)


def run(words: Sequence[str]) -> int:
    """Predict and write. Returns the exit code."""
    parser = Parser("predict", DESCRIPTION)
    parser.add_argument("words", nargs="*", metavar="RUN INPUT", help="latest, a folder, or the end of a name; a file")
    parser.add_argument(
        "-o", "--out", metavar="OUT", help=".csv, .tsv, .csv.gz, .tsv.gz or .parquet; without, CSV to standard output"
    )
    parser.add_argument("--device", default=None, help="auto, cpu, cuda, cuda:1 or mps; without, that of the run")
    parser.add_argument("--trust", action="store_true", help="import what the stored config names, whoever made it")
    args = parser.read(words)
    if args.help:
        print(parser.format_help())
        return 0
    if len(args.words) != 2:
        raise ConfigError("predict takes a run and a file of rows", "trainer predict latest new.csv -o out.csv")
    folder = layout.find(args.words[0])
    data = read_config(folder, trusted=args.trust)
    if args.device is not None:
        data["device"] = args.device
    config = compose.checked(data, Source([], []), {})
    if data.own:
        compose.allow_user_modules()
    with uncollected():
        from trainer.inference import model as trained
        from trainer.inference import predict

    predict.check_out(args.out)
    model = trained.load(folder, config)
    return predict.write(model, args.words[1], args.out, config.dataset, config.loader.eval_batch_size)
