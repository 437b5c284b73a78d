"""Transforms of torchvision, kornia and your own: what they are given and may return, and how they are seeded."""

import random

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from trainer.augment import transforms
from trainer.config.trust import strangers

BYTES = torch.randint(0, 256, (4, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_generators_are_as_before() -> None:
    def drawn() -> tuple[float, float, float]:
        return torch.rand(()).item(), random.random(), float(np.random.rand())

    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    first = drawn()
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    with transforms.seeded(5, torch.device("cpu")):
        inside = drawn()
    assert drawn() == first
    with transforms.seeded(5, torch.device("cpu")):
        assert drawn() == inside


def test_a_picture_keeps_its_shape_and_dtype() -> None:
    assert torch.equal(transforms.applied([v2.RandomHorizontalFlip(1.0)], BYTES[0]), BYTES[0].flip(2))
    brighter = transforms.applied([v2.ToDtype(torch.float32), lambda x: x + 0.6], BYTES)
    assert torch.equal(brighter, (BYTES.float() + 0.6).round().clamp(0, 255).to(torch.uint8))
    for change in (v2.CenterCrop(5), lambda x: x.tolist()):
        with pytest.raises(ValueError, match="of a picture of shape"):
            transforms.applied([change], BYTES[0])


@pytest.mark.optional
def test_kornia_gets_floats_from_0_to_1_and_a_batch() -> None:
    kornia = pytest.importorskip("kornia")
    seen = list[Tensor]()

    class Flip(kornia.augmentation.RandomHorizontalFlip):
        __module__ = "kornia.augmentation"

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    for x in (BYTES[0], BYTES):
        assert torch.equal(transforms.applied([Flip(p=1.0)], x), x.flip(-1))
    assert [tuple(x.shape) for x in seen] == [(1, 3, 9, 7), (4, 3, 9, 7)]
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in seen)


def test_a_stored_run_may_name_torchvisions_and_no_others_without_a_signature() -> None:
    def named(path: str) -> list[str]:
        return strangers({"augment": {"transforms": [{"_target_": path}]}})

    assert named("torchvision.transforms.v2.TrivialAugmentWide") == []
    for path in ("torchvision.transforms.v2.functional.invert", "kornia.augmentation.RandomInvert", "os.system"):
        assert named(path) == [f"augment.transforms.0._target_={path}"]
