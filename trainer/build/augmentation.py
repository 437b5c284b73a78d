"""Training batches of augmented rows, where `augment` asks for them."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from trainer.augment import operations, transforms
from trainer.augment.mix import Mix, Unmixed
from trainer.augment.operations import Operations
from trainer.augment.transforms import MixOwn, OnBatch, Transform
from trainer.config.asked_augmentation import LIGHT, MIXES, PLACES, decodes_augmented, words
from trainer.config.schema import Augment, Config
from trainer.data import seeds, transformed, tree
from trainer.data.augmented import AugmentedBatches, AugmentedInMemory, Steps
from trainer.data.batches import TrainBatches
from trainer.data.kept_pictures import KeptPictures
from trainer.data.loaders import InMemory, TreesInMemory, place
from trainer.data.pixel_range import BYTE, pixel_range, white_of
from trainer.data.splits import Splits
from trainer.data.tensors import TensorData
from trainer.data.workers import Workers
from trainer.errors import ConfigError, described
from trainer.processes.ranks import Ranks
from trainer.tasks import soft_targets


def augment(batches: TrainBatches, config: Config, splits: Splits, loss_fn: nn.Module, dtype: torch.dtype) -> None:
    """Put a loader of augmented rows in the place of that of the rows as they are. Where rows are mixed, the loss
    learns to take shares of classes. Raises ConfigError for what cannot be augmented as `augment` asks."""
    asked, ranks, loader = config.augment, batches.ranks, cast(InMemory | Workers, batches.loader)
    if not words(asked):
        return
    if decodes_augmented(config):
        raise ConfigError("dataset.augment=true and augment= would both change pictures", "dataset.augment=false")
    raw = _pictures(asked, splits)
    _check_places(asked, raw, splits)
    white = _white(asked, splits)
    own = _own(asked, raw, splits, ranks, white)
    key, seed = seeds.derive(config.seed, "augment"), partial(seeds.derive, config.seed, "augment")
    numbers = {name: getattr(asked, name) for name in (*PLACES, *LIGHT)}
    steps = Steps(
        OnBatch([transform for transform in own if not transforms.mixes(transform)], seed, white),
        Operations(key, operations.chosen(**numbers, white=white, dtype=dtype)),
        loader.scale_x if isinstance(loader, InMemory) else loader.finish,
        _mix(config, [transform for transform in own if transforms.mixes(transform)], splits, dtype),
    )
    if steps.mix.is_mix:
        _check_mixed(asked, splits, loss_fn, ranks)
        loss_fn.__class__ = soft_targets.CrossEntropyLoss
        batches.denominator = soft_targets.denominator
    if not steps.are_none:  # of rows that are changed where they are read
        batches.loader = _over(loader, splits, steps)


def _over(loader: InMemory | Workers, splits: Splits, steps: Steps) -> AugmentedInMemory | AugmentedBatches:
    if isinstance(loader, TreesInMemory):
        text = f"augment= changes pictures in memory where each has one target, but {splits.name} has several"
        raise ConfigError(text, "loader.in_memory=false", "augment")
    if isinstance(loader, InMemory):
        return AugmentedInMemory(_raw(loader, splits), loader, steps)
    return AugmentedBatches(loader, steps)


def _without(asked: Augment, *names: str) -> str:
    """What to type so that nothing of these keys, or of all, is augmented."""
    off = {"flip": "false", "transforms": "[]"}
    asks = [name for name in names or (*PLACES, *LIGHT, *MIXES, "transforms") if getattr(asked, name)]
    return " ".join(f"augment.{name}={off.get(name, 0)}" for name in asks)


def _pictures(asked: Augment, splits: Splits) -> Tensor:
    """The first training rows as the data has them, (B, C, H, W). Raises ConfigError for what is not pictures."""
    data, rows = splits.train.part.data, splits.train.part.rows[:2]
    raw = None
    if splits.preprocessing.table is None:
        raw, _ = data.collate([data.read(int(row)) for row in rows])
    is_picture = isinstance(raw, Tensor) and raw.ndim == 4 and (raw.is_floating_point() or raw.dtype == torch.uint8)
    if isinstance(raw, Tensor) and is_picture and isinstance(splits.sample[0], Tensor):
        return raw
    found = "a table" if splits.preprocessing.table is not None else tree.described(raw)
    text = f"augment= changes pictures, (channels, height, width) of floats or uint8, but {splits.name} has {found}"
    raise ConfigError(text, _without(asked), "augment")


def _check_places(asked: Augment, raw: Tensor, splits: Splits) -> None:
    """Raise ConfigError where pixels would move, but targets that lie over them would not; and for a shift that a
    picture is too small for."""
    size, named = tuple(raw.shape[2:]), [name for name in PLACES if getattr(asked, name)]
    over = splits.facts.task == "pixels" or any(
        leaf.shape[-2:] == size and leaf.ndim > 2 for leaf in tree.leaves(splits.sample[1])
    )
    if over and splits.facts.task != "input" and (named or asked.transforms):
        name = (named or ["transforms"])[0]
        text = f"augment.{name} would move the pixels of pictures, and not those of their targets"
        raise ConfigError(text, _without(asked, *PLACES, "transforms"), f"augment.{name}")
    if asked.shift >= min(size):
        text = f"augment.shift={asked.shift} needs larger pictures than {size[0]}×{size[1]}: it reflects them"
        raise ConfigError(text, f"augment.shift={max(1, min(size) // 8)}", "augment.shift")


def _white(asked: Augment, splits: Splits) -> float:
    """The pixel that is white, see pixel_range. Raises ConfigError where brightness or contrast need it and pixels are
    not from 0."""
    low, high = pixel_range(splits.train.part)
    name = next((name for name in LIGHT if getattr(asked, name)), None)
    if name is not None and (low < 0 or high > BYTE):
        text = f"augment.{name} needs pixels from 0, black, to 1 or 255, but they are {low:.3g} to {high:.3g}"
        raise ConfigError(text, f"augment.{name}=0", f"augment.{name}")
    return white_of(high)


def _own(asked: Augment, raw: Tensor, splits: Splits, ranks: Ranks, white: float) -> list[Transform]:
    """The transforms of batches; those of samples are tried here and applied by the DataLoader. Raises ConfigError."""
    classes = splits.facts.classes
    own = transformed.made(asked.transforms, **({"num_classes": len(classes)} if classes else {}))
    for transform in own:
        _refuse_mixing(asked, transform, splits, ranks)
    if asked.per == "batch" and own and ranks.size > 1:
        text = (
            f"augment.per=batch, but each of {ranks.size} processes has a part of a batch and would draw other numbers"
        )
        raise ConfigError(text, "augment.per=sample", "augment.per")
    try:
        with transforms.seeded(0, raw.device):
            first = (raw[0] if asked.per == "sample" else raw).clone()
            transforms.applied([t for t in own if not transforms.mixes(t)], first, white)
    except Exception as error:
        text = f"augment.transforms: {described(error)}"
        raise ConfigError(text, _without(asked, "transforms"), "augment.transforms") from error
    return own if asked.per == "batch" else []


def _refuse_mixing(asked: Augment, transform: Transform, splits: Splits, ranks: Ranks) -> None:
    """Raise ConfigError for a transform that mixes rows where it cannot, or where others mix them too."""
    if not (mixing := transforms.mixing_in(transform)):
        return
    names = [type(found).__name__ for found in mixing]
    labels, both = splits.train.part.data.labels, [n for n in MIXES if getattr(asked, n)]
    reasons = {
        f"it is inside {type(transform).__name__}": transform not in mixing,
        f"so does augment.{both[0] if both else ''}": bool(both),
        "each process has a part of a batch": ranks.size > 1,
        "it was given one picture": asked.per == "sample",
        "its labels are not shares of the classes": transforms.is_kornias(transform),
        "some of its labels are ignored": labels is not None and bool((labels == splits.facts.ignored).any()),
    }
    if (why := next((why for why, holds in reasons.items() if holds), None)) is not None:
        ours = {"augment.mixup=0.2": "MixUp", "augment.cutmix=1.0": "CutMix"}
        instead = [key for key, name in ours.items() if any(name in found for found in names)]
        text = f"{names[0]} mixes the rows of a batch, but {why}"
        raise ConfigError(text, " ".join(["augment.transforms=[]", *instead]), "augment.transforms")


def _mix(config: Config, own: Sequence[Transform], splits: Splits, dtype: torch.dtype) -> Unmixed:
    asked, facts = config.augment, splits.facts
    if own:
        return MixOwn(own, partial(seeds.derive, config.seed, "augment"))
    if not (asked.mixup or asked.cutmix):
        return Unmixed()
    key = seeds.derive(config.seed, "augment")
    return Mix(key, asked.mixup, asked.cutmix, facts.num_outputs, facts.ignored, dtype, splits.device)


def _check_mixed(asked: Augment, splits: Splits, loss_fn: nn.Module, ranks: Ranks) -> None:
    """Raise ConfigError where rows cannot be mixed."""
    if splits.facts.task != "classes":
        text = f"augment.mixup and augment.cutmix mix the labels of classes, but the targets are {splits.facts.task}"
        raise ConfigError(text, _without(asked, *MIXES, "transforms"), "augment")
    if type(loss_fn) is not nn.CrossEntropyLoss:
        name = type(loss_fn).__name__
        text = f"mixup and cutmix give shares of classes, which {name} does not take; cross-entropy does"
        raise ConfigError(text, _without(asked, *MIXES, "transforms"), "loss")
    if ranks.size > 1 and not splits.train.loader.knows_targets:
        text = "augment.mixup and augment.cutmix need the next row of a batch, which another process may have read"
        raise ConfigError(text, "nproc=1, or loader.in_memory=true loader.num_workers=0", "augment")


def _raw(loader: InMemory, splits: Splits) -> Tensor:
    """All training rows as the data has them, on the device."""
    part = splits.train.part
    data: TensorData = part.data
    if type(loader) is InMemory:
        loader.keep_raw(data[part.rows][0] if loader.at_once else data.x)
        return loader.x
    if isinstance(loader, KeptPictures):
        return loader.x
    return place(data[part.rows][0], splits.device, loader.scale_x.dtype)
