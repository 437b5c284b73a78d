"""trainer: train PyTorch models from the command line, or with trainer.train(). The loop is in loop.py."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.events import Ended as Ended
    from trainer.events import Evaluated as Evaluated
    from trainer.events import Event as Event
    from trainer.events import Started as Started
    from trainer.events import Stepped as Stepped
    from trainer.events import Stop as Stop
    from trainer.listeners import Listener as Listener
    from trainer.python import Result as Result
    from trainer.python import load as load
    from trainer.python import resume as resume
    from trainer.python import train as train

__version__ = "0.9.0"

PUBLIC = {  # name: where it is
    **dict.fromkeys(("train", "resume", "load", "Result"), "trainer.python"),
    **dict.fromkeys(("Started", "Stepped", "Evaluated", "Ended", "Event", "Stop"), "trainer.events"),
    "Listener": "trainer.listeners",
}


def __getattr__(name: str) -> Any:
    """Import what is public, with everything it needs, on first use."""
    if module := PUBLIC.get(name):
        return getattr(importlib.import_module(module), name)
    if name == "sklearn":
        return importlib.import_module("trainer.sklearn")
    raise AttributeError(f"module 'trainer' has no attribute '{name}'")
