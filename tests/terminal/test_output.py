"""Standard output that is full, closed or read in part: a result is whole or exit code 4, and work is done."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import needs_torch
from live_run import ROOT, start

pytestmark = [pytest.mark.no_torch, pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")]

FULL = "standard output cannot be written: No space left on device"
CLOSED = "standard output cannot be written: it is closed"
BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"])


def typed(folder: Path, line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in which `trainer` is the program."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / ".config"), **env}
    trainer = f'trainer() {{ {sys.executable} -m trainer "$@"; }}; '
    return subprocess.run(["bash", "-c", trainer + line], cwd=folder, env=environment, capture_output=True, text=True)


@BUFFERED
@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("trainer ls > /dev/full", FULL),
        ("trainer completion bash > /dev/full", FULL),
        pytest.param("trainer plan device=cpu > /dev/full", FULL, marks=[pytest.mark.slow, needs_torch]),
        pytest.param("trainer plan device=cpu >&-", CLOSED, marks=[pytest.mark.slow, needs_torch]),
        ("trainer runs >&-", CLOSED),
        ("(ulimit -f 1; trainer ls > part)", "standard output cannot be written: File too large"),
    ],
)
def test_a_result_is_written_in_full_or_exit_4(line: str, error: str, unbuffered: str, tmp_path: Path) -> None:
    if "part" in line:  # the first 1,024 bytes fit; a stream of Python that is not buffered forgets the rest
        assert len(typed(tmp_path, "trainer ls").stdout.encode()) > 1024
    done = typed(tmp_path, line, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (4, f"error: {error}\n")


def test_a_reader_that_goes_away_is_no_error_and_the_exit_code_stays(tmp_path: Path) -> None:
    done = typed(
        tmp_path, "trainer ls | head -1; echo ${PIPESTATUS[0]}; trainer eval none | true; echo ${PIPESTATUS[0]}"
    )
    assert done.stdout.splitlines()[1:] == ["0", "2"]
    assert done.stderr.startswith("error: no run 'none'")
    done = typed(tmp_path, "trainer eval none 2>&- ; echo $?; trainer eval none 2>/dev/full; echo $?")
    assert (done.stdout, done.stderr) == ("2\n2\n", "")


def test_a_pipe_that_does_not_block_gets_everything() -> None:
    program = """
import os
from trainer.terminal import output
os.set_blocking(1, False)
output.install()
for number in range(100_000):
    print(number)
"""
    process = subprocess.Popen([sys.executable, "-uc", program], cwd=ROOT, stdout=-1, stderr=-1, text=True)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert list(map(int, out.split())) == list(range(100_000))


@needs_torch
@pytest.mark.parametrize(
    "words",
    [["nproc=1"], *(pytest.param(words, marks=pytest.mark.slow) for words in (["nproc=2"], ["-m", "seed=0,1"]))],
)
def test_a_run_ends_all_the_same_where_its_lines_have_no_room(words: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start(tmp_path, "train", "epochs=2", "report=false", "device=cpu", *words, stdout=full.fileno())
        _, said = process.communicate(timeout=120)
    assert said == f"warning: {FULL}; the work continues\n"
    assert process.returncode == 4
    (folder,) = tmp_path.glob("outputs/sweeps/2*/*" if "-m" in words else "outputs/2*/*")
    log = (folder / ("sweep.log" if "-m" in words else "train.log")).read_text()
    assert log.count(f"note     {FULL}; the work continues\n") == 1
    assert "\nnext     trainer eval latest" in log
    summaries = [json.loads(path.read_text()) for path in folder.rglob("summary.json")]
    assert [(summary["status"], summary["steps"]) for summary in summaries] == [("ok", 46)] * len(summaries)
    assert len(summaries) == (2 if "-m" in words else 1)


@needs_torch
@pytest.mark.slow
@pytest.mark.parametrize(("words", "code"), [(["epochs=30"], 0), (["optimizer.lr=1e30"], 3)])
def test_a_run_whose_reader_goes_away_ends_as_if_it_had_been_read(words: list[str], code: int, tmp_path: Path) -> None:
    process = start(tmp_path, "train", "device=cpu", *words, stdout=subprocess.PIPE)
    for _ in range(3):
        process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert said.startswith("error: the loss is NaN") if code else said == ""
    (folder,) = tmp_path.glob("outputs/2*/*")
    assert (
        "\nnote     the reader of standard output has gone; the work continues\n" in (folder / "train.log").read_text()
    )
    if not code:
        assert (folder / "report.html").exists()
        assert json.loads((folder / "summary.json").read_text())["steps"] == 30 * 23


@needs_torch
@pytest.mark.slow
def test_without_a_standard_output_a_run_is_silent(tmp_path: Path) -> None:
    done = typed(
        tmp_path, "trainer train epochs=2 report=false <&- >&-; echo $? > code; trainer verify max_steps=9 >&-"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "code").read_text() == "0\n"
    (log,) = tmp_path.glob("outputs/2*/*/train.log")
    assert "note " not in log.read_text()
    assert [line for line in log.read_text().splitlines() if line][-1].startswith("next     trainer eval")


@needs_torch
@pytest.mark.slow
@BUFFERED
def test_predictions_that_have_no_room(unbuffered: str, tmp_path: Path) -> None:
    rows = "".join(f"{row % 7},{row % 11},{row % 13}\n" for row in range(30_000))
    (tmp_path / "t.csv").write_text("a,b,y\n" + rows)
    words = "dataset=table dataset.path=t.csv dataset.target=y epochs=1 report=false"
    line = f"trainer train {words} > log && trainer predict latest t.csv > whole; trainer predict latest t.csv > "
    done = typed(tmp_path, line + "/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (4, f"error: {FULL}\n")
    whole = (tmp_path / "whole").read_bytes()
    assert whole.count(b"\n") == 30_001
    done = typed(tmp_path, "trainer predict latest t.csv | head -3; exit ${PIPESTATUS[0]}", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stdout, done.stderr) == (0, "".join(whole.decode().splitlines(True)[:3]), "")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", disk], capture_output=True).returncode:
        pytest.skip("no small disk without root")
    try:
        done = typed(tmp_path, "trainer predict latest t.csv > disk/out", PYTHONUNBUFFERED=unbuffered)
        assert (done.returncode, done.stderr) == (4, f"error: {FULL}\n")
        assert whole.startswith((disk / "out").read_bytes())
    finally:
        subprocess.run(["umount", disk], check=True)
