"""The README and the guide: every command runs, page by page, in its own folder, with the files that the page shows.

In a console block a command may end in "# exit code N", and the lines below it are lines that it prints, or their
beginnings before a "…".
"""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from test_imports import LINES

from trainer.cli import main

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")

FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", re.M | re.S)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
EXIT_CODE = re.compile(r"# exit code (\d+)$")
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
REACHES = re.compile(r"^It reaches `([\w/]+)` (above|below) (\d+\.?\d*)", re.M)
ANY_JOB = "docs/any-job.md"
JOBS = dict(re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##|\Z)", PAGES[ANY_JOB], re.M | re.S))
DIALECT = re.compile(r"\banew\b|(?<!there )is no [a-z]|goes on with|\bwhoever\b|came to be|of one's own", re.I)

NEEDED = {
    "format=onnx": ("onnxruntime", "onnxscript"),
    "mlflow=true": ("tensorboard", "mlflow"),
    "wandb=": ("wandb",),
    "metrics=": ("torchmetrics",),
    "from sklearn": ("sklearn",),
}


class Command(NamedTuple):
    words: list[str]
    exit_code: int
    prints: list[str]


def commands(text: str) -> Iterator[Command]:
    for block in CONSOLE.findall(text):
        for line, *prints in (command.splitlines() for command in block.removeprefix("$ ").split("\n$ ")):
            code = EXIT_CODE.search(line)
            yield Command(shlex.split(line, comments=True), int(code[1]) if code else 0, prints)


def write_files(text: str, folder: Path) -> None:
    for name, content in FILE.findall(text):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page != ANY_JOB and any(commands(PAGES[page]))])
def test_every_command_runs(
    page: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for word, libraries in NEEDED.items():
        for library in libraries if word in PAGES[page] else ():
            pytest.importorskip(library)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    write_files(PAGES[page], tmp_path)
    before = set(sys.modules)
    for (program, *words), exit_code, prints in commands(PAGES[page]):
        capfd.readouterr()
        if program == "cd":
            monkeypatch.chdir(words[0])
            continue
        assert program in ("python", "trainer")
        got = main(words) if program == "trainer" else subprocess.run([sys.executable, *words]).returncode
        out, err = capfd.readouterr()
        assert got == exit_code, (words, out, err)
        for line in prints:
            assert in_one_line(line.removesuffix("…")) in in_one_line(out + err), words
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("job", [job for job, text in JOBS.items() if REACHES.search(text)])
def test_any_job_reaches_its_number(job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if job == "Hugging Face":
        pytest.importorskip("transformers")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    write_files(JOBS[job], tmp_path)
    (((program, *words), exit_code, prints),) = commands(JOBS[job])
    assert (program, exit_code, prints) == ("trainer", 0, [])
    assert main([*words, "threads=1", "device=cpu", "report=false"]) == 0
    ((metric, side, value),) = REACHES.findall(JOBS[job])
    found = json.loads(Path("outputs/latest/summary.json").read_text())["best"][metric]
    assert found > float(value) if side == "above" else found < float(value), found


@pytest.mark.no_torch
def test_any_job_has_its_jobs() -> None:
    assert sum(bool(REACHES.search(text)) for text in JOBS.values()) == 9


@pytest.mark.no_torch
def test_every_page_is_in_the_index_and_its_lines_fit() -> None:
    for page, text in PAGES.items():
        assert [line for line in text.splitlines() if len(line) > 125 and not line.startswith("|")] == [], page
        assert DIALECT.findall(text) == [], page
    index = PAGES["docs/README.md"] + PAGES["docs/errors/README.md"].replace("](", "](errors/")
    missing = [page for page in PAGES if f"]({page.removeprefix('docs/')})" not in index]
    assert missing == ["docs/README.md", "README.md"]


@pytest.mark.no_torch
def test_pictures_are_there_used_and_small() -> None:
    shown = {(ROOT / page).parent / name for page, text in PAGES.items() for name in PICTURE.findall(text)}
    assert shown == set((DOCS / "pictures").iterdir())
    assert all(path.stat().st_size < 200_000 for path in shown)


@pytest.mark.no_torch
def test_links_of_the_readme_lead_somewhere() -> None:  # zensical checks those between the pages
    for target in re.findall(r"\]\(([^)#]+)", PAGES["README.md"]):
        assert (ROOT / target).exists(), target
    assert "(docs/README.md)" in PAGES["README.md"]


@pytest.mark.no_torch
def test_the_order_of_imports_is_the_one_that_is_checked() -> None:
    steps = re.findall(r"^\d+\. (.+)$", PAGES["docs/architecture.md"], re.M)
    assert [["__main__"], *(re.findall(r"`(\w+)`", step) for step in steps)] == LINES


@pytest.mark.no_torch
def test_the_reference_is_what_the_schema_says() -> None:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert PAGES["docs/reference.md"] == module.reference(), "run python docs/reference.py"
