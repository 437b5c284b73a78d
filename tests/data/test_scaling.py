"""Numbers keep their digits on the way to the model, and targets are scaled only where the loss changes its units."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import safetensors.torch
import torch
from conftest import config
from torch import Tensor, nn
from torch.utils.data import Dataset

import trainer
from trainer.build.build import build
from trainer.cli import main
from trainer.data import preprocessing, tree
from trainer.data.batches import EvalBatches
from trainer.data.facts import specs_of, zeros
from trainer.data.rows import SCANNED
from trainer.data.scaling import AsIs, Standardize, for_inputs
from trainer.data.tensors import TensorData
from trainer.errors import ConfigError
from trainer.loop import evaluate
from trainer.state import TrainState

QUICK = ["threads=1", "report=false", "device=cpu"]
ALL_ROWS = ["dataset.val_fraction=0", "loader.shuffle=false", "model=linear"]
FAR = {"epoch": (1.7e9, 100.0), "utm": (5_335_000.0, 0.5), "energy": (-40_000.0, 0.01)}


def standardised(values: np.ndarray) -> np.ndarray:
    """By NumPy, in float64."""
    return (values - values.mean(0)) / values.std(0)


def write(x: np.ndarray, y: np.ndarray, kind: str) -> list[str]:
    """Write a file of this kind. Returns the words that read it."""
    names = [f"x{column}" for column in range(x.shape[1])]
    if kind == "csv":
        with Path("t.csv").open("w", newline="") as file:
            csv.writer(file).writerows([[*names, "y"], *np.c_[x, y].tolist()])
    elif kind == "parquet":
        columns = dict(zip([*names, "y"], [*x.T, y], strict=True))
        pa.parquet.write_table(pa.table(columns), "t.parquet", row_group_size=50)
    elif kind == "npz":
        np.savez("t.npz", x=x, y=y)
    else:
        tensors = {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}
        safetensors.torch.save_file(tensors, "t.safetensors")
    kind, path = ("table", f"t.{kind}") if kind in ("csv", "parquet") else (kind, f"t.{kind}")
    return [f"dataset={kind}", f"dataset.path={path}", *(["dataset.target=y"] if kind == "table" else [])]


def batches(run: TrainState) -> tuple[np.ndarray, np.ndarray]:
    """All inputs and targets of an epoch, as the model and the loss see them."""
    pairs = [(x, y) for window in run.train_batches.windows(0) for x, y, *_ in window]
    return tuple(torch.cat(tensors).numpy() for tensors in zip(*pairs, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize("in_memory", ["true", "false"])
@pytest.mark.parametrize(
    ("kind", "whole"), [("csv", False), ("parquet", False), ("npz", False), ("npz", True), ("safetensors", False)]
)
def test_every_source_keeps_the_digits_of_numbers_far_from_0(kind: str, whole: bool, in_memory: str) -> None:
    chance = np.random.default_rng(0)
    x = np.c_[1.7e9 + chance.uniform(0, 100, 200), 5e11 + 1e4 * chance.normal(size=200)]
    x = x.astype(np.int64) if whole else x
    y = -40_000 + 0.01 * chance.normal(size=200)
    run, _ = build(config(*write(x, y, kind), *ALL_ROWS, f"loader.in_memory={in_memory}"))
    inputs, targets = batches(run)
    np.testing.assert_allclose(inputs, standardised(x), rtol=0, atol=1e-6)
    np.testing.assert_allclose(targets[:, 0], standardised(y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FAR)
def test_a_target_far_from_0_is_learned_and_predicted_as_least_squares_does(name: str) -> None:
    offset, spread = FAR[name]
    chance = np.random.default_rng(0)
    x, noise = chance.normal(size=(300, 2)), 0.01 * chance.normal(size=300)
    y = offset + spread * (x @ [2.0, -1.0] + noise)
    words = [*write(x, y, "csv"), "model=linear", "optimizer=adam", "optimizer.lr=0.05", "epochs=60", *QUICK]
    assert trainer.train(words).metrics["val/r2"] > 0.9998
    assert main(["predict", "latest", "t.csv", "-o", "p.csv"]) == 0
    rows = csv.DictReader(Path("p.csv").read_text().splitlines())
    predictions = np.array([float(row["prediction"]) for row in rows])
    design = np.c_[np.ones(300), x]
    expected = design @ np.linalg.lstsq(design, y - offset, rcond=None)[0]
    assert np.abs(predictions - offset - expected).max() < 0.02 * spread


def test_bytes_are_scaled_where_they_are_and_wide_integers_are_not_rounded() -> None:
    chance = np.random.default_rng(0)
    x, y = chance.integers(0, 256, (60, 1, 4, 4), dtype=np.uint8), chance.integers(0, 2, 60)
    for dtype in (np.uint8, np.int64):
        inputs, _ = batches(build(config(*write(x.astype(dtype), y, "npz"), *ALL_ROWS))[0])
        np.testing.assert_allclose(inputs, (x - x.mean()) / x.std(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float64"])
def test_zeros_to_try_a_model_on_are_of_the_kind_that_it_gets(dtype: str) -> None:
    rows = torch.ones(4, 3, dtype=getattr(torch, dtype))
    scales = [(rows, Standardize(torch.zeros(3), torch.ones(3), torch.float32))]
    scales += [(x, for_inputs(specs_of(x, batch=True), torch.float32)) for x in (rows, {"a": (rows, rows)})]
    for x, scale in scales:
        made = zeros(specs_of(x, batch=True), 4, torch.device("cpu"), torch.float32, as_is=isinstance(scale, AsIs))
        assert [leaf.dtype for leaf in tree.leaves(made)] == [leaf.dtype for leaf in tree.leaves(scale(x))]


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_bytes_beside_a_target_of_two_tensors_are_floats(in_memory: str) -> None:
    words = own("Twofold", "model=own", "model._target_=torch.nn.LazyLinear", "+model.out_features=1")
    words.append("loss._target_=test_scaling.First")
    run, setup = build(config(*words, f"loader.in_memory={in_memory}", "device=cpu"))
    x, _ = setup.splits.sample
    assert x.dtype is torch.float32
    assert np.isfinite(evaluate(run, EvalBatches.of(setup.splits.train, 7), "train")["train/loss"])


class Twofold(Dataset):
    """Rows of bytes with two numbers to predict, each a tensor of its own."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.arange(4).to(torch.uint8) + index, {"one": torch.tensor(1.0), "two": torch.tensor(2.0)}


class First(nn.Module):
    def forward(self, prediction: Tensor, target: dict[str, Tensor]) -> Tensor:
        return (prediction[:, 0] - target["one"]).square().mean()


class Ids(Dataset):
    """Integer inputs, which are cast: 2^24 + 1 is the first that float32 does not hold."""

    def __init__(self, largest: int = 2**24 + 1) -> None:
        self.x = torch.arange(40)[:, None] + largest - 39

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], index % 2


def own(name: str, *words: str) -> list[str]:
    return ["dataset=own", f"dataset._target_=test_scaling.{name}", *words]


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_integers_that_the_dtype_cannot_hold_are_refused(in_memory: str) -> None:
    words = own("Ids", *ALL_ROWS, f"loader.in_memory={in_memory}")
    with pytest.raises(ConfigError, match="the whole number 16777217, which float32") as caught:
        batches(build(config(*words))[0])
    assert "dtype=float64" in caught.value.hint
    for fits in ("+dataset.largest=16777216", "dtype=float64"):
        inputs, _ = batches(build(config(*words, fits))[0])
        assert inputs.max() == (16777216 if "largest" in fits else 16777217)


class BigTargets(Ids):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.ones(2), self.x[index] if index == 39 else torch.zeros_like(self.x[0])


def test_targets_that_the_dtype_cannot_hold_are_not_called_inputs() -> None:
    words = own("BigTargets", *ALL_ROWS, "dataset.task=numbers", *OWN_LOSS, "loader.in_memory=true")
    with pytest.raises(ConfigError, match="the targets hold the whole number 16777217, which float32") as caught:
        batches(build(config(*words))[0])
    assert caught.value.hint == "dataset.scale_targets=true"
    build(config(*words, "dataset.scale_targets=true"))


class Formula(Dataset):
    """(x, y) of a formula, y as a Python float."""

    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        x = torch.randn(3, generator=torch.Generator().manual_seed(index))
        return x, float(2 * x[0] - x[1])


class Batched(Formula):
    """Makes its batches itself, and knows the largest."""

    largest = 0

    def collate_fn(self, rows: list[tuple[Tensor, float]]) -> tuple[Tensor, Tensor]:
        Batched.largest = max(Batched.largest, len(rows))
        return torch.stack([x for x, _ in rows]), torch.tensor([y for _, y in rows])


def test_targets_are_read_some_rows_at_a_time() -> None:
    words = ["dataset.scale_targets=true", "dataset.val_fraction=0", "model=linear"]
    scales = [build(config(*own(name, *words)))[1].splits.preprocessing.y for name in ("Batched", "Formula")]
    assert Batched.largest == SCANNED
    expected = np.array([float(Formula()[row][1]) for row in range(len(Formula()))])
    for scale in scales:
        mean, std = scale.mean_and_std
        np.testing.assert_allclose([float(mean), float(std)], [expected.mean(), expected.std()], rtol=1e-6)


class Flat(nn.Module):
    """Gives (B,)."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)[:, 0]


FLAT = ["model=own", "model._target_=test_scaling.Flat"]


@pytest.mark.parametrize(
    ("model", "in_memory", "scale"),
    [(["model=linear"], "false", "auto"), (["model=linear"], "true", "true"), (FLAT, "true", "auto")],
)
def test_a_float_beside_each_row_is_learned(
    model: list[str], in_memory: str, scale: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = own("Formula", *model, f"loader.in_memory={in_memory}", f"dataset.scale_targets={scale}", *QUICK)
    result = trainer.train([*words, "optimizer.lr=0.1", "epochs=15", "guards=strict"])
    assert result.metrics["val/r2"] > 0.999
    unit = 5 if scale == "true" else 1  # the variance of 2a - b
    assert result.metrics["val/mse"] == pytest.approx(result.metrics["val/loss"] * unit, rel=0.3)
    capsys.readouterr()
    assert main(["eval", "latest", "--trust"]) == 0
    shown = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("val/"))
    assert float(shown["val/loss"]) == pytest.approx(result.metrics["val/loss"], abs=1e-4)


def counts(kind: str = "csv") -> tuple[np.ndarray, np.ndarray, list[str]]:
    """x (200, 2), Poisson counts y, and the words that read them."""
    chance = np.random.default_rng(0)
    x = chance.normal(size=(200, 2))
    y = chance.poisson(np.exp(1 + x @ [0.7, -0.3]))
    y = y.astype(np.float64) if kind == "npz" else y
    return x, y, write(x, y, kind) + ["dataset.task=numbers"] * (kind != "npz")


def loss_words(name: str, *keys: str) -> list[str]:
    return ["loss=mse", f"loss._target_=torch.nn.{name}", *(f"+loss.{key}" for key in keys)]


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("name", ["PoissonNLLLoss", "BCEWithLogitsLoss"])
def test_losses_of_counts_and_probabilities_see_the_numbers_themselves(kind: str, name: str) -> None:
    _, y, words = counts(kind)
    run, setup = build(config(*words, *loss_words(name), *ALL_ROWS))
    assert np.array_equal(batches(run)[1][:, 0], y)
    assert any(name in note for note in setup.splits.notes)
    scaled, _ = build(config(*words, "loss=l1", *ALL_ROWS))
    np.testing.assert_allclose(batches(scaled)[1][:, 0], standardised(y), atol=1e-6)


def test_a_poisson_run_is_that_of_newtons_method_and_predicts_counts() -> None:
    x, y, words = counts()
    design, weights = np.c_[np.ones(200), x], np.zeros(3)
    for _ in range(20):  # maximum likelihood
        rate = np.exp(design @ weights)
        weights += np.linalg.solve(design.T @ (rate[:, None] * design), design.T @ (y - rate))
    best = float((np.exp(design @ weights) - y * (design @ weights)).mean())
    fit = ["optimizer=adam", "optimizer.lr=0.05", "epochs=150", "loader.batch_size=200", *ALL_ROWS]
    trainer.train([*words, *loss_words("PoissonNLLLoss"), *fit, *QUICK])
    assert main(["predict", "latest", "t.csv", "-o", "p.csv"]) == 0
    rows = csv.DictReader(Path("p.csv").read_text().splitlines())
    predictions = np.array([float(row["prediction"]) for row in rows])
    np.testing.assert_allclose(predictions, np.exp(design @ weights), rtol=0.01)
    assert float((predictions - y * np.log(predictions)).mean()) == pytest.approx(best, abs=1e-4)
    assert main(["export", "latest"]) == 0
    exported = torch.export.load("outputs/latest/export/model.pt2").module()(torch.from_numpy(x))
    np.testing.assert_allclose(exported.detach().numpy()[:, 0], predictions, rtol=1e-5)


@pytest.mark.parametrize("num_targets", [1, 2])
@pytest.mark.parametrize(("name", "key"), [("HuberLoss", "delta"), ("SmoothL1Loss", "beta")])
def test_the_threshold_of_huber_is_in_the_units_of_the_data(name: str, key: str, num_targets: int) -> None:
    chance = np.random.default_rng(0)
    x, y = chance.normal(size=(64, 2)), 1000 + 50 * chance.normal(size=(64, num_targets)) * [1, 4][:num_targets]
    np.savez("t.npz", x=x, y=y)
    run, _ = build(config("dataset=npz", "dataset.path=t.npz", *loss_words(name, f"{key}=30"), *ALL_ROWS))
    x, targets = (torch.from_numpy(part) for part in batches(run))
    output = run.model(x)
    prediction = run.scale_y.inverse(output)  # in the data's units
    by_hand = getattr(nn, name)(**{key: 30.0})(prediction, torch.from_numpy(y))
    loss, power = run.loss_fn(output, targets), 2 if key == "delta" else 1
    std = np.sqrt(y.var(0).mean())
    assert loss.item() * std**power == pytest.approx(by_hand.item(), rel=1e-5)
    weights = list(run.model.parameters())
    both = (torch.autograd.grad(value, weights, retain_graph=True) for value in (loss, by_hand))
    mine, theirs = (torch.cat([part.flatten() for part in parts]).double() for parts in both)
    assert float(torch.cosine_similarity(mine, theirs, dim=0)) == pytest.approx(1, abs=1e-6)


class Mine(TensorData):
    """Has an argument of our key's name, which gets what is typed."""

    def __init__(self, scale_targets: object = "nothing") -> None:
        x = torch.randn(30, 2)
        super().__init__(x, x[:, :1] + 7, source=str(scale_targets))


class Own(nn.Module):
    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return (prediction - y).square().mean()


OWN_LOSS = ["loss=mse", "loss._target_=test_scaling.Own"]
HEADER = [  # words, what the header says, whether targets are standardised
    (["dataset=diabetes"], "targets are standardised: for MSELoss", True),
    (["dataset=diabetes", *OWN_LOSS], "targets keep the data's units: for Own", False),
    (["dataset=diabetes", *OWN_LOSS, "dataset.scale_targets=true"], "standardised: dataset.scale_targets=true", True),
    (["dataset=diabetes", "dataset.scale_targets=false"], "data's units: dataset.scale_targets=false", False),
    (["dataset=line"], "targets keep the data's units: as Line gives them", False),
    (["dataset=line", "dataset.scale_targets=true"], "standardised: dataset.scale_targets=true", True),
    (own("Formula"), "targets keep the data's units: as Formula gives them", False),
    (own("Mine", "dataset.scale_targets=robust"), "dataset.scale_targets is an argument of test_scaling.Mine", False),
]


@pytest.mark.parametrize(("words", "line", "scaled"), HEADER, ids=[" ".join(words) for words, _, _ in HEADER])
def test_the_header_says_which_and_why(words: list[str], line: str, scaled: bool) -> None:
    run, setup = build(config(*words, "model=linear"))
    assert any(line in note for note in setup.splits.notes), setup.splits.notes
    assert isinstance(run.scale_y, Standardize) == scaled
    assert setup.splits.source == "robust" or "Mine" not in "".join(words)


def test_several_targets_count_alike() -> None:
    chance = np.random.default_rng(0)
    np.savez("t.npz", x=chance.normal(size=(50, 2)), y=chance.normal(size=(50, 2)) * [1, 1000])
    run, setup = build(config("dataset=npz", "dataset.path=t.npz", *ALL_ROWS))
    assert "targets are standardised: for MSELoss; each of the 2 counts alike" in setup.splits.notes
    np.testing.assert_allclose(batches(run)[1].std(0), 1, atol=1e-6)


REFUSED = [
    (
        ["dataset=diabetes", *loss_words("BCELoss"), "dataset.scale_targets=true"],
        "needs the targets as they are",
    ),
    (["dataset=iris", "dataset.scale_targets=true"], "the task is classes"),
    (["dataset=iris", "dataset.scale_targets=perhaps"], "must be auto or true or false"),
    (own("Formula", "dataset.scale_targets=perhaps"), "must be auto or true or false"),
]


@pytest.mark.parametrize(("words", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_what_makes_no_sense_is_refused(words: list[str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(config(*words))


def test_targets_that_float32_cannot_tell_apart_are_refused_where_they_keep_their_units() -> None:
    chance = np.random.default_rng(0)
    for kind in ("csv", "npz"):
        words = write(chance.normal(size=(50, 2)), 1.7e9 + 100 * chance.normal(size=50), kind)
        with pytest.raises(ConfigError, match=r"too far from 0 for float32: .* apart at 1\.7e") as caught:
            build(config(*words, *OWN_LOSS))
        assert caught.value.hint == "dataset.scale_targets=true"
        build(config(*words, *OWN_LOSS, "dtype=float64"))


def test_a_run_of_version_0_1_0_keeps_its_scaling_whatever_the_loss(tmp_path: Path) -> None:
    for name in ("BCEWithLogitsLoss", "HuberLoss"):
        old = config("dataset=diabetes", *loss_words(name))
        del old.dataset["scale_targets"]  # which it did not have
        run, setup = build(old)
        assert isinstance(run.scale_y, Standardize)
        assert getattr(run.loss_fn, "delta", 1.0) == 1.0
        metrics = evaluate(run, run.val_batches, "val")
        preprocessing.write(tmp_path, setup.splits.preprocessing)
        read = preprocessing.read(tmp_path, torch.float32)
        run.task.scale = read.y
        assert evaluate(run, run.val_batches, "val") == metrics
