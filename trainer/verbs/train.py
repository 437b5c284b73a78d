"""Train a model from the config, with any key changed by key=value; with -m, once for each of several values."""

import shlex
from argparse import Namespace

from trainer.config import compose, files, user_modules
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.processes import environment
from trainer.processes.torch_import import uncollected
from trainer.verbs import arguments, ls

OF_A_SWEEP = ("hydra/launcher=", "hydra.launcher.", "hydra/sweeper=", "hydra.sweeper.")


def parser() -> arguments.Parser:
    parser = arguments.config_parser(
        "train", __doc__, "[key=value …] [-m]", lambda args: "\n".join(ls.lines(files.roots(args.config_dir)))
    )
    parser.add_argument("-m", "--multirun", action="store_true", help="a sweep: one run for each of several values")
    parser.add_argument("-c", "--cfg", choices=["job", "hydra", "all"], help="show the config; run nothing")
    parser.add_argument("-p", "--package", help="with --cfg: show only this part")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: resolve interpolations")
    infos = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    text = f"show how the config was composed: {', '.join(infos)}"
    parser.add_argument("-i", "--info", nargs="?", const="all", choices=infos, metavar="WHAT", help=text)
    return parser


def run(args: Namespace) -> int:
    """Train, or sweep, or show what would be trained. Returns the exit code."""
    source = Source.of(args)
    if args.cfg or args.info:
        compose.show(source, args.cfg, args.info, args.package, args.resolve)
        return 0
    settings = None if args.multirun else compose.compose(source)
    if settings is None or settings.multirun:
        if environment.launched():
            raise ConfigError(
                "-m under torchrun: a sweep starts the processes of its jobs itself",
                "start it without torchrun, with nproc=2",
            )
        return _sweep(source)
    _refuse_of_a_sweep(source)
    return _train(settings, args.started)


def _refuse_of_a_sweep(source: Source) -> None:
    """Raise ConfigError for a launcher or sweeper, or a setting of one, that was typed for a single run."""
    for word in source.overrides:
        if word.lstrip("+").startswith(OF_A_SWEEP):
            text = f"{word} is about the jobs of a sweep, but this is one run"
            raise ConfigError(text, shlex.join(["trainer", "train", "-m", *source.overrides]))


def _train(settings: Settings, started: float) -> int:
    config, source = settings.check(), settings.source
    if environment.launched() and config.nproc not in (1, "auto", environment.count()):
        text = f"nproc={config.nproc}, but torchrun has started {environment.count()} processes"
        raise ConfigError(text, "leave nproc out")
    layout.check_writable(config.output_dir)
    user_modules.allow_user_modules(settings.data, source.folders)
    with uncollected():
        from trainer.run import launch
        from trainer.run.session import Session
    from trainer.terminal.screen import Screen

    with Screen() as screen, settings.locating():
        session = Session(screen, started, may_measure=True)
        launch.start(config, settings.overrides, lambda label: layout.create(config.output_dir, label), session)
    return 0


def _sweep(source: Source) -> int:
    """Run every job of a sweep with the launcher that was picked, then rank them, even after Ctrl-C."""
    from trainer.processes import forking, told
    from trainer.terminal.screen import Screen

    if not any(word.startswith("hydra/launcher=") for word in source.overrides):
        # The fork server imports torch while the jobs are composed.
        forking.start_method("trainer.sweep.preload_commit", "trainer.sweep.preload_data", is_told=True)

    from trainer.sweep.hydra_task import Task
    from trainer.sweep.sweep import Sweep

    with Screen() as screen, Sweep(source.overrides, screen) as sweep:
        try:
            compose.sweep(source, Task(sweep, source))
        except Exception as error:  # Ctrl-C, or a launcher that lost a job: the finished jobs are ranked all the same
            told.send(None)  # a fork server that waits for the first job
            if sweep.num_ended or not isinstance(error, ConfigError):
                sweep.end()
            raise
        return sweep.end()
