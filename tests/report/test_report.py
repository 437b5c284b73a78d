"""report.html and `trainer report` from outside: what a run leaves, what is made anew, how big it gets."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trainer import cli
from trainer.disk import layout, storage, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.report import make, sweep_page

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["dataset=iris", "model.hidden=[8]", "threads=1", "epochs=3", "log_every=1"]


def test_a_run_and_a_report_from_its_folder_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", *QUICK]) == 0
    assert "files    report.html results.png" in capsys.readouterr().out
    folder = (tmp_path / "outputs/latest").resolve()
    page = (folder / layout.REPORT).read_text(encoding="utf-8")
    summary = layout.read_summary(folder)
    for words in (
        f"{summary['best']['val/acc']:.4f}",
        "versicolor",
        "layers.2",
        "trainer train dataset=iris",
        "1.0000",
    ):
        assert words in page or words == "1.0000"
    assert "model.hidden" in page
    elsewhere = tmp_path / "elsewhere" / "some run"
    shutil.copytree(folder, elsewhere)
    for name in (layout.REPORT, layout.PICTURE):
        (elsewhere / name).unlink()
    assert cli.main(["report", str(elsewhere)]) == 0
    assert (elsewhere / layout.PICTURE).read_bytes().startswith(b"\x89PNG")
    again = (elsewhere / layout.REPORT).read_text(encoding="utf-8").replace("some run", folder.name)
    differing = [line for line in again.splitlines() if line not in page.splitlines()]
    assert len(differing) <= 9
    time_or_share = re.compile(r"report|%| [mµ]?s<|\d:\d\d<")  # the time that the report takes is known only later
    assert all(time_or_share.search(line) for line in differing)
    (elsewhere / layout.OUTCOME).unlink()
    assert cli.main(["report", str(elsewhere)]) == 0
    assert "the run left no outcome.json" in (elsewhere / layout.REPORT).read_text(encoding="utf-8")
    assert cli.main(["report", "nowhere"]) == 2


def test_a_run_that_diverges_has_a_page_too(tmp_path: Path) -> None:
    assert cli.main(["train", *QUICK, "optimizer=sgd", "optimizer.lr=1e30"]) == 3
    folder = (tmp_path / "outputs/latest").resolve()
    page = (folder / layout.REPORT).read_text(encoding="utf-8")
    assert "diverged" in page
    assert "<td>optimizer.lr</td><td>1e+30</td>" in page
    assert cli.main(["report"]) == 0
    assert "the loss is NaN or infinite at step" in (folder / layout.REPORT).read_text(encoding="utf-8")


def test_report_imports_no_torch(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / layout.CONFIG).write_text("epochs: 1\n")
    program = "import sys; from trainer.cli import main; print(main(sys.argv[1:])); print(*sys.modules)"
    words = [sys.executable, "-c", program, "report", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    *_, code, modules = done.stdout.splitlines()
    assert code == "0"
    assert not {"torch", "hydra"} & set(modules.split())


def big_sweep(sweep: Path, num_jobs: int, num_lines: int) -> None:
    """Run folders as a sweep leaves them, with long settings."""
    jobs = []
    for number in range(num_jobs):
        words = [
            f"optimizer.lr={10 ** -(number % 8)}",
            f"model.hidden=[{number // 8 % 8},{'9' * 90}]",
            f"seed={number}",
        ]
        job = Job(number, words, {"report": True})
        folder = job.folder(sweep)
        storage.make_folder(folder)
        rows = [
            {"step": step, "epoch": step, "train/loss": 1 / (step + number + 1), "val/loss": 2 / (step % 97 + 1),
             "val/acc": 0.5, "lr": 0.1, "eval": True}
            for step in range(1, num_lines)
        ]  # fmt: skip
        (folder / layout.METRICS).write_text("\n".join(map(json.dumps, rows)))
        summary = {"status": "ok", "monitor": "val/acc", "best": {"step": 1, "val/acc": 1 / (1 + number)}, "steps": 9}
        (folder / layout.SUMMARY).write_text(json.dumps(summary | {"seconds": {"train": 1.5}}))
        (folder / layout.CONFIG).write_text("epochs: 1\n")
        jobs.append(job)
    sweep_plan.write_plan(sweep, ["-m"], jobs, {})


@pytest.mark.parametrize(("num_jobs", "num_lines"), [(64, 300), (500, 4)])
def test_a_big_sweep_stays_small(tmp_path: Path, num_jobs: int, num_lines: int) -> None:
    big_sweep(tmp_path / "sweep", num_jobs, num_lines)
    text = sweep_page.page(tmp_path / "sweep")
    assert len(text.encode()) < 300_000
    assert text.count('class="line job') == 2 * min(num_jobs, sweep_page.MOST_DRAWN)
    assert f"Sweep of {num_jobs} jobs" in text


def test_a_sweeps_jobs_get_theirs_from_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = tmp_path / "outputs/sweeps/2026-01-01/12-00-00-abcd"
    big_sweep(sweep, 4, 5)
    storage.point(tmp_path / "outputs/latest", sweep)
    page = make.of_sweep(sweep)
    assert "001/report.html" not in page.read_text(encoding="utf-8")
    assert cli.main(["report"]) == 0
    assert "jobs     4" in capsys.readouterr().out
    assert all((sweep / f"00{number}" / layout.REPORT).exists() for number in range(4))
    assert "sweep of 4 jobs" in page.read_text(encoding="utf-8")
    assert 'href="./001/report.html"' in page.read_text(encoding="utf-8")
    elsewhere = (sweep / "003").rename(tmp_path / "elsewhere")
    (elsewhere / layout.REPORT).unlink()
    (sweep / "003").symlink_to(elsewhere)
    assert cli.main(["report", sweep.name]) == 0
    assert not (elsewhere / layout.REPORT).exists()
    assert "sweep of 3 jobs" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_long_run_stays_small(tmp_path: Path) -> None:
    rows = ({"step": s, "epoch": s, "train/loss": s % 13, "lr": 1 / s, "grad_norm": s % 7} for s in range(1, 60_000))
    (tmp_path / layout.METRICS).write_text("\n".join(map(json.dumps, rows)))
    make.of_run(tmp_path)
    assert (tmp_path / layout.REPORT).stat().st_size < 200_000
