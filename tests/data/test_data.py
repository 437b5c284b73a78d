"""Data: the bundled sets, splits, both loaders, the order of samples, and torchvision's files in their own format."""

import hashlib
import math
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config
from mnist_files import write_mnist
from torch.utils.data import TensorDataset

from trainer.build.build import build
from trainer.data import embedded, synthetic
from trainer.data.roles import TRAIN, VAL, random_roles
from trainer.errors import ConfigError
from trainer.loop import train
from trainer.models.mlp import MLP
from trainer.processes import container, machine


def test_bundled_data_is_what_its_sources_say() -> None:
    shapes = {
        embedded.Digits: (1797, (1, 8, 8), 10),
        embedded.Iris: (150, (4,), 3),
        embedded.Wine: (178, (13,), 3),
        embedded.BreastCancer: (569, (30,), 2),
    }
    for make, (rows, shape, classes) in shapes.items():
        data = make()
        assert (len(data), tuple(data.x.shape[1:]), len(data.meaning.classes or [])) == (rows, shape, classes)
    counts = [torch.bincount(make().y).tolist() for make in (embedded.Iris, embedded.Wine, embedded.BreastCancer)]
    assert counts == [[50, 50, 50], [59, 71, 48], [212, 357]]
    diabetes = embedded.Diabetes()
    assert diabetes.x.shape == (442, 10)
    assert (float(diabetes.y.min()), float(diabetes.y.max())) == (25, 346)


@pytest.mark.optional
def test_bundled_data_equals_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    pairs = [
        (embedded.Digits(), datasets.load_digits()),
        (embedded.Iris(), datasets.load_iris()),
        (embedded.Wine(), datasets.load_wine()),
        (embedded.BreastCancer(), datasets.load_breast_cancer()),
        (embedded.Diabetes(), datasets.load_diabetes(scaled=False)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.x.flatten(1).numpy(), theirs.data, rtol=1e-6)
        np.testing.assert_array_equal(ours.y.flatten().numpy(), theirs.target)


def test_the_line_is_the_chapters() -> None:
    generator = np.random.default_rng(0)
    x = generator.uniform(-2, 2, 64)
    y = 2 * x + 1 + generator.normal(0, 0.1, 64)
    data = synthetic.Line()
    assert data.x.dtype == torch.float64
    np.testing.assert_array_equal(data.x[:, 0].numpy(), x)
    np.testing.assert_array_equal(data.y[:, 0].numpy(), y)


def test_splits_depend_on_split_seed_alone_and_share_no_row() -> None:
    first, second = (random_roles(1797, 0.2, seed) for seed in (0, 1))
    assert [int((roles == role).sum()) for roles in (first, second) for role in (TRAIN, VAL)] == [1438, 359] * 2
    assert (first != second).any()
    runs = [build(config(f"seed={seed}"))[0] for seed in (0, 1)]
    assert torch.equal(runs[0].val_batches.loader.y, runs[1].val_batches.loader.y)
    assert not torch.equal(runs[0].train_batches.order(0), runs[1].train_batches.order(0))


def test_scaling_is_fitted_on_the_training_split_alone() -> None:
    run, _ = build(config("dataset=diabetes", "dtype=float64"))
    x = run.train_batches.loader.x
    torch.testing.assert_close(x.mean(0), torch.zeros(10, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(10, dtype=torch.float64))
    assert float(run.val_batches.loader.x.mean(0).abs().max()) > 0.01


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(("num_rows", "batch_size", "epochs"), [(64, 16, 3), (65, 16, 2), (7, 10, 2), (100, 33, 1)])
def test_steps_are_epochs_times_batches(num_rows: int, batch_size: int, epochs: int, drop_last: bool) -> None:
    words = ["dataset=line", f"dataset.num_points={num_rows}", "dataset.val_fraction=0", f"epochs={epochs}"]
    words += [f"loader.batch_size={batch_size}", f"loader.drop_last={str(drop_last).lower()}"]
    if drop_last and num_rows < batch_size:
        with pytest.raises(ConfigError, match="no batch"):
            build(config(*words))
        return
    run, _ = build(config(*words))
    for _ in train(run):
        pass
    rounding = math.floor if drop_last else math.ceil
    assert run.progress.step == epochs * rounding(num_rows / batch_size)


@pytest.mark.parametrize("workers", [0, 2])
def test_both_loaders_give_the_same_batches_in_the_same_order(workers: int) -> None:
    memory, _ = build(config("loader.batch_size=100"))
    torchs, _ = build(config("loader.batch_size=100", f"loader.num_workers={workers}", "loader.in_memory=false"))
    assert type(memory.train_batches.loader) is not type(torchs.train_batches.loader)
    for epoch in (0, 1):
        pairs = list(zip(memory.train_batches.windows(epoch), torchs.train_batches.windows(epoch), strict=True))
        assert len(pairs) == 15
        for ours, theirs in pairs:
            for (x, y, *_), (other_x, other_y, *_) in zip(ours, theirs, strict=True):
                assert torch.equal(x, other_x)
                assert torch.equal(y, other_y)


def test_order_changes_with_the_epoch_and_starts_anywhere() -> None:
    run, _ = build(config("loader.batch_size=100", "accumulate=2"))
    batches = run.train_batches
    assert not torch.equal(batches.order(0), batches.order(1))
    assert torch.equal(batches.order(3), batches.order(3))
    whole, rest = list(batches.windows(1)), list(batches.windows(1, first=5))
    assert len(whole) == 8
    for a, b in zip(whole[5:], rest, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.batches, b.batches, strict=True))
    fixed, _ = build(config("loader.shuffle=false"))
    assert torch.equal(fixed.train_batches.order(0), torch.arange(1438))


class Noisy(TensorDataset):
    """Augments at random, as a transform would."""

    def __init__(self) -> None:
        super().__init__(torch.arange(40.0)[:, None], torch.arange(40) % 2)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = super().__getitem__(index)
        return x + torch.rand(1), y


@pytest.mark.parametrize("workers", [1, 2])
def test_augmentation_is_a_function_of_epoch_and_index(workers: int) -> None:
    def rows(workers: int, epoch: int) -> list[torch.Tensor]:
        words = ["dataset=own", "dataset._target_=test_data.Noisy", "loader.batch_size=8"]
        run, _ = build(config(*words, f"loader.num_workers={workers}"))
        return [x for window in run.train_batches.windows(epoch) for x, *_ in window]

    alone, here = torch.cat(rows(0, 1)), torch.cat(rows(workers, 1))
    assert torch.equal(alone, here)
    assert not torch.equal(alone.sort(0).values, torch.cat(rows(0, 2)).sort(0).values)


class Mislabelled(TensorDataset):
    """Says two classes and has three."""

    classes = ("a", "b")

    def __init__(self) -> None:
        super().__init__(torch.rand(30, 3), torch.arange(30) % 3)


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_a_label_outside_the_classes_is_found_on_the_cpu(in_memory: str) -> None:
    words = ["dataset=own", "dataset._target_=test_data.Mislabelled", f"loader.in_memory={in_memory}"]
    with pytest.raises(ConfigError, match=r"label 2 in row .* outside the 2 classes"):
        for _ in train(build(config(*words))[0]):
            pass


def test_mnist_in_its_own_format_makes_the_chapters_network(tmp_path: Path) -> None:
    write_mnist(tmp_path / "data", 300, 50)
    run, setup = build(config("dataset=mnist", "model=mlp"))
    assert isinstance(run.model, MLP)
    assert sum(p.numel() for p in run.model.parameters()) == 101_770
    assert (setup.splits.num_rows("train"), setup.splits.num_rows("val"), setup.splits.num_rows("test")) == (
        270,
        30,
        50,
    )
    (x, y, *_) = next(iter(next(run.train_batches.windows(0))))
    assert (x.shape, x.dtype, y.dtype) == ((64, 1, 28, 28), torch.float32, torch.int64)
    raw = struct.unpack_from("784B", (tmp_path / "data/MNIST/raw/t10k-images-idx3-ubyte").read_bytes(), 16)
    first, *_ = next(iter(run.test_batches))
    expected = (torch.tensor(raw, dtype=torch.float64) / 255 - 0.1307) / 0.3081
    torch.testing.assert_close(first[0].flatten().double(), expected, rtol=1e-5, atol=1e-6)


def test_cifar10_in_its_own_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    folder = tmp_path / "data/cifar-10-batches-py"
    folder.mkdir(parents=True)
    digests = {}
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for name in names:
        rows = {"data": np.full((20, 3072), 7, dtype=np.uint8), "labels": list(range(10)) * 2}
        (folder / name).write_bytes(pickle.dumps(rows))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    for path in folder.iterdir():
        digests[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    cifar = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar, "train_list", [[name, digests[name]] for name in names[:5]])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": digests["batches.meta"]})
    _, setup = build(config("dataset=cifar10", "model=cnn"))
    assert setup.splits.facts.input_shape == (3, 32, 32)
    assert (setup.splits.num_rows("train"), setup.splits.num_rows("test")) == (90, 20)


def test_missing_files_are_downloaded_with_a_word_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torchvision

    def offline(self: object) -> None:
        raise RuntimeError("Error downloading x:\n<urlopen error offline>")

    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "download", offline)
    with caplog.at_level("INFO", logger="trainer"), pytest.raises(ConfigError, match="cannot be downloaded: <urlopen"):
        build(config("dataset=fashion_mnist"))
    assert "download FashionMNIST into data" in caplog.text


def test_workers_and_in_memory_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match=r"loader.in_memory=true"):
        build(config("loader.in_memory=true", "loader.num_workers=2"))


def test_data_beyond_a_quarter_of_the_memory_goes_through_a_dataloader(monkeypatch: pytest.MonkeyPatch) -> None:
    num_bytes = 1797 * (64 + 8)  # bytes of pixels and of labels
    monkeypatch.setattr(machine, "total", lambda device: 4 * num_bytes)
    kept, setup = build(config())
    assert setup.splits.loader_name == "in memory"
    monkeypatch.setattr(machine, "total", lambda device: 4 * num_bytes - 4)
    loaded, setup = build(config())
    assert setup.splits.loader_name == "DataLoader, 0 workers (0.0 GB are more than a quarter of the memory)"
    for ours, theirs in zip(next(kept.windows()), next(loaded.windows()), strict=True):
        torch.testing.assert_close(ours[:2], theirs[:2], rtol=0, atol=0)


def test_an_input_that_is_its_own_target_is_counted_once() -> None:
    data = embedded.Digits().with_task("input", -100, "Digits")
    assert [tensor.data_ptr() for tensor in data.tensors] == [data.x.data_ptr()]
    splits = build(config("dataset=digits", "dataset.task=input", "model=mlp"))[1].splits
    assert splits.fingerprint.parts.names == ["x"]


def test_the_memory_of_a_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert 2**28 < machine.total(cpu) < 2**50
    monkeypatch.setattr(container, "memory", lambda: 1000)
    assert machine.total(cpu) == 1000
    assert machine.too_large([torch.zeros(62)], cpu) is None
    assert machine.too_large([torch.zeros(63)], cpu) is not None


class WithTestSplit(Noisy):
    """A Dataset of your own with a test split."""

    def __init__(self) -> None:
        super().__init__()
        self.test = Noisy()


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_the_test_split_of_your_own_dataset_is_kept(in_memory: str) -> None:
    words = ["dataset=own", "dataset._target_=test_data.WithTestSplit", f"loader.in_memory={in_memory}", "model=linear"]
    run, setup = build(config(*words))
    assert setup.splits.num_rows("test") == len(Noisy())
    assert sum(len(y) for _, y, _ in run.test_batches) == len(Noisy())
