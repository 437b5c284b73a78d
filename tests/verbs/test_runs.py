"""What a run is called and what for; runs and compare that list only some; the code that was not committed."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import Cli

import trainer
from trainer.cli import main
from trainer.disk import layout
from trainer.run import git_diff

QUICK = ["dataset=iris", "epochs=1", "threads=1", "device=cpu", "report=false", "model.hidden=[4]"]


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    """The labels of the runs that `trainer runs` lists."""
    capsys.readouterr()
    assert main(["runs", *words]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    return {re.sub(r".*/[\d-]+-(.*)-[0-9a-f]{4} .*", r"\1", line) for line in lines}


@pytest.fixture
def three(capsys: pytest.CaptureFixture[str]) -> None:
    trainer.train([*QUICK, "name='Base: one'", "tags=[baseline,long]", "notes=the start"])
    trainer.train([*QUICK, "name=base-two", "tags=[baseline]", "optimizer.lr=0.01"])
    trainer.train([*QUICK[:-1], "model=linear"])


@pytest.mark.usefixtures("three")
def test_runs_and_compare_list_what_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    one, two, other = "base-one", "base-two", "iris-linear"
    assert listed(capsys) == {one, two, other}
    for words, expected in {
        "tags=baseline": {one, two},
        "tags=[long,baseline]": {one},
        "name=base*": {one, two},
        "name=base-two": {two},
        "notes=*start": {one},
        "model=linear": {other},
        "model=MLP optimizer.lr=1e-2": {two},
        "status=ok optimizer.lr=0.002": {one, other},
        "model=trainer.models.*.MLP": {one, two},
    }.items():
        assert listed(capsys, *words.split()) == expected, words
    assert main(["runs", "outputs", "tags=long"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].endswith("baseline, long")
    for nothing in ("tags=nothing", "optimizer.lr=2", "optimizer.lr=01"):
        assert main(["runs", nothing]) == 0
        assert (
            f"none of 3 runs in outputs/ has {nothing}; those of sweeps: trainer runs --sweeps"
            in capsys.readouterr().out
        )
    assert main(["compare", "tags=baseline", "--csv"]) == 0
    assert capsys.readouterr().out.count("base-") == 2
    for words, said in (
        (["runs", "tag=baseline"], "no run here has a key 'tag'\n  try: tags=baseline"),
        (["compare", "tags=nothing"], "none of 3 runs has tags=nothing"),
        (["compare", "modle=mlp"], "try: model=mlp"),
        (["runs", "outputs", "other"], "runs lists one folder"),
        (["train", "tags=baseline"], "tags must be a list of text"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err


def test_a_run_says_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, "name=mine", "tags=[a,b]", "notes=why it is"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("name     mine")
    assert lines[start : start + 3] == ["name     mine", "         tags: a, b", "         why it is"]
    summary = layout.read_summary(Path("outputs/latest"))
    assert (summary["name"], summary["tags"], summary["notes"]) == ("mine", ["a", "b"], "why it is")
    assert main(["resume", "latest", "epochs=2"]) == 0  # a config that holds them is read again


def git(*words: str) -> None:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    subprocess.run(["git", *words], check=True, capture_output=True, env={**os.environ, **identity})


@pytest.mark.slow
def test_the_code_of_a_run_can_be_had_again(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "-q")
    (tmp_path / "code").mkdir()
    net, data = tmp_path / "code/net.py", tmp_path / "code/rows.bin"
    net.write_text("width = 3\n")
    data.write_bytes(bytes(range(256)))
    (tmp_path / "beside.py").write_text("a = 1\n")
    git("add", "code", "beside.py")
    git("commit", "-qm", "first")
    for name in ("noprefix", "relative"):  # what the user has set for other purposes
        git("config", f"diff.{name}", "true")
    git("config", "core.fsmonitor", "touch fsmonitor-was-called")
    net.write_text("width = 4\n")
    (tmp_path / "beside.py").write_text("a = 2\n")
    data.write_bytes(bytes(range(255)))
    done = cli("train", *QUICK, "output_dir=../outputs", cwd=tmp_path / "code")
    assert (done.returncode, done.stderr) == (0, "")
    (diff,) = tmp_path.glob("outputs/*/*/git.diff")
    assert not list(tmp_path.rglob("fsmonitor-was-called"))
    git("config", "core.fsmonitor", "false")
    expected = net.read_bytes(), data.read_bytes()
    git("checkout", "-q", ".")
    assert net.read_text() == "width = 3\n"
    git("config", "diff.noprefix", "false")
    git("apply", str(diff))
    assert (tmp_path / "beside.py").read_text() == "a = 2\n"
    assert (net.read_bytes(), data.read_bytes()) == expected
    git("checkout", "-q", ".")
    assert cli("train", *QUICK).returncode == 0
    assert not (tmp_path / "outputs/latest/git.diff").exists()  # nothing has changed
    git_diff.changes.cache_clear()
    net.write_text("width = 5\n" * 100)
    monkeypatch.setattr(git_diff, "MOST", 100)
    git_diff.write(tmp_path)
    assert not (tmp_path / "git.diff").exists()
    git_diff.changes.cache_clear()
