"""trainer.train() with objects: they train in place as a command would, resume, load, and say what does not fit."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Cli
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import trainer
from trainer.config import given
from trainer.disk import layout
from trainer.errors import ConfigError, Diverged
from trainer.events import Ended, Evaluated, Started, Stepped

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK: dict[str, Any] = {"epochs": 3, "threads": 1, "device": "cpu", "report": False}
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)


def net(outputs: int = 2, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_model_trains_in_place_from_its_own_weights() -> None:
    """To the bits of the command line from the same weights; in eval mode, without gradients, its flags as before."""
    model, start = net(), net()
    model[0].weight.requires_grad_(False)
    result = trainer.train(model=model, data=(X, Y), optimizer__lr=0.01, **QUICK)
    assert result.model is model
    assert not model.training
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(model[0].weight, start[0].weight)
    assert not torch.equal(model[2].weight, start[2].weight)

    np.savez("rows.npz", x=X, y=Y)
    torch.save(start.state_dict(), "start.pt")
    start[0].weight.requires_grad_(False)
    words = ["dataset=npz", "dataset.path=rows.npz", "epochs=3", "optimizer.lr=0.01", "threads=1", "device=cpu"]
    words += ["init_from=start.pt", "freeze=['0.weight']", "report=false"]
    typed = trainer.train([*words, "model._target_=test_objects.net", "model=own"])
    assert same(typed.model, model)


def test_settings_are_words_and_overrides_win() -> None:
    settings: dict[str, Any] = {"optimizer": {"lr": 0.5, "weight_decay": 0.25}, "loader__batch_size": np.int64(50)}
    result = trainer.train(
        ["dataset=iris", "optimizer.lr=0.125", "epochs=1"], seed=3, dtype=torch.float64, **QUICK, **settings
    )
    config = result.config
    assert (config.optimizer["lr"], config.optimizer["weight_decay"], config.epochs) == (0.125, 0.25, 1)
    assert (config.loader.batch_size, config.seed, config.dtype) == (50, 3, "float64")
    with pytest.raises(ConfigError, match=r"no key 'optimizer\.lrr'") as caught:
        trainer.train(optimizer__lrr=1)
    assert caught.value.__notes__ == ["try: optimizer.lr=1"]
    with pytest.raises(ConfigError, match="a SGD, which a config cannot hold"):
        trainer.train(optimizer=torch.optim.SGD(net().parameters()))


@pytest.mark.parametrize("text", ["a b", "it's", "tail\\", "1e3", "null", "x,y", "{a: 1}", "café", ""])
def test_any_text_is_a_setting(text: str) -> None:
    from trainer.config.compose import compose
    from trainer.config.files import roots
    from trainer.config.source import Source
    from trainer.python import settings

    words = settings.words([("output_dir", text), ("freeze", [text, text]), ("init_rename", {"a": text})], ())
    data = compose(Source(words, roots([]))).data
    assert (data["output_dir"], data["freeze"], data["init_rename"]) == (text, [text, text], {"a": text})


def square(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square().mean()


class Scaled(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction * self.factor - target).square().mean()


def test_losses_and_metrics_and_listeners() -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    rows, numbers = (X, X[:, :1] * 3 + 1), {"model": net(1), "data": (X, X[:, :1] * 3 + 1)}
    events: list[Any] = []
    own = Scaled()
    metric = torchmetrics.MeanAbsolutePercentageError()
    result = trainer.train(
        **numbers, loss=own, metrics={"mape": metric, "mad": "mean_absolute_error"}, listeners=[events.append], **QUICK
    )
    assert own.factor.item() != 1
    assert {"val/mape", "val/mad"} <= result.metrics.keys()
    assert not metric.update_called
    kinds = [type(event) for event in events]
    assert kinds == [Started, *([Stepped] * 3 + [Evaluated]) * 3, Ended]
    truth = rows[1][:20]
    predicted = result.predict(X[:20])
    assert predicted.shape == (20,)
    found = result.evaluate((X[:20], truth))
    error = np.abs(predicted - truth[:, 0])
    assert found["all/mad"] == pytest.approx(error.mean(), rel=1e-5)
    assert found["all/mape"] == pytest.approx((error / np.abs(truth[:, 0])).mean(), rel=1e-5)

    by_function = trainer.train(model=net(1), data=rows, loss=square, **QUICK)
    plain = trainer.train(model=net(1), data=rows, loss=nn.MSELoss(), dataset__scale_targets=False, **QUICK)
    assert same(by_function.model, plain.model)
    assert plain.config.loss == {"_target_": "torch.nn.MSELoss"}  # built again from the folder
    weighted = trainer.train(model=net(), data=(X, Y), loss=nn.CrossEntropyLoss(torch.tensor([1.0, 3.0])), **QUICK)
    assert weighted.config.loss["weight"] == [1.0, 3.0]


def test_data_comes_in_many_forms() -> None:
    """The same rows and splits give the same model, whatever holds them."""
    parts = {"train": (X[:120], Y[:120]), "val": (X[120:160], Y[120:160]), "test": (X[160:], Y[160:])}
    arrays = trainer.train(model=net(), data=parts, **QUICK)
    assert arrays.summary["num_val"] == arrays.summary["num_test"] == 40
    assert arrays.summary["test"]["test/acc"] == arrays.evaluate(split="test")["test/acc"]
    words = {name: (x, np.where(y == 1, "yes", "no")) for name, (x, y) in parts.items()}
    named = trainer.train(model=net(), data=words, **QUICK)
    assert same(named.model, arrays.model)
    assert named.predict(X[:9]).tolist() == [["no", "yes"][label] for label in arrays.predict(X[:9])]

    mean, std = X[:120].mean(0), X[:120].std(0)
    scaled = {name: (torch.tensor((x - mean) / std).float(), torch.tensor(y)) for name, (x, y) in parts.items()}
    rows = trainer.train(model=net(), data={k: TensorDataset(*v) for k, v in scaled.items()}, **QUICK)
    assert rows.summary["num_test"] == 40
    assert rows.metrics["val/loss"] == pytest.approx(arrays.metrics["val/loss"], rel=1e-5)

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = net()

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.inside(torch.cat([left, right], 1))

    halves = {k: ({"left": x[:, :2], "right": x[:, 2:]}, y) for k, (x, y) in scaled.items()}
    trees = trainer.train(model=Two(), data=halves, **QUICK)
    assert trees.metrics["val/loss"] == pytest.approx(arrays.metrics["val/loss"], rel=1e-5)
    assert trees.predict(halves["test"][0]).tolist() == rows.predict(scaled["test"][0]).tolist()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_data_frame_is_a_table(library: str, tmp_path: Path) -> None:
    """As the CSV file with the same values: text, numbers and what is missing."""
    module = pytest.importorskip(library)
    city = np.array(["Rome", "Oslo", "Bonn"])[RANDOM.integers(0, 3, 90)].tolist()
    columns = {"size": [*X[:88, 0].tolist(), None, None], "city": city, "price": (X[:90, 0] * 2).tolist()}
    frame = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    result = trainer.train(data=frame, dataset__target="price", **QUICK)
    rows = zip(*columns.values(), strict=True)
    lines = ["size,city,price", *(f"{'' if size is None else size},{name},{price}" for size, name, price in rows)]
    Path("rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["dataset=table", "dataset.path=rows.csv", "dataset.target=price", "epochs=3", "threads=1", "device=cpu"]
    typed = trainer.train([*words, "report=false"])
    assert same(result.model, typed.model)
    assert np.array_equal(result.predict(frame), typed.predict("rows.csv"))
    assert result.evaluate(frame) == typed.evaluate(frame)
    again = trainer.load(result.run_dir, data=frame)
    assert again.evaluate()["val/mse"] == result.metrics["val/mse"]
    with pytest.raises(ConfigError, match="price"):
        trainer.train(data=frame, dataset__target="prize", **QUICK)
    with pytest.raises(ConfigError, match="name the column to predict"):
        trainer.train(data=frame, **QUICK)
    if library == "pandas":
        x, y = frame.drop(columns="price"), frame["price"]
        assert same(trainer.train(data=(x, y), **QUICK).model, result.model)


class Interrupts:
    """Asks to stop, as Ctrl-C does, after some steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: Any) -> None:
        from trainer.processes import signals

        if isinstance(event, Stepped) and event.step == self.step:
            signals.request_stop(2)


def test_an_interrupted_run_resumes_with_the_same_objects(cli: Cli) -> None:
    """The model holds the newest checkpoint; resumed, it ends with the bits of a run that was never stopped."""
    whole = trainer.train(model=net(), data=(X, Y), **QUICK)
    model = net()
    with pytest.raises(KeyboardInterrupt, match=r"trainer\.resume\('outputs/.*', model=…, data=…\)"):
        trainer.train(model=model, data=(X, Y), listeners=[Interrupts(5)], **QUICK)
    (run,) = [path.parent for path in Path("outputs").glob("*/*/config.yaml") if path.parent != whole.run_dir]
    stored = torch.nn.Module.state_dict(model)
    from safetensors.torch import load_file

    newest = load_file(run / "checkpoints/step-00000005/weights.safetensors")
    assert all(torch.equal(newest[name], tensor) for name, tensor in stored.items())
    assert not model.training

    assert layout.read_summary(run)["given"] == {
        "model": "torch.nn.modules.container.Sequential",
        "dataset": "train 200×4 and 200",
    }
    failed = cli("resume", str(run))
    assert failed.returncode == 2
    assert "no run folder can build again" in failed.stderr
    assert "trainer.resume(RUN, data=…)" in failed.stderr
    with pytest.raises(ConfigError, match="has changed"):
        trainer.resume(run, model=net(), data=(X + 1, Y))
    with pytest.raises(ConfigError, match=r"began with the model .*Sequential, and model= is a .*Linear"):
        trainer.resume(run, model=nn.Linear(4, 2), data=(X, Y))
    other = net(seed=5)
    resumed = trainer.resume(run, model=other, data=(X, Y))
    assert resumed.model is other
    assert same(other, whole.model)
    assert trainer.resume(run, model=net(), data=(X, Y)).summary["steps"] == 9  # finished, so only opened


def test_a_loaded_run_predicts_as_the_one_that_trained() -> None:
    result = trainer.train(model=net(), data=(X, Y), **QUICK)
    with pytest.raises(ConfigError, match=r"model .*Sequential is an object"):
        trainer.load(result.run_dir)
    loaded = trainer.load("latest", model=net(seed=9), data=(X, Y))
    assert same(loaded.model, result.model)
    assert loaded.evaluate()["val/acc"] == result.metrics["val/acc"]
    assert np.array_equal(loaded.probabilities(X), result.probabilities(X))
    copied = pickle.loads(pickle.dumps(result))
    assert copied.predict(X).tolist() == result.predict(X).tolist()
    with pytest.raises(ConfigError, match="rows of shape"):
        loaded.predict(X[:, :3])
    plain = trainer.train(["dataset=diabetes", "epochs=1", "threads=1", "device=cpu", "report=false"])
    with pytest.raises(ConfigError, match="gives no probabilities"):
        trainer.load(plain.run_dir).probabilities(X)


def test_predicting_leaves_a_model_as_it_is() -> None:
    """Also one that its owner has put into training mode: dropout and batch norm are those of an evaluation."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    result = trainer.train(model=model, data=(X, Y), **QUICK)
    expected, state = result.probabilities(X), {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    assert np.array_equal(result.probabilities(X), expected)
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_labels_come_back_as_they_were_given() -> None:
    for y in (np.where(Y == 1, "1", "0"), np.where(Y == 1, "b", "a").astype(object)):
        result = trainer.train(model=net(), data=(X, y), optimizer__lr=0.1, **QUICK | {"epochs": 20})
        assert (result.predict(X) == y).mean() > 0.9
        only = y == y[0]  # a class that is lacking is no error
        assert result.evaluate((X[only], y[only])).keys() == {
            "all/loss",
            "all/acc",
        }  # a class that is lacking is no error
    with pytest.raises(ConfigError, match="y holds x, z, and the classes of the run are a, b"):
        trainer.resume(model=net(), data=(X, np.where(Y == 1, "z", "x")), epochs=30)
    numbers = trainer.train(model=net(), data=(X, Y.astype(object)), **QUICK)
    assert numbers.predict(X).dtype.kind == "i"


def test_targets_in_one_column_have_ids() -> None:
    wide = np.zeros((200, 2), dtype=np.float32)
    wide[:, 0] = X[:, 0]
    for y in (wide[:, :1], X.sum(1)[:, None], torch.from_numpy(wide)[:, :1]):
        trainer.train(model=net(1), data=(X, y), **QUICK)


def test_objects_that_a_run_was_not_given_are_an_error() -> None:
    trainer.train(dataset="iris", **QUICK)
    for objects in ({"model": net()}, {"data": (X, Y)}, {"loss": lambda p, y: (p - y).mean()}):
        for function in (trainer.load, trainer.resume):
            with pytest.raises(ConfigError, match="this run was given no"):
                function("latest", **objects)


def test_runs_in_threads_wait_for_each_other() -> None:
    """Their seeds, threads and signals belong to the process."""
    alone = trainer.train(model=net(), data=(X, Y), **QUICK).model
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda model: trainer.train(model=model, data=(X, Y), **QUICK).model, [net(), net()]))
    assert same(both[0], alone)
    assert same(both[1], alone)
    with torch.no_grad():
        assert same(trainer.train(model=net(), data=(X, Y), **QUICK).model, alone)


def test_after_a_divergence_the_model_holds_the_last_good_weights() -> None:
    model = net(1)
    with pytest.raises(Diverged):
        trainer.train(model=model, data=(X, X[:, :1]), optimizer="sgd", optimizer__lr=1e30, **QUICK)
    assert all(bool(p.isfinite().all()) for p in model.parameters())


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"model": nn.Linear, "data": (X, Y)}, "model is the class Linear", "model=Linear"),
    ({"model": 3}, "model is a int, not an nn.Module", "trainer ls model"),
    ({"model": net(3), "data": (X, Y)}, "the data has 2 classes", "an output of shape"),
    ({"model": nn.Linear(5, 2), "data": (X, Y)}, "does not take inputs of shape", ""),
    ({"model": net(), "data": (X, Y[:9])}, "same number of rows", ""),
    ({"data": DataLoader(TensorDataset(torch.tensor(X)))}, "a DataLoader", "data=loader.dataset"),
    ({"data": X}, "a ndarray, which holds no inputs", "data=(x, y)"),
    ({"data": {"x": X, "y": Y}}, "a dict with x, y", "data=(x, y)"),
    ({"data": {"train": (X, Y), "val": TensorDataset(torch.tensor(X))}}, "of different kinds", "data=(x, y)"),
    ({"data": (np.array([["a"], ["b"]]), Y[:2])}, "x holds text", "a DataFrame"),
    ({"model": net().half(), "data": (X, Y)}, "parameters of float16", "autocast"),
    ({"model": net(), "data": (X, Y), "loss": "crossentropy"}, "crossentropy", ""),
    ({"model": net(), "data": (X, Y), "loss": nn.MSELoss}, "loss is the class MSELoss", "loss=MSELoss"),
    ({"model": net(), "data": (X, Y), "metrics": [3]}, "metrics holds a int", "torchmetrics"),
    ({"model": net(), "data": (X, Y), "listeners": [3]}, "cannot be called", "a function of an event"),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), BAD, ids=[message for _, message, _ in BAD])
def test_what_does_not_fit_is_one_message(arguments: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        trainer.train(**arguments, **QUICK)
    assert message in str(caught.value)
    assert hint in "".join(getattr(caught.value, "__notes__", []))
    assert not Path("outputs").exists()


def test_an_override_that_would_replace_an_object_is_an_error() -> None:
    with pytest.raises(ConfigError, match="data= gives the dataset, and dataset=iris names another"):
        trainer.train(["dataset=iris"], data=(X, Y), **QUICK)
    assert given.current() == given.Given()


RANKS = """
import numpy as np, torch, trainer
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.layers(x)

if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=(200, 4))
    settings = {"data": (x, x[:, 0] > 0), "epochs": 3, "threads": 1, "device": "cpu", "report": False}
    alone, model = Net(), Net()
    trainer.train(model=alone, **settings)
    result = trainer.train(model=model, nproc=2, **settings)
    pairs = list(zip(alone.parameters(), model.parameters(), trainer.load(model=Net()).model.parameters()))
    near = all(torch.allclose(a, b, atol=1e-5) for a, b, _ in pairs)
    stored = all(torch.equal(b, c) for _, b, c in pairs)
    print("in place:", result.model is model, not model.training, near, stored)
    try:
        trainer.train(model=Net(), nproc=2, loss=lambda p, y: p.mean(), **settings)
    except trainer.errors.ConfigError as error:
        print(error, error.__notes__)
"""


@pytest.mark.slow
def test_several_processes_train_copies_and_the_model_gets_the_weights() -> None:
    Path("ranks.py").write_text(RANKS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "ranks.py"], capture_output=True, text=True, env=environment)
    assert "in place: True True True True" in found.stdout, found.stderr
    assert "nproc starts other processes, which cannot get an object" in found.stdout
