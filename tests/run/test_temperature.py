"""calibrate=true: one temperature, fitted when the run ends. Training does not notice it; predict and export use it."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Cli
from every_task import Rows
from pyarrow import csv as tables
from torch import Tensor
from torch.nn import functional
from trials import attempt, config

from trainer.cli import main
from trainer.data import fingerprint
from trainer.data.embedded import Wine
from trainer.diagnosis.fingerprint import evidence
from trainer.disk import calibration, layout
from trainer.inference import labelled, model
from trainer.loop import predict
from trainer.tasks.classes import Classes
from trainer.verbs.open_run import open_run

WORDS = ["dataset=npz", "dataset.path=noisy.npz", "optimizer.lr=0.02", "threads=1", "device=cpu"]
LONG = [*WORDS, "epochs=40", "monitor=train/loss", "report=false"]  # over-trained: its last weights are kept
TEST = "dataset.test_fraction=0.25"
LABELS = ["dataset=own", "dataset._target_=every_task.Rows", "model=own", "model._target_=every_task.Net"]


class Own(Classes):
    """A task with another answer."""

    def answer(self, prediction: Tensor) -> Tensor:
        return (2 * prediction).softmax(1)


@pytest.fixture(autouse=True)
def _noisy(tmp_path: Path) -> None:
    """400 rows, a quarter of whose labels cannot be known, so that a model becomes too sure."""
    chance = np.random.default_rng(0)
    x = chance.normal(size=(400, 4))
    y = np.where(chance.random(400) < 0.25, chance.integers(0, 3, 400), (x[:, 0] > 0) + (x[:, 1] > 0.5))
    np.savez(tmp_path / "noisy.npz", x=x, y=y)


def outputs(split: str) -> tuple[Tensor, Tensor]:
    """(Logits, targets) of the latest run's split, float64, in its order."""
    stored = open_run("latest", trust_it=False)
    trained = model.load(stored.folder, stored.config)
    rows = labelled.open_own(stored.config, trained, fingerprint.read(stored.folder), split, download=True)
    found = [(output, y) for _, output, y, _ in predict(trained, rows)]
    logits, targets = (torch.cat(part) for part in zip(*found, strict=True))
    return logits.double(), targets  # type: ignore[return-value]


def stored() -> calibration.Calibration:
    found = calibration.read(layout.find("latest"))
    assert found is not None
    return found


def columns(path: str, *words: str) -> dict[str, np.ndarray]:
    assert main(["predict", *words, path, "-o", "out.csv"]) == 0
    table = tables.read_csv("out.csv")
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def test_training_does_not_notice_it_and_predict_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *LONG, TEST]) == 0
    plain, before = layout.find("latest").resolve(), columns("noisy.npz", "latest")
    assert not (plain / layout.CALIBRATION).exists()
    assert main(["train", *LONG, TEST, "calibrate=true"]) == 0
    run, after = layout.find("latest").resolve(), columns("noisy.npz", "latest")
    assert evidence(plain) == {name: value for name, value in evidence(run).items() if name != layout.CALIBRATION}
    summaries = [layout.read_summary(folder) for folder in (plain, run)]
    assert summaries[0]["calibration"] is None
    for name in ("best", "last", "test", "steps"):
        assert summaries[0][name] == summaries[1][name]

    logits, y = outputs("val")
    found = stored()
    assert found.temperature > 1.2, "the model is too sure"
    losses = {t: float(functional.cross_entropy(logits / t, y)) for t in (found.temperature, 1)}
    near = [float(functional.cross_entropy(logits / found.temperature / step, y)) for step in (0.99, 1.01)]
    assert losses[found.temperature] < min(near)
    assert (found.num_fitted, found.split, found.num_rows) == (len(y), "test", 100)
    assert found.before is not None
    assert found.after is not None
    logits, y = outputs("test")
    assert found.before["nll"] == pytest.approx(summaries[1]["test"]["test/loss"], rel=1e-6)
    assert found.after["nll"] == pytest.approx(float(functional.cross_entropy(logits / found.temperature, y)), rel=1e-9)
    assert found.after["nll"] < found.before["nll"]
    assert summaries[1]["calibration"] == json.loads((run / layout.CALIBRATION).read_text())
    log = (run / layout.LOG).read_text()
    assert f"NLL {found.after['nll']:.4f} (was {found.before['nll']:.4f})" in " ".join(log.split())

    capsys.readouterr()
    assert main(["eval", "latest"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"nll {found.after['nll']:.4f} with the temperature; {found.before['nll']:.4f} without" in shown
    assert f"test/loss {found.before['nll']:.4f}" in shown

    assert (before["prediction"] == after["prediction"]).all()
    probabilities = [np.stack([rows[f"probability_{one}"] for one in range(3)], 1) for rows in (before, after)]
    softer = probabilities[0] ** (1 / found.temperature)
    assert probabilities[1] == pytest.approx(softer / softer.sum(1, keepdims=True), abs=1e-6)


def test_without_a_test_split_it_is_measured_by_cross_fitting() -> None:
    assert main(["train", *LONG, "calibrate=true", "report=true"]) == 0
    found, (logits, y) = stored(), outputs("val")
    assert (found.split, found.num_rows, found.num_fitted) == ("val", 80, 80)
    assert found.before is not None
    assert found.after is not None
    assert found.before["nll"] == pytest.approx(float(functional.cross_entropy(logits, y)), rel=1e-6)
    best = float(functional.cross_entropy(logits / found.temperature, y))
    assert best < found.after["nll"] < found.before["nll"], "no row has fitted its own temperature"
    page = (layout.find("latest") / layout.REPORT).read_text()
    assert "by cross-fitting over five parts of the 80 validation rows" in page
    assert "Reliability" in page


@pytest.mark.slow
@pytest.mark.optional
def test_metrics_by_name_take_the_logits_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """During training and in eval."""
    pytest.importorskip("torchmetrics")
    metrics = "metrics=[{name: calibration_error, n_bins: 15}]"
    assert main(["train", *LONG, TEST, "calibrate=true", metrics]) == 0
    found, run = stored(), layout.find("latest")
    assert found.before is not None
    measured = layout.read_summary(run)["test"]["test/calibration_error"]
    assert found.before["ece"] == pytest.approx(measured, abs=1e-6)
    capsys.readouterr()
    assert main(["eval", "latest"]) == 0
    assert f"test/calibration_error {measured:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize("loss", ["focal", "cross_entropy"])
def test_other_losses_of_the_same_logits(loss: str) -> None:
    """Focal loss and smoothed labels leave a model less sure than it is right."""
    smooth = ["loss.label_smoothing=0.3"] if loss == "cross_entropy" else []
    assert main(["train", *LONG, "epochs=3", "calibrate=true", f"loss={loss}", *smooth]) == 0
    found, (logits, y) = stored(), outputs("val")
    assert found.temperature < 1
    near = [float(functional.cross_entropy(logits / found.temperature / step, y)) for step in (0.99, 1, 1.01)]
    assert min(near) == near[1]


def test_each_label_is_a_decision() -> None:
    assert (
        main(["train", *LABELS, "+model.kind=labels", "calibrate=true", "epochs=2", "report=false", "threads=1"]) == 0
    )
    found, (logits, y) = stored(), outputs("val")
    losses = [
        float(functional.binary_cross_entropy_with_logits(logits / found.temperature / step, y.double()))
        for step in (0.99, 1, 1.01)
    ]
    assert min(losses) == losses[1]
    np.savez("new.npz", x=np.stack([Rows()[row][0].numpy() for row in range(5)]))
    probabilities = np.stack(list(columns("new.npz", "latest").values())[-3:], 1)
    run = open_run("latest", trust_it=True)
    mean = torch.stack([Rows()[row][0].mean((1, 2)) for row in range(5)])
    scale = next(iter(model.load(run.folder, run.config).model.parameters())).detach()
    assert probabilities == pytest.approx((mean * scale / found.temperature).sigmoid().numpy(), abs=1e-6)


@pytest.mark.slow
def test_an_ensemble_averages_what_its_members_answer() -> None:
    """Each by its own temperature; eval --top measures the same."""
    folds = ["-m", "dataset.folds=2", "dataset.fold=0,1", "sweep.jobs=1", TEST]
    assert main(["train", *LONG, "calibrate=true", *folds]) == 0
    sweep = layout.find_sweep("latest")
    assert sweep is not None
    jobs = [layout.relative(sweep / name).as_posix() for name in ("000", "001")]
    temperatures = {calibration.read(sweep / name).temperature for name in ("000", "001")}  # type: ignore[union-attr]
    assert len(temperatures) == 2
    alone = [columns("noisy.npz", job) for job in jobs]
    together = columns("noisy.npz", "latest", "--top", "1")
    for name, values in together.items():
        if name.startswith("prob"):
            assert values == pytest.approx(np.mean([one[name] for one in alone], axis=0), abs=1e-6)
    assert main(["export", "latest", "--top", "1"]) == 0, "the file was checked against the ensemble"


def test_a_file_has_it_inside(capsys: pytest.CaptureFixture[str]) -> None:
    """Each file is checked against predict; here the programs beside them too."""
    words = ["dataset=wine", "epochs=2", "report=false", "threads=1", "device=cpu"]
    assert main(["train", *words, "calibrate=true"]) == 0
    temperature, export = stored().temperature, layout.find("latest") / layout.EXPORT
    assert temperature != 1
    for name in ("torch_export", "safetensors"):
        assert main(["export", "latest", f"format={name}"]) == 0
        assert f"divides the logits by the temperature {temperature:.6g}" in (export / layout.CARD).read_text()
        scope = runpy.run_path(str(export / f"load_{name}.py"))
        x = scope["x"]
        if name == "safetensors":  # its x is as the model sees it
            answer = scope["output"]
        else:
            np.savez("new.npz", x=x.numpy())
            found = columns("new.npz", "latest")
            assert scope["output"] == pytest.approx([values[0] for values in list(found.values())[-3:]], abs=1e-5)
            expected = scope["output"]
    assert answer == pytest.approx(expected, abs=1e-5)


REFUSED = {
    "numbers": ["dataset=diabetes"],
    "tokens": [*LABELS, "+dataset.kind=tokens", "+model.kind=tokens"],
    "no rows to fit it to": ["dataset=wine", "dataset.val_fraction=0"],
    "another answer": ["dataset=wine", "dataset.task={_target_: test_temperature.Own}"],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_calibrated_is_refused(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *REFUSED[case], "calibrate=true"]) == 2
    error = capsys.readouterr().err
    assert error.count("calibrate=true") == 1
    assert not Path("outputs").exists()


def test_answers_that_are_all_right_keep_their_temperature(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dataset=wine", "epochs=8", "calibrate=true", "report=false"]) == 0
    assert stored().temperature == 1
    assert "so none can be fitted" in " ".join(capsys.readouterr().out.split())


def test_a_temperature_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that was stopped before its end answers without it, and says so; a damaged file is an error. A resume fits
    it again."""
    assert main(["train", "dataset=wine", "epochs=2", "calibrate=true", "report=false"]) == 0
    path = layout.find("latest") / layout.CALIBRATION
    np.savez("new.npz", x=Wine().x[:3].numpy())
    path.write_text('{"temperature": "hot"}')
    assert main(["predict", "latest", "new.npz"]) == 4
    assert "calibration.json does not hold a temperature" in capsys.readouterr().err
    path.unlink()
    assert main(["predict", "latest", "new.npz"]) == 0
    assert "not calibrated: trainer resume" in capsys.readouterr().err
    assert main(["resume", "latest"]) == 0
    assert path.exists()
    assert main(["predict", "latest", "new.npz"]) == 0
    assert "calibrated" not in capsys.readouterr().err


@pytest.mark.slow
def test_over_trained_models_gain_on_rows_that_nothing_was_fitted_to() -> None:
    """Five seeds of benchmarks/calibration.py, which takes twenty: an unlucky draw of 92 validation rows may lose."""
    gained = 0
    for seed in map(str, range(5)):
        seeds = [f"seed={seed}", f"dataset.split_seed={seed}", f"dataset.test_seed={seed}", "dataset.test_fraction=0.4"]
        long = ["epochs=150", "monitor=train/loss", "optimizer.lr=0.01", "report=false", "threads=1", "guards=none"]
        assert main(["train", "dataset=breast_cancer", "calibrate=true", *long, *seeds]) == 0
        found = stored()
        assert found.before is not None
        assert found.after is not None
        gained += found.after["nll"] < found.before["nll"]
        logits, _ = outputs("test")
        assert torch.equal((logits.float() / found.temperature).softmax(1).argmax(1), logits.argmax(1))
    assert gained >= 4


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["ema=0.9"], ["swa=0.5"]])
def test_a_killed_run_gets_the_same_one(more: list[str], cli: Cli) -> None:
    done = cli("verify", *WORDS, "epochs=4", "calibrate=true", TEST, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nsame     calibration.json" in done.stdout


@pytest.mark.slow
def test_two_processes_get_it_too(tmp_path: Path) -> None:
    words = [*WORDS, "calibrate=true", "dtype=float64", "optimizer=sgd", "optimizer.lr=0.5", "loader.batch_size=30"]
    found = []
    for size in (1, 2):
        assert attempt(tmp_path / str(size), config(*words, f"nproc={size}")) == 0
        found.append(calibration.read(tmp_path / str(size)))
    one, two = found
    assert one is not None
    assert two is not None
    assert one.temperature != 1
    assert two.temperature == pytest.approx(one.temperature, rel=1e-6)
