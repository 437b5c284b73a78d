"""One example: its YAML file, its code, what it expects and shows."""

import importlib
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import compose, expectations, target
from trainer.config.source import Source
from trainer.errors import TrainerError

CHAPTER = Path("chapter")
EXPERIMENTS = Path("experiment/chapter")


class Skipped(Exception):
    """What an example needs is not here; its row says so and is fine."""


@dataclass(frozen=True)
class Row:
    """One value beside what was expected of it.

    expected is empty where the example was not run, ok None if skipped.
    """

    example: str
    name: str
    expected: str
    got: str
    ok: bool | None


@dataclass(frozen=True)
class Shown:
    """What one example showed: lines of text, and a row for each value."""

    lines: list[str]
    rows: list[Row]


def files(folders: list[Path]) -> dict[str, Path]:
    """{name: YAML file} of every example, in the chapter's order.

    One's own come after. The first folder that has a name wins.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for group in (CHAPTER, EXPERIMENTS):
            for path in sorted((folder / group).glob("*.yaml")):
                found.setdefault(path.stem, path)
    places = {name: place for place, name in enumerate(ORDER)}
    return {
        name: found[name]
        for name in sorted(
            found, key=lambda name: places.get(name, len(places))
        )
    }


ORDER = (
    "tensors",
    "broadcasting",
    "autograd",
    "module",
    "fit_line",
    "step",
    "steps_per_epoch",
    "loader",
    "devices",
    "accumulate",
    "compile",
    "autocast",
    "ddp",
)


def source(name: str, path: Path) -> str:
    """The example's YAML file, and the code that shows it."""
    text = path.read_text(encoding="utf-8").rstrip()
    module = _module(name)
    return (
        text
        if module is None
        else f"{text}\n\n{inspect.getsource(module).rstrip()}"
    )


def show(
    name: str,
    path: Path,
    overrides: list[str],
    folders: list[Path],
    output: Path,
) -> Shown:
    """Run one example; what trains goes into `output`. Raises ConfigError."""
    if path.parent.parent.name == "experiment":
        expect, values = _trained(name, overrides, folders, output)
    else:
        expect, values = _plain(name, overrides, folders)
    lines: list[str] = []
    found: dict[str, Any] = {}
    try:
        for item in values:
            if isinstance(item, str):
                lines.append(item)
            else:
                found[item[0]] = item[1]
    except Skipped as reason:
        return Shown(lines, [Row(name, "not run", "", str(reason), None)])
    return Shown(lines, list(compare(name, expect, found)))


def compare(
    name: str, expect: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[Row]:
    """A row for every value that was expected or found; none may lack."""
    for key in [*expect, *(key for key in found if key not in expect)]:
        if key not in found:
            yield Row(
                name,
                key,
                str(expectations.parse(expect[key])),
                "nothing",
                False,
            )
        elif key not in expect:
            yield Row(
                name, key, "nothing", expectations.shown(found[key]), False
            )
        else:
            expectation = expectations.parse(expect[key])
            both = expectations.shown_apart(expectation, found[key])
            yield Row(name, key, *both, expectation.holds(found[key]))


def _plain(
    name: str, overrides: list[str], folders: list[Path]
) -> tuple[dict[str, Any], Iterator[Any]]:
    node = compose.compose(
        Source(overrides, folders, f"{CHAPTER}/{name}")
    ).data
    return node.pop("expect", {}), target.construct(node, CHAPTER.name)


def _trained(
    name: str, overrides: list[str], folders: list[Path], output: Path
) -> tuple[Mapping[str, Any], Iterator[Any]]:
    from trainer.chapter.experiment import Experiment

    experiment = Experiment(name, overrides, folders, output)
    expect = experiment.config().expect
    module = _module(name)
    if module is not None:
        return expect, module.show(experiment)
    return expect, (
        (key, value)
        for key, value in experiment.train().measured.items()
        if key in expect
    )


def _module(name: str) -> Any:
    """The code of an example, or None for one that is a config alone."""
    found = name.isidentifier() and importlib.util.find_spec(
        f"trainer.chapter.{name}"
    )
    return (
        importlib.import_module(f"trainer.chapter.{name}") if found else None
    )


def failed(name: str, error: Exception) -> Shown:
    """An example that raised, as a row."""
    text = (
        error.message
        if isinstance(error, TrainerError)
        else f"{type(error).__name__}: {error}"
    )
    return Shown([], [Row(name, "not run", "", text.splitlines()[0], False)])
