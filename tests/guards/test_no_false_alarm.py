"""Guards are silent on all that ships, on torchvision's networks, and on what only looks like a mistake."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from broken import BLOBS, data, model
from conftest import config
from drawn import draw
from jobs import JOBS
from mnist_files import write_mnist

from trainer.build.build import build
from trainer.config import files
from trainer.guards.shared_rows import shared_rows
from trainer.listeners.guards import Guards
from trainer.loop import train

OPTIONS = files.options([files.shipped()])
OTHERS = ("own", "mnist", "fashion_mnist", "cifar10", "table", "npz", "safetensors", "images")  # they need files
BUNDLED = [name for name in OPTIONS["dataset"] if name not in OTHERS]
CLASSES = ["mlp", "linear"]
WITH_FILES = ("mnist", "cifar10_fast", "cifar10_fast_muon", "finetune")
EXPERIMENTS = [name for name in OPTIONS["experiment"] if name not in WITH_FILES]


def alarms(*words: str) -> list[str]:
    """What guards say of a run as it is typed, notes aside, its shared rows too."""
    run, setup = build(config("threads=1", "device=cpu", "compile=none", *words))
    found = list(setup.findings)
    guards = Guards(run, found.append)
    for event in train(run):
        guards(event)
    assert run.progress.step == run.progress.num_steps
    found += shared_rows(setup.splits)
    return [finding.message for finding in found if not finding.note]


@pytest.mark.parametrize(("dataset", "net"), list(itertools.product(BUNDLED, CLASSES)))
def test_every_data_set_with_every_model(dataset: str, net: str) -> None:
    assert alarms(f"dataset={dataset}", f"model={net}") == []


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(files.shipped() / "experiment/chapter")
    assert alarms(f"experiment={experiment}", "hydra.mode=RUN", "dataset.val_fraction=0.2") == []


def test_the_experiment_that_needs_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path / "data", 3000, 50)
    assert alarms("experiment=mnist", "epochs=1") == []


@pytest.mark.parametrize("experiment", ["cifar10_fast", "cifar10_fast_muon"])
def test_the_recipes_for_cifar10(experiment: str, tmp_path: Path) -> None:
    labels = np.arange(200) % 4
    noise = np.random.default_rng(0).integers(0, 60, (200, 3, 32, 32))
    np.savez(tmp_path / "c.npz", x=(noise + 40 * labels[:, None, None, None]).astype(np.uint8), y=labels)
    words = ["dataset=npz", "dataset.path=c.npz", "dataset.val_fraction=0.2", "loader.batch_size=40", "epochs=2"]
    assert alarms(f"experiment={experiment}", *words, "model.widths=[8,8,8]") == []


@pytest.mark.slow
def test_the_experiment_that_needs_a_folder_of_pictures(tmp_path: Path) -> None:
    draw(tmp_path / "pics")
    assert alarms("experiment=finetune", "dataset.path=pics", "dataset.size=48", "epochs=2", "model.weights=null") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "scheduler"), list(itertools.product(OPTIONS["optimizer"], OPTIONS["scheduler"]))
)
def test_every_optimizer_with_every_schedule(optimizer: str, scheduler: str) -> None:
    words = [f"optimizer={optimizer}", f"scheduler={scheduler}", "epochs=15"]
    assert alarms("dataset=digits", *words) == []
    assert alarms("dataset=diabetes", *words) == []


@pytest.mark.parametrize("words", [
    ["model=cnn", "max_steps=40"],
    ["autocast=bf16", "epochs=10"],
    ["autocast=fp16", "epochs=3"],
    ["accumulate=4", "clip_grad_norm=1", "epochs=12"],
    ["model.norm=batch", "model.dropout=0.5", "epochs=12"],
    ["loss=cross_entropy", "loss.label_smoothing=0.2", "epochs=10"],
    ["loader.batch_size=1", "epochs=1"],
    ["optimizer=sgd", "optimizer.lr=1e-3", "epochs=20"],
    ["dataset=diabetes", "loss=l1"],
    ["max_steps=1", "dataset=line"],
    [*BLOBS, "model=own", "model._target_=broken.ZeroInit", "epochs=60"],
    [*BLOBS, "model=own", "model._target_=broken.Keeps", "epochs=60"],
    [*data("Pixels"), *model("ScalesItself"), "epochs=60"],
    [*data("Binary"), *model("Plain"), "loss._target_=torch.nn.BCEWithLogitsLoss", "epochs=60"],
    [*BLOBS, *model("Plain"), "loader.num_workers=0", "loader.in_memory=true", "epochs=60"],
], ids=" ".join)  # fmt: skip
def test_other_ways_to_train(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **keywords: None)  # weight_norm's own, that it is deprecated
        assert alarms(*words) == []


@pytest.mark.parametrize("name", JOBS)
def test_jobs_of_every_shape(name: str) -> None:
    assert alarms(*JOBS[name], "optimizer=adam", "optimizer.lr=0.01", "epochs=12") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "mobilenet_v3_small"])
def test_torchvisions_networks(name: str) -> None:
    """22 steps on one batch: the guards of the first steps are past, and the loss has to be on its way."""
    words = [*data("Pictures"), "model=own", f"model._target_=torchvision.models.{name}", "+model.num_classes=2"]
    words += ["+model.image_size=64"] if name == "vit_b_16" else []
    words += ["+dataset.num_rows=8", "dataset.val_fraction=0", "optimizer.lr=1e-4", "threads=1", "device=cpu"]
    run, setup = build(config(*words, "epochs=22", "eval_every=22epochs", "log_every=1"))
    found = list(setup.findings)
    guards = Guards(run, found.append)
    losses = []
    for event in train(run):
        guards(event)
        losses += [event.loss.item()] if hasattr(event, "loss") else []
    assert found == []
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("more", [[], ["unfreeze_at=20steps"]])
def test_a_loss_may_be_all_that_trains(more: list[str]) -> None:
    assert alarms(*JOBS["distilled"], "freeze=['*']", "epochs=1", *more) == []


def test_what_is_frozen_on_purpose_may_stay_in_eval() -> None:
    from broken import Plain
    from torch import nn

    from trainer.guards.structure import left_in_eval

    net = nn.Sequential(Plain(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.0))
    net[1].requires_grad_(False)
    net.train()
    net[1].eval()
    net[2].eval()
    assert left_in_eval(net) == []
    net[1].requires_grad_(True)
    assert [finding.check for finding in left_in_eval(net)] == ["eval"]


def test_numbers_that_name_the_classes_of_coloured_pictures_are_not_digits() -> None:
    """As in an npz of CIFAR-10: only pictures of one channel are taken for digits."""
    x, y = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8), np.arange(40) % 10
    np.savez("three.npz", x=x, y=y)
    np.savez("one.npz", x=x[:, :1], y=y)
    mirrored = {}
    for name in ("three", "one"):
        words = ["dataset=npz", f"dataset.path={name}.npz", "model=cnn", "model.channels=[4]", "augment.flip=true"]
        findings = build(config("threads=1", *words))[1].findings
        mirrored[name] = [finding.check for finding in findings if finding.check == "mirrored"]
    assert mirrored == {"three": [], "one": ["mirrored"]}
