"""Composing a config with Hydra. Only this file, hydra_errors, hydra_plugins and grid know Hydra."""

import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.config import files
from trainer.config.hydra_errors import as_config_error
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.config.user_modules import allow_user_modules
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

REFUSED = {  # Hydra's own settings that would interfere with the run folder, and what to type instead
    "hydra.run.dir": "output_dir=FOLDER",
    "hydra.sweep.dir": "output_dir=FOLDER",
    "hydra.sweep.subdir": "output_dir=FOLDER",
    "hydra.output_subdir": "the resolved config is in RUN/config.yaml",
    "hydra.job.chdir": "change the folder first, with cd",
}
IN_OUR_FOLDERS = ("hydra.mode=MULTIRUN", "hydra.sweep.subdir=.", "hydra.output_subdir=null")
WITHOUT_LOGS = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")


def compose(source: Source) -> Settings:
    """Compose a config without running anything or making a folder. Raises ConfigError."""
    from hydra.types import RunMode

    _refuse(source)
    with _hydra(source) as hydra:
        from trainer.config import grid

        cfg = hydra.compose_config(source.name, source.overrides, RunMode.RUN, with_log_configuration=False)
        if name := next(iter(cfg.hydra.job.env_set), None):
            raise ConfigError(
                f"hydra.job cannot set {name}: the process runs already", f"in the shell: {name}=VALUE trainer train"
            )
        multirun = str(cfg.hydra.mode).endswith("MULTIRUN") or bool(cfg.hydra.sweeper.get("params"))
        choices = grid.split_off_choices(cfg)
        return Settings(grid.plain_data(cfg), source, choices, multirun)


def one_run(verb: str, args: Namespace) -> Settings:
    """The settings of a verb that looks at one run, checked; their classes may be imported. Raises ConfigError.

    args: overrides, config_dir and config_name, as the verb's parser read them.
    """
    settings = compose(Source.of(args))
    if settings.multirun:
        raise ConfigError(f"{verb} takes one run, not a sweep", f"trainer {verb}")
    settings.check()
    allow_user_modules(settings.data, settings.source.folders)
    return settings


def show(source: Source, cfg: str | None, info: str | None, package: str | None, resolve: bool) -> None:
    """Print Hydra's --cfg or --info on stdout."""
    with _hydra(source) as hydra:
        if cfg:
            hydra.show_cfg(source.name, source.overrides, cfg, package, resolve)
        else:
            hydra.show_info(info or "all", source.name, source.overrides)


def sweep(source: Source, task: Any) -> None:
    """Hand a multirun to the Hydra sweeper and launcher that were picked. task: see sweep/hydra_task.py."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext

    _refuse(source)
    with _hydra(source) as hydra:
        from trainer.config import grid

        cfg, words = grid.frame(hydra, source, [*IN_OUR_FOLDERS, *WITHOUT_LOGS])
        allow_user_modules(grid.unresolved(cfg), source.folders)  # a launcher or callback of the user's own
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(cfg))
        sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=task, config=cfg)
        sweeper.sweep(arguments=words)


@contextmanager
def launcher(source: Source, stored: dict[str, Any] | None, task: Any, folder: Path, *, signed: bool) -> Iterator[Any]:
    """Yield the launcher of a sweep that is resumed, or None if it runs the jobs on this machine.

    source: the words that were typed now, which may pick another launcher. stored: the settings of the one that the
    sweep began with. folder: the sweep's; signed: whether this user signed it.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext
    from omegaconf import open_dict, read_write

    with _hydra(source) as hydra:
        from trainer.config import grid, hydra_plugins

        picks = any(word.startswith("hydra/launcher=") for word in source.overrides)
        typed = source if picks or stored is None else replace(source, overrides=[])
        cfg: Any = grid.frame(hydra, typed, [*IN_OUR_FOLDERS, *WITHOUT_LOGS])[0]
        if typed is not source:
            with read_write(cfg), read_write(cfg.hydra), open_dict(cfg.hydra):
                cfg.hydra.launcher = _changed(dict(stored or {}), source.overrides)
        elif hydra_plugins.elsewhere(cfg) is None:
            yield None
            return
        allow_user_modules(
            grid.unresolved(cfg), source.folders
        )  # a launcher of the user's own, which they signed or typed
        hydra_plugins.set_folder(cfg, folder, signed=signed)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(cfg))
        yield Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=cfg)


def _changed(launcher: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings of a stored launcher with those that were typed, as hydra.launcher.KEY=VALUE."""
    import yaml

    for word in overrides:
        key, _, text = word.partition("=")
        name = key.removeprefix("hydra.launcher.")
        if name not in launcher:
            meant = closest(name, list(launcher))
            hint = f"hydra.launcher.{meant}={text}" if meant else f"leave {key} out"
            raise ConfigError(f"no key '{key}' in the launcher of this sweep", hint)
        launcher[name] = yaml.safe_load(text)
    return launcher


@contextmanager
def _hydra(source: Source) -> Iterator[Any]:
    """Hydra over our search path. Within: its errors become ConfigErrors."""
    import yaml
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from trainer.config import hydra_plugins

    version.setbase("1.3")
    hydra_plugins.register()
    *user, shipped = source.folders
    search_path = create_config_search_path(f"file://{shipped}")
    for folder in reversed(user):
        search_path.prepend("user", f"file://{folder}", anchor="main")
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2(task_name="trainer", config_search_path=search_path)
    except (HydraException, OmegaConfBaseException) as error:
        raise as_config_error(error, source) from error
    except ValueError as error:  # what Hydra raises for a group set to null or to a number
        raise ConfigError(f"Hydra: {error}", "trainer ls") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{mark.name} line {mark.line + 1} column {mark.column + 1}" if mark else "a config file"
        raise ConfigError(f"{place}: {getattr(error, 'problem', error)}") from error
    finally:
        GlobalHydra.instance().clear()


def _refuse(source: Source) -> None:
    for override in source.overrides:
        name, _, value = override.lstrip("+~").partition("=")
        if value.startswith("[") and name in files.options(source.folders):
            words = [f"{name}={value.strip('[]')}" if word == override else word for word in source.overrides]
            raise ConfigError(f"{override}: {name} takes one option", shlex.join(["trainer", "train", "-m", *words]))
        if name in REFUSED:
            raise ConfigError(f"trainer sets '{name}' itself, so that no run is ever overwritten", REFUSED[name])
