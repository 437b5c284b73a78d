"""A class for each pixel of a picture."""

from collections.abc import Sequence

from torch import Tensor

from trainer.stopping import METRICS
from trainer.tasks.classes import Classes
from trainer.tasks.columns import Columns
from trainer.tasks.figures.drawing import Drawing, Source
from trainer.tasks.figures.pixels import PixelDrawing


class Pixels(Classes):
    """A class for each pixel."""

    name, modes, monitor = "pixels", METRICS["pixels"], "iou"

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """None: pixels are no table."""
        return None

    def drawing(self, source: Source) -> Drawing:
        """Input, truth and prediction of some rows."""
        return PixelDrawing(self.facts.classes or [], self.facts.ignored, self.class_axis, source)
