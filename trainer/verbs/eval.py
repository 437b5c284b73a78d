"""Measure a run's best weights on its test split, or on validation if there is no test split."""

import math
from argparse import Namespace
from pathlib import Path
from typing import Any

from trainer.config.changeable_keys import Changeable
from trainer.disk import layout
from trainer.errors import ConfigError, complain
from trainer.processes.torch_import import uncollected
from trainer.text import cleaned, counted
from trainer.verbs.arguments import Parser, run_parser
from trainer.verbs.open_run import open_run, split_words

CHANGEABLE = Changeable(("split", "device", "dataset.*", "loader.*"), "cannot change in eval")


def parser() -> Parser:
    return run_parser("eval", "[RUN|SWEEP|latest] [split=train|val|test] [dataset.KEY=…]", __doc__)


def run(args: Namespace) -> int:
    """Measure a run's best weights and print the metrics. Returns the exit code."""
    name, overrides = split_words("eval", args.words)
    changes = CHANGEABLE.read(overrides)
    split, elsewhere = changes.pop("split", None), "dataset.path" in changes
    stored = open_run(name, changes, overrides, trust_it=args.trust)
    if elsewhere and split is not None:
        path = stored.config.dataset["path"]
        text = f"split={split} is a part of the run's own data; of dataset.path={path} all rows are measured"
        raise ConfigError(text, "leave split out")
    with uncollected():
        from trainer.data import earlier, fingerprint
        from trainer.inference import labelled, model
        from trainer.loop import evaluate

    trained, known = model.load(stored.folder, stored.config, to_measure=True), fingerprint.read(stored.folder)
    if elsewhere:
        rows = labelled.open_other(stored.config, trained, download=stored.data.trusted)
    else:
        redrawn = any(key.startswith("dataset.") for key in changes)
        rows = labelled.open_own(
            stored.config, trained, None if redrawn else known, split, download=stored.data.trusted
        )
    metrics = evaluate(trained, rows, rows.split)
    if isinstance(rows, labelled.OfSplits) and not changes.keys() - {"device"} and stored.data.trusted:
        _keep_rows(stored.folder, trained, rows.splits, known, stored.config.loader.eval_batch_size)
    of_pictures = earlier.about_pictures(stored.folder, stored.config) if rows.split == "val" else []
    for line in [*rows.warnings(known), *of_pictures]:
        complain(line)
    print(cleaned(f"run      {stored.folder}"))
    where = f" of the {rows.split} split" * (not elsewhere)
    print(cleaned(f"data     {rows.name}: {counted(rows.num_rows, 'row')}{where}"))
    width = max(12, *map(len, metrics))
    for name, value in metrics.items():
        print(cleaned(f"{name.removeprefix('all/'):<{width}} {_shown(value)}"))
    return 0


def _keep_rows(folder: Path, trained: Any, splits: Any, known: Any, size: int) -> None:
    """Write what `compare` needs of each validation row, where a run of an earlier version did not."""
    from trainer.run import val_rows

    is_same = known is not None and not splits.fingerprint.differences(known)
    if is_same and splits.val is not None and not (folder / layout.VAL_ROWS).exists():
        val_rows.write(folder, val_rows.measure(trained, splits.val, splits.fingerprint, size))


def _shown(value: float) -> str:
    """Four decimals; six digits of what is too large or too small for them."""
    if math.isnan(value):
        return "undefined"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.6g}"
