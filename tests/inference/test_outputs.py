"""Runs whose inputs or outputs are several tensors: predict, eval and an exported file give one answer, by name."""

import csv
import io
from pathlib import Path

import numpy as np
import parts
import pyarrow.parquet
import pytest
import torch
from torch import Tensor

from trainer.cli import main
from trainer.config.run_config import read_config
from trainer.config.settings import Settings
from trainer.data import fingerprint, tree
from trainer.inference import labelled, model
from trainer.inference.model import Trained
from trainer.inference.outputs import joined, row_axes
from trainer.loop import evaluate
from trainer.tasks import columns

QUICK = ["max_steps=2", "report=false", "threads=1", "device=cpu", "loader.eval_batch_size=5", "guards=none"]
RUN = Path("outputs/latest")


def train(data: str, net: str = "", *words: str) -> Trained:
    chosen = ["model=own", f"model._target_=parts.{net}"] if net else ["model=linear"]
    assert main(["train", "dataset=own", f"dataset._target_=parts.{data}", *chosen, *QUICK, *words]) == 0
    return model.load(RUN.resolve(), Settings(read_config(RUN.resolve())).check())


def held_back(run: Trained) -> tuple[dict[str, np.ndarray], np.ndarray | None, dict[str, float]]:
    """(Inputs of the validation rows by name, their targets, what eval measures on them); padded to one length."""
    stored = Settings(read_config(RUN.resolve())).check()
    known = fingerprint.read(RUN.resolve())
    rows = labelled.open_own(stored, run, known, "val", download=False)
    metrics = evaluate(run, rows, "val")
    batches = list(rows)
    has_target = batches[0][1] is not None
    inputs = [dict(tree.named(x, "" if isinstance(x, dict) else "x")) for x, _, _ in batches]
    x = {name: _padded([batch[name] for batch in inputs]) for name in inputs[0]}
    return x, _padded([y for _, y, _ in batches], -100) if has_target else None, metrics


def _padded(batches: list[Tensor], value: int = 0) -> np.ndarray:
    length = max(batch.shape[1] for batch in batches) if batches[0].ndim > 1 else 0
    short = [length - batch.shape[1] if batch.ndim == 2 else 0 for batch in batches]
    return torch.cat(
        [torch.nn.functional.pad(b, (0, n), value=value) for b, n in zip(batches, short, strict=True)]
    ).numpy()


def table(file: str) -> dict[str, list[str]]:
    rows = list(csv.DictReader(io.StringIO(Path(file).read_text())))
    return {name: [row[name] for row in rows] for name in rows[0]}


def exported(x: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """What RUN/export/model.pt2 gives, called as a user would."""
    module = torch.export.load(str(RUN / "export/model.pt2")).module()
    tensors = {name: torch.from_numpy(value) for name, value in x.items()}
    found = module(tensors["x"]) if list(tensors) == ["x"] else module(**tensors)
    return found if isinstance(found, dict) else {"": found}


def test_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    run = train("Tagged", "Tagger")
    x, y, metrics = held_back(run)
    assert x["mask"].dtype == bool
    np.savez("new.npz", **x, more=np.zeros(1))
    capsys.readouterr()
    for name in ("out.csv", "out.parquet", "out.npz", "out.safetensors"):
        assert main(["predict", "latest", "new.npz", "-o", name]) == 0
    assert capsys.readouterr().err.count("left out, as not one axis is as long as there are rows: scale") == 2
    found = table("out.csv")
    assert list(found) == ["row", "position", "prediction", *(f"probability_{c}" for c in parts.Tagged.classes)]
    assert pyarrow.parquet.read_table("out.parquet")["prediction"].to_pylist() == found["prediction"]
    place = np.array(found["row"], int), np.array(found["position"], int)
    truth, counts = y[place], y[place] != -100
    right = np.array([parts.Tagged.classes.index(word) for word in found["prediction"]]) == truth
    assert right[counts].mean() == pytest.approx(metrics["val/acc"], abs=1e-12)
    chances = np.stack([np.array(found[f"probability_{c}"], float) for c in parts.Tagged.classes], 1)
    loss = -np.log(chances[counts, truth[counts]]).mean()
    assert loss == pytest.approx(metrics["val/loss"], rel=1e-5)

    arrays = np.load("out.npz")
    assert {name: arrays[name].shape for name in arrays} == {
        "prediction": y.shape, "probabilities": (*y.shape, 3), "logits": (*y.shape, 3), "state": (1, len(y), 8),
    }  # fmt: skip
    once = run.call({name: torch.from_numpy(value) for name, value in x.items()})
    np.testing.assert_allclose(arrays["state"], once["state"].detach(), atol=1e-6)  # joined along axis 1
    np.testing.assert_array_equal(arrays["probabilities"].argmax(-1), arrays["prediction"])

    assert main(["export", "latest"]) == 0
    said = capsys.readouterr().out
    assert "input    mask: bool (rows, length), raw values" in said
    assert "output   state: float32 (1, rows, 8)" in said
    assert "left out scale" in said
    file = exported(x)  # of another length than the first row's, which the example has
    assert list(file) == ["probabilities", "logits", "state"]
    for name, value in file.items():
        np.testing.assert_allclose(value.detach(), arrays[name], atol=1e-5)
    card = (RUN / "export/README.md").read_text()
    assert "`input_ids`: int64, of shape (rows, length)" in card
    assert "`state`: float32, of shape (1, rows, 8)" in card


def test_classes_beside_a_state(capsys: pytest.CaptureFixture[str]) -> None:
    run = train("Sentences", "Recurrent")
    x, y, metrics = held_back(run)
    np.savez("new.npz", **x)
    assert main(["predict", "latest", "new.npz", "-o", "out.csv"]) == 0
    assert main(["predict", "latest", "new.npz", "-o", "out.npz"]) == 0
    found = table("out.csv")
    assert list(found) == ["row", "prediction", "probability_0", "probability_1"]
    assert (np.array(found["prediction"], int) == y).mean() == pytest.approx(metrics["val/acc"], abs=1e-12)
    arrays = np.load("out.npz")
    assert {name: arrays[name].shape for name in arrays} == {
        "prediction": (12,), "probabilities": (12, 2), "0": (12, 2), "1": (1, 12, 7),
    }  # fmt: skip
    np.savez("short.npz", x=x["x"][:, :3])  # a GRU takes any length
    assert main(["predict", "latest", "short.npz"]) == 0
    assert main(["export", "latest"]) == 0
    file = exported(x)
    for name, value in file.items():
        np.testing.assert_allclose(value.detach(), arrays[name], atol=1e-5)
    np.savez("words.npz", x=x["x"] + parts.WORDS)
    capsys.readouterr()
    assert main(["predict", "latest", "words.npz"]) == 2
    assert "error: model Recurrent does not take these rows: index out of range" in capsys.readouterr().err


@pytest.mark.optional
def test_labels() -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    run = train("Many")
    x, y, metrics = held_back(run)
    np.savez("new.npz", **x)
    assert main(["predict", "latest", "new.npz", "-o", "out.csv"]) == 0
    found = table("out.csv")
    assert list(found) == [
        "row",
        *(f"{kind}_{name}" for kind in ("prediction", "probability") for name in ("a", "b", "c,d")),
    ]
    guesses = np.stack([np.array(found[f"prediction_{name}"], int) for name in parts.Many.classes], 1)
    assert theirs.f1_score(y, guesses, average="macro") == pytest.approx(metrics["val/f1"], abs=1e-6)
    assert (guesses == y).all(1).mean() == pytest.approx(metrics["val/subset_acc"], abs=1e-12)
    assert main(["export", "latest"]) == 0
    chances = np.stack([np.array(found[f"probability_{name}"], float) for name in parts.Many.classes], 1)
    np.testing.assert_allclose(exported(x)[""].detach(), chances, atol=1e-6)


def test_numbers_of_two_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    run = train("Pairs", "TwoTowers", "dataset.scale_targets=true", "dataset.inputs=[x,user]")
    x, y, metrics = held_back(run)
    np.savez("new.npz", **x)
    assert main(["predict", "latest", "new.npz", "-o", "out.csv"]) == 0
    mean, std = (value.numpy() for value in run.preprocessing.y.mean_and_std)
    errors = np.array(table("out.csv")["prediction"], float) - (y * std + mean)[:, 0]
    assert np.square(errors).mean() == pytest.approx(metrics["val/mse"], rel=1e-5)
    assert main(["export", "latest"]) == 0
    np.testing.assert_allclose(
        exported(x)[""].detach()[:, 0], np.array(table("out.csv")["prediction"], float), rtol=1e-5
    )
    capsys.readouterr()
    bad = {
        "has no array 'user'; the run's inputs are x, user": {"x": x["x"]},
        "different numbers of rows: x 12, user 11": {**x, "user": x["user"][1:]},
        "user holds floats; the run was trained on whole numbers": {**x, "user": x["user"] + 0.5},
        "x holds rows of shape (3,); the run was trained on (4,)": {**x, "x": x["x"][:, :3]},
        "x holds rows of shape (2, 2); the run was trained on (4,)": {**x, "x": x["x"].reshape(-1, 2, 2)},
    }
    for said, arrays in bad.items():
        np.savez("bad.npz", **arrays)
        assert main(["predict", "latest", "bad.npz"]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) <= 2


def test_what_a_model_draws_is_as_in_eval(capsys: pytest.CaptureFixture[str]) -> None:
    run = train("Points", "Noisy")
    x, _, metrics = held_back(run)
    np.savez("new.npz", **x)
    assert main(["predict", "latest", "new.npz", "-o", "out.npz"]) == 0
    arrays = np.load("out.npz")
    assert sorted(arrays) == ["1", "prediction"]
    assert np.square(arrays["prediction"] - x["x"]).mean() == pytest.approx(metrics["val/mse"], rel=1e-6)
    capsys.readouterr()
    assert main(["predict", "latest", "new.npz", "-o", "out.csv"]) == 2
    assert capsys.readouterr().err == "error: a row gets 4 values, which are no columns of a table\n  try: -o out.npz\n"
    assert main(["export", "latest"]) == 2
    assert "Noisy draws random numbers" in capsys.readouterr().err


def test_numbers_of_several_axes_have_a_column_for_each_place() -> None:
    train("Grids", "Grid")
    np.savez("new.npz", x=np.ones((2, 4), np.float32))
    assert main(["predict", "latest", "new.npz", "-o", "out.csv"]) == 0
    assert Path("out.csv").read_text().splitlines()[0] == "row," + ",".join(
        f"prediction_{a}_{b}" for a in range(2) for b in range(2)
    )


@pytest.mark.optional
@pytest.mark.parametrize(("data", "net"), [("Tagged", "Tagger"), ("Pairs", "TwoTowers"), ("Sentences", "Recurrent")])
def test_onnx_has_the_same_names(data: str, net: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run = train(data, net)
    x, _, _ = held_back(run)
    assert main(["export", "latest", "format=onnx"]) == 0
    session = onnxruntime.InferenceSession(RUN / "export/model.onnx")
    assert [given.name for given in session.get_inputs()] == list(x)
    expected = run.named(
        {name: torch.from_numpy(value) for name, value in x.items()} if len(x) > 1 else torch.from_numpy(x["x"])
    )
    names = [given.name for given in session.get_outputs()]
    assert names == [name for name in expected if name != "scale"]
    for name, got in zip(names, session.run(None, x), strict=True):
        np.testing.assert_allclose(got, expected[name], rtol=1e-5, atol=1e-5)


def test_the_axis_of_the_rows() -> None:
    def give(x: Tensor) -> dict[str, Tensor]:
        return {
            "a": x,
            "b": x.T[None],
            "pairs": x @ x.T,
            "mean": x.mean(),
            "flat": x.flatten(),
            "none": torch.ones(2, 3),
        }

    rows = torch.arange(10.0).reshape(5, 2)
    axes = row_axes(give, rows)
    assert axes == {"a": 0, "b": 2, "pairs": None, "mean": None, "flat": None, "none": None}
    found = joined([give(rows[:3]), give(rows[3:])], axes)
    assert torch.equal(found["b"][0].T, rows)
    assert list(found) == ["a", "b"]


def test_columns_of_tokens_of_many_classes() -> None:
    chances = torch.rand(2, 3, 200).softmax(-1)
    found = columns.of_tokens(chances.argmax(-1), chances, list(map(str, range(200))))
    assert list(found) == ["position", "prediction", "probability"]
    assert torch.equal(found["probability"], chances.amax(-1).flatten())
    assert found["position"].tolist() == [0, 1, 2, 0, 1, 2]
    assert columns.of_numbers(torch.zeros(1, 40, 40), []) is None
    assert list(columns.of_numbers(torch.zeros(1, 2), ["price", "size"])) == ["prediction_price", "prediction_size"]


def test_eval_gives_the_target_to_a_model_with_its_own_loss() -> None:
    run = train("Sentences", "Judge", "loss=model", "dataset.inputs={ids: 0}", "dataset.target=1")
    x, y, metrics = held_back(run)
    np.savez("new.npz", ids=x["ids"])
    assert main(["predict", "latest", "new.npz", "-o", "out.csv"]) == 0
    found = table("out.csv")
    chances = np.stack([np.array(found[f"probability_{name}"], float) for name in "01"], 1)
    assert metrics["val/loss"] == pytest.approx(-np.log(chances[np.arange(len(y)), y]).mean(), rel=1e-5)
    assert (np.array(found["prediction"], int) == y).mean() == pytest.approx(metrics["val/acc"], abs=1e-12)
