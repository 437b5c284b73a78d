"""The operations of a forward, on which threads=auto depends."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainer.build.sizes import forward_flops
from trainer.models.cnn import CNN
from trainer.models.mlp import MLP

MODELS = {
    "mlp": (lambda: MLP(64, 10), (1, 8, 8)),
    "cnn": (lambda: CNN(1, 10), (1, 28, 28)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 9, 9)),
    "grouped": (lambda: nn.Conv1d(8, 8, 5, groups=4), (8, 40)),
    "sequence": (lambda: nn.Sequential(nn.Linear(6, 7), nn.LayerNorm(7), nn.Linear(7, 2)), (11, 6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_operations_are_those_that_torch_counts(name: str) -> None:
    make, shape = MODELS[name]
    model, x = make(), torch.rand(3, *shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(x)
    assert forward_flops(model.train(), model, x, len(x))[1] == counter.get_total_flops() / 3 > 0
    assert model.training
    assert not model._forward_hooks


def test_recurrent_weights_count_at_every_step_and_tables_not_at_all() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.lstm = nn.Embedding(100, 5), nn.LSTM(5, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lstm(self.table(x))[0][:, -1]

    assert forward_flops(last := Last(), last, torch.zeros(2, 7, dtype=torch.int64), 2)[1] == 2 * 7 * (16 * 5 + 16 * 4)
