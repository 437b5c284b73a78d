"""From a table's encoded rows to a model's inputs: standardised numbers, imputed missing values, one-hot categories."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.data.tabular.column import Column


class Columns(nn.Module):
    """Turns encoded rows (B, columns), see matrix.encode, into inputs (B, inputs) of `dtype`.

    mean, std: of the numbers and dates among the columns, over the training rows, float64; saved in the state_dict.
    """

    mean: Tensor
    std: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, columns: Sequence[Column], mean: Tensor, std: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        numbers = [index for index, column in enumerate(columns) if column.kind != "category"]
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        shift, scale = torch.zeros(len(columns), dtype=mean.dtype), torch.ones(len(columns), dtype=std.dtype)
        shift[numbers], scale[numbers] = mean, std  # for all columns at once; categories do not change
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.expand, self.dtype = OneHot(columns, dtype), dtype

    @property
    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """What each column is standardised by: 0 and 1 for categories."""
        return self.shift, self.scale

    def standardize(self, x: Tensor) -> Tensor:
        """The same columns in `dtype`, numbers standardised in float64. NaN and categories do not change."""
        return ((x.to(self.shift.dtype) - self.shift) / self.scale).to(self.expand.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.standardize(x))  # type: ignore[no-any-return]

    def inverse(self, x: Tensor) -> Tensor:
        """Inputs back to rows (B, columns), float64: NaN for a missing value, -1 for a category without an input."""
        return self.expand.inverse(x).to(self.shift) * self.scale + self.shift


class OneHot(nn.Module):
    """Turns standardised columns into inputs: numbers, with 0, their mean, for a missing one; an indicator for each
    column with missing values in training; one-hot categories. An index below 0 stands for no category."""

    numbers: Tensor
    indicated: Tensor
    categories: Tensor
    offsets: Tensor
    nothing: Tensor

    def __init__(self, columns: Sequence[Column], dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        numbers = [(i, c) for i, c in enumerate(columns) if c.kind != "category"]
        categories = [(i, c) for i, c in enumerate(columns) if c.kind == "category"]
        self.widths = widths = [c.width for _, c in categories]
        indices = {
            "numbers": [i for i, _ in numbers],
            "indicated": [place for place, (_, c) in enumerate(numbers) if c.missing],
            "categories": [i for i, _ in categories],
            "offsets": [sum(widths[:place]) for place in range(len(widths))],
            "nothing": [c.width - 1 if c.missing else -1 for _, c in categories],
        }
        for name, values in indices.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)
        self.num_levels = sum(widths)
        self.growth = sum(c.width for c in columns) / len(columns)  # inputs per column

    def on(self, device: torch.device, dtype: torch.dtype) -> "OneHot":
        """Itself, moved to a device."""
        return self.to(device)

    def waits(self, x: Tensor) -> bool:
        """Whether columns go to the device as they are and are expanded there: always, see Scale.waits."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        values = x[:, self.numbers] if len(self.categories) else x
        missing = values.isnan()
        parts = [torch.where(missing, 0, values)]
        if len(self.indicated):
            parts.append(missing[:, self.indicated].to(self.dtype))
        if self.num_levels:
            codes = x[:, self.categories]
            codes = torch.where(codes.isnan(), self.nothing, codes).long()
            cells = torch.where(codes < 0, self.num_levels, codes + self.offsets)  # the last cell is dropped
            one_hot = torch.zeros(x.shape[0], self.num_levels + 1, dtype=self.dtype, device=x.device)
            parts.append(one_hot.scatter_(1, cells, 1)[:, :-1])
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def places(self) -> list[list[int]]:
        """The places of the inputs that each column becomes."""
        numbers, width = self.numbers.tolist(), len(self.numbers) + len(self.indicated)
        found = {column: [place] for place, column in enumerate(numbers)}
        for place, number in enumerate(self.indicated.tolist(), len(numbers)):
            found[numbers[number]].append(place)
        for column, first, size in zip(self.categories.tolist(), self.offsets.tolist(), self.widths, strict=True):
            found[column] = list(range(width + first, width + first + size))
        return [found[column] for column in sorted(found)]

    def inverse(self, x: Tensor) -> Tensor:
        """Inputs back to standardised columns: NaN for a missing value, -1 for a category without an input."""
        values, marks, levels = x.split([len(self.numbers), len(self.indicated), self.num_levels], 1)
        columns = x.new_full((x.shape[0], len(self.numbers) + len(self.categories)), torch.nan)
        columns[:, self.numbers] = values
        marked = self.numbers[self.indicated]
        columns[:, marked] = torch.where(marks > 0.5, torch.nan, columns[:, marked])
        blocks = levels.split(self.widths, 1)
        for index, block, nothing in zip(self.categories.tolist(), blocks, self.nothing.tolist(), strict=True):
            code = torch.where(block.amax(1) > 0, block.argmax(1), -1)
            columns[:, index] = torch.where((code == nothing) & (code >= 0), torch.nan, code.to(x.dtype))
        return columns
