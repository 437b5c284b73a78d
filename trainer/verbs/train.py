"""trainer train [key=value …] [-m]"""

from collections.abc import Sequence
from pathlib import Path

from trainer.cli import STARTED
from trainer.config import compose, files
from trainer.config.compose import Composed, Source
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.processes import environment
from trainer.processes.torch_import import uncollected
from trainer.verbs import arguments

DESCRIPTION = (
    "Train a model from the config, with any key changed by key=value; with -m, once for each of several values."
)


def run(words: Sequence[str]) -> int:
    """Train, or sweep, or show what would be trained. Returns the exit code."""
    args = _parser().read(words)
    source = Source(args.overrides, files.roots(args.config_dir), args.config_name)
    if args.help:
        from trainer.verbs.ls import show_all

        print(_parser().format_help())
        show_all(source.folders)
        return 0
    if args.cfg or args.info:
        compose.show(source, args.cfg, args.info, args.package, args.resolve)
        return 0
    composed = compose.compose(source) if not args.multirun else None
    if composed is None or composed.multirun:
        if environment.launched():
            raise ConfigError("-m under torchrun: a sweep starts the processes of its jobs itself", "nproc=2 with -m")
        return _sweep(source)
    return _train(composed)


def _parser() -> arguments.Parser:
    parser = arguments.config_parser("train", DESCRIPTION)
    parser.add_argument("-m", "--multirun", action="store_true", help="a sweep: a run for each of several values")
    parser.add_argument("-c", "--cfg", choices=["job", "hydra", "all"], help="show the composed config, run nothing")
    parser.add_argument("-p", "--package", help="with --cfg: only this part")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: interpolations resolved")
    infos = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    how = f"how the config was composed: {', '.join(infos)}"
    parser.add_argument("-i", "--info", nargs="?", const="all", choices=infos, metavar="WHAT", help=how)
    return parser


def _train(composed: Composed) -> int:
    config = composed.checked()
    if environment.launched() and config.nproc not in (1, "auto", environment.count()):
        raise ConfigError(
            f"nproc={config.nproc} under torchrun, which has started {environment.count()}", "leave nproc out"
        )
    layout.check_writable(config.output_dir)
    compose.allow_user_modules(composed.source.folders)
    with uncollected():
        from trainer.run import launch
    from trainer.terminal.screen import Screen

    folder: Path | None = None

    def make_folder(label: str) -> Path:
        nonlocal folder
        folder = layout.create(config.output_dir, label)
        return folder

    with Screen() as screen:
        try:
            launch.start(config, composed.source.overrides, make_folder, screen, STARTED)
        except ConfigError as error:
            raise compose.located(error, composed.source, composed.choices) from error
        except Exception as error:
            raise launch.failed(error, folder) from error
    return 0


def _sweep(source: Source) -> int:
    """Every job of a grid, by the launcher that was picked; ends in a ranking, also after Ctrl-C."""
    from trainer.sweep import pool
    from trainer.terminal.screen import Screen

    if not any(word.startswith("hydra/launcher=") for word in source.overrides):
        pool.start_method()  # the fork server imports torch while the grid is composed

    from trainer.config.hydra_plugins import Task
    from trainer.sweep.sweep import Sweep

    compose.allow_user_modules(source.folders)
    with Screen() as screen:
        sweep = Sweep(source.overrides, screen)
        try:
            compose.sweep(source, Task(sweep, source))
        except Exception:  # Ctrl-C, or a launcher that lost a job: what is done is ranked all the same
            sweep.end()
            raise
        return sweep.end()
