"""Datasets, models and losses with one mistake each, as people who learn make them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


def draws(row: int) -> Tensor:
    return torch.randn(4, generator=torch.Generator().manual_seed(row))


class Named(Dataset):
    """Rows {x, size, label}. odd: the row that `spoil` changes."""

    classes = ("a", "b")

    def __init__(self, odd: int = 1, num_rows: int = 60) -> None:
        self.odd, self.num_rows = odd, num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, row: int) -> Any:
        found = self.row(row)
        return self.spoil(found) if row == self.odd else found

    def row(self, row: int) -> Any:
        return {"x": draws(row), "size": draws(row)[:2], "label": row % 2}

    def spoil(self, found: Any) -> Any:
        return found


class WithoutKey(Named):
    def spoil(self, found: Any) -> Any:
        del found["size"]
        return found


class WithoutLabel(Named):
    def spoil(self, found: Any) -> Any:
        del found["label"]
        return found


class OtherShape(Named):
    def spoil(self, found: Any) -> Any:
        return found | {"size": torch.zeros(3)}


class OtherLabel(Named):
    def spoil(self, found: Any) -> Any:
        return found | {"label": 7}


class Raises(Named):
    def spoil(self, found: Any) -> Any:
        raise FileNotFoundError("picture 7 is missing")


class Nothing(Named):
    """Forgets to return its rows."""

    def spoil(self, found: Any) -> Any:
        return None


class Elsewhere(Named):
    """Its labels are on another device."""

    def row(self, row: int) -> Any:
        return draws(row), torch.tensor([0.5], device="meta")


class TwoTargets(Named):
    def row(self, row: int) -> Any:
        return {"x": draws(row), "label": row % 2, "labels": row % 2}


class Unlabelled(Named):
    def row(self, row: int) -> Any:
        return {"x": draws(row), "size": draws(row)[:2]}


class Texts(Named):
    def row(self, row: int) -> Any:
        return {"text": f"row {row}", "label": row % 2}


class Whole(Named):
    """One integer tensor a row."""

    def row(self, row: int) -> Any:
        return torch.arange(4) + row


class Twice(Named):
    """One name for two parts of its tree."""

    def row(self, row: int) -> Any:
        return {"a": {"x": draws(row)}, "a.x": draws(row), "label": row % 2}


class Renamed(Named):
    def row(self, row: int) -> Any:
        return {"x": draws(row), "length": draws(row)[:2], "label": row % 2}


class Diagnosed(Named):
    """A target under a name of its own."""

    def row(self, row: int) -> Any:
        return {"x": draws(row), "size": draws(row)[:2], "diagnosis": row % 2}


class Pictured(Named):
    def row(self, row: int) -> Any:
        return {"image": draws(row).reshape(1, 2, 2), "size": draws(row)[:2], "label": row % 2}


class Marked(Named):
    """Pixels of 255, which are to count for nothing."""

    classes = ("a", "b", "c", "d")

    def row(self, row: int) -> Any:
        return draws(row).reshape(1, 2, 2), torch.tensor([[0, 255], [1, 2]])


class Nested(Named):
    def row(self, row: int) -> Any:
        return {"views": (draws(row), draws(row)), "label": row % 2}

    def spoil(self, found: Any) -> Any:
        return found | {"views": (*found["views"], found["views"][0])}


class Numbers(Named):
    def row(self, row: int) -> Any:
        return draws(row), draws(row)[:3]


class Four(Named):
    def row(self, row: int) -> Any:
        return draws(row), draws(row), row, row % 2


class Padded(Named):
    """Rows of several lengths and a collate_fn. how: what is wrong with the batches that it gives."""

    classes = ("a", "b")

    def __init__(self, how: str = "", odd: int = 0, num_rows: int = 60) -> None:
        super().__init__(odd, num_rows)
        self.how = how

    def row(self, row: int) -> Any:
        return draws(row)[: 1 + row % 4], row % 2

    def spoil(self, found: Any) -> Any:
        return (found[0], 7) if self.how == "label" else (torch.zeros(5), found[1]) if "late" in self.how else found

    def collate_fn(self, rows: list[Any]) -> Any:
        x = nn.utils.rnn.pad_sequence([row[0] for row in rows], batch_first=True)
        if self.how == "raises late" and x.shape[1] > 4:
            raise RuntimeError("a row of 5")
        x = nn.functional.pad(x, (0, 4 - x.shape[1]))
        y = torch.tensor([row[1] for row in rows])
        if self.how == "fewer" and len(rows) > 1:
            return x[:-1], y[:-1]
        if self.how == "fewer y" and len(rows) > 1:
            return x, y[:-1]
        if self.how == "empty":
            return ()
        if self.how == "nothing":
            return None
        if self.how == "texts":
            return x, [str(word) for word in y.tolist()]
        if self.how == "a list of labels":
            return x, [row[1] for row in rows]
        if self.how == "lists":
            return [row[0] for row in rows], y
        if self.how == "raises":
            return torch.stack([row[0] for row in rows]), y
        return x, y


class OnlyX(nn.Module):
    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.out = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x)


class Both(OnlyX):
    def forward(self, x: Tensor, size: Tensor) -> Tensor:  # type: ignore[override]
        return self.out(x)


class Views(OnlyX):
    def forward(self, views: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]
        return self.out(views[0])


class Wide(OnlyX):
    """Five outputs."""

    def __init__(self) -> None:
        super().__init__(5)


class Sequence(OnlyX):
    """(N, T, 5), for targets of another shape."""

    def __init__(self) -> None:
        super().__init__(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x)[:, None].expand(-1, 6, -1)


class Joined(OnlyX):
    """Joins rows and positions, as a loop by hand does before its loss."""

    def __init__(self) -> None:
        super().__init__(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x)[:, None].expand(-1, 4, -1).reshape(-1, 3)


class Turned(OnlyX):
    """(T, N, 2): its first axis is not the rows'."""

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x)[None].expand(3, -1, -1)


class Sums(OnlyX):
    """Forgets the axis of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x).mean(0)


class Said(OnlyX):
    """Returns a text."""

    def forward(self, x: Tensor) -> Any:
        return str(self.out(x))


class Terms(nn.Module):
    def __init__(self, how: str = "vector") -> None:
        super().__init__()
        self.how = how

    def forward(self, prediction: Tensor, y: Tensor) -> Any:
        loss = nn.functional.cross_entropy(prediction, y)
        found = {
            "vector": {"fit": loss, "each": prediction.mean(1)},
            "float": {"fit": loss, "penalty": 0.5},
            "none": {"fit": loss, "penalty": None},
            "empty": {},
            "matrix": prediction,
            "nothing": None,
            "slash": {"val/fit": loss},
            "numbers": {0: loss},
        }
        return found[self.how]


class Third(nn.Module):
    """Calls the input by another name than `inputs`."""

    def forward(self, prediction: Tensor, y: Tensor, x: Tensor) -> Tensor:
        return nn.functional.cross_entropy(prediction, y)


class Spans(Dataset):
    """Four words a row, three kinds, and a word of seven tags."""

    def __init__(self, odd: int = -1) -> None:
        self.odd = odd

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> Any:
        y = (torch.arange(4) + row) % 3
        return draws(row), y


class Array(Dataset):
    """Objects that no tensor holds."""

    classes = ("a", "b")

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> Any:
        return np.array([object()]), row % 2
