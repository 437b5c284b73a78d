"""A program's own model and loss during a run: they are trained as they are, and are then as a program expects them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer import checkpoint
from trainer.disk.reading import Damaged, read_folder
from trainer.disk.tensors import read_tensors
from trainer.tasks import loss_modules


@contextmanager
def kept(*modules: Any) -> Iterator[None]:
    """Afterwards the modules are on the device that they came from, without gradients, and train what they did."""
    given = [module for module in modules if isinstance(module, nn.Module)]
    before = [(module, device_of(module), module._compiled_call_impl) for module in given]
    trains = {parameter: parameter.requires_grad for module in given for parameter in module.parameters()}
    try:
        yield
    finally:
        for module, device, compiled in before:
            module.to(device)
            module._compiled_call_impl = compiled
            for parameter in module.parameters():
                parameter.grad = None
                parameter.requires_grad_(trains.get(parameter, True))


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's first parameter or buffer; the CPU where it has none."""
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def load_newest(folder: Path, model: nn.Module) -> None:
    """Load the weights of a run's newest good checkpoint, if there is one, and leave the model in eval mode."""
    for path in reversed(checkpoint.checkpoints(folder)):
        try:
            files = read_folder(path, checkpoint.most_bytes(model))
        except Damaged:
            continue
        weights, _ = loss_modules.split(read_tensors(files[checkpoint.WEIGHTS]))
        checkpoint.load_weights(model.load_state_dict, weights, path)
        break
    model.eval()
