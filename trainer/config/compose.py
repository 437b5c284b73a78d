"""Hydra: search path, composition, and its errors in words. The only file that knows Hydra, besides sweep's plugins."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import files
from trainer.config.check import Problem, check, target_schema
from trainer.config.schema import Config
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest, did_you_mean

REFUSED = {  # Hydra's own settings that would fight with the run folder, and what to type instead
    "hydra.run.dir": "output_dir=FOLDER",
    "hydra.sweep.dir": "output_dir=FOLDER",
    "hydra.sweep.subdir": "output_dir=FOLDER",
    "hydra.output_subdir": "the resolved config is in RUN/config.yaml",
    "hydra.job.chdir": "cd FOLDER, then trainer …",
}


@dataclass(frozen=True)
class Source:
    """What was typed, and the folders it is composed from."""

    overrides: list[str]
    folders: list[Path]
    name: str = "config"

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", [_home_quoted(override) for override in self.overrides])


@dataclass(frozen=True)
class Composed:
    """One composed config: plain and resolved, with the option picked in each group."""

    data: dict[str, Any]
    choices: dict[str, str]
    multirun: bool
    source: Source

    def checked(self) -> Config:
        """The config as typed dataclasses. Raises ConfigError for the first key that is wrong."""
        return checked(self.data, self.source, self.choices)


def checked(data: dict[str, Any], source: Source, choices: dict[str, str]) -> Config:
    """Plain data as a Config. Raises ConfigError with the key, where it was set and what to type."""
    try:
        return check(data)
    except Problem as problem:
        raise located(ConfigError(problem.message, problem.hint, problem.key), source, choices) from problem


def located(error: ConfigError, source: Source, choices: dict[str, str]) -> ConfigError:
    """The error with where its key was set."""
    where = error.key and files.set_where(error.key, source.overrides, choices, source.folders)
    return ConfigError(error.message + (f" ({where})" if where else ""), error.hint)


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

    args: what `arguments.config_parser` makes of the words typed.
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
        raise _in_words(error, source) from error
    except ValueError as error:  # Hydra's word for a group set to null or to a number
        raise ConfigError(f"Hydra: {error}", "trainer ls") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{mark.name} line {mark.line + 1} column {mark.column + 1}" if mark else "a config file"
        raise ConfigError(f"{place}: {getattr(error, 'problem', error)}") from error
    finally:
        GlobalHydra.instance().clear()


def choices_of(picked: Any) -> dict[str, str]:
    return {str(group): str(option) for group, option in picked.items() if option is not None}


def plain_data(cfg: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    data: Any = OmegaConf.to_container(cfg, resolve=True)
    return {str(key): value for key, value in data.items() if key != "experiment"}


def _refuse(source: Source) -> None:
    for override in source.overrides:
        name, _, value = override.lstrip("+~").partition("=")
        if value.startswith("[") and name in files.options(source.folders):
            raise ConfigError(f"{override}: {name} takes one option", f"-m {name}={value.strip('[]')} to try each")
        if name in REFUSED:
            raise ConfigError(
                f"{name} is trainer's own: run folders are made so that none is overwritten", REFUSED[name]
            )


def _in_words(error: Exception, source: Source) -> ConfigError:
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import (
        ConfigAttributeError,
        ConfigKeyError,
        InterpolationResolutionError,
        OmegaConfBaseException,
    )

    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _no_option(str(error.missing_cfg_file), list(error.options or []), source)
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    if isinstance(cause, (ConfigKeyError, ConfigAttributeError)) and cause.full_key:
        root = cause.parent_node._get_root() if cause.parent_node is not None else {}
        return _no_key(str(cause.full_key), root, source)
    if isinstance(cause, InterpolationResolutionError):
        return ConfigError(f"{cause.full_key}: {str(cause).splitlines()[0]}")
    if first.startswith("Ambiguous value for argument"):
        command = " ".join(["trainer train -m", *map(_shell_quoted, source.overrides)])
        return ConfigError(f"{first.split(chr(39))[1]}: several values make a sweep, which needs -m", command)
    return ConfigError(first)


def _no_option(missing: str, choices: list[str], source: Source) -> ConfigError:
    group, _, name = missing.removesuffix(".yaml").rpartition("/")
    if not group:
        return ConfigError(f"there is no config named {name}", "trainer ls")
    known = files.options(source.folders).get(group.partition("/")[0], {})
    choices = choices or list(known)
    text = f"no {group} '{name}'.{did_you_mean(name, choices)}"
    return ConfigError(text, f"{group}=" + "|".join(choices))


def _no_key(key: str, root: Any, source: Source) -> ConfigError:
    from omegaconf import OmegaConf

    groups = files.options(source.folders)
    names = {override: override.lstrip("+~").partition("=")[0] for override in source.overrides}
    typed = next((o for o, name in names.items() if name == key or name.startswith(f"{key}.")), None)
    key = names[typed] if typed else key  # Hydra names the first part that is wrong, the user the whole
    data = OmegaConf.to_container(root, resolve=False) if OmegaConf.is_config(root) else {}
    keys = [name for name in _dotted(data) if not name.startswith("hydra")]  # type: ignore[arg-type]
    near = closest(key, [*keys, *groups])
    where = "on the command line" if typed else "in a config file"
    value = f"={typed.partition('=')[2]}" if typed else ""
    hint = f"{near}{value}" if near else "trainer config shows all keys"
    if typed and typed[0] not in "+~" and _may_be_added(key, data, near):
        hint = f"+{typed}"
    return ConfigError(f"no key '{key}' ({where})", hint)


def _may_be_added(key: str, data: Any, near: str | None) -> bool:
    """Whether a group's class takes a key that its node has not: a known class says so, of another all may be."""
    group, _, name = key.partition(".")
    node = data.get(group) if isinstance(data, dict) else None
    if not name or not isinstance(node, dict) or "_target_" not in node:
        return False
    known = target_schema(group, node)
    return name in known if known is not None else near is None


def _unreadable(override: str) -> ConfigError:
    name, equals, value = override.partition("=")
    if not equals:
        return ConfigError(f"'{override}' is not key=value", f"{override}=VALUE")
    return ConfigError(f"cannot read {override}", f"quote what is special in it: '{name}=\"{value}\"'")


def _dotted(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in data.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{name}.")


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _home_quoted(override: str) -> str:
    """Shells leave the ~ of key=~/file alone, and Hydra's grammar has none: it is quoted for whoever opens the file."""
    name, equals, value = override.partition("=")
    plain = value.startswith("~/") and not set(value) & set("\"'\\")
    return f"{name}{equals}'{value}'" if plain else override


def _shell_quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def allow_user_modules(folders: list[Path] | None = None) -> None:
    """Let `_target_: my_models.Net` find my_models.py in the folder where the command is typed, or beside a config.

    The first wins over what is installed, the others do not.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    for folder in files.module_folders(folders or files.roots()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
