"""Every command of the guide, page by page, each in a folder of its own with the files that the page shows."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.cli import main

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "README")
FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", re.M | re.S)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.M | re.S)

NEEDED = {"format=onnx": ("onnxruntime", "onnxscript"), "mlflow=true": ("tensorboard", "mlflow")}


def commands(text: str) -> list[str]:
    return [line[2:] for block in CONSOLE.findall(text) for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(
    page: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    for word, libraries in NEEDED.items():
        for library in libraries if word in text else ():
            pytest.importorskip(library)
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, code in FILE.findall(text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    typed = commands(text)
    assert typed
    for command in typed:
        program, *words = shlex.split(command)
        if program == "cd":
            monkeypatch.chdir(words[0])
        elif program == "python":
            assert subprocess.run([sys.executable, *words]).returncode == 0, (command, capfd.readouterr())
        else:
            assert program == "trainer"
            assert main(words) == 0, (command, capfd.readouterr().err)
    for name in ("my_net", "stripes"):
        sys.modules.pop(name, None)


def test_what_it_links_to_is_there_and_small() -> None:
    for path in DOCS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", text):
            assert (DOCS / target).is_file(), (path.name, target)
        assert max(map(len, text.splitlines())) <= 125
    index = (DOCS / "README.md").read_text()
    assert [page for page in PAGES if f"({page}.md)" not in index] == []
    pictures = list((DOCS / "pictures").iterdir())
    assert pictures
    assert all(path.stat().st_size < 100_000 for path in pictures)


def test_every_verb_and_page_is_found_from_the_readme() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    assert "(docs/README.md)" in readme
