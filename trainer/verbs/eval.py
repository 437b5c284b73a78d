"""Measure a run's best weights on its test split, or on validation if there is no test split."""

import math
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.config.changeable_keys import Changeable
from trainer.disk import layout
from trainer.errors import ConfigError, complain
from trainer.processes.torch_import import uncollected
from trainer.text import cleaned, counted
from trainer.verbs.arguments import Parser, add_top, run_parser
from trainer.verbs.open_run import OpenRun, open_members, open_run, split_words

CHANGEABLE = Changeable(("split", "device", "dataset.*", "loader.*"), "cannot change in eval")


def parser() -> Parser:
    parser = run_parser("eval", "[RUN|SWEEP|latest] [split=train|val|test] [dataset.KEY=…]", __doc__)
    add_top(parser)
    return parser


def run(args: Namespace) -> int:
    """Measure a run's best weights and print the metrics. Returns the exit code."""
    name, overrides = split_words("eval", args.words)
    changes = CHANGEABLE.read(overrides)
    split, elsewhere = changes.pop("split", None), "dataset.path" in changes
    if args.top is not None:
        return _ensemble(name, args, changes, split, elsewhere=elsewhere)
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
    redrawn = any(key.startswith("dataset.") for key in changes)

    def opened() -> Any:
        if elsewhere:
            return labelled.open_other(stored.config, trained, download=stored.data.trusted)
        its = None if redrawn else known
        return labelled.open_own(stored.config, trained, its, split, download=stored.data.trusted)

    rows = opened()
    metrics = evaluate(trained, rows, rows.split)
    if isinstance(rows, labelled.OfSplits) and not changes.keys() - {"device"}:
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
    for name, before, after in _calibrated(trained, opened()) if trained.task.temperature is not None else ():
        print(cleaned(f"{name:<{width}} {_shown(after)}   with the temperature; {_shown(before)} without"))
    return 0


def _calibrated(trained: Any, rows: Any) -> Iterator[tuple[str, float, float]]:
    """Yield (name, without the temperature, with it) of what a temperature should lower."""
    from trainer.loop import predict
    from trainer.run.temperature import Decisions
    from trainer.tasks import calibration

    seen = Decisions(trained.task)
    for _, output, y, _ in predict(trained, rows):
        seen.add(trained.fit(output), trained.fit.target(y))
    logits, truths, _ = seen.joined()
    before = calibration.scores(logits, truths)
    after = calibration.scores(logits.double() / trained.task.temperature, truths)
    for name, value in before.items():
        yield name, value, after[name]


def _ensemble(name: str, args: Namespace, changes: dict[str, Any], split: str | None, *, elsewhere: bool) -> int:
    """Measure the ensemble of --top beside its members. Returns the exit code."""
    runs, held_back = open_members(name, args.top, changes, trust_it=args.trust, command="eval RUN", say=print)
    with uncollected():
        from trainer.data import fingerprint
        from trainer.data.roles import TEST
        from trainer.inference import ensemble_score, labelled, model
        from trainer.inference.ensemble import ensemble
        from trainer.inference.ensemble_score import Member

    names = [str(layout.relative(run.folder)) for run in runs]
    known = [fingerprint.read(run.folder) for run in runs]
    if not elsewhere and (split not in (None, "test") or not all(k is not None and TEST in k.roles for k in known)):
        text = "an ensemble is measured on rows that none of its members was trained or selected on: "
        text += "these runs have no test split" if split in (None, "test") else f"those of split={split} are not"
        text += f"; the score on the rows that each held back is {held_back}"
        again = f"trainer eval {name} --top {args.top} dataset.path=FILE"
        raise ConfigError(text, f"{again}; or train with dataset.test_fraction=0.2")
    trained = [model.load(run.folder, run.config, to_measure=True) for run in runs]

    def opened(run: OpenRun, one: Any, its: Any) -> Any:
        if elsewhere:
            return labelled.open_other(run.config, one, download=run.data.trusted)
        return labelled.open_own(run.config, one, its, "test", download=run.data.trusted)

    members = [
        Member(name, one, its, partial(opened, run, one, its))
        for name, one, its, run in zip(names, trained, known, runs, strict=True)
    ]
    score = ensemble_score.measure(ensemble(trained, names), members)
    where = " of the test split" * (not elsewhere)
    print(cleaned(f"data     {score.rows.name}: {counted(score.rows.num_rows, 'row')}{where}"))
    width = max(12, *map(len, score.ensemble))
    for metric, value in score.ensemble.items():
        own = [one[metric] for one in score.members]
        members_text = f"members {_shown(fmean(own))}, {_shown(min(own))} to {_shown(max(own))}"
        print(cleaned(f"{metric.removeprefix('all/'):<{width}} {_shown(value)}   {members_text}"))
    return 0


def _keep_rows(folder: Path, trained: Any, splits: Any, known: Any, size: int) -> None:
    """Write what `compare` needs of each validation row, where a run of an earlier version did not."""
    from trainer.disk import val_rows as stored
    from trainer.run import val_rows

    is_same = known is not None and not splits.fingerprint.differences(known)
    if is_same and splits.val is not None and not stored.is_whole(folder):
        val_rows.write(folder, val_rows.measure(trained, splits.val, splits.fingerprint, size))


def _shown(value: float) -> str:
    """Four decimals; six digits of what is too large or too small for them."""
    if math.isnan(value):
        return "undefined"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.6g}"
