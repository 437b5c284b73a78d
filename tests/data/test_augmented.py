"""Augmented training rows: a function of (seed, epoch, row), however they are read; and evaluation that never is."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Cli, config
from drawn import draw
from torch import Tensor, nn
from torch.utils.data import Dataset

from trainer.build import augmentation
from trainer.build.build import build
from trainer.data import tree
from trainer.errors import ConfigError
from trainer.events import Stepped
from trainer.loop import evaluate, train
from trainer.processes.ranks import Ranks
from trainer.state import TrainState

MODEL = ["model=cnn", "model.channels=[4]", "threads=1", "epochs=2", "loader.batch_size=100"]
ROTATION = "augment.transforms=[{_target_: torchvision.transforms.v2.RandomRotation, degrees: 30}]"
BATCHED = {
    "shift": ["augment=shift"],
    "flip_shift": ["augment=flip_shift"],
    "crop_flip, cutout": ["augment=crop_flip", "augment.cutout=3"],
    "light": ["augment.brightness=0.3", "augment.contrast=0.4"],
    "mixup": ["augment.mixup=0.2"],
    "cutmix, flip": ["augment.cutmix=1.0", "augment.flip=true"],
    "both mixes, shift": ["augment=shift", "augment.mixup=0.4", "augment.cutmix=1.0"],
    "own, by batch": [ROTATION, "augment.per=batch"],
    "own mix": ["augment.transforms=[{_target_: torchvision.transforms.v2.MixUp}]", "augment.per=batch"],
}
ALL = BATCHED | {
    "trivial": ["augment=trivial"],
    "own, and mirrored": [ROTATION, "augment.flip=true"],
    "own, in place": [
        "augment.transforms=[{_target_: torchvision.transforms.v2.RandomErasing, p: 1.0, inplace: true}]"
    ],
}
JITTER = ["augment.transforms=[{_target_: torchvision.transforms.v2.ColorJitter, brightness: 0.2}]"]
IN_MEMORY, ROW_BY_ROW = ["loader.in_memory=true"], ["loader.in_memory=false"]


def built(*words: str) -> TrainState:
    return build(config(*MODEL, *words))[0]


def batches(run: TrainState, epoch: int = 0, first: int = 0) -> list[tuple[Tensor, Tensor]]:
    """The batches (x, y) of an epoch, from one on."""
    return [(x, y) for window in run.train_batches.windows(epoch, first) for x, y, *_ in window]


def same(a: list[tuple[Tensor, Tensor]], b: list[tuple[Tensor, Tensor]]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, tree.leaves(a), tree.leaves(b)))


@pytest.mark.parametrize("name", ALL)
def test_a_batch_is_a_function_of_its_position_and_evaluation_is_never_augmented(name: str) -> None:
    """What a resume needs: the same epoch again, and from its middle, in a run that was built again."""
    plain, run, again = built(), built(*ALL[name]), built(*ALL[name])
    assert run.val_batches is not None
    assert plain.val_batches is not None
    first, second = batches(run, 0), batches(run, 1)
    torch.rand(5)  # a generator that has moved decides nothing
    assert same(batches(again, 1, first=7), second[7:])
    assert same(batches(run, 0), first)
    assert not same(first, batches(plain, 0))
    rows = [order.train_batches.order(0) for order in (run, plain)]
    assert torch.equal(*rows)
    assert same([b[:2] for b in run.val_batches], [b[:2] for b in plain.val_batches])
    assert same([b[:2] for b in run.val_batches], [b[:2] for b in plain.val_batches])  # a second evaluation


@pytest.mark.parametrize("name", BATCHED)
def test_it_does_not_matter_how_rows_are_read(name: str) -> None:
    """Bytes in memory, row by row, and on two ranks, which are given their parts of each batch."""
    run, rows = built(*BATCHED[name]), built(*BATCHED[name], *ROW_BY_ROW)
    whole = batches(run)
    assert same(whole, batches(rows))
    if "own" in name:
        return
    parts = [batches_of_rank(run, rank) for rank in (0, 1, 2)]
    joined = [tuple(torch.cat(some) for some in zip(*part, strict=True)) for part in zip(*parts, strict=True)]
    assert same(joined, whole)  # type: ignore[arg-type]


def batches_of_rank(run: TrainState, rank: int) -> list[tuple[Tensor, Tensor]]:
    some = replace(run.train_batches, ranks=Ranks(rank, 3), even=True, sums=True)
    return [(x, y) for window in some.windows(0) for x, y, *_ in window]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_workers_give_the_same_weights(name: str) -> None:
    weights = []
    for words in (["loader.num_workers=0", *ROW_BY_ROW], ["loader.num_workers=1"], ["loader.num_workers=2"]):
        run = built(*ALL[name], *words)
        for _ in train(run):
            pass
        weights.append(torch.cat([p.flatten() for p in run.model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


class Sizes(Dataset):
    """Pictures of 60 rows, bytes or floats, some of which have the label that does not count."""

    classes = ("dark", "bright", "white")

    def __init__(self, dtype: str = "uint8", ignored: bool = False) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (60, 3, 10, 8), dtype=np.uint8)
        self.x = torch.from_numpy(pixels if dtype == "uint8" else (pixels / np.float32(255)))
        self.y = torch.arange(60) % 3
        if ignored:
            self.y[::5] = -100

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], int(self.y[index])


OWN = ["dataset=own", "dataset._target_=test_augmented.Sizes", "loader.batch_size=16"]


@pytest.mark.parametrize("words", [[], ["+dataset.dtype=float32"]])
def test_a_mirrored_row_is_the_row_or_its_mirror_image_whatever_its_scaling(words: list[str]) -> None:
    plain, run = built(*OWN, *words), built(*OWN, *words, "augment.flip=true")
    mirrored = 0
    for (before, _), (after, _) in zip(batches(plain), batches(run), strict=True):
        for one, other in zip(before, after, strict=True):
            mirrored += torch.equal(one.flip(2), other)
            assert torch.equal(one, other) or torch.equal(one.flip(2), other)
    assert 14 <= mirrored <= 34  # of 48


def test_black_is_black_before_the_scaling() -> None:
    """A picture that was cropped away is one of zeros in the data's units, not of means."""
    run, setup = build(config(*MODEL, "augment.crop=16", "dtype=float64"))
    pixels = torch.cat([setup.splits.preprocessing.x.inverse(x) for x, _ in batches(run)]).flatten(1)
    assert torch.allclose(pixels, pixels.round(), atol=1e-9)
    black = pixels.abs().amax(1) < 1e-9
    assert 0.6 < float(black.double().mean()) < 0.9  # of 33 places along an axis, 15 leave something of it


def test_the_loss_of_mixed_rows_leaves_ignored_ones_out_however_they_are_batched() -> None:
    """train/loss by hand, of one step of four batches: the mean over the rows that count."""
    words = [*OWN, "+dataset.ignored=true", "augment.mixup=0.5", "augment.flip=true", "dtype=float64"]
    words += ["loss=cross_entropy", "loss.weight=[1,2,3]", "loss.label_smoothing=0.1", "dataset.val_fraction=0"]
    run = built(*words, "loader.batch_size=15", "accumulate=4")
    model, total, count = copy.deepcopy(run.model).train(), 0.0, 0
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    for x, y in batches(run):
        with torch.no_grad():
            logs = model(x).log_softmax(1)
        each = -(weight * (y * 0.9 + 0.1 / 3) * logs).sum(1)
        counted = y.sum(1) > 0
        total, count = total + float(each[counted].sum()), count + int(counted.sum())
    step = next(event for event in train(run) if isinstance(event, Stepped))
    assert count == 48
    assert float(step.loss) == pytest.approx(total / count, rel=1e-9)


V2 = "torchvision.transforms.v2"
MIXUP, CUTMIX = (f"{{_target_: {V2}.{name}, num_classes: 10}}" for name in ("MixUp", "CutMix"))
NOT_PICTURES = ["dataset=iris", "model=mlp", "threads=1"]
REFUSED = [
    ([*NOT_PICTURES, "augment=flip_shift"], "augment= changes pictures", "augment.flip=false augment.shift=0"),
    ([*MODEL, "augment.shift=8"], "augment.shift=8 needs larger pictures than 8×8", "augment.shift=1"),
    ([*MODEL, "augment.mixup=1", "loss._target_=torch.nn.MultiMarginLoss"], "MultiMarginLoss does not take",
     "augment.mixup=0"),
    ([*MODEL, "augment.mixup=1", "dataset.task=numbers"], "mix the labels of classes, but the targets are numbers",
     "augment.mixup=0"),
    ([*MODEL, "augment=own"], "must be a list of transforms", "RandomRotation"),
    ([*MODEL, "augment.transforms={_target_: torch.nn.Identity}"], "must be a list", "s=[{_target_: torch"),
    ([*MODEL, "augment.transforms={degrees: 10}"], "must be a list", "RandomRotation"),
    ([*MODEL, "augment.transforms=[{_target_: torchvision.transforms.v2.CenterCrop, size: 4}]"], "made shape", "=[]"),
    ([*MODEL, "augment.transforms=[{_target_: torchvision.transforms.v2.MixUp}]"], "MixUp mixes the rows", "mixup=0.2"),
    ([*MODEL, f"augment.transforms=[{{_target_: {V2}.RandomChoice, transforms: [{MIXUP}, {CUTMIX}]}}]"],
     "MixUp mixes the rows of a batch, but it is inside RandomChoice", "=[] augment.mixup=0.2 augment.cutmix=1.0"),
    ([*MODEL, *BATCHED["own mix"], "augment.cutmix=1"], "so does augment.cutmix", "augment.transforms="),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message", "hint"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_what_cannot_be_augmented_is_refused(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(config(*words))
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_ranks_refuse_what_would_differ_between_them() -> None:
    for words, message in (
        (["augment.mixup=0.2", "loader.in_memory=false"], "another process may have read"),
        ([ROTATION, "augment.per=batch"], "part of a batch"),
        (BATCHED["own mix"], "MixUp mixes the rows of a batch, but each process"),
    ):
        run, setup = build(config(*MODEL, *(word for word in words if word.startswith("loader"))))
        some, asked = replace(run.train_batches, ranks=Ranks(0, 2)), config(*MODEL, *words)
        with pytest.raises(ConfigError, match=message):
            augmentation.augment(some, asked, setup.splits, nn.CrossEntropyLoss(), torch.float32)


@pytest.mark.parametrize("words", [["augment.brightness=0.2"], JITTER, [*JITTER, "augment.per=batch"]], ids=str)
def test_white_is_that_of_all_rows(words: list[str]) -> None:
    """Pictures of floats to 255 stay so, also where the first ones are dark."""
    x = np.zeros((60, 3, 8, 8), dtype=np.float32)
    x[30:] = 255
    np.savez("dark.npz", x=x, y=np.arange(60) % 3)
    run, setup = build(config(*MODEL, "dataset=npz", "dataset.path=dark.npz", "dataset.split_seed=1", *words))
    pixels = torch.cat([setup.splits.preprocessing.x.inverse(x) for x, _ in batches(run)])
    assert float(pixels.max()) > 180
    assert 0.3 < float((pixels > 180).double().mean()) < 0.7


def test_masks_of_another_size_are_refused_too() -> None:
    np.savez("masks.npz", x=np.random.rand(40, 3, 8, 8).astype(np.float32), y=np.random.randint(0, 2, (40, 8, 8)))
    words = ["dataset=npz", "dataset.path=masks.npz", "model._target_=torch.nn.Conv2d", "threads=1"]
    words += ["+model.in_channels=3", "+model.out_channels=2", "+model.kernel_size=1"]
    with pytest.raises(ConfigError, match=r"augment\.flip would move the pixels of pictures"):
        build(config(*words, "augment.flip=true"))


def test_a_split_that_is_evaluated_later_is_not_augmented_either(cli: Cli, tmp_path: Path) -> None:
    code = """class Mark:
    def __call__(self, x):
        with open("calls", "a") as file:
            file.write("1")
        return x
"""
    (tmp_path / "mark.py").write_text(code)
    words = ["model=linear", "epochs=1", "report=false", "augment.transforms=[{_target_: mark.Mark}]"]
    assert cli("train", *words).returncode == 0
    (tmp_path / "calls").rename(tmp_path / "of_training")
    assert cli("eval", "latest", "split=train").returncode == 0
    assert not (tmp_path / "calls").exists()


def test_both_keys_for_pictures_together_are_refused() -> None:
    draw(Path("pics"))
    with pytest.raises(ConfigError, match="both change pictures"):
        build(config(*MODEL, "dataset=images", "dataset.path=pics", "dataset.augment=true", "augment=flip_shift"))


def test_an_evaluation_of_a_mixed_run_is_on_hard_labels() -> None:
    run, plain = built("augment.mixup=1.0"), built()
    assert run.val_batches is not None
    assert plain.val_batches is not None
    found = [evaluate(some, some.val_batches, "val") for some in (run, plain)]  # type: ignore[arg-type]
    assert found[0] == found[1]
