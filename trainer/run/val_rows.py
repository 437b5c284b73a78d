"""What the kept weights of a run say about each validation row, for `compare`. See disk/val_rows.py."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.data import seeds
from trainer.data.fingerprint import Fingerprint
from trainer.data.splits import Split
from trainer.data.tree import Tree
from trainer.disk import digest, layout, storage, val_rows
from trainer.disk.tensors import tensor_bytes
from trainer.disk.val_rows import MOST, Array, ValRows
from trainer.loop import predict
from trainer.processes.signals import abandonable
from trainer.run import row_losses
from trainer.state import Measurable
from trainer.tasks.task import Ratio

MOST_NUMBERS = 4_000_000  # of predictions and targets that are kept
LOSS = "loss"
See = Callable[[Any, Any], object]


def write(folder: Path, found: ValRows) -> None:
    """Write RUN/val_rows.safetensors."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in val_rows.arrays(found).items()}
    storage.write_file(folder / layout.VAL_ROWS, digest.with_digest(tensor_bytes(tensors)))


def measure(run: Measurable, split: Split, data: Fingerprint, size: int, see: See | None = None) -> ValRows:
    """Evaluate the validation rows, or some of them, one by one. data: of the run; size: rows at once; see: is given
    each batch of predictions and targets."""
    places = chosen(split.num_rows, data)
    losses, metrics = list[Ratio | None](), dict[str, list[Ratio]]()
    predictions, targets = list[Tensor](), list[Tensor]()
    for x, output, y, num_rows in predict(run, batches(split, places, size)):
        prediction, target = run.fit(output), run.fit.target(y)
        if see is not None:
            see(prediction, target)
        losses.append(row_losses.of_batch(run, output, y, x, num_rows))
        for name, ratio in run.task.of_rows(prediction, target).items():
            metrics.setdefault(name, []).append(ratio)
        if isinstance(prediction, Tensor) and isinstance(target, Tensor):
            answer, truth = run.task.for_metrics(prediction, target)
            if isinstance(answer, Tensor) and isinstance(truth, Tensor):
                predictions.append(answer.to("cpu", torch.float32 if answer.is_floating_point() else None))
                targets.append(truth.cpu())
    values = {name: _joined(ratios) for name, ratios in metrics.items()}
    if known := [ratio for ratio in losses if ratio is not None]:
        values = ({LOSS: _joined(known)} if len(known) == len(losses) else {}) | values
    rows = split.part.rows[places].numpy()
    return ValRows(rows, values, _small(predictions, targets, len(rows)))


def chosen(num_rows: int, data: Fingerprint) -> Tensor:
    """The places in the split of the rows that are kept, int64, in their order: all, or MOST of them, drawn by the data
    and the split, so that they are the same in each run of it."""
    if num_rows <= MOST:
        return torch.arange(num_rows)
    seed = seeds.derive(int(data.digest[:15], 16), "val rows", num_rows)
    return seeds.permutation(num_rows, seed)[:MOST].sort().values


def batches(split: Split, places: Tensor, size: int) -> Iterator[tuple[Tree, Tree, int]]:
    """The batches of these rows of a split, see chosen."""
    rows = places.split(size)
    fetched: Iterable[object] = split.loader.fetch(rows, 0)
    for batch in fetched:
        with abandonable:
            x, y = split.loader.load(batch)
        yield x, y, split.loader.count(batch)


def _joined(ratios: list[Ratio]) -> tuple[Array, Array]:
    """(The value, the weight) of each row. One that counts for nothing has the value 0."""
    above, below = (torch.cat([ratio[part].cpu().double() for ratio in ratios]) for part in (0, 1))
    return torch.where(below == 0, 0.0, above / below).numpy(), below.numpy()


def _small(predictions: list[Tensor], targets: list[Tensor], num_rows: int) -> dict[str, Array]:
    """The predictions and targets of all rows, for metrics that have no value a row; {} where they are large."""
    shapes = {(prediction.shape[1:], target.shape[1:]) for prediction, target in zip(predictions, targets, strict=True)}
    if len(shapes) != 1 or sum(part.numel() for part in (*predictions, *targets)) > MOST_NUMBERS:
        return {}  # none, of several lengths, or too large
    joined = {val_rows.PREDICTION: torch.cat(predictions), val_rows.TARGET: torch.cat(targets)}
    return {name: part.numpy() for name, part in joined.items() if len(part) == num_rows}
