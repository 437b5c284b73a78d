"""Lion against numbers by hand: Algorithm 2 of arXiv 2302.06675."""

import pytest
import torch
from torch import nn

from trainer.optim.lion import Lion


def test_two_steps_by_hand() -> None:
    """lr 0.1, betas 0.5 and 0.75, weight decay 0.5, gradients (1, -2, 0) and (-3, 1, 0).

    Step 1: m = 0, u = sign(0.5 g) = (1, -1, 0); 0.95 θ - 0.1 u = (0.85, 2.0, -0.95); m = 0.25 g = (0.25, -0.5, 0).
    Step 2: 0.5 m + 0.5 g = (-1.375, 0.25, 0), u = (-1, 1, 0); 0.95 θ - 0.1 u = (0.9075, 1.8, -0.9025);
    m = 0.75 m + 0.25 g = (-0.5625, -0.125, 0).
    """
    theta = nn.Parameter(torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64))
    unused = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = Lion([theta, unused], lr=0.1, betas=(0.5, 0.75), weight_decay=0.5)
    for gradient, wanted in (([1.0, -2.0, 0.0], [0.85, 2.0, -0.95]), ([-3.0, 1.0, 0.0], [0.9075, 1.8, -0.9025])):
        theta.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        assert theta.tolist() == pytest.approx(wanted, abs=1e-15)
    assert optimizer.state[theta]["exp_avg"].tolist() == pytest.approx([-0.5625, -0.125, 0.0], abs=1e-15)
    assert unused not in optimizer.state
    assert unused.tolist() == [1.0, 1.0]
