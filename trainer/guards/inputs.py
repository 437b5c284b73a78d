"""Mistakes in a batch: inputs far from unit scale, targets that the loss misreads, padding that counts."""

import torch
from torch import Tensor, nn

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.device import dtype_name
from trainer.guards.finding import Finding

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)  # layers that add up products of weights and inputs

# The usual initialisations (Glorot & Bengio 2010; He et al. 2015) keep inputs of unit scale at unit scale, and the
# usual learning rates assume it. The curvature of the first layer grows with the square of the scale: at 20, 400-fold.
UNSCALED = 20.0

MOST_CLASSES = 100  # up to this many distinct whole numbers, targets look like class labels
REPEATS = 4  # rows per class, on average, before this is more than chance
FEWEST = 3  # padded sequences in a batch
EXACT = 1e-4  # how far a whole number may be off after its scaling was undone


def unscaled(layer: nn.Module, x: Tensor, path: str) -> list[Finding]:
    """Inputs of the first layer with weights far above unit scale. A norm before that layer would correct it.

    x: the input of that layer, not the batch, since the model may scale its inputs itself. path: the layer's name.
    """
    if not isinstance(layer, WEIGHTED) or not x.is_floating_point() or x.numel() == 0:
        return []
    numbers = x.detach() if x.device.type == "mps" else x.detach().double()  # MPS does not support float64
    size = float(numbers.square().mean().sqrt())
    if size <= UNSCALED:
        return []
    low, high = x.min().item(), x.max().item()
    what = f"its inputs are {low:.4g} to {high:.4g}, with a root mean square of {size:.3g}; about 1 is expected"
    why = "initial weights and learning rates are meant for inputs of unit scale: the first steps overshoot"
    how = "divide pixels by 255" if low >= 0 and high <= 255 else "standardise: (x - mean) / std of the training rows"
    return [Finding("scale", path, what, why, f"{how}, in the Dataset or at the start of forward")]


def padding(x: Tree, y: Tensor, loss_fn: nn.Module) -> list[Finding]:
    """Targets of padded positions that count. x: a batch's inputs; y: class indices, looked at if (N, T)."""
    ignored = getattr(loss_fn, "ignore_index", getattr(loss_fn, "ignored", None))  # the latter of loss=model
    if ignored is None or y.ndim != 2 or y.is_floating_point():
        return []
    for path, leaf in tree.named(x):
        if leaf is y or leaf.shape != y.shape or leaf.is_floating_point():
            continue
        for is_last in (True, False):
            fill, filled = _filled(leaf.long(), is_last)
            targets, others = y[filled], y[~filled]
            if not len(targets) or int(targets[0]) == ignored or bool((targets != targets[0]).any()):
                continue
            value, share = int(targets[0]), len(targets) / y.numel()
            what = f"{share:.0%} of the targets are {value} where {path or 'the input'} is padded with {fill}"
            why = f"{type(loss_fn).__name__} counts them as class {value}"
            is_class = bool((others == value).any()) or not hasattr(loss_fn, "ignore_index")
            remedy = f"targets of {ignored} there, in collate_fn" if is_class else f"loss.ignore_index={value}"
            return [Finding("padding", "dataset", what, why, remedy)]
    return []


def _filled(ids: Tensor, is_last: bool) -> tuple[int, Tensor]:
    """(A value, where it pads sequences (N, T) at their end, or at their beginning): it occurs only there, in sequences
    of several lengths. Nowhere, if they are not padded."""
    fill = ids[:, -1 if is_last else 0].mode().values
    is_fill = (ids == fill).flip(1) if is_last else ids == fill
    run = is_fill.cumprod(1).bool()
    lengths = run.sum(1)
    is_padded = len(lengths.unique()) > 1 and int((lengths > 1).sum()) >= FEWEST and not bool(is_fill[~run].any())
    run = run if is_padded else torch.zeros_like(run)
    return int(fill), run.flip(1) if is_last else run


def target(y: Tensor, loss_fn: nn.Module, *, chosen: bool = False) -> list[Finding]:
    """Class labels stored as floats, which a regression would fit, and targets outside the range of the loss.

    y: in the data's units. chosen: whether a table's rule or its user has decided that whole numbers are numbers.
    """
    loss, values = type(loss_fn).__name__, y.detach()
    if values.numel() == 0:  # a process that has no row of the batch
        return []
    if not chosen and isinstance(loss_fn, (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)):
        whole = values.round()
        distinct = (whole if bool(((values - whole).abs() < EXACT).all()) else values).unique()
        consecutive = torch.equal(distinct, torch.arange(len(distinct), device=y.device, dtype=y.dtype))
        if y.numel() == len(y) and consecutive and 2 <= len(distinct) <= min(MOST_CLASSES, len(y) // REPEATS):
            dtype = dtype_name(y.dtype)
            what = f"the targets are the whole numbers 0 to {len(distinct) - 1}, stored as {dtype}"
            why = f"integers are classes, floats are numbers: {loss} fits class 2 as twice class 1"
            return [Finding("target", "dataset", what, why, "return int(label) from the Dataset")]
    if isinstance(loss_fn, (nn.BCEWithLogitsLoss, nn.BCELoss)):
        low, high = values.min().item(), values.max().item()
        if low < 0 or high > 1:
            what = f"the targets are {low:g} to {high:g}"
            why = f"{loss} takes probabilities from 0 to 1; with other targets the loss can fall without bound"
            return [Finding("target", "dataset", what, why, "targets of 0 and 1")]
    if isinstance(loss_fn, nn.CrossEntropyLoss) and values.is_floating_point() and values.ndim > 1:
        sums = values.sum(1)
        if bool(((sums - 1).abs() > 1e-3).any()):
            what = f"rows of the float targets add up to {sums.min().item():g} to {sums.max().item():g}"
            why = f"{loss} treats float targets as probabilities of the classes, which add up to 1"
            remedy = "int64 class indices; for several labels at once loss=bce"
            return [Finding("target", "dataset", what, why, remedy)]
    return []
