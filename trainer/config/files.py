"""The YAML files that a config is composed of: where they are, what can be picked, and where a key was set.

Imports neither hydra nor torch.
"""

from itertools import takewhile
from pathlib import Path

from trainer.errors import ConfigError

TYPED = "on the command line"
EDITOR_LINE = "yaml-language-server:"  # how the comment begins that names a file's JSON schema
NOT_PICKED = ("hydra", "chapter")  # folders of conf/ that are not groups of the config


def shipped() -> Path:
    """trainer's own conf/: beside the code in a wheel, above it in a checkout."""
    here = Path(__file__).resolve().parent.parent
    return next(folder for folder in (here / "conf", here.parent / "conf") if (folder / "config.yaml").is_file())


def roots(config_dirs: list[str] | None = None) -> list[Path]:
    """Folders with configs, the first match wins: --config-dir or ./conf, then trainer's own. Raises ConfigError."""
    for folder in config_dirs or []:
        if not Path(folder).is_dir():
            raise ConfigError(f"--config-dir {folder}: there is no such folder")
    folders = [Path(folder).resolve() for folder in config_dirs or ["conf"] if Path(folder).is_dir()]
    return [folder for folder in folders if folder != shipped()] + [shipped()]


def find(name: str, folders: list[Path]) -> Path | None:
    """The file of that relative name in the first folder that has it."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def options(folders: list[Path]) -> dict[str, dict[str, str]]:
    """{group: {option: description}}, both sorted."""
    groups: dict[str, dict[str, str]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            group, option = path.parent.relative_to(folder).as_posix(), path.stem
            if group != "." and not group.startswith(NOT_PICKED):
                top, _, rest = group.partition("/")
                groups.setdefault(top, {}).setdefault(f"{rest}/{option}" if rest else option, description(path))
    return {group: dict(sorted(options.items())) for group, options in sorted(groups.items())}


def description(path: Path) -> str:
    """The first comment line at the top of a file that is not a directive to Hydra or to an editor, or ''."""
    lines = filter(str.strip, path.read_text(encoding="utf-8", errors="replace").splitlines())
    comments = takewhile(lambda line: line.startswith("#"), lines)
    return next((line[1:].strip() for line in comments if "@package" not in line and EDITOR_LINE not in line), "")


def set_where(key: str, overrides: list[str], choices: dict[str, str], folders: list[Path]) -> str:
    """The place that set a dotted key: 'on the command line', or a file and its line. Empty if unknown."""
    group, _, rest = key.partition(".")
    for override in reversed(overrides):
        typed, equals, _ = override.lstrip("+~").partition("=")
        picks_an_option = typed in choices and equals
        if not picks_an_option and (typed == key or key.startswith(f"{typed}.")):
            return TYPED
    places = [(f"experiment/{choices['experiment']}.yaml", key)] if choices.get("experiment") else []
    if rest and group in choices:
        places.append((f"{group}/{choices[group]}.yaml", rest))
    for name, dotted in [*places, ("config.yaml", key)]:
        path = find(name, folders)
        if path and (line := line_of(path, dotted.split("."))):
            return f"{_short(path)} line {line}"
    return ""


def line_of(path: Path, parts: list[str]) -> int | None:
    """The line, counted from 1, of a nested key in a YAML file."""
    import yaml

    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in parts:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        match = next(((name, value) for name, value in pairs if name.value == part), None)
        if match is None:
            return None
        line, node = match[0].start_mark.line + 1, match[1]
    return line


def _short(path: Path) -> str:
    """A path as the user would type it: relative to here, or to trainer's own conf/."""
    here = Path.cwd()
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    return f"trainer's conf/{path.relative_to(shipped())}" if path.is_relative_to(shipped()) else str(path)
