"""A class for each pixel: the input, the truth and the prediction side by side, and how well each class is covered."""

import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.disk.figures import MOST_LINES, Figure, Pictures, Table
from trainer.tasks.figures import pictures
from trainer.tasks.figures.chosen import Chosen, Shown
from trainer.tasks.figures.drawing import Source

FEW = 8  # rows of each kind


class PixelDrawing:
    """names: of the classes; ignored: the class index that does not count; axis: the one of a prediction that holds the
    classes."""

    def __init__(self, names: list[str], ignored: int, axis: int, source: Source) -> None:
        self.names, self.ignored, self.axis, self.source = names, ignored, axis, source
        self.chosen = Chosen(source.rows, FEW)
        self.truths, self.guesses, self.hits = torch.zeros(3, len(names), dtype=torch.int64)

    def add(self, x: Tree, prediction: Tensor, y: Tensor) -> None:
        """prediction: logits, (B, H, W) with the classes along `axis`; y: class indices (B, H, W)."""
        guesses = prediction.argmax(self.axis).cpu()
        truths = y.cpu()
        counted = (truths >= 0) & (truths != self.ignored)
        right = counted & (truths == guesses)
        for sums, pixels in (
            (self.truths, truths[counted]),
            (self.guesses, guesses[counted]),
            (self.hits, truths[right]),
        ):
            sums += torch.bincount(pixels, minlength=len(self.names))
        wrong = 1 - right.flatten(1).sum(1) / counted.flatten(1).sum(1)

        def content(place: int) -> tuple[Tensor | None, Tensor, Tensor]:
            row = self.source.raw(tree.mapped(lambda leaf: leaf[place : place + 1], x))
            picture = pictures.of_input(row, truths.shape[1:])
            truth, guess = truths[place], torch.where(counted[place], guesses[place], -1)
            small = pictures.small(picture.cpu()) if picture is not None else None
            return small, pictures.small_mask(truth), pictures.small_mask(guess)

        self.chosen.add(wrong, content)

    def figures(self) -> list[Figure]:
        """The first and the worst rows, and the intersection over union of each class."""
        found: list[Figure] = []
        for which, group in self.chosen.groups():
            caption = "row: its number in the data, from 0, with the share of its pixels that are wrong"
            found.append(self._pictures(f"Masks: {which}", caption, group))
        both = self.truths + self.guesses
        ious, total = self.hits / (both - self.hits).clamp_min(1), int(self.truths.sum()) or 1
        rows = [
            (name, f"{100 * int(self.truths[label]) / total:.1f}%", float(ious[label]))
            for label, name in enumerate(self.names)
            if both[label]
        ]
        rows = sorted(rows, key=lambda row: row[-1])[:MOST_LINES]
        caption = "intersection over union, the lowest first; classes that occur in truth or prediction"
        return [*found, Table("IoU of each class", caption, ("class", "share of the pixels", "IoU"), rows)]

    def _pictures(self, title: str, caption: str, group: list[Shown]) -> Pictures:
        inputs = [shown.content[0] for shown in group if shown.content[0] is not None]
        is_one_size = len(inputs) == len(group) and len({tuple(picture.shape) for picture in inputs}) == 1
        shown_inputs = pictures.of_floats(torch.cat(inputs)) if is_one_size else []
        names = ["input"] * bool(shown_inputs) + ["truth", "prediction"]
        rows, numbers = [], set[int]()
        for place, (score, row, (_, truth, guess)) in enumerate(group):
            masks = [pictures.of_classes(mask, self.ignored) for mask in (truth, guess)]
            rows.append((f"row {row}, {100 * score:.1f}%", shown_inputs[place : place + 1] + masks))
            numbers |= {number for mask in (truth, guess) for number in mask.unique().tolist()}
        any_ignored = any(number < 0 or number == self.ignored for number in numbers)
        numbers = {number for number in numbers if number >= 0 and number != self.ignored}
        key = pictures.key(self.names, sorted(numbers), ignored=any_ignored)
        return Pictures(title, caption, names, rows, key)
