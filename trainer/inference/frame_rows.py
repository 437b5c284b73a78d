"""Rows to predict from a table in memory."""

from typing import Any

from trainer.data.tabular.frame import FrameSource, to_arrow
from trainer.data.tabular.table_format import TableFormat
from trainer.data.tabular.unseen import Unseen
from trainer.inference.rows import Unlabelled, encoded, open_table


def open_frame(frame: Any, how: TableFormat) -> Unlabelled:
    """The rows of a table of pandas, polars or Arrow. Raises ConfigError with the columns that are missing."""
    source, unknown = FrameSource(to_arrow(frame), "x", how.dialect), Unseen()
    open_table(source, how, with_targets=False)
    return Unlabelled(source.names, [], ((batch.columns, raw) for batch, raw in encoded(source, how, unknown)), unknown)
