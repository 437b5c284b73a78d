"""The rows of a split that a page shows: the first ones, and those that the model got most wrong."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor


class Shown(NamedTuple):
    """score: how wrong the model is about a row; row: its number in the data; content: what is shown of it."""

    score: float
    row: int
    content: Any


class Chosen:
    """rows: the number in the data of each row of the split. most: how many rows of each kind are kept."""

    def __init__(self, rows: Sequence[int] | Tensor, most: int) -> None:
        self.rows, self.most, self.num_rows = rows, most, 0
        self.first, self.worst = list[Shown](), list[Shown]()

    def add(self, scores: Tensor, content: Callable[[int], Any]) -> None:
        """Add the next rows of the split. scores: (B,), how wrong each is; content: of a row, by its place in the
        batch, on the CPU."""
        scores = scores.detach().float().cpu().nan_to_num(0.0)
        for place in range(min(len(scores), self.most - len(self.first))):
            self.first.append(self._shown(place, scores, content))
        least = self.worst[-1].score if len(self.worst) == self.most else 0.0
        top = scores.topk(min(self.most, len(scores))).indices.tolist()
        found = [self._shown(place, scores, content) for place in top if float(scores[place]) > least]
        self.worst = heapq.nlargest(self.most, [*self.worst, *found], key=lambda shown: shown.score)
        self.num_rows += len(scores)

    def _shown(self, place: int, scores: Tensor, content: Callable[[int], Any]) -> Shown:
        return Shown(float(scores[place]), int(self.rows[self.num_rows + place]), content(place))

    def groups(self) -> Iterator[tuple[str, list[Shown]]]:
        """Yield ('first rows', …) and ('worst rows', …); only the first, if they are all rows there are."""
        if self.first:
            yield ("all rows" if self.num_rows <= self.most else "first rows"), self.first
        if self.num_rows > self.most and self.worst:
            yield "worst rows", self.worst
