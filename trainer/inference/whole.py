"""Preprocessing, model and what makes an answer of its output, as one module: raw values in, answers out."""

import torch
from torch import Tensor, nn

from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Standardize
from trainer.data.tabular.one_hot import Columns
from trainer.inference.model import Trained

MISSING = 0.1  # share of a table's check values that are missing


class Whole(nn.Module):
    """(B, *raw_shape) floats, categories as their index and NaN for what is missing, to (B, classes) probabilities or
    (B, outputs) numbers in the units of the data."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        made = trained.preprocessing
        self.inputs, self.model, self.outputs = made.x, trained.model, made.y
        self.classes = made.facts.classes is not None
        self.dtype = trained.dtype

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.model(self.inputs(x))
        if self.classes:
            return output.softmax(1)
        return output if self.outputs is None else self.outputs.inverse(output)


def output_name(made: Preprocessing) -> str:
    """What the output is called."""
    return "probabilities" if made.facts.classes is not None else "prediction"


def likely_rows(made: Preprocessing, num_rows: int, dtype: torch.dtype) -> Tensor:
    """Raw rows such as training may have seen, always the same: (num_rows, *raw_shape). Numbers are drawn by the mean
    and spread of the training rows, categories evenly, unknown ones among them, and some values are missing."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(num_rows, *made.raw_shape, generator=generator, dtype=torch.float64)
    if isinstance(made.x, Standardize):
        rows = rows * made.x.std.double() + made.x.mean.double()
    elif isinstance(made.x, Columns):
        rows = rows * made.x.scale + made.x.shift
        for index, column in enumerate(made.table.columns if made.table else []):
            if column.kind == "category":
                rows[:, index] = torch.randint(-1, len(column.levels), (num_rows,), generator=generator).double()
        rows[torch.rand(rows.shape, generator=generator) < MISSING] = torch.nan
    return rows.to(dtype)
