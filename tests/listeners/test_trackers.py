"""TensorBoard and MLflow, read back by their own readers; also after a kill and a resume."""

import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from trials import attempt, config

import trainer
from trainer.cli import main
from trainer.errors import ConfigError
from trainer.listeners import trackers

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # for the reader in this process too
QUICK = ["dataset=iris", "epochs=4", "log_every=2", "threads=1", "device=cpu", "report=false"]
SCALARS = {"step/loss", "step/lr", "step/grad_norm", "train/loss", "val/loss", "val/acc"}


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What metrics.jsonl says, under the trackers' names."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        step = {"step/loss": row["train/loss"], "step/lr": row["lr"], "step/grad_norm": row.get("grad_norm")}
        values = {k: v for k, v in row.items() if "/" in k} if row.get("eval") else step
        for name, value in values.items():
            found.setdefault(name, []).append((row["step"], value))
    return found


def by_tensorboard(run: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def by_mlflow(run: Path, store: Path) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
    from mlflow import MlflowClient

    client = MlflowClient(store.absolute().as_uri())
    (experiment,) = [e for e in client.search_experiments() if e.name == "trainer"]
    (found,) = [r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name == run.name]
    history = {name: client.get_metric_history(found.info.run_id, name) for name in found.data.metrics}
    return found, {name: [(m.step, m.value) for m in metrics] for name, metrics in history.items()}


def check_same(got: dict[str, list[tuple[int, float]]], run: Path) -> None:
    expected = logged(run)
    assert got.keys() == expected.keys() == SCALARS
    for name, points in expected.items():
        assert [step for step, _ in got[name]] == [step for step, _ in points], name
        pairs = zip(got[name], points, strict=True)
        assert all(math.isclose(a, b, rel_tol=1e-6) for (_, a), (_, b) in pairs), name


@pytest.mark.optional
def test_tensorboards_own_reader_finds_every_scalar() -> None:
    pytest.importorskip("tensorboard")
    run = trainer.train([*QUICK, "tensorboard=true"]).run_dir
    check_same(by_tensorboard(run), run)


@pytest.mark.optional
def test_an_mlflow_store_holds_the_run() -> None:
    pytest.importorskip("mlflow")
    result = trainer.train([*QUICK, "mlflow=true"])
    found, metrics = by_mlflow(result.run_dir, Path("outputs/mlruns"))
    check_same(metrics, result.run_dir)
    assert found.info.status == "FINISHED"
    assert found.data.params["optimizer.lr"] == "0.002"
    assert found.data.params["dataset._target_"] == "trainer.data.embedded.Iris"
    assert main(["runs"]) == 0  # a store below outputs/ is not a run


def kill_after(num_steps: int) -> None:
    """In a run's process: SIGKILL in the middle of a step."""
    import trainer.build.build
    from trainer.loop import train_step

    taken = 0

    def step(*words: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == num_steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(*words)

    trainer.build.build.train_step = step


@pytest.mark.optional
@pytest.mark.slow
def test_after_a_kill_they_go_on_without_a_step_twice(tmp_path: Path) -> None:
    """Killed, and its newest checkpoint lost, so that steps which the tools have seen are taken once more."""
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    words = ["dataset=digits", "epochs=8", "tensorboard=true", "mlflow=true", f"output_dir={tmp_path}"]
    data, run = config(*words), tmp_path / "run"
    for num_steps in (60, 41, 50):
        assert attempt(run, data, before=kill_after, argument=num_steps) == -9
        older, newest = sorted((run / "checkpoints").glob("step-*"))
        assert logged(run)["step/loss"][-1][0] > int(older.name[5:])
        shutil.rmtree(newest)
    assert attempt(run, data) == 0
    check_same(by_tensorboard(run), run)
    found, metrics = by_mlflow(run, tmp_path / "mlruns")
    check_same(metrics, run)
    assert found.info.status == "FINISHED"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    for name in ("tensorboard", "mlflow"):
        with pytest.raises(ConfigError, match=f"{name}=true needs {name}") as caught:
            trainer.train([*QUICK, f"{name}=true"])
        assert caught.value.hint == f"pip install 'fiveline[{name}]'"
    assert not Path("outputs").exists()
