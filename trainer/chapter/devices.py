"""Model and batch must be on the same device."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from trainer.text import first_line

CHAPTER = (
    "Expected all tensors to be on the same device,",
    "but found at least two devices, cuda:0 and cpu!",
)


def show(batch: int, features: int) -> Iterator[Any]:
    """A CPU batch for a model on CUDA, or on meta: shapes, no numbers."""
    other = torch.device("cuda" if torch.cuda.is_available() else "meta")
    model, x = nn.Linear(features, 1).to(other), torch.rand(batch, features)
    message = "none"
    try:
        model(x)
    except RuntimeError as error:
        message = first_line(error)
    yield f"torch:    {message}"
    yield f"chapter:  {CHAPTER[0]}"
    yield f"          {CHAPTER[1]}"
    yield "Both mean that one operand was left behind. .to() moves a module"
    yield "in place, but returns a tensor: x.to(device) alone does nothing."
    yield "torch's error names cpu", "cpu" in message

    device = other
    model.to(device)  # the two-line idiom: once for the model …
    x = x.to(device)  # … and for every batch
    works = model(x).device == model.weight.device
    yield "after x = x.to(device)", "works" if works else "fails"
