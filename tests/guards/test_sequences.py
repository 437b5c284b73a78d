"""Padding that counts, and the axis that a loss reads its classes along: found where they are, and nowhere else."""

import pytest
import torch
from torch import Tensor, nn

from trainer.guards.inputs import padding
from trainer.guards.outputs import other_axis, probability_axes

LENGTHS = torch.tensor([3, 6, 4, 2, 5, 6, 3, 4])
FILLED = torch.arange(6) >= LENGTHS[:, None]  # 15 of 48 positions
WORDS = torch.randint(1, 9, (8, 6), generator=torch.Generator().manual_seed(0))
IDS = WORDS.masked_fill(FILLED, 0)
PAIRS = (torch.arange(6) >= LENGTHS[:, None] // 2).long()  # first and second sentence
LOSS = nn.CrossEntropyLoss()


def padded(tags: Tensor, value: int) -> Tensor:
    return tags.masked_fill(FILLED, value)


@pytest.mark.parametrize("x", [IDS, {"ids": IDS}, {"mask": ~FILLED}, {"x": torch.rand(8, 6), "ids": IDS}])
@pytest.mark.parametrize("from_left", [False, True])
def test_padding_that_counts_is_found_with_its_share(x: object, from_left: bool) -> None:
    def turned(part: Tensor) -> Tensor:
        return part.flip(1) if from_left else part

    x = {name: turned(part) for name, part in x.items()} if isinstance(x, dict) else turned(x)
    (finding,) = padding(x, turned(padded(WORDS % 3, 0)), LOSS)
    assert finding.what.startswith(f"{15 / 48:.0%} of the targets are 0 where ")
    assert finding.remedy == "targets of -100 there, in collate_fn"  # 0 is a class too
    (finding,) = padding(x, turned(padded(WORDS, 0)), LOSS)
    assert finding.remedy == "loss.ignore_index=0"


@pytest.mark.parametrize(("x", "y", "loss_fn"), [
    (IDS, padded(WORDS % 3, -100), LOSS),
    (IDS, padded(WORDS, 0), nn.CrossEntropyLoss(ignore_index=0)),
    (IDS, padded(WORDS, 0), nn.MSELoss()),
    (WORDS, WORDS % 3, LOSS),
    (WORDS.masked_fill(torch.arange(6) > 3, 0), (WORDS % 3).masked_fill(torch.arange(6) > 3, 0), LOSS),  # one length
    (IDS, WORDS % 3, LOSS),  # targets of their own where the input is padded
    ({"types": PAIRS}, WORDS % 3, LOSS),
    (IDS, torch.zeros_like(IDS[:, 0]), LOSS),
    (torch.rand(8, 6), padded(WORDS, 0), LOSS),
])  # fmt: skip
def test_what_is_no_padding_or_does_not_count_is_left_alone(x: object, y: Tensor, loss_fn: nn.Module) -> None:
    assert padding(x, y, loss_fn) == []


def gradient(axis: int, **keywords: object) -> Tensor:
    """Of a cross-entropy that reads its classes along `axis` of (2, 5, 5)."""
    prediction = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.randint(0, 5, (2, 5), generator=torch.Generator().manual_seed(1))
    loss = nn.functional.cross_entropy(prediction.movedim(axis, 1), y, **keywords)
    return torch.autograd.grad(loss, prediction)[0]


@pytest.mark.parametrize(
    "keywords", [{}, {"label_smoothing": 0.1}, {"weight": torch.arange(1.0, 6)}, {"ignore_index": 2}]
)
def test_the_gradient_shows_the_axis_that_a_loss_reads(keywords: dict[str, object]) -> None:
    for axis, other in ((1, 2), (2, 1)):
        assert other_axis(gradient(axis, **keywords), axis, "Mine") == []
        (finding,) = other_axis(gradient(axis, **keywords), other, "Mine")
        assert f"along axis {axis}, but the model gives them along axis {other}" in finding.what
    assert other_axis(torch.randn(2, 5, 5), 2, "Mine") == []
    assert other_axis(torch.zeros(2, 5, 5), 2, "Mine") == []


def test_probabilities_are_found_along_their_axes() -> None:
    logits = torch.randn(2, 3, 4)
    assert [probability_axes(logits.softmax(axis)) for axis in range(3)] == [[0], [1], [2]]
    assert probability_axes(logits) == []
    assert probability_axes(torch.ones(2, 1)) == []
