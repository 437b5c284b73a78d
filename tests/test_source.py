"""What must not stand in trainer's code, by its syntax."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainer

pytestmark = pytest.mark.no_torch

FORBIDDEN_CALLS = {
    "eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "extractall", "hydra.utils.instantiate",
    "instantiate", "hydra.utils.get_class", "hydra.utils.get_object", "hydra.utils.call", "os.system", "os.popen",
}  # fmt: skip
ALLOWED = {"start_ranks.py": ["import pickle"]}  # a rank gets a program's objects from the process that started it
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def findings(source: str) -> Iterator[str]:
    """What is wrong with a module's text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if a.name.partition(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
                yield f"from {node.module}"
            yield from (f"import {a.name}" for a in node.names if a.name in FORBIDDEN_CALLS)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in FORBIDDEN_CALLS or name.rpartition(".")[2] == "extractall":
                yield name
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name == "torch.load" and given.get("weights_only") != "True":
                yield "torch.load without weights_only=True"
            if given.get("allow_pickle", "False") != "False":
                yield "allow_pickle"
            if given.get("shell", "False") != "False":
                yield "shell"
            if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
                yield "np.load without allow_pickle=False"


def test_nothing_in_trainer_executes_what_it_reads() -> None:
    paths = sorted(Path(trainer.__file__).parent.rglob("*.py"))
    assert len(paths) > 50
    found = {path.name: list(findings(path.read_text(encoding="utf-8"))) for path in paths}
    assert {name: wrong for name, wrong in found.items() if wrong} == ALLOWED


OWN_WORDS = ("bench", "chapter", "completion", "config", "init", "ls", "verify")  # verbs that print nobody else's
PRINTING = ("print", "sys.stdout.write", "traceback.print_exc")
CLEAN = ("cleaned", "plain.json_text", "table.csv_text", "table.markdown")


def raw_prints(source: str) -> Iterator[str]:
    """Calls of print whose text is not clean: stderr is for complain, people's lines are for a Screen."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (function := ast.unparse(node.func)) in PRINTING:
            (text,) = node.args[:1] or [ast.Constant("")]
            fixed = isinstance(text, ast.Constant) or (
                isinstance(text, ast.JoinedStr) and all(isinstance(part, ast.Constant) for part in text.values)
            )
            by = ast.unparse(text.func) if isinstance(text, ast.Call) else ""
            if function != "print" or not (fixed or by.partition("[")[0] in CLEAN):
                yield ast.unparse(node)


def test_what_comes_from_a_folder_is_printed_clean() -> None:
    root = Path(trainer.__file__).parent
    rooms = ("verbs", "sweep", "inference", "run", "report", "compare")
    paths = [path for room in rooms for path in (root / room).glob("*.py") if path.stem not in OWN_WORDS]
    found = {path.name: list(raw_prints(path.read_text(encoding="utf-8"))) for path in paths}
    assert len(found) > 40
    assert {name: calls for name, calls in found.items() if calls} == {}
    wrong = ["print(x)", "print(f'{x}')", "sys.stdout.write(x)", "traceback.print_exc()"]
    assert [source for source in wrong if not list(raw_prints(source))] == []


def test_the_check_finds_each_kind() -> None:
    wrong = [
        "import pickle", "from pickle import loads", "eval('1')", "exec('1')", "yaml.load(x)", "t.extractall()",
        "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "np.load(f, allow_pickle=True)",
        "hydra.utils.instantiate(c)", "from hydra.utils import instantiate", "run('x', shell=True)", "os.system('x')",
    ]  # fmt: skip
    assert [source for source in wrong if not list(findings(source))] == []
