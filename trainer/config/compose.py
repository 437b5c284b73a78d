"""Hydra: search path, composition, and its errors in words. The only file that knows Hydra, besides sweep's plugins."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainer.config import files
from trainer.config.composition import Composed, choices_of, plain_data
from trainer.config.hydra_errors import in_words
from trainer.config.source import Source
from trainer.config.user_modules import allow_user_modules
from trainer.errors import ConfigError

REFUSED = {  # Hydra's own settings that would fight with the run folder, and what to type instead
    "hydra.run.dir": "output_dir=FOLDER",
    "hydra.sweep.dir": "output_dir=FOLDER",
    "hydra.sweep.subdir": "output_dir=FOLDER",
    "hydra.output_subdir": "the resolved config is in RUN/config.yaml",
    "hydra.job.chdir": "cd FOLDER, then trainer …",
}


def compose(source: Source) -> Composed:
    """Compose a config without running anything or making a folder. Raises ConfigError."""
    from hydra.types import RunMode

    _refuse(source)
    with engine(source) as hydra:
        cfg = hydra.compose_config(source.name, source.overrides, RunMode.RUN, with_log_configuration=False)
        choices = choices_of(cfg.hydra.runtime.choices)
        multirun = str(cfg.hydra.mode).endswith("MULTIRUN")
        params = cfg.hydra.sweeper.get("params")
        del cfg._content["hydra"]
        data = plain_data(cfg)
    return Composed(data, choices, multirun or bool(params), source)


def one_run(verb: str, args: Namespace) -> Composed:
    """The config of a verb that looks at one run, checked; what it names may be imported. Raises ConfigError.

    args: overrides, config_dir and config_name, as the verb's parser read them.
    """
    composed = compose(Source(args.overrides, files.roots(args.config_dir), args.config_name))
    if composed.multirun:
        raise ConfigError(f"{verb} takes one run, not a sweep", f"trainer {verb} key=value …")
    composed.checked()
    allow_user_modules(composed.source.folders)
    return composed


def show(source: Source, cfg: str | None, info: str | None, package: str | None, resolve: bool) -> None:
    """Hydra's --cfg and --info, on stdout."""
    with engine(source) as hydra:
        if cfg:
            hydra.show_cfg(source.name, source.overrides, cfg, package, resolve)
        else:
            hydra.show_info(info or "all", source.name, source.overrides)


def sweep(source: Source, task: Any) -> None:
    """Hand a multirun to Hydra's sweeper and launcher, as they were picked. task: see sweep/plugins.py."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    _refuse(source)
    quiet = [
        "hydra.mode=MULTIRUN",
        "hydra.sweep.subdir=.",
        "hydra.output_subdir=null",
        "hydra/job_logging=disabled",
        "hydra/hydra_logging=disabled",
    ]
    with engine(source) as hydra:
        cfg = hydra.compose_config(
            source.name, [*source.overrides, *quiet], RunMode.MULTIRUN, with_log_configuration=False
        )
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(cfg))
        sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=task, config=cfg)
        sweeper.sweep(arguments=list(cfg.hydra.overrides.task))


@contextmanager
def engine(source: Source) -> Iterator[Any]:
    """Hydra's engine over our search path; its errors come out as ConfigError."""
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
    *own, shipped = source.folders
    search_path = create_config_search_path(f"file://{shipped}")
    for folder in reversed(own):
        search_path.prepend("user", f"file://{folder}", anchor="main")
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2(task_name="trainer", config_search_path=search_path)
    except (HydraException, OmegaConfBaseException) as error:
        raise in_words(error, source) from error
    except ValueError as error:  # Hydra's word for a group set to null or to a number
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
            raise ConfigError(f"{override}: {name} takes one option", f"-m {name}={value.strip('[]')} to try each")
        if name in REFUSED:
            raise ConfigError(
                f"{name} is trainer's own: run folders are made so that none is overwritten", REFUSED[name]
            )
