"""Preprocessing, model and postprocessing as one module, from raw values to predictions."""

import torch
from torch import Tensor, nn

from trainer.data.preprocessing import Preprocessing
from trainer.inference.model import Trained

FAR = 10.0  # standard deviations, times what a normal distribution draws
MISSING = 0.1  # share of a table's check values that are missing


class Whole(nn.Module):
    """Takes raw rows (B, *raw_shape) of input_dtype, with categories as their index and NaN for missing values. Returns
    probabilities (B, classes), or numbers (B, outputs) in the units of the data."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.inputs, self.model, self.outputs = trained.preprocessing.x, trained.model, trained.preprocessing.y
        self.classes = trained.facts.classes is not None
        self.dtype = trained.dtype

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.model(self.inputs(x))
        if self.classes:
            return output.softmax(1)
        return output if self.outputs is None else self.outputs.predicted(output)


def output_name(prepared: Preprocessing) -> str:
    """The name of the output."""
    return "probabilities" if prepared.facts.classes is not None else "prediction"


def input_dtype(prepared: Preprocessing) -> torch.dtype:
    """The dtype of raw rows that go into an exported model: float64 where they are standardised, so that no digit is
    lost before their offset is taken off; the model's where they are not; uint8 for pictures."""
    if prepared.pictures is not None:
        return torch.uint8
    return prepared.x.dtype if prepared.x.mean_and_std is None else torch.float64


def likely_rows(prepared: Preprocessing, num_rows: int) -> Tensor:
    """Raw rows (num_rows, *raw_shape) that resemble the training rows, in input_dtype, the same on every call. Numbers
    are drawn with their mean and spread, in some rows up to FAR times as far; categories evenly, some of them unknown,
    and some values are missing."""
    generator = torch.Generator().manual_seed(0)
    if prepared.pictures is not None:
        return torch.randint(0, 256, (num_rows, *prepared.raw_shape), generator=generator, dtype=torch.uint8)
    rows = torch.randn(num_rows, *prepared.raw_shape, generator=generator, dtype=torch.float64)
    rows[num_rows // 2 :] *= torch.linspace(1, FAR, num_rows - num_rows // 2).reshape(-1, *[1] * (rows.ndim - 1))
    if (known := prepared.x.mean_and_std) is not None:
        mean, std = known
        rows = rows * std + mean
    if prepared.table is not None:
        for index, column in enumerate(prepared.table.columns):
            if column.kind == "category":
                rows[:, index] = torch.randint(-1, len(column.levels), (num_rows,), generator=generator).double()
        rows[torch.rand(rows.shape, generator=generator) < MISSING] = torch.nan
    return rows.to(input_dtype(prepared))
