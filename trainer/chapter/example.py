"""One example: its YAML file, its code, expected and measured values."""

import importlib
import importlib.util
import inspect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import compose, expectations, target, user_modules
from trainer.config.files import EDITOR_LINE
from trainer.config.source import Source
from trainer.errors import TrainerError, described
from trainer.text import first_line

CHAPTER = Path("chapter")
EXPERIMENTS = Path("experiment/chapter")
ORDER = (
    "tensors", "broadcasting", "autograd", "module", "fit_line", "step",
    "steps_per_epoch", "loader", "devices", "accumulate", "compile",
    "autocast", "ddp",
)  # fmt: skip


class Skipped(Exception):
    """Something that an example needs is missing: not a failure."""


@dataclass(frozen=True)
class Row:
    """A measured value beside the expected one.

    expected: empty if the example was not run. ok: None if it was skipped.
    """

    example: str
    name: str
    expected: str
    got: str
    ok: bool | None


@dataclass(frozen=True)
class Shown:
    """The output of an example: lines of text, and a row for each value."""

    lines: list[str]
    rows: list[Row]


def files(folders: list[Path]) -> dict[str, Path]:
    """{name: YAML file} of every example, in the chapter's order.

    Your own examples follow. The first folder that has a name wins.
    """
    paths: dict[str, Path] = {}
    for folder, group in itertools.product(folders, (CHAPTER, EXPERIMENTS)):
        for path in sorted((folder / group).glob("*.yaml")):
            paths.setdefault(path.stem, path)
    chapter = {name: paths[name] for name in ORDER if name in paths}
    return chapter | paths


def source(name: str, path: Path) -> str:
    """The example's YAML file and, below it, the code that shows it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if EDITOR_LINE not in line)
    module = _module(name)
    code = "" if module is None else f"\n\n{inspect.getsource(module)}"
    return text + code.rstrip()


def show(
    name: str, path: Path, words: list[str], folders: list[Path], output: Path
) -> Shown:
    """Run one example with overrides; its runs go to `output`.

    Raises ConfigError.
    """
    lines, measured = [], {}
    if path.parent.parent.name == "experiment":
        expect, values = _trained(name, words, folders, output)
    else:
        example = Source(words, folders, f"{CHAPTER}/{name}")
        node = compose.compose(example).data
        expect = node.pop("expect", {})
        user_modules.allow_user_modules(node, folders)
        values = target.construct(node, CHAPTER.name)
    try:
        for item in values:
            if isinstance(item, str):
                lines.append(item)
            else:
                measured[item[0]] = item[1]
    except Skipped as reason:
        return Shown(lines, [Row(name, "not run", "", str(reason), None)])
    return Shown(lines, list(compare(name, expect, measured)))


def compare(
    name: str, expect: Mapping[str, Any], measured: Mapping[str, Any]
) -> Iterator[Row]:
    """A row for each value; one that is expected or measured only fails."""
    for key in {**expect, **measured}:
        if key not in expect:
            got = expectations.shown(measured[key])
            yield Row(name, key, "nothing", got, False)
            continue
        expectation = expectations.parse(expect[key])
        if key in measured:
            both = expectations.shown_apart(expectation, measured[key])
            yield Row(name, key, *both, expectation.holds(measured[key]))
        else:
            yield Row(name, key, str(expectation), "nothing", False)


def _trained(
    name: str, words: list[str], folders: list[Path], output: Path
) -> Any:
    from trainer.chapter.experiment import Experiment

    experiment = Experiment(name, words, folders, output)
    expect, module = experiment.config().expect, _module(name)
    if module is not None:
        return expect, module.show(experiment)
    measured = experiment.train().measured
    return expect, [(key, measured[key]) for key in expect if key in measured]


def _module(name: str) -> Any:
    """The code of an example, or None for one that is a config alone."""
    path = f"trainer.chapter.{name}"
    if not name.isidentifier() or importlib.util.find_spec(path) is None:
        return None
    return importlib.import_module(path)


def failed(name: str, error: Exception) -> Shown:
    """An example that raised, as a row."""
    ours = isinstance(error, TrainerError)
    text = first_line(error) if ours else described(error)
    return Shown([], [Row(name, "not run", "", text, False)])
