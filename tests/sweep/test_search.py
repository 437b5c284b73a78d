"""Search: optuna proposes and is told; the study is built again from the folders of the jobs."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Cli

pytest.importorskip("optuna")

from trainer.compare.rows import Row
from trainer.config.search_space import Axis, Space, Variant
from trainer.disk.sweep_plan import Job
from trainer.sweep import search
from trainer.sweep.search import Search

pytestmark = pytest.mark.optional

AXES = [
    Axis("optimizer.lr", (), 1e-4, 1e-1, False, True),
    Axis("epochs", (), 1, 9, True),
    Axis("model", ("a", "b"), values=("a", "b")),
]
ODD = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features, how=0):
        super().__init__()
        self.layer, self.how = nn.Linear(in_features, out_features), how

    def forward(self, x):
        if self.training and self.how == 1:
            raise RuntimeError("on purpose")
        return self.layer(x.flatten(1)) * (float("nan") if self.training and self.how == 2 else 1.0)
"""


def space(prune: bool = True) -> Space:
    return Space(AXES, [Variant({}, ["seed=3"], [axis.key for axis in AXES], {})], 9, 0, prune)


def row(status: str, value: float | None = None) -> Row:
    metrics = {} if value is None else {"val/acc": value}
    return Row("run", {}, status, "val/acc", metrics, 1.0, 1, [], None)


def write_metrics(folder: Path, accuracy: float) -> None:
    folder.mkdir()
    lines = [{"step": step, "epoch": step, "eval": True, "train/loss": 1.0, "val/acc": accuracy} for step in (1, 2)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")


def told(study: Search, rows: dict[int, Row], folder: Path, jobs: list[Job]) -> None:
    sweep: Any = SimpleNamespace(row=lambda job: rows[job.number], need_folder=lambda: folder)
    study.tell(jobs, sweep)


def test_it_proposes_in_range_and_is_built_again_from_the_jobs(tmp_path: Path) -> None:
    first = Search(space(), "val/acc", "max")
    first.begin()
    trials = [first.ask() for _ in range(5)]
    for trial in trials:
        assert 1e-4 <= float(trial["optimizer.lr"]) <= 1e-1
        assert trial["epochs"] in "123456789"
        assert trial["model"] in ("a", "b")
    jobs = [Job(number, [], {}, trial) for number, trial in enumerate(trials)]
    rows = dict(enumerate([row("ok", 0.5), row("failed"), row("running"), row("pruned"), row("ok", 0.9)]))
    told(first, rows, tmp_path, jobs)
    assert [trial.state.name for trial in first.study.trials] == ["COMPLETE", "FAIL", "RUNNING", "PRUNED", "COMPLETE"]

    again = Search(space(), "val/acc", "max")
    for job in jobs:
        again.add(job, rows[job.number], tmp_path / f"{job.number:03d}", is_open=job.number in (1, 2))
    again.begin()
    assert [trial.params for trial in again.study.trials] == [trial.params for trial in first.study.trials]
    states = [trial.state.name for trial in again.study.trials]
    assert states == ["COMPLETE", "RUNNING", "RUNNING", "PRUNED", "COMPLETE"]
    told(again, {1: row("ok", 0.95), 2: row("diverged")}, tmp_path, jobs[1:3])
    assert (again.study.best_value, again.study.trials[2].state.name) == (0.95, "FAIL")
    assert again.ask() not in trials  # with the seed of the first start it would propose the same again


def test_a_job_below_the_median_of_the_others_trails_also_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LOOK", 0.0)
    study = Search(space(), "val/acc", "max")
    study.begin()
    verdicts, jobs = [], []
    for number, accuracy in enumerate([0.8, 0.9, 0.85, 0.8, 0.9, 0.1, 0.95]):
        jobs.append(Job(number, [], {}, study.ask()))
        write_metrics(tmp_path / f"{number:03d}", accuracy)
        verdicts.append(study.trails(jobs[-1], tmp_path / f"{number:03d}"))
        told(study, {number: row("ok", accuracy)}, tmp_path, jobs[-1:])
    assert verdicts == [False, False, False, False, False, True, False]
    again = Search(space(), "val/acc", "max")
    for job in jobs:
        folder = tmp_path / f"{job.number:03d}"
        again.add(job, row("ok", 0.8), folder, is_open=job.number == 5)
    again.begin()
    assert again.trails(jobs[5], tmp_path / "005")


@pytest.mark.slow
def test_a_search_is_a_sweep_and_can_be_made_longer(cli: Cli, tmp_path: Path) -> None:
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "optimizer.lr=tag(log,interval(1e-4,1e-2))"]
    done = cli("train", "-m", *words, "model.hidden=[8],[16]", "epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    (sweep,) = tmp_path.glob("outputs/sweeps/*/*")
    assert len(list(sweep.glob("0*"))) == 3
    assert not list(sweep.glob("optuna*"))
    longer = cli("resume", "latest", "hydra.sweeper.n_trials=5")
    assert (longer.returncode, longer.stderr) == (0, "")
    assert "sweep    5 jobs: 5 ok" in longer.stdout
    rates = {json.loads((job / "job.json").read_text())["overrides"][1] for job in sweep.glob("0*")}
    assert len(rates) == 5
    finished = cli("resume", "latest")
    assert (finished.returncode, "5 jobs. Nothing to do." in finished.stdout) == (0, True)
    nothing = cli("train", "-m", "hydra/sweeper=optuna", "seed=1")
    assert (nothing.returncode, "nothing to search" in nothing.stderr) == (2, True)
    none = cli("resume", "latest", "hydra.sweeper.n_trials=0")
    assert (none.returncode, "must be a whole number" in none.stderr) == (2, True)


@pytest.mark.slow
def test_what_failed_is_run_again_under_its_own_number_and_one_damaged_job_costs_that_job(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    words = [
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.seed=2",
        "sweep.jobs=2",
        "epochs=1",
        "report=false",
    ]
    net = ["model=own", "model._target_=odd.Net", "+model.how=0,1,2"]
    assert cli("train", "-m", *words, *net, "optimizer.lr=interval(1e-3,1e-2)").returncode == 1
    sweep = (tmp_path / "outputs/latest").resolve()

    def jobs() -> dict[str, tuple[str, list[str]]]:
        found = {}
        for job in sorted(sweep.glob("0*")):
            identity = json.loads((job / "job.json").read_text())
            found[job.name] = json.loads((job / "summary.json").read_text())["status"], identity["overrides"]
        return found

    before = jobs()
    failed = [name for name, (status, _) in before.items() if status != "ok"]
    assert {status for status, _ in before.values()} == {"ok", "failed", "diverged"}
    when = {name: (sweep / name / "metrics.jsonl").stat().st_mtime_ns for name in before.keys() - set(failed)}
    (tmp_path / "odd.py").write_text(ODD.replace("raise RuntimeError", "str").replace('float("nan")', "1.0"))
    (sweep / "optuna.log").write_text('{"op_code": 0, "wor')  # a torn one of an earlier version: nobody reads it
    damaged, *mended = failed
    kept = (sweep / damaged / "job.json").read_text()
    (sweep / damaged / "job.json").write_text(kept[:20])
    again = cli("resume", "latest")
    assert again.returncode == 1
    assert f"{damaged}/job.json cannot be read" in re.sub(r"\n +", " ", again.stdout)
    (sweep / damaged / "job.json").write_text(kept)
    after = jobs()
    assert [words for _, words in after.values()] == [words for _, words in before.values()]
    assert [after[name][0] for name in mended] == ["ok"] * len(mended)
    assert after[damaged] == before[damaged]
    assert {name: (sweep / name / "metrics.jsonl").stat().st_mtime_ns for name in when} == when
    last = cli("resume", "latest")
    assert (last.returncode, "6 jobs: 6 ok" in last.stdout) == (0, True), last.stdout + last.stderr


@pytest.mark.slow
def test_a_search_of_0_1_0_is_finished_but_proposes_nothing(cli: Cli, tmp_path: Path) -> None:
    """It stored words alone, which nobody composes again: here they would run a callback of their author's."""
    shutil.copytree(Path(__file__).parents[1] / "stored/0.1.0/sweep", tmp_path / "old")
    plan = json.loads((tmp_path / "old/sweep.json").read_text())
    evil = "+hydra.callbacks.x._target_=os.abort"
    plan["typed"] += ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", evil]
    (tmp_path / "old/sweep.json").write_text(json.dumps(plan))
    (tmp_path / "old/optuna.log").write_text("")
    refused = cli("resume", "old", "hydra.sweeper.n_trials=9")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 2), refused.stderr
    assert "trainer train -m" in refused.stderr
    assert "callbacks" not in refused.stderr
    assert not (tmp_path / "old/.lock").exists()
    finished = cli("resume", "old")
    assert finished.returncode == 0, finished.stderr
    assert "4 jobs: 4 ok" in finished.stdout
    assert "to start a new search: trainer train -m" in finished.stderr
    for words in (["old"], ["old", "--trust"]):
        again = cli("resume", *words)
        assert (again.returncode, "cannot propose" in again.stderr) == (2, True)
