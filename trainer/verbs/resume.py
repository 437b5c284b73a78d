"""trainer resume [RUN|SWEEP|latest] [epochs=80]"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.cli import STARTED
from trainer.config import compose
from trainer.config.compose import Source
from trainer.config.run_config import read_config
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.processes import environment
from trainer.processes.torch_import import uncollected
from trainer.verbs.arguments import Parser

CHANGEABLE = ("epochs", "max_steps", "device", "nproc", "threads", "loader.num_workers")


def run(words: Sequence[str]) -> int:
    """Go on with a run from its last checkpoint. Returns the exit code."""
    parser = Parser("resume", "Go on with a run from its last checkpoint, or extend it; or finish a sweep.")
    parser.add_argument(
        "words", nargs="*", metavar="RUN|SWEEP key=value", help="latest, a folder, or the end of its name"
    )
    parser.add_argument("--trust", action="store_true", help="import what the stored config names, whoever made it")
    args = parser.read(words)
    if args.help:
        print(parser.format_help())
        print("keys that may change:\n  " + ", ".join(CHANGEABLE))
        return 0
    names = [word for word in args.words if "=" not in word or Path(word).exists()]
    overrides = [word for word in args.words if word not in names]
    if len(names) > 1:
        raise ConfigError(f"resume takes one run, not {' and '.join(names)}", f"trainer resume {names[0]}")
    sweep = layout.find_sweep(names[0] if names else layout.LATEST)
    if sweep is not None and environment.launched():
        raise ConfigError("torchrun resumes one run; a sweep starts the processes of its jobs itself", "trainer resume")
    if sweep is not None:
        from trainer.sweep import resume

        return resume.resume(sweep, overrides, trusted=args.trust)
    folder = layout.find(names[0] if names else layout.LATEST)
    data = read_config(folder, trusted=args.trust)
    for override in overrides:
        _change(data, override)
    summary = layout.read_summary(folder)
    if summary.get("status") == "ok" and not overrides:
        print(f"{folder} is finished: {summary.get('steps')} steps. Nothing to do.")
        print(f"to extend it: trainer resume {folder} epochs={2 * data.get('epochs', 1)}")
        return 0
    config = compose.checked(data, Source(overrides, []), {})
    if data.own:
        compose.allow_user_modules()
    with uncollected():
        from trainer.run import launch
    from trainer.terminal.screen import Screen

    with Screen() as screen:
        try:
            launch.go_on(folder, config, screen, STARTED, download=data.own)
        except Exception as error:
            raise launch.failed(error, folder) from error
    return 0


def _change(data: dict[str, Any], override: str) -> None:
    """Put one key=value into stored data. Raises ConfigError for a key that would make it another run."""
    import yaml

    key, _, text = override.partition("=")
    if key not in CHANGEABLE:
        raise ConfigError(f"{key} cannot change on a resume: it would be another run", "|".join(CHANGEABLE) + "=…")
    group, _, name = key.rpartition(".")
    node = data.setdefault(group, {}) if group else data
    node[name] = yaml.safe_load(text)
