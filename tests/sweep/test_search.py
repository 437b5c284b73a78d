"""Search: optuna proposes, is told, and survives a restart."""

import json
from pathlib import Path

import pytest
from conftest import Cli

pytest.importorskip("optuna")

from trainer.compare.rows import Row
from trainer.config.search_space import Axis
from trainer.disk.sweep_plan import Job
from trainer.sweep import search
from trainer.sweep.search import Search

pytestmark = pytest.mark.optional

AXES = [Axis("optimizer.lr", (), 1e-4, 1e-1, False, True), Axis("epochs", (), 1, 9, True), Axis("model", ("a", "b"))]


def row(status: str, value: float | None = None) -> Row:
    metrics = {} if value is None else {"val/acc": value}
    return Row("run", {}, status, "val/acc", metrics, 1.0, 1, [], None)


def test_it_proposes_in_range_learns_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def open_again() -> Search:
        return Search(tmp_path, AXES, ["seed=3"], "val/acc", seed=0, prune=True)

    first = open_again()
    proposals = [first.ask(number) for number in range(4)]
    for words in proposals:
        pairs = dict(word.split("=") for word in words)
        assert pairs["seed"] == "3"
        assert 1e-4 <= float(pairs["optimizer.lr"]) <= 1e-1
        assert pairs["epochs"] in "123456789"
        assert pairs["model"] in ("a", "b")
    jobs = [Job(number, words, {}) for number, words in enumerate(proposals)]
    assert first.tell(jobs[0], row("ok", 0.5))
    assert first.tell(jobs[1], row("failed"))
    assert not first.tell(jobs[2], row("running"))

    again = open_again()
    assert again.ask(2) == proposals[2]
    assert again.ask(3) == proposals[3]
    assert again.tell(jobs[1], row("ok", 0.9))  # told already: left alone
    assert again.tell(jobs[2], row("ok", 0.7))
    assert again.study.best_value == 0.7
    assert [trial.number for trial in again.study.trials] == [0, 1, 2, 3]


def test_a_job_below_the_median_of_the_others_trails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOK", 0.0)
    study = Search(tmp_path, AXES, [], "val/acc", seed=0, prune=True)
    verdicts = []
    for number, accuracy in enumerate([0.8, 0.9, 0.85, 0.8, 0.9, 0.1, 0.95]):
        job, folder = Job(number, study.ask(number), {}), tmp_path / f"{number:03d}"
        folder.mkdir()
        lines = [{"step": step, "epoch": step, "eval": True, "train/loss": 1.0, "val/acc": accuracy} for step in (1, 2)]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
        verdicts.append(study.trails(job, folder))
        study.tell(job, row("ok", accuracy))
    assert verdicts == [False, False, False, False, False, True, False]


@pytest.mark.slow
def test_a_search_is_a_sweep_and_can_be_made_longer(cli: Cli, tmp_path: Path) -> None:
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "optimizer.lr=tag(log,interval(1e-4,1e-2))"]
    done = cli("train", "-m", *words, "model.hidden=[8],[16]", "epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    (sweep,) = tmp_path.glob("outputs/sweeps/*/*")
    assert len(list(sweep.glob("0*"))) == 3
    longer = cli("resume", "latest", "hydra.sweeper.n_trials=5")
    assert (longer.returncode, longer.stderr) == (0, "")
    assert "sweep    5 jobs: 5 ok" in longer.stdout
    rates = {json.loads((job / "job.json").read_text())["overrides"][1] for job in sweep.glob("0*")}
    assert len(rates) == 5
    nothing = cli("train", "-m", "hydra/sweeper=optuna", "seed=1")
    assert (nothing.returncode, "nothing to search" in nothing.stderr) == (2, True)
