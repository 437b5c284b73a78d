"""Measure a run's best weights on its test split, or on validation if there is no test split."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from trainer.config.changeable_keys import Changeable
from trainer.config.schema import Config
from trainer.errors import ConfigError, complain
from trainer.processes.torch_import import uncollected
from trainer.verbs.arguments import Parser, run_parser
from trainer.verbs.open_run import open_run, split_words

CHANGEABLE = Changeable(("device", "dataset.*", "loader.*"), "cannot change in eval")


def parser() -> Parser:
    return run_parser("eval", "[RUN|SWEEP|latest] [dataset.key=value …]", __doc__)


def run(args: Namespace) -> int:
    """Measure a run's best weights and print the metrics. Returns the exit code."""
    name, overrides = split_words("eval", args.words)
    changes = CHANGEABLE.read(overrides)
    stored = open_run(name, changes, overrides, trust_it=args.trust)
    path = stored.config.dataset["path"] if "dataset.path" in changes else None
    return _evaluate(stored.folder, stored.config, path, download=stored.data.trusted)


def _evaluate(folder: Path, config: Config, path: Any, *, download: bool) -> int:
    """path: another table than the one trained on; all its rows are measured."""
    with uncollected():
        from trainer.inference import model
        from trainer.loop import evaluate

    run = model.load(folder, config)
    if path is None:
        name, split, batches = _held_back(run, config, download=download)
        metrics, where = evaluate(run, batches, split), f" of the {split} split"
    else:
        from trainer.inference.predict import tell_unknown
        from trainer.inference.rows import Labelled, open_table

        source = open_table(path, run.preprocessing.of_table()[1], with_targets=True)
        batches = Labelled(source, run.preprocessing, config.loader.eval_batch_size, run.device, run.dtype)
        metrics, name, where = evaluate(run, batches, "all"), str(path), ""
        tell_unknown(batches.unknown)
        if batches.left_out:
            complain(f"warning: {batches.left_out:,} rows do not have a target and are left out")
    print(f"run      {folder}")
    print(f"data     {name}: {batches.num_rows:,} rows{where}")
    for name, value in metrics.items():
        print(f"{name.removeprefix('all/'):<12} {value:.4f}")
    return 0


def _held_back(run: Any, config: Config, *, download: bool) -> tuple[str, str, Any]:
    """(name of the data, split, its batches) of the test split, or of val if there is no test split."""
    from trainer.data.batches import EvalBatches
    from trainer.data.loading import make_splits

    splits = make_splits(config, run.device, run.dtype, download=download, fitted=run.preprocessing)
    for split, loader, num_rows in (("test", splits.test, splits.num_test), ("val", splits.val, splits.num_val)):
        if loader is not None:
            return splits.name, split, EvalBatches(loader, num_rows, config.loader.eval_batch_size)
    raise ConfigError("this run held back no rows to evaluate on", "dataset.val_fraction=0.2")
