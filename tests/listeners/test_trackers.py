"""The trackers, each by its real library, read back; also after a kill and a resume. trackio has an environment of its
own, which .ci/run makes: it asks for an older pillow."""

import json
import math
import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Cli
from conftest import config as checked
from live_run import until
from trials import attempt, config

import trainer
from trainer.build.build import build
from trainer.cli import main
from trainer.config import run_config
from trainer.config.trust import kept_inside
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.events import Ended, Started, Stepped
from trainer.listeners import mlflow, scalars, trackers, wandb_file
from trainer.listeners.covered import Covered
from trainer.stopping import StopReason
from trainer.watch import Logged

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


def by_wandb(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The union of the offline folders, in their order, in which no step comes twice."""
    found: dict[str, list[tuple[int, float]]] = {}
    steps = []
    for path in sorted(run.glob("wandb/offline-run-*/run-*.wandb")):
        for record in wandb_file._records(path.read_bytes()):
            if record.HasField("history"):
                steps.append(record.history.step.num)
                for item in record.history.item:
                    if not (name := item.key or item.nested_key[0]).startswith("_"):
                        found.setdefault(name, []).append((steps[-1], json.loads(item.value_json)))
    assert steps == sorted(set(steps))
    return found


def by_trackio(run: Path) -> dict[str, list[tuple[int, float]]]:
    from trackio.sqlite_storage import SQLiteStorage

    found: dict[str, list[tuple[int, float]]] = {}
    rows = SQLiteStorage.get_logs("trainer", json.loads((run / "trackio.json").read_text())["name"])
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    for row in rows:
        for name in row.keys() - {"step", "timestamp"}:
            found.setdefault(name, []).append((row["step"], row[name]))
    return found


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
    from mlflow import MlflowClient

    result = trainer.train([*(word for word in QUICK if word != "report=false"), "mlflow=true"])
    found, metrics = by_mlflow(result.run_dir, Path("outputs/mlruns"))
    check_same(metrics, result.run_dir)
    assert found.info.status == "FINISHED"
    assert found.data.params["optimizer.lr"] == "0.002"
    assert found.data.params["dataset._target_"] == "trainer.data.embedded.Iris"
    (artifact,) = MlflowClient(Path("outputs/mlruns").absolute().as_uri()).list_artifacts(found.info.run_id)
    assert artifact.path == "report.html"
    assert main(["runs"]) == 0  # a store below outputs/ is not a run


def kill_after(argument: tuple[int, str]) -> None:
    """In a run's process: SIGKILL in the middle of a step. argument: of which one, and trackio's folder."""
    import trainer.build.stepping
    from trainer.loop import train_step

    num_steps, os.environ["TRACKIO_DIR"] = argument
    os.environ.pop("WANDB_SERVICE", None)  # a process of W&B's own, as a command has; not that of an earlier test
    taken = 0

    def step(*words: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == num_steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(*words)

    trainer.build.stepping.train_step = step


@pytest.mark.optional
def test_wandbs_offline_folders_hold_the_run_and_its_report() -> None:
    pytest.importorskip("wandb")
    words = [word for word in QUICK if word != "report=false"]
    run = trainer.train([*words, "wandb=offline"]).run_dir
    assert main(["resume", str(run), "epochs=6"]) == 0
    until(
        lambda: max(map(wandb_file.last_step, run.glob("wandb/offline-run-*/run-*.wandb"))) == 12
    )  # W&B's own process
    check_same(by_wandb(run), run)
    first, _ = sorted(run.glob("wandb/offline-run-*/run-*.wandb"))
    records = list(wandb_file._records(first.read_bytes()))
    (config,) = [record.run.config for record in records if record.HasField("run")]
    assert {"lr": 0.002}.items() <= json.loads({u.key: u.value_json for u in config.update}["optimizer"]).items()
    (artifact,) = [record.artifact for record in records if record.HasField("artifact")]
    assert (artifact.type, [entry.path for entry in artifact.manifest.contents]) == ("report", ["report.html"])
    assert wandb_file.last_step(first) == 8
    cut = first.with_name("cut.wandb")
    cut.write_bytes(first.read_bytes()[: first.read_bytes().rindex(b"step/loss")])  # in the middle of a record
    assert wandb_file.last_step(cut) < 8


@pytest.mark.optional
def test_wandb_without_a_login_is_one_message(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    got = cli("train", *QUICK, "wandb=true", HOME=str(tmp_path), WANDB_API_KEY="", NETRC=str(tmp_path / "none"))
    assert got.returncode == 2
    assert got.stderr == ("error: wandb=true needs a login to Weights & Biases\n  try: wandb login, or wandb=offline\n")
    assert not (tmp_path / "outputs").exists()


READERS = {"tensorboard": by_tensorboard, "wandb": by_wandb, "trackio": by_trackio}
WITH_TRACKIO = pytest.param(
    True, marks=pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is in an environment of its own")
)


@pytest.mark.optional
@pytest.mark.slow
@pytest.mark.parametrize("with_trackio", [False, WITH_TRACKIO])
def test_after_a_kill_all_hold_the_same_numbers_and_no_step_twice(
    with_trackio: bool, tmp_path: Path, monkeypatch
) -> None:
    """Killed, and its newest checkpoint lost, so that steps which the tools have seen are taken once more."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # which trackio reads when it is imported
    tools = ["tensorboard", "wandb", *(["trackio"] if with_trackio else [])]
    for name in ("mlflow", *tools):
        pytest.importorskip(name)
    words = [f"{name}=true" for name in ("mlflow", *tools) if name != "wandb"]
    data = config("dataset=digits", "epochs=8", *words, "wandb=offline", f"output_dir={tmp_path}")
    run = tmp_path / "2026-11-22/run"
    run.parent.mkdir()
    for num_steps in (60, 41, 50):
        assert attempt(run, data, before=kill_after, argument=(num_steps, str(tmp_path / "trackio"))) == -9
        older, newest = sorted((run / "checkpoints").glob("step-*"))
        assert logged(run)["step/loss"][-1][0] > int(older.name[5:])
        shutil.rmtree(newest)
    assert attempt(run, data, before=kill_after, argument=(0, str(tmp_path / "trackio"))) == 0
    for name in tools:
        check_same(READERS[name](run), run)
    found, metrics = by_mlflow(run, tmp_path / "mlruns")
    check_same(metrics, run)
    assert found.info.status == "FINISHED"


class Told:
    """A tool that keeps what it is given. first: the first step that it does not have."""

    def __init__(self, first: int = 0) -> None:
        self.first, self.given, self.end = first, [], None

    def give(self, step: int, values: dict[str, float]) -> None:
        self.given.append((step, sorted(values)))

    def finish(self, report: Path | None, *, succeeded: bool) -> None:
        self.end = (report, succeeded)


def test_a_step_is_given_whole_when_it_is_covered_and_only_to_a_tool_without_it(tmp_path: Path) -> None:
    """The run is saved at step 2, before its evaluation, as after a signal; then it is resumed and evaluated."""
    run, _ = build(checked(*QUICK, "epochs=2"))
    file, line = tmp_path / layout.METRICS, '{{"step": {}, "train/loss": 1.0, "lr": 0.1}}\n'
    file.write_text(line.format(1) + line.format(2))
    tool, run.progress.step = Told(), 2
    tracker = Covered(run, tmp_path, tool)
    assert tool.given == []
    tracker.saved()
    assert tool.given == [(1, ["step/loss", "step/lr"])]
    tracker.close()
    assert tool.end == (None, False)

    with file.open("a") as more:
        more.write('{"step": 2, "eval": true, "val/loss": 1.0, "lr": 0.1}\n' + line.format(3))
    run.progress.evaluated_at, run.progress.step = 2, 3
    tool = Told(first=2)
    tracker = Covered(run, tmp_path, tool)
    tracker(Started(3, 4, 2))
    assert tool.given == [(2, ["step/loss", "step/lr", "val/loss"]), (3, ["step/loss", "step/lr"])]
    file.write_bytes(file.read_bytes() + line.format(4).encode())
    run.progress.step, run.progress.stop_reason = 4, StopReason.DIVERGED
    tracker(Ended(4, StopReason.DIVERGED))
    tracker.close()
    assert (tool.given[-1][0], tool.end) == (4, (None, False))
    assert kept_inside([{"wandb": "offline", "trackio": True}], granted=False) == (
        "note     wandb is off and trackio is off: not signed with your key (--trust turns this on)"
    )


def test_terms_of_a_loss_are_named_alike_from_events_and_from_lines() -> None:
    event = Stepped(3, torch.tensor(2.0), None, 0.1, 8, torch.tensor([1.5]), Logged(2.0, [1.5], 0.7))
    row = {"step": 3, "epoch": 1, "train/loss": 2.0, "train/near": 1.5, "lr": 0.1, "grad_norm": 0.7, "seconds": 1.0}
    expected = {"step/loss": 2.0, "step/near": 1.5, "step/lr": 0.1, "step/grad_norm": 0.7}
    assert scalars.of_event(event, ["near"]) == scalars.of_row(row) == expected
    assert scalars.of_row({**row, "train/near": None, "eval": True}) == {"train/loss": 2.0}


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    for name in ("tensorboard", "mlflow", "wandb", "trackio"):
        with pytest.raises(ConfigError, match=f"{name}=true needs {name}") as caught:
            trainer.train([*QUICK, f"{name}=true"])
        assert caught.value.hint == f"pip install 'fiveline[{name}]'"
    assert not Path("outputs").exists()


def test_a_strangers_run_reaches_nowhere_outside_its_folder(tmp_path: Path, capsys, monkeypatch) -> None:
    """It asks for MLflow and for an output_dir of its own. --trust turns MLflow on, beside the run."""
    made: list[Path] = []

    class Tool:
        def __init__(self, config: Any, run: Any, folder: Path) -> None:
            made.append(layout.root_of(folder) / mlflow.STORE)

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
