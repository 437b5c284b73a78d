"""trainer: train PyTorch models from the command line, or with trainer.train(). The loop is in loop.py."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.python import Result as Result
    from trainer.python import load as load
    from trainer.python import resume as resume
    from trainer.python import train as train

__version__ = "0.8.0"


def __getattr__(name: str) -> Any:
    """Import train, resume, load and Result, with everything they need, on first use; and the module sklearn."""
    if name in ("train", "resume", "load", "Result"):
        from trainer import python

        return getattr(python, name)
    if name == "sklearn":
        import importlib

        return importlib.import_module("trainer.sklearn")
    raise AttributeError(f"module 'trainer' has no attribute '{name}'")
