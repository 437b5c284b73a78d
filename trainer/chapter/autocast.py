"""Autocast to bfloat16: half the bytes, much the same loss."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from trainer.chapter.experiment import Experiment, losses
from trainer.state import TrainState


def show(experiment: Experiment) -> Iterator[Any]:
    """The same run in bf16 and in float32, and one batch's activations."""
    narrow = activation_bytes(experiment.build())
    wide = activation_bytes(experiment.build("autocast=none"))
    yield f"activations of a batch: {narrow:,} bytes, {wide:,} in float32"
    yield "activation bytes, ratio", narrow / wide
    half = losses(experiment.train())
    full = losses(experiment.train("autocast=none"))
    yield f"last loss: bf16 {half[-1]:.6f}, float32 {full[-1]:.6f}"
    yield "last loss: |difference|", abs(half[-1] - full[-1])


def activation_bytes(run: TrainState) -> int:
    """Bytes of the layers' outputs for the first batch, by hooks."""
    sizes: list[int] = []

    def weigh(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        sizes.append(output.numel() * output.element_size())

    for module in run.model.modules():
        if not list(module.children()):
            module.register_forward_hook(weigh)
    window = next(iter(run.train_batches.windows(0)))
    x, *_ = next(iter(window))
    with run.autocast():
        run.model(x)
    return sum(sizes)
