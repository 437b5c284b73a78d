"""Shape and strides over a storage: views move nothing, copies do."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def show(rows: int, columns: int, terms: list[float]) -> Iterator[Any]:
    """Views of a (rows, columns) matrix; a sum of three float64 terms."""
    x = torch.arange(rows * columns).view(rows, columns)

    def place(tensor: torch.Tensor) -> int:
        return tensor.untyped_storage().data_ptr()

    views = {
        "view": x.view(columns, rows),
        "transpose": x.T,
        "permute": x.view(rows, columns, 1).permute(2, 1, 0),
        "slice": x[1:, ::2],
    }
    yield f"{'x':<12} shape {tuple(x.shape)}, stride {x.stride()}"
    for name, view in views.items():
        yield f"{name:<12} shape {tuple(view.shape)}, stride {view.stride()}"
    shared = [place(view) == place(x) for view in views.values()]
    yield "views on x's storage", sum(shared)
    yield "stride of x, x.T", f"{x.stride()}, {x.T.stride()}"

    copy = x.T.contiguous()
    contiguous = [tensor.is_contiguous() for tensor in (x, x.T, copy)]
    yield "contiguous: x, x.T, copy", contiguous
    yield ".contiguous() copies", place(copy) != place(x)
    ours = str(torch.tensor([1.0]).dtype).removeprefix("torch.")
    yield "dtype: NumPy, torch", f"{np.array([1.0]).dtype}, {ours}"

    first, second, third = torch.tensor(terms, dtype=torch.float64)
    left, right = (first + second) + third, first + (second + third)
    yield f"the sum of {terms}: {left.item()!r} or {right.item()!r}"
    yield "a sum in another order", (left - right).item()
