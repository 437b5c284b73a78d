"""A class for each position of a sequence."""

from collections.abc import Sequence

from torch import Tensor

from trainer.stopping import METRICS
from trainer.tasks import columns
from trainer.tasks.classes import Classes
from trainer.tasks.columns import Columns
from trainer.tasks.figures.drawing import Drawing, Source
from trainer.tasks.figures.tokens import TokenDrawing


class Tokens(Classes):
    """A class for each position of a sequence."""

    name, modes, monitor = "tokens", METRICS["tokens"], "loss"

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """The same for each position."""
        probabilities = self.answer(prediction).movedim(self.class_axis, -1)
        return columns.of_tokens(self.guess(prediction), probabilities, self.facts.classes or [])

    def drawing(self, source: Source) -> Drawing:
        """The loss by position, and some sequences."""
        return TokenDrawing(self.facts.classes or [], self.facts.ignored, self.class_axis, source)
