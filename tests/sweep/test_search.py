"""Search: trials are proposed and their results told; the study is made again from the folders of the jobs."""

import json
import math
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from live_run import start, until

pytest.importorskip("optuna")

from trainer.compare.rows import Row
from trainer.config.search_settings import SearchSettings
from trainer.config.search_space import Axis, Space, Variant
from trainer.disk import lock
from trainer.disk.sweep_plan import Job
from trainer.errors import StorageError
from trainer.sweep import search
from trainer.sweep.study import Study

pytestmark = pytest.mark.optional

AXES = [
    Axis("optimizer.lr", (), 1e-4, 1e-1, False, True),
    Axis("epochs", (), 1, 9, True),
    Axis("model", ("a", "b"), values=("a", "b")),
]
NUM_EVALUATIONS = 9
ROOT = Path(__file__).resolve().parents[2]
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


class Stopped(Exception):
    """The signal that ends a simulated sweep."""


class Simulated:
    """A sweep whose jobs take no time: their curves are a function of their trial. It stops after `patience`
    evaluations, in the middle of a job. A job that resumes has lost its last evaluation, and sends the others again."""

    monitor, mode, is_over, damaged = "val/acc", "max", False, ()

    def __init__(self, folder: Path, width: int = 1) -> None:
        self.folder, self.places = folder, [None] * width
        self.jobs: list[Job] = []
        self.status: dict[int, str] = {}
        self.prunes: Any = None
        self.patience = math.inf

    def need_folder(self) -> Path:
        return self.folder

    def plan(self, jobs: list[Job]) -> None:
        self.jobs += jobs

    def row(self, job: Job) -> Row:
        status = self.status.get(job.number, "waiting")
        metrics = {"val/acc": max(self.values(job))} if status == "ok" else {}
        return Row("run", {}, status, "val/acc", metrics, 1.0, 1, [], None)

    def values(self, job: Job) -> list[float]:
        return search.values(job.folder(self.folder), "val/acc")

    def launch(self, jobs: list[Job]) -> None:
        for job in jobs:
            self.train(job)

    def train(self, job: Job) -> None:
        if self.status.get(job.number) in ("ok", "pruned"):
            return
        self.status[job.number] = "interrupted"
        lines = self.values(job)[:-1]
        unsent = list(lines)
        while len(lines) < NUM_EVALUATIONS:
            if unsent and self.prunes is not None and self.prunes(job, unsent):
                self.status[job.number] = "pruned"
                return
            lines.append(curve(job.trial, len(lines) + 1))
            unsent = lines[-1:]
            write_metrics(job.folder(self.folder), lines)
            self.patience -= 1
            if self.patience < 0:
                raise Stopped
        self.status[job.number] = "ok"

    def search(self, space: Space) -> None:
        left = [job for job in self.jobs if self.status.get(job.number) not in ("ok", "pruned")]
        search.run(self, space, self.launch, left)  # type: ignore[arg-type]

    def result(self) -> list[Any]:
        return [(job.trial, self.status[job.number], self.values(job)) for job in self.jobs]


def curve(trial: dict[str, str], evaluation: int) -> float:
    """The metric of a trial: best at lr=0.01, epochs=5, model=b, and the slower the smaller the learning rate."""
    lr = math.log10(float(trial["optimizer.lr"]))
    best = 1 - 0.1 * (lr + 2) ** 2 - 0.01 * (int(trial["epochs"]) - 5) ** 2 - 0.05 * (trial["model"] == "a")
    return best * (1 - math.exp(-evaluation * (lr + 5) / 4))


def write_metrics(folder: Path, values: list[float]) -> None:
    folder.mkdir(exist_ok=True)
    lines = [
        {"step": 10 * place, "epoch": place, "eval": True, "train/loss": 1.0, "val/acc": value}
        for place, value in enumerate(values, 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def space(num_trials: int = 9, sampler: str = "tpe", pruner: str = "median") -> Space:
    variant = Variant({}, ["seed=3"], [axis.key for axis in AXES], {})
    settings = SearchSettings(num_trials, 0, sampler, pruner)
    return Space(AXES, [variant], settings, NUM_EVALUATIONS)


@pytest.fixture(autouse=True)
def _plain_jobs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "cli" not in request.fixturenames:
        monkeypatch.setattr(Space, "job", lambda self, number, trial: Job(number, [], {}, dict(trial)))


SEARCHES = [
    *((sampler, pruner, 1) for sampler in ("tpe", "random", "cmaes") for pruner in ("median", "hyperband", "none")),
    ("gp", "hyperband", 1),
    *((sampler, "none", 3) for sampler in ("tpe", "random", "gp", "cmaes")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "pruner", "width"), SEARCHES)
def test_stopped_and_resumed_it_proposes_the_same_and_ends_the_same(
    sampler: str, pruner: str, width: int, tmp_path: Path
) -> None:
    """Eleven times, at each place within a job: after a proposal, between its evaluations, before its last."""
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    num_trials = 14 if sampler == "gp" else 30
    wanted = space(num_trials, sampler, pruner)
    whole = Simulated(tmp_path / "whole", width)
    whole.folder.mkdir()
    whole.search(wanted)
    statuses = [status for _, status, _ in whole.result()]
    assert len(statuses) == num_trials
    assert ("pruned" in statuses) == (pruner != "none")

    cut = Simulated(tmp_path / "cut", width)
    cut.folder.mkdir()
    for patience in (0, 3, 8, 14, 9, 1, 25, 7, 11, 9, 4, math.inf):
        cut.patience = patience
        try:
            cut.search(wanted)
        except Stopped:
            continue
    assert cut.result() == whole.result()


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_job_that_is_worse_than_the_others_is_pruned_early_and_the_best_never(pruner: str, tmp_path: Path) -> None:
    sweep = Simulated(tmp_path)
    sweep.search(space(30, "random", pruner))
    lengths = {status: [len(v) for _, s, v in sweep.result() if s == status] for status in ("ok", "pruned")}
    assert set(lengths["ok"]) == {NUM_EVALUATIONS}
    assert len(lengths["pruned"]) >= 10
    assert max(lengths["pruned"]) < NUM_EVALUATIONS
    last = [curve(trial, NUM_EVALUATIONS) for trial, _, _ in sweep.result()]
    assert sweep.result()[last.index(max(last))][1] == "ok"


def test_random_trials_depend_on_the_seed_and_their_number_alone(tmp_path: Path) -> None:
    found = []
    for pruner, width in (("none", 1), ("none", 4), ("median", 1)):
        sweep = Simulated(tmp_path / f"{pruner}{width}", width)
        sweep.folder.mkdir()
        sweep.search(space(40, "random", pruner))
        found.append([job.trial for job in sweep.jobs])
    assert found[0] == found[1] == found[2]
    rates = [math.log10(float(trial["optimizer.lr"])) for trial in found[0]]
    assert all(-4 <= rate <= -1 for rate in rates)
    assert abs(sum(rates) / len(rates) + 2.5) < 0.3  # log-uniform: sd 0.87 / sqrt(40) = 0.14
    assert len({trial["epochs"] for trial in found[0]}) >= 7
    assert {trial["model"] for trial in found[0]} == {"a", "b"}


def test_a_trial_of_another_search_is_refused() -> None:
    study = Study(space(), "val/acc", "max")
    good = {"optimizer.lr": "0.001", "epochs": "3", "model": "a"}
    study.restore(0, good)
    for number, wrong in ((1, {"epochs": "3"}), (1, good | {"epochs": "99"}), (1, good | {"model": "c"}), (2, good)):
        with pytest.raises(StorageError, match=f"job {number} is not a trial of its search"):
            study.restore(number, wrong)


def results(sweep: Path) -> list[Any]:
    """(trial, status, steps, {step: monitored metric}) of each job."""
    found = []
    for job in json.loads((sweep / "sweep.json").read_text())["jobs"]:
        folder = sweep / f"{job['number']:03d}"
        summary = json.loads((folder / "summary.json").read_text())
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        curve = {line["step"]: line["val/acc"] for line in lines if line.get("eval")}
        found.append((job["trial"], summary["status"], summary["steps"], curve))
    return found


def evaluated(folder: Path) -> int:
    """Number of evaluations that a sweep has written."""
    return sum(path.read_bytes().count(b'"eval": true') for path in folder.glob("outputs/latest/0*/metrics.jsonl"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "hyperband"), ("gp", "median"), ("cmaes", "none")])
def test_signals_and_kills_change_neither_trials_nor_results(
    sampler: str, pruner: str, cli: Cli, tmp_path: Path
) -> None:
    """Ctrl-C, SIGTERM and kill -9 of the sweep, each at another evaluation, against a search left alone."""
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    words = ["hydra/sweeper=optuna", f"hydra.sweeper.sampler={sampler}", f"hydra.sweeper.pruner={pruner}"]
    axes = ["optimizer.lr=tag(log,interval(1e-5,1e-1))", "model.dropout=interval(0.0,0.6)"]
    fixed = ["hydra.sweeper.n_trials=12", "epochs=6", "sweep.jobs=1", "report=false", "checkpoint.every_seconds=0.05"]
    done = cli("train", "-m", *words, *axes, *fixed)
    assert done.returncode == 0, done.stderr
    (whole,) = tmp_path.glob("outputs/sweeps/*/*")
    cut = tmp_path / "cut"
    command = ["train", "-m", *words, *axes, *fixed]
    for number, at in ((signal.SIGINT, 5), (signal.SIGKILL, 9), (signal.SIGTERM, 20), (signal.SIGKILL, 28)):
        process = start(cut, *command)
        until(lambda at=at: evaluated(cut) >= at)
        process.send_signal(number)
        error = process.communicate(timeout=60)[1]
        assert process.returncode == {signal.SIGKILL: -9}.get(number, 128 + number), error
        command = ["resume", "latest"]
        until(lambda: all(lock.holder(job) is None for job in (cut / "outputs/latest").glob("0*")))
    process = start(cut, *command)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 0, error
    assert results((cut / "outputs/latest").resolve()) == results(whole)


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
def test_a_random_search_needs_no_optuna_keeps_to_its_time_and_stops_at_a_failure(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "without").mkdir()
    (tmp_path / "without/optuna.py").write_text("raise ImportError('not here')\n")
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'without'}"}
    words = ["hydra/sweeper=random", "optimizer.lr=tag(log,interval(1e-4,1e-2))", "max_steps=5", "report=false"]
    done = cli("train", "-m", *words, "hydra.sweeper.n_trials=999", "hydra.sweeper.max_time=2s", "sweep.jobs=2", **env)
    assert (done.returncode, done.stderr) == (0, "")
    sweep = (tmp_path / "outputs/latest").resolve()
    count = len(json.loads((sweep / "sweep.json").read_text())["jobs"])
    assert 1 <= count < 999
    assert f"late     {999 - count} of 999 trials were not proposed: hydra.sweeper.max_time is over" in done.stdout
    assert f"again    trainer resume {sweep.relative_to(tmp_path)}" in done.stdout
    more = cli("resume", "latest", f"hydra.sweeper.n_trials={count + 2}", "hydra.sweeper.max_time=9m", **env)
    assert (more.returncode, more.stderr) == (0, "")
    assert f"{count + 2} jobs: {count + 2} ok" in more.stdout
    net = ["model=own", "model._target_=odd.Net", "+model.how=1", "sweep.on_fail=stop", "sweep.jobs=1"]
    failed = cli("train", "-m", *words, *net, **env)
    assert failed.returncode == 1
    assert "1 job: 1 failed" in failed.stdout


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
