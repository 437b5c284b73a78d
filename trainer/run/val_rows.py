"""What the kept weights of a run say about each validation row, for `compare`. See disk/val_rows.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.data import seeds, tree
from trainer.data.batches import EvalBatches
from trainer.data.fingerprint import Fingerprint
from trainer.data.splits import Split
from trainer.disk import digest, layout, storage, val_rows
from trainer.disk.tensors import tensor_bytes
from trainer.disk.val_rows import MOST, Array, ValRows
from trainer.loop import predict
from trainer.run import draws, row_losses
from trainer.tasks.measurable import Measurable
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
    outputs = list[tuple[Tensor, Tensor]]()
    for x, output, y, num_rows in predict(run, batches(split, places, size)):
        prediction, target = run.fit(output), run.fit.target(y)
        if see is not None:
            see(prediction, target)
        losses.append(row_losses.of_batch(run, output, y, x, num_rows))
        for name, ratio in run.task.of_rows(prediction, target).items():
            metrics.setdefault(name, []).append(ratio)
        if isinstance(prediction, Tensor) and isinstance(target, Tensor):
            outputs.append((prediction.cpu(), target.cpu()))
    values = {name: _joined(ratios) for name, ratios in metrics.items()}
    if known := [ratio for ratio in losses if ratio is not None]:
        values = ({LOSS: _joined(known)} if len(known) == len(losses) else {}) | values
    rows = split.part.rows[places].numpy()
    joined = _small(outputs, len(rows))
    if joined is None:
        return ValRows(rows, values)
    prediction, target = (part.to(tree.device(y)) for part in joined)
    answer, truth = run.task.for_metrics(prediction, target)
    tensors = isinstance(answer, Tensor) and isinstance(truth, Tensor)  # not of every task of your own
    others = {val_rows.PREDICTION: _stored(answer), val_rows.TARGET: _stored(truth)} if tensors else {}
    names = [name for name in run.metrics if name not in metrics]
    return ValRows(rows, values, others, draws.measure(run.task, names, prediction, target))


def chosen(num_rows: int, data: Fingerprint) -> Tensor:
    """The places in the split of the rows that are kept, int64, in their order: all, or MOST of them, drawn by the data
    and the split, so that they are the same in each run of it."""
    if num_rows <= MOST:
        return torch.arange(num_rows)
    seed = seeds.derive(int(data.digest[:15], 16), "val rows", num_rows)
    return seeds.permutation(num_rows, seed)[:MOST].sort().values


def batches(split: Split, places: Tensor, size: int) -> EvalBatches:
    """The batches of these rows of a split, see chosen."""
    return EvalBatches(split.loader, split.num_rows, size, places=places)


def _joined(ratios: list[Ratio]) -> tuple[Array, Array]:
    """(The value, the weight) of each row. One that counts for nothing has the value 0."""
    above, below = (torch.cat([ratio[part].cpu().double() for ratio in ratios]) for part in (0, 1))
    return torch.where(below == 0, 0.0, above / below).numpy(), below.numpy()


def _small(outputs: list[tuple[Tensor, Tensor]], num_rows: int) -> tuple[Tensor, Tensor] | None:
    """The predictions and the targets of all rows; None where they are large, or of several lengths."""
    shapes = {(prediction.shape[1:], target.shape[1:]) for prediction, target in outputs}
    if len(shapes) != 1 or sum(part.numel() for both in outputs for part in both) > MOST_NUMBERS:
        return None
    prediction, target = map(torch.cat, zip(*outputs, strict=True))
    return (prediction, target) if len(prediction) == len(target) == num_rows else None


def _stored(part: Tensor) -> Array:
    return part.to("cpu", torch.float32 if part.is_floating_point() else None).numpy()
