"""trainer eval [RUN|latest] [dataset.key=value …]"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import compose
from trainer.config.compose import Source
from trainer.config.run_config import read_config
from trainer.config.schema import Config
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.processes.torch_import import uncollected
from trainer.terminal.screen import complain
from trainer.verbs.arguments import Parser


def run(words: Sequence[str]) -> int:
    """Measure a run's best weights on the test split where there is one, else val. Writes nothing."""
    parser = Parser("eval", "Measure a run's best weights on the test split where there is one, else on validation.")
    parser.add_argument("words", nargs="*", metavar="RUN key=value", help="latest, a folder, or the end of its name")
    parser.add_argument("--trust", action="store_true", help="import what the stored config names, whoever made it")
    args = parser.read(words)
    if args.help:
        print(parser.format_help())
        return 0
    names = [word for word in args.words if "=" not in word or Path(word).exists()]
    overrides = [word for word in args.words if word not in names]
    folder = layout.find(names[0] if names else layout.LATEST)
    data = read_config(folder, trusted=args.trust)
    for override in overrides:
        _change(data, override)
    config = compose.checked(data, Source(overrides, []), {})
    if data.own:
        compose.allow_user_modules()
    changed = any(override.startswith("dataset.path=") for override in overrides)
    return _evaluate(folder, config, config.dataset["path"] if changed else None, download=data.own)


def _change(data: dict[str, Any], override: str) -> None:
    import yaml

    key, _, text = override.partition("=")
    group, _, name = key.rpartition(".")
    if key != "device" and group not in ("dataset", "loader"):
        raise ConfigError(f"{key} cannot change in eval", "device=…, dataset.KEY=… or loader.KEY=…")
    node = data.setdefault(group, {}) if group else data
    node[name] = yaml.safe_load(text)


def _evaluate(folder: Path, config: Config, path: Any, *, download: bool) -> int:
    """path: of a table other than the one trained on, whose rows are all measured."""
    with uncollected():
        from trainer.inference import model
        from trainer.loop import evaluate

    run = model.load(folder, config)
    if path is None:
        name, split, batches = _held_back(run, config, download=download)
    else:
        from trainer.data.rows import Labelled, open_table

        source = open_table(path, run.preprocessing.of_table()[1], with_targets=True)
        name, split = str(path), "all"
        batches = Labelled(source, run.preprocessing, config.loader.eval_batch_size, run.device, run.zero.dtype)
    metrics = evaluate(run, batches, split)
    if path is not None:
        from trainer.inference.predict import tell_unknown

        tell_unknown(batches.unknown)
        if batches.left_out:
            complain(f"warning: {batches.left_out:,} rows without a target are left out")
    print(f"run      {folder}")
    print(f"data     {name}: {batches.num_rows:,} rows" + f" of the {split} split" * (path is None))
    for name, value in metrics.items():
        print(f"{name.removeprefix('all/'):<12} {value:.4f}")
    return 0


def _held_back(run: Any, config: Config, *, download: bool) -> tuple[str, str, Any]:
    """(name of the data, split, its batches): the test split where there is one, else val."""
    from trainer.data import seeds
    from trainer.data.splits import make_splits
    from trainer.data.windows import EvalBatches
    from trainer.device import seed_all

    seed_all(seeds.derive(config.dataset.get("split_seed", 0), "dataset"))
    splits = make_splits(
        config.dataset,
        config.loader,
        run.device,
        run.zero.dtype,
        config.seed,
        download=download,
        fitted=run.preprocessing,
    )
    for split, loader, num_rows in (("test", splits.test, splits.num_test), ("val", splits.val, splits.num_val)):
        if loader is not None:
            return splits.name, split, EvalBatches(loader, num_rows, config.loader.eval_batch_size)
    raise ConfigError("this run held back no rows to evaluate on", "dataset.val_fraction=0.2")
