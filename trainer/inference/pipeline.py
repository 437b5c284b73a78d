"""Preprocessing, model and postprocessing as one module, from raw values to predictions."""

import torch
from torch import Tensor, nn

from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Standardize
from trainer.data.tabular.one_hot import Columns
from trainer.inference.model import Trained

MISSING = 0.1  # share of a table's check values that are missing


class Whole(nn.Module):
    """Takes floats (B, *raw_shape), with categories as their index and NaN for missing values; of pictures bytes.
    Returns probabilities (B, classes), or numbers (B, outputs) in the units of the data."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.inputs, self.model, self.outputs = trained.preprocessing.x, trained.model, trained.preprocessing.y
        self.classes = trained.facts.classes is not None
        self.dtype = trained.dtype

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.model(self.inputs(x))
        if self.classes:
            return output.softmax(1)
        return output if self.outputs is None else self.outputs.inverse(output)


def output_name(prepared: Preprocessing) -> str:
    """The name of the output."""
    return "probabilities" if prepared.facts.classes is not None else "prediction"


def likely_rows(prepared: Preprocessing, num_rows: int, dtype: torch.dtype) -> Tensor:
    """Raw rows (num_rows, *raw_shape) that resemble the training rows, the same on every call. Numbers are drawn with
    their mean and spread, categories evenly, some of them unknown, and some values are missing. Pictures are bytes."""
    generator = torch.Generator().manual_seed(0)
    if prepared.pictures is not None:
        return torch.randint(0, 256, (num_rows, *prepared.raw_shape), generator=generator, dtype=torch.uint8)
    rows = torch.randn(num_rows, *prepared.raw_shape, generator=generator, dtype=torch.float64)
    if isinstance(prepared.x, Standardize):
        rows = rows * prepared.x.std.double() + prepared.x.mean.double()
    elif isinstance(prepared.x, Columns):
        rows = rows * prepared.x.scale + prepared.x.shift
        for index, column in enumerate(prepared.table.columns if prepared.table else []):
            if column.kind == "category":
                rows[:, index] = torch.randint(-1, len(column.levels), (num_rows,), generator=generator).double()
        rows[torch.rand(rows.shape, generator=generator) < MISSING] = torch.nan
    return rows.to(dtype)
