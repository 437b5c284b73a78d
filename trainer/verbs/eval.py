"""trainer eval [RUN|latest] [dataset.key=value …]"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer import compose, reading, rundir
from trainer.arguments import Parser
from trainer.compose import Source
from trainer.errors import ConfigError, StorageError
from trainer.stored import read_config


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
    folder = rundir.find(names[0] if names else rundir.LATEST)
    data = read_config(folder, trusted=args.trust)
    for override in overrides:
        _change(data, override)
    config = compose.checked(data, Source(overrides, []), {})
    if data.own:
        compose.allow_user_modules()
    return _evaluate(folder, config, download=data.own)


def _change(data: dict[str, Any], override: str) -> None:
    import yaml

    key, _, text = override.partition("=")
    group, _, name = key.rpartition(".")
    if key != "device" and group not in ("dataset", "loader"):
        raise ConfigError(f"{key} cannot change in eval", "device=…, dataset.KEY=… or loader.KEY=…")
    node = data.setdefault(group, {}) if group else data
    node[name] = yaml.safe_load(text)


def _evaluate(folder: Path, config: Any, *, download: bool) -> int:
    import safetensors.torch
    from safetensors import SafetensorError

    from trainer import checkpoint
    from trainer.build import build
    from trainer.loop import evaluate

    run_state, setup = build(config, download=download)
    try:
        weights = safetensors.torch.load(reading.read_file(folder / rundir.MODEL, checkpoint.most_bytes(run_state)))
        run_state.model.load_state_dict(weights)
    except FileNotFoundError:
        raise ConfigError(f"{folder} has no {rundir.MODEL} yet", f"trainer resume {folder}") from None
    except (SafetensorError, RuntimeError, reading.Damaged) as error:
        raise StorageError(f"{folder / rundir.MODEL} does not fit: {str(error).splitlines()[-1].strip()}") from error
    split = "test" if run_state.test_batches is not None else "val"
    batches = run_state.test_batches or run_state.val_batches
    if batches is None:
        raise ConfigError("this run held back no rows to evaluate on", "dataset.val_fraction=0.2")
    metrics = evaluate(run_state, batches, split)
    print(f"run      {folder}")
    print(f"data     {setup.splits.name}: {batches.num_rows:,} rows of the {split} split")
    for name, value in metrics.items():
        print(f"{name:<12} {value:.4f}")
    return 0
