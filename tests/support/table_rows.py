"""The rows of a prepared table as tensors."""

from torch import Tensor

from trainer.data.roles import TRAIN
from trainer.data.table import Prepared
from trainer.data.tabular.rows import read_rows


def rows_of(prepared: Prepared, role: int = TRAIN) -> tuple[Tensor, Tensor]:
    """x and y of the rows with a role."""
    part = prepared.parts[role]
    rows = read_rows(part.data, part.roles == role, prepared.preprocessing)
    return rows.x, rows.y
