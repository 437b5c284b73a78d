"""The focal loss against its formula by hand, and against cross-entropy, which it is for gamma=0."""

import math

import pytest
import torch
from conftest import config
from torch import nn

from trainer.build.build import build
from trainer.errors import ConfigError
from trainer.tasks.focal import FocalLoss
from trainer.tasks.losses import denominator


def test_two_rows_by_hand() -> None:
    """p of the right class is 0.9 and 0.5: (0.01 · -ln 0.9 + 0.25 · -ln 0.5) / 2 for gamma=2."""
    logits = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64).log()
    loss = FocalLoss(2.0)(logits, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx((0.01 * -math.log(0.9) + 0.25 * -math.log(0.5)) / 2, rel=1e-12)


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)])
@pytest.mark.parametrize("axis", [1, 2])
def test_gamma_0_is_cross_entropy_and_gradients_are_right(weight: torch.Tensor | None, axis: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, 4, dtype=torch.float64, generator=generator).movedim(1, axis).requires_grad_()
    y = torch.randint(0, 3, (6, 4), generator=generator)
    y[0, :2] = -100
    plain, focal = nn.CrossEntropyLoss(weight), FocalLoss(0.0, weight)
    focal.class_axis = axis
    torch.testing.assert_close(focal(logits, y), plain(logits.movedim(axis, 1), y))
    assert denominator(focal)[0](y, 6).item() == pytest.approx(denominator(plain)[0](y, 6).item())
    for gamma in (1.0, 2.0):
        focal.gamma = gamma
        assert torch.autograd.gradcheck(lambda x: focal(x, y), logits)


def test_a_right_answer_that_is_certain_has_a_gradient_of_0_and_no_nan() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    FocalLoss(0.5)(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0, 0.0]]


def test_it_trains_by_name_with_balanced_weights() -> None:
    run, _ = build(config("loss=focal", "loss.weight=balanced", "dataset=wine"))
    assert isinstance(run.loss_fn, FocalLoss)
    counts = torch.bincount(run.train_batches.loader.y).float()
    torch.testing.assert_close(run.loss_fn.weight, counts.sum() / (3 * counts), check_dtype=False)
    with pytest.raises(ConfigError, match="needs classes, but the targets are numbers"):
        build(config("loss=focal", "dataset=diabetes"))
