"""trainer: train PyTorch models from the command line, or with trainer.train(). The loop is in loop.py."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.python import Result as Result
    from trainer.python import train as train

__version__ = "0.8.0"


def __getattr__(name: str) -> Any:
    """Import train and Result, with everything they need, on first use."""
    if name in ("train", "Result"):
        from trainer import python

        return getattr(python, name)
    raise AttributeError(f"module 'trainer' has no attribute '{name}'")
