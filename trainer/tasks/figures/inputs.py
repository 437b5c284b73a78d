"""The input as the target: inputs beside their reconstructions, as pictures or as curves."""

from torch import Tensor, cat

from trainer.data.tree import Tree
from trainer.disk.figures import MOST_POINTS, Curves, Figure, Pictures
from trainer.tasks.figures import pictures
from trainer.tasks.figures.chosen import Chosen, Shown
from trainer.tasks.figures.drawing import Source

FEW, FEW_CURVES = 8, 4  # rows of each kind
NAMES = ("input", "reconstruction")


class InputDrawing:
    """shape: of an input."""

    def __init__(self, shape: tuple[int, ...], source: Source) -> None:
        self.shape, self.source = shape, source
        self.is_picture = len(shape) in (2, 3) and min(shape[-2:]) >= pictures.SMALLEST
        self.chosen = Chosen(source.rows, FEW if self.is_picture else FEW_CURVES)

    def add(self, x: Tree, prediction: Tree, y: Tensor) -> None:
        """prediction, y: (B, …) of as many numbers; where a model returns something else, nothing is shown."""
        if not isinstance(prediction, Tensor) or prediction.numel() != y.numel():
            return
        truths, guesses = (part.reshape(len(y), *self.shape) for part in (y, prediction))
        errors = (guesses.float() - truths.float()).square().flatten(1).mean(1)

        def content(place: int) -> Tensor:
            pair = [self.source.raw(part[place : place + 1]).float().cpu() for part in (truths, guesses)]
            pair = [pictures.small(pictures.of_input(part)) for part in pair] if self.is_picture else pair  # type: ignore[arg-type]
            return cat(pair)

        self.chosen.add(errors, content)

    def figures(self) -> list[Figure]:
        """The first and the worst rows."""
        found: list[Figure] = []
        for which, group in self.chosen.groups():
            if self.is_picture:
                content = cat([shown.content for shown in group])
                drawn = pictures.of_floats(content, content[::2])
                labels = [f"row {shown.row}, {shown.score:.3g}" for shown in group]
                rows = [(label, drawn[2 * place : 2 * place + 2]) for place, label in enumerate(labels)]
                caption = "row: its number in the data, from 0, with its squared error"
                found.append(Pictures(f"Reconstructions: {which}", caption, NAMES, rows))
            elif len(group[0].content[0].flatten()) > 2:
                found += [_curves(shown, which) for shown in group]
        return found


def _curves(shown: Shown, which: str) -> Curves:
    numbers = shown.content.flatten(1)
    every = -(-numbers.shape[1] // MOST_POINTS)
    series = [
        (name, [(place * every, value) for place, value in enumerate(line[::every].tolist())])
        for name, line in zip(NAMES, numbers, strict=True)
    ]
    caption = f"of the {which}; squared error {shown.score:.3g}"
    return Curves(f"Row {shown.row}", caption, "number", "value", series)
