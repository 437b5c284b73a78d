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
from trainer.config import run_config
from trainer.disk import layout
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
    import trainer.build.stepping
    from trainer.loop import train_step

    taken = 0

    def step(*words: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == num_steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(*words)

    trainer.build.stepping.train_step = step


@pytest.mark.optional
@pytest.mark.slow
def test_after_a_kill_they_go_on_without_a_step_twice(tmp_path: Path) -> None:
    """Killed, and its newest checkpoint lost, so that steps which the tools have seen are taken once more."""
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    words = ["dataset=digits", "epochs=8", "tensorboard=true", "mlflow=true", f"output_dir={tmp_path}"]
    data, run = config(*words), tmp_path / "2026-11-22/run"
    run.parent.mkdir()
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


def test_a_strangers_run_reaches_nowhere_outside_its_folder(tmp_path: Path, capsys, monkeypatch) -> None:
    """It asks for MLflow and for an output_dir of its own. --trust turns MLflow on, beside the run."""
    made: list[Path] = []

    class Tool:
        def __init__(self, config: Any, run: Any, folder: Path) -> None:
            made.append(layout.root_of(folder) / trackers.MLFLOW_STORE)

        def __call__(self, event: Any) -> None: ...
        def flush(self) -> None: ...
        def saved(self) -> None: ...
        def close(self) -> None: ...

    run = trainer.train(QUICK).run_dir.resolve()
    monkeypatch.setattr(trackers, "MLflow", Tool)
    monkeypatch.setattr(trackers, "find_spec", lambda name: name)
    config_file, elsewhere = run / layout.CONFIG, tmp_path / "elsewhere"
    text = config_file.read_text().replace("mlflow: false", "mlflow: true")
    config_file.write_text(text.replace("output_dir: outputs", f"output_dir: {elsewhere}"))
    before = set(tmp_path.rglob("*"))
    for epochs, words, expected in ((5, [], []), (6, ["--trust"], [Path("outputs/mlruns").resolve()])):
        (run / "config.sig").unlink(missing_ok=True)
        assert main(["resume", str(run), f"epochs={epochs}", *words]) == 0
        assert [path.resolve() for path in made] == expected
        assert capsys.readouterr().err.count("mlflow is off") == (not expected)
        assert {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(run)} == set()
    assert "mlflow: true" in config_file.read_text()
    assert not elsewhere.exists()


def test_a_strangers_data_is_not_downloaded(tmp_path: Path, capsys, monkeypatch) -> None:
    import torchvision

    asked: list[bool] = []

    def dataset(root: Path, *, train: bool, download: bool) -> None:
        asked.append(download)
        raise RuntimeError("Dataset not found")

    dataset.__name__ = "MNIST"
    run = trainer.train(QUICK).run_dir.resolve()
    monkeypatch.setattr(torchvision.datasets, "MNIST", dataset)
    data = run_config.read_plain(run)
    node = {"_target_": "trainer.data.vision.MNIST", "root": str(tmp_path / "elsewhere"), "val_fraction": 0.1}
    data |= {"dataset": {**node, "split_seed": 0}, "epochs": 9}
    (run / layout.CONFIG).write_bytes(run_config.dump(data))
    shutil.rmtree(run / layout.CHECKPOINTS)
    (run / layout.PREPROCESSING_FACTS).unlink()
    assert main(["resume", str(run), "epochs=9"]) == 2
    error = capsys.readouterr().err
    assert error.count("nothing is downloaded") == 2  # the line beforehand, and the reason of the end
    assert "--trust" in error
    assert asked == [False]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("folder", "root"),
    [
        ("outputs/2026-11-22/20-31-07-a", "outputs"),
        ("x/sweeps/2026-11-22/20-40-12-3e1a/000", "x"),
        ("theirs/run", "outputs"),
        ("2026-11-22/run", "."),
    ],
)
def test_the_folder_that_a_run_lies_in(folder: str, root: str) -> None:
    assert layout.root_of(Path(folder)).resolve() == Path(root).resolve()
