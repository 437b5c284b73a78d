"""The chapter's examples: they give the values in their files, and a changed input changes the values."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import Cli
from safetensors.torch import load_file

from trainer.chapter import example, table
from trainer.cli import main
from trainer.config import files, user_modules

ALL = example.files(files.roots())
QUICK = [name for name in ALL if name not in ("compile", "ddp", "loader")]


@pytest.mark.slow
def test_all_but_the_slow_ones_pass_and_the_table_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chapter", *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 78
    assert "…" not in "".join(lines)
    named = [line.split()[0] for line in lines[1:-2] if not line.startswith(" ")]
    assert named == QUICK
    table = "\n".join(lines)
    for number in ("101,770", "100,480 + 1,290", "2.008", "1.006", "6.523 -> 0.00968", "(64, 768)", "-0.6", "682.5"):
        (line,) = (line for line in lines if number in line)
        assert line.count(number) == 2, table
    assert re.search(r"^(\d+) of \1 values of 10 examples are as expected", table, flags=re.M)


@pytest.mark.slow
def test_workers_change_nothing_but_the_time(tmp_path: Path) -> None:
    folders = files.roots()
    user_modules.allow_user_modules({}, folders)
    shown = example.show("loader", ALL["loader"], [], folders, tmp_path)
    assert re.fullmatch(r"0 workers: [\d.]+ s; 2 workers: [\d.]+ s", shown.lines[-1])
    assert len(shown.rows) == 5
    assert [row.name for row in shown.rows if not row.ok and row.name != "workers: times as fast"] == []


@pytest.mark.slow
def test_the_whole_chapter_is_one_screen(cli: Cli) -> None:
    done = cli("chapter", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 78
    assert [line.split()[0] for line in lines[1:-2] if not line.startswith(" ")] == list(ALL)


@pytest.mark.parametrize(
    ("words", "name", "got"),
    [
        (["autograd", "a=3"], "c, d, L", "9, 12, 144"),
        (["autograd", "a=3", "b=1"], "dL/da, dL/db", "24, 36"),
        (["autograd", "a=3", "b=1"], "finite differences", "24, 36"),
        (["module", "hidden=64"], "parameters of the MLP", "50,890"),
        (["broadcasting", "width=7"], "(B, 1) + (B, width)", "(64, 7)"),
        (["broadcasting", "batch=3"], "MSE: wrong, right shapes", "1.333, 0"),
        (["tensors", "columns=8"], "stride of x, x.T", "(8, 1), (1, 8)"),
        (["tensors", "terms=[1,2,3]"], "a sum in another order", "0"),
        (["step", "lr=0.5"], "next, without zero_grad", "-3"),
        (["steps_per_epoch", "dataset.num_points=65"], "ceil(N/B), N-1 to N+1", "2, 3, 3"),
        (["steps_per_epoch", "dataset.num_points=65"], "whole run, with drop_last", "9, 6"),
        (["fit_line", "max_steps=1"], "steps", "1"),
        (["fit_line", "dataset.noise=0", "epochs=500"], "w", "2"),
        (["accumulate", "accumulate=2", "max_steps=9"], "steps: small, whole", "9, 9"),
        (["autocast", "autocast=none", "max_steps=2"], "activation bytes, ratio", "1"),
    ],
)
def test_values_follow_the_input(words: list[str], name: str, got: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chapter", *words]) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line[16:41].strip() == name)
    assert (line[59:75].strip(), line[76:]) == (got, "NO")


@pytest.mark.slow
def test_fit_line_is_the_chapters_program_to_the_last_digit(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "experiment=chapter/fit_line")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "learned w=2.008 (true 2.0), b=1.006 (true 1.0)" in lines
    assert "loss: 6.523 -> 0.00968 over 60 steps" in lines
    assert "expect   4 of 4 values are as expected" in lines
    assert any(line.startswith("loss  ⠒ train") for line in lines)
    weights = load_file(tmp_path / "outputs/latest/model.safetensors")
    assert abs(weights["linear.weight"].item() - 2.0084403576311183) <= 1e-12
    assert abs(weights["linear.bias"].item() - 1.0059666211785645) <= 1e-12


def test_a_learning_rate_too_large_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["train", "experiment=chapter/fit_line", "report=false", "optimizer.lr=1.5"]
    assert main(fit) == 0
    end = capsys.readouterr().out
    assert re.search(r"^hint     the loss grew from \S+ to \S+: try optimizer.lr=0.15$", end, flags=re.M)
    assert main([*fit, "dtype=float32", "epochs=200"]) == 3
    assert "the loss is NaN or infinite at step" in capsys.readouterr().err


@pytest.mark.slow
def test_fit_line_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "experiment=chapter/fit_line", "-m", "optimizer.lr=0.01,0.1,0.5"]) == 0
    out = capsys.readouterr().out
    assert [out.count(f"] lr={lr}  ") for lr in ("0.01", "0.1", "0.5")] == [1, 1, 1]
    assert len(list(tmp_path.glob("outputs/sweeps/*/*/*/model.safetensors"))) == 3


def test_without_a_compiler_the_row_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(shutil.which("git") or "/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert main(["chapter", "compile"]) == 0
    assert "not run: compile=model needs a C++ compiler" in capsys.readouterr().out


def test_each_file_opens_with_claim_command_and_numbers_on_80_columns() -> None:
    for name, path in ALL.items():
        assert max(map(len, example.source(name, path).splitlines())) <= 78, name
        package, claim, *comments = re.findall("^#.*", path.read_text(encoding="utf-8"), flags=re.M)
        assert (package, claim[-1]) == ("# @package _global_", "."), name
        command = rf"#   trainer (chapter {name}|train experiment=chapter/{name})\b"
        assert any(re.match(command, line) for line in comments), name
        assert any(line.startswith("# expect: ") for line in comments), name


def test_your_own_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "conf/chapter"
    folder.mkdir(parents=True)
    (folder / "own_example.py").write_text(
        "def show(x):\n    yield 'it halves'\n    yield 'half', x / 2\n    yield 'double', 2 * x\n"
        "    if x > 9:\n        raise OverflowError('too much')\n"
    )
    text = "# @package _global_\n# Half.\n_target_: own_example.show\nx: 4\nexpect: {half: 2.0, third: 1}\n"
    (folder / "halves.yaml").write_text(text)
    assert main(["chapter", "halves"]) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["halves", "half", "2", "2", "ok"] in rows
    assert ["third", "1", "nothing", "NO"] in rows
    assert ["double", "nothing", "8", "NO"] in rows
    assert main(["chapter", "halves", "x=10"]) == 1
    assert "OverflowError: too much" in " ".join(capsys.readouterr().out.split())
    assert main(["chapter", "halves", "y=1"]) == 2
    assert "y" in capsys.readouterr().err


def test_the_table_of_all_keeps_each_value_that_differs() -> None:
    rows = list(example.compare("first", dict.fromkeys("abcdef", 1), dict.fromkeys("abcdef", 1) | {"e": 2}))
    assert [row.name for row in table.headlines(rows)] == ["a", "b", "c", "e"]
    lines = list(table.lines([*rows, example.Row("next", "a long name " * 3, "1", "x" * 40, False)]))
    assert "".join(line[59:75].strip() for line in lines[7:]) == "x" * 40
    assert "".join(lines).count("first") == 1
    assert table.verdict(rows, 1.0) == "5 of 6 values of 1 examples are as expected (1.0 s)"


def test_slips_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chapter", "autograph"]) == 2
    assert "Did you mean autograd?" in capsys.readouterr().err
    assert main(["chapter", "a=3"]) == 2
    assert "trainer chapter NAME a=3" in capsys.readouterr().err
    assert main(["chapter", "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed if not line.startswith(" ")] == list(ALL)
    assert max(map(len, listed)) <= 78
    assert main(["ls"]) == 0
    shown = capsys.readouterr().out
    assert "chapter/fit_line" in shown
    assert "chapter=" not in shown
