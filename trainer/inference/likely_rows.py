"""Made-up raw rows that resemble the training rows: a run folder holds no data, and an exported file is tried on some.
They are the same on every call."""

import torch
from torch import Tensor, nn

from trainer.data import facts as inputs_of
from trainer.data import tree
from trainer.data.facts import Spec
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import AsIs
from trainer.data.tree import Tree
from trainer.errors import ConfigError, place
from trainer.inference.model import Trained
from trainer.inference.pipeline import input_dtype
from trainer.text import first_line

FAR = 10.0  # standard deviations, times what a normal distribution draws
MISSING = 0.1  # share of a table's check values that are missing
TRIED = 3  # rows
MASK = "mask"  # in the names of inputs of 0 and 1 that are no numbers of words


def likely_rows(trained: Trained, num_rows: int) -> Tree:
    """Rows (num_rows, *raw_shape), or a tree of such, that the model takes. Raises ConfigError where it takes none."""
    prepared = trained.preprocessing
    if not isinstance(prepared.x, AsIs):
        return _of_numbers(prepared, num_rows)
    why = ""
    for least in (0, 1):  # 0 may be no index, as the length of a sequence
        rows = _of_specs(trained, num_rows, least)
        try:
            trained.outputs(tree.first(rows, TRIED))
            return rows
        except Exception as error:
            why = why or f"{first_line(error)}{place(error)}"
    text = f"a file is tried on made-up rows, but {type(trained.model).__name__} does not take them: {why}"
    raise ConfigError(text, "trainer predict, which reads rows of yours")


def _of_specs(trained: Trained, num_rows: int, least: int) -> Tree:
    """Rows as the run's inputs are; whole numbers from `least` on."""
    generator, most = torch.Generator().manual_seed(0), _vocabulary(trained.model)
    dtype, specs = trained.preprocessing.x.dtype, trained.facts.inputs
    names = iter(inputs_of.names(specs))
    return tree.mapped_leaves(lambda spec: _drawn(next(names), spec, num_rows, least, most, dtype, generator), specs)


def _of_numbers(prepared: Preprocessing, num_rows: int) -> Tensor:
    """Rows in input_dtype: numbers are drawn with their mean and spread, in some rows up to FAR times as far;
    categories evenly, some of them unknown, and some values are missing."""
    generator = torch.Generator().manual_seed(0)
    if prepared.pictures is not None:
        return torch.randint(0, 256, (num_rows, *prepared.raw_shape), generator=generator, dtype=torch.uint8)
    rows = _normal(num_rows, prepared.raw_shape, generator)
    if (known := prepared.x.mean_and_std) is not None:
        mean, std = known
        rows = rows * std + mean
    if prepared.table is not None:
        for index, column in enumerate(prepared.table.columns):
            if column.kind == "category":
                rows[:, index] = torch.randint(-1, len(column.levels), (num_rows,), generator=generator).double()
        rows[torch.rand(rows.shape, generator=generator) < MISSING] = torch.nan
    return rows.to(input_dtype(prepared))


def _normal(num_rows: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    rows = torch.randn(num_rows, *shape, generator=generator, dtype=torch.float64)
    rows[num_rows // 2 :] *= torch.linspace(1, FAR, num_rows - num_rows // 2).reshape(-1, *[1] * (rows.ndim - 1))
    return rows


def _drawn(
    name: str,
    spec: Spec,
    num_rows: int,
    least: int,
    vocabulary: int,
    dtype: torch.dtype,
    generator: torch.Generator,
) -> Tensor:
    """Whole numbers below those of training, masks that end somewhere in the row, as padding does, and numbers. What
    attention gives a position that sees nothing differs from file to file, so every mask begins with 1."""
    shape, kind = (num_rows, *spec.shape), getattr(torch, spec.dtype)
    if kind is torch.bool or (spec.is_whole and MASK in name.rpartition(".")[2]):
        length = spec.shape[0] if spec.shape else 1
        ends = torch.randint(1, length + 1, (num_rows, 1), generator=generator)
        mask = torch.arange(length) < ends
        return mask.reshape(num_rows, *spec.shape[:1], *[1] * (len(spec.shape) - 1)).expand(shape).to(kind, copy=True)
    if kind.is_floating_point or kind.is_complex:
        return _normal(num_rows, spec.shape, generator).to(dtype if kind.is_floating_point else kind)
    most = (spec.num_values or vocabulary) if spec.is_whole else torch.iinfo(kind).max + 1
    return torch.randint(min(least, most - 1), most, shape, generator=generator, dtype=kind)


def _vocabulary(model: nn.Module) -> int:
    """How many values every embedding of a model takes; 2 without any."""
    return min((m.num_embeddings for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))), default=2)
