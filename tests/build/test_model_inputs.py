"""The hint where a model does not take its inputs: its forward's own names, and what could fill them."""

import pytest
import torch
from torch import Tensor, nn

from trainer.build.model import does_not_take


class Net(nn.Module):
    def forward(self, image: Tensor, facts: Tensor, mask: Tensor | None = None) -> Tensor:
        return image


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["photo", "facts"], "'dataset.inputs={image: photo, facts: facts}'"),
        (["image", "facts", "year"], "'dataset.inputs=[image,facts]'"),
        (["image", "facts"], None),  # something else is wrong
    ],
)
def test_a_model_whose_inputs_have_other_names(names: list[str], hint: str | None) -> None:
    error = does_not_take(Net(), {name: torch.zeros(2, 3) for name in names}, TypeError("unexpected keyword argument"))
    assert error.hint == hint
    assert "it is Net.forward(image: torch.Tensor, facts: torch.Tensor, mask" in error.message
    assert f"{names[0]}: (2, 3)" in error.message
