"""torch.compile of a model's forward, tried before anything is spent."""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainer import device as devices
from trainer.config.schema import Compiler
from trainer.errors import ConfigError
from trainer.text import first_line


def compile_model(
    model: nn.Module, loss_fn: nn.Module, loss_of: Callable[[nn.Module], Tensor], device: torch.device, how: Compiler
) -> None:
    """Compile a model in place. Raises ConfigError for one whose forward or backward torch.compile does not support, or
    leaves as it is.

    loss_of: the loss, 0-dim, of some rows by the model or a copy of it.
    """
    _trace(model, loss_fn, loss_of, device)
    devices.compile_in_place(model, how.mode, how.dynamic)


def _trace(model: nn.Module, loss_fn: nn.Module, loss_of: Callable[[nn.Module], Tensor], device: torch.device) -> None:
    """Trace forward and backward of a copy, without generated code. Leaves no trace in gradients or generators."""
    try:
        trial = copy.deepcopy(model).train()
    except Exception:  # a model that cannot be copied is not tried
        return
    devices.quiet_compiler()
    devices.trace_derivatives()
    from torch._dynamo.utils import counters

    counters.clear()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial.compile(backend="aot_eager")
            loss_of(trial).backward()
    except Exception as error:
        text = f"compile=model: torch.compile does not support {type(model).__name__}: {first_line(error)}"
        raise ConfigError(text, "compile=none") from error
    finally:
        loss_fn.zero_grad()
        torch._dynamo.reset()  # or the run would meet the shapes of the trial
    if not counters["stats"]["unique_graphs"]:
        is_recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
        why = "it does not compile an RNN, GRU or LSTM" if is_recurrent else "it finds nothing to compile"
        raise ConfigError(f"compile=model: torch.compile leaves {type(model).__name__} as it is: {why}", "compile=none")
