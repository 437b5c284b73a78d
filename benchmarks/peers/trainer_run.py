"""trainer itself, as a user runs it: `trainer train`, with all the files that it writes.

Words with = go to its command line as they are. The times of the epochs come from metrics.jsonl.
"""

import json
import sys
import tempfile
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path

import job

from trainer.cli import main
from trainer.disk import layout

words = [word for word in sys.argv[1:] if "=" in word and not word.startswith("--")]
sys.argv = [word for word in sys.argv if word not in words]
args = job.settings()
data = [] if args.digits else ["dataset=own", "dataset._target_=job.Pictures", f"dataset.val_fraction={1 / 7}"]
with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
    common = [f"epochs={args.epochs}", f"loader.batch_size={args.batch}", "optimizer=adam", f"optimizer.lr={job.LR}"]
    if main(["train", *data, *common, "report=false", f"output_dir={folder}", *words]) != 0:
        sys.exit(1)
    text = next(Path(folder).rglob(layout.METRICS)).read_text()
evaluations = [line for line in map(json.loads, text.splitlines()) if line.get("eval")]
marks = [0.0, *(line["seconds"] for line in evaluations)]
report = job.Report()
report.seconds = [after - before for before, after in pairwise(marks)]
report.end(evaluations[-1]["train/loss"], evaluations[-1]["val/loss"])
