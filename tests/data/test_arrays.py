"""Your own arrays: what they become, what is refused and where, and predictions for more of them."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import config
from own import read_rows

from trainer.build.build import build
from trainer.cli import main
from trainer.errors import ConfigError


def test_both_formats_hold_the_same_rows_and_a_test_split(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    x, y = chance.normal(4, 3, (100, 6)).astype("float32"), chance.integers(0, 3, 100)
    arrays = {"x": x, "y": y, "x_test": x[:20], "y_test": y[:20]}
    np.savez(tmp_path / "a.npz", **arrays)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    runs = [build(config(f"dataset={kind}", f"dataset.path=a.{kind}")) for kind in ("npz", "safetensors")]
    splits = [setup.splits for _, setup in runs]
    assert [(s.num_rows("train"), s.num_rows("val"), s.num_rows("test")) for s in splits] == [(80, 20, 20)] * 2
    assert splits[0].facts.classes == ["0", "1", "2"]
    assert torch.equal(runs[0][0].train_batches.loader.x, runs[1][0].train_batches.loader.x)
    assert float(runs[0][0].train_batches.loader.x.mean(0).abs().max()) < 1e-5


BAD = {
    "objects": (lambda p: np.savez(p, x=np.array([object()] * 4), y=np.zeros(4)), "file of numbers: Object arrays"),
    "text": (lambda p: np.savez(p, x=np.array(["a", "b"]), y=np.zeros(2)), r"x is an array of text \(<U1\)"),
    "no y": (lambda p: np.savez(p, x=np.zeros((4, 2))), "has no array 'y'"),
    "other lengths": (lambda p: np.savez(p, x=np.zeros((4, 2)), y=np.zeros(3)), "the same number of rows"),
    "no rows": (lambda p: np.savez(p, x=np.zeros((0, 2)), y=np.zeros(0)), "the same number of rows"),
    "NaN": (lambda p: np.savez(p, x=np.array([[1.0], [np.nan]]), y=np.zeros(2)), r"x\[1\] is NaN or infinite"),
    "a negative label": (lambda p: np.savez(p, x=np.zeros((3, 1)), y=np.array([0, 1, -2])), "label -2 in row 2"),
    "a huge label": (lambda p: np.savez(p, x=np.zeros((3, 1)), y=np.array([0, 1, 2**40])), "label 1099511627776"),
    "one array": (lambda p: (np.save(f"{p}.npy", np.zeros(3)), Path(f"{p}.npy").rename(p)), "one array without a name"),
    "no archive": (lambda p: p.write_bytes(b"hello"), "not an .npz file of numbers"),
    "cut short": (lambda p: (np.savez(p, x=np.zeros((400, 2)), y=np.zeros(400)), p.write_bytes(p.read_bytes()[:900])),
                  "not an .npz file of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays_are_refused(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    make(tmp_path / "a.npz")
    with pytest.raises(ConfigError, match=message):
        build(config("dataset=npz", "dataset.path=a.npz"))


def test_other_arrays_are_measured_as_they_are_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(0)
    x, y = chance.normal(4, 3, (90, 3)).astype("float32"), np.arange(90) % 3
    np.savez("a.npz", x=x, y=y)
    np.savez("b.npz", x=x[:40], y=y[:40] % 2, x_test=x[40:50], y_test=y[40:50])
    np.savez("c.npz", x=x, y=y + 1)
    assert main(["train", "dataset=npz", "dataset.path=a.npz", "epochs=2", "report=false"]) == 0
    capsys.readouterr()
    assert main(["eval", "latest", "dataset.path=b.npz"]) == 0
    out = capsys.readouterr().out
    np.savez("d.npz", x=x[:50])
    assert main(["predict", "latest", "d.npz", "-o", "out.csv"]) == 0
    guesses = np.loadtxt("out.csv", delimiter=",", skiprows=1, usecols=1)
    assert "b.npz: 50 rows" in out
    assert f"acc          {(guesses == np.concatenate([y[:40] % 2, y[40:50]])).mean():.4f}\n" in out
    assert main(["eval", "latest", "dataset.path=c.npz"]) == 2
    assert "label 3 of trainer.data.arrays.Npz is 3, but the run was trained on 0, 1, 2" in capsys.readouterr().err


def test_arrays_are_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "max_steps=20", "report=false"]) == 0
    np.savez(tmp_path / "d.npz", x=np.zeros((5, 1, 8, 8), dtype="uint8"))
    np.savez(tmp_path / "e.npz", x=np.zeros((5, 8), dtype="uint8"))
    assert main(["predict", "latest", "d.npz", "-o", "out.csv"]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6
    capsys.readouterr()
    assert main(["predict", "latest", "e.npz"]) == 2
    assert "rows of shape (8,); the run was trained on (1, 8, 8)" in capsys.readouterr().err


def test_several_numbers_are_predicted_in_a_column_each() -> None:
    """Against the least squares that a linear model comes to."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 3))
    y = x @ draw.normal(size=(3, 2)) + [1000.0, 0.0]
    np.savez("two.npz", x=x, y=y)
    words = ["dataset=npz", "dataset.path=two.npz", "model=linear", "optimizer=adam", "optimizer.lr=0.05"]
    assert main(["train", *words, "epochs=60", "report=false", "threads=1", "device=cpu"]) == 0
    assert main(["predict", "latest", "two.npz", "-o", "two.csv"]) == 0
    found = read_rows(Path("two.csv"))
    assert list(found[0]) == ["row", "prediction_0", "prediction_1"]
    got = np.array([[float(row["prediction_0"]), float(row["prediction_1"])] for row in found])
    np.testing.assert_allclose(got, y, rtol=0, atol=0.02 * y.std(0).min())


def test_a_run_on_whole_numbers_that_are_standardised_can_be_used(tmp_path: Path) -> None:
    """Times in seconds are no indices of an embedding, and a lazy model gets floats before it has its weights."""
    times = 1_700_000_000 + np.arange(40)[:, None]
    np.savez("times.npz", x=times, y=np.arange(40) % 2)
    words = ["dataset=npz", "dataset.path=times.npz", "model=own", "model._target_=torch.nn.LazyLinear"]
    assert main(["train", *words, "+model.out_features=2", "max_steps=2", "report=false", "threads=1"]) == 0
    assert main(["predict", "latest", "times.npz", "-o", "out.csv"]) == 0
    assert len(read_rows(tmp_path / "out.csv")) == 40
