"""The architecture, held: imports point one way, without a circle, and the floor plan stays small."""

import ast
import re
from pathlib import Path

import pytest

import trainer

pytestmark = pytest.mark.no_torch

ROOT = Path(trainer.__file__).parent

# From the doors down to the ground. A room imports rooms of lower lines only; rooms of one line do not know each other.
LINES = [
    ["__main__"],
    ["sklearn"],
    ["cli", "python"],
    ["verbs"],
    ["diagnosis", "sweep", "chapter"],
    ["run"],
    ["report"],
    ["inference"],
    ["build"],
    ["listeners", "steps"],
    ["loop", "checkpoint"],
    ["guards", "state", "events"],
    ["tasks"],
    ["data"],
    ["optim", "processes", "compare", "progress", "watch"],
    ["augment", "models", "stopping", "device", "kernels"],
    ["config"],
    ["terminal"],
    ["disk"],
    ["errors", "schedules"],
    ["text"],
]
LINE = {room: number for number, rooms in enumerate(LINES) for room in rooms}

UPWARD = {  # (file, what it imports): why it may
    ("__init__.py", "python"): "trainer.train() is imported when somebody asks for it",
    ("__init__.py", "events"): "so are trainer.Stepped and the other events",
    ("__init__.py", "listeners"): "so is trainer.Listener",
}

NO_ROOM = ("template",)  # what `trainer init` copies; nobody imports it
BANNED = ("utils", "helpers", "common", "base", "core", "manager")


def modules() -> dict[str, Path]:
    """{dotted name without `trainer.`: file}."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in NO_ROOM:
            found[".".join(parts).removesuffix("__init__").rstrip(".")] = path
    return found


MODULES = modules()


def imported(path: Path) -> set[str]:
    """The modules of trainer that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == "trainer" or name.startswith("trainer."):
                parts = name.split(".")[1:]
                while parts and ".".join(parts) not in MODULES:
                    parts.pop()
                found.add(".".join(parts))
    return found


def room(module: str) -> str:
    return module.partition(".")[0]


def test_imports_point_down_except_those_that_are_named() -> None:
    upward = set()
    for module, path in MODULES.items():
        for other in imported(path):
            here, there = room(module), room(other)
            if there == here or not there:
                continue
            if not here or LINE[there] <= LINE[here]:
                upward.add((path.relative_to(ROOT).as_posix(), other))
    assert upward == set(UPWARD)
    assert len(UPWARD) <= 3


def test_no_file_imports_itself_by_a_detour() -> None:
    graph = {module: imported(path) - {module, ""} for module, path in MODULES.items() if module}
    while leaves := {module for module, others in graph.items() if not others & graph.keys()}:
        graph = {module: others for module, others in graph.items() if module not in leaves}
    assert not {module: sorted(others & graph.keys()) for module, others in graph.items()}


def test_the_floor_plan_stays_small() -> None:
    assert {room(module) for module in MODULES} - {""} == set(LINE)
    files = list(ROOT.glob("*.py"))
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert len(files) <= 16
    assert len(folders) <= 23
    for module, path in MODULES.items():
        assert path.read_text(encoding="utf-8").count("\n") <= 250, path
        assert not any(re.fullmatch(word, part) for word in BANNED for part in module.split(".")), path
