"""trainer: train PyTorch models from the command line, or with trainer.train(). The loop is in loop.py."""

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
    from trainer.python import train as train

__version__ = "0.8.0"


def __getattr__(name: str) -> Any:
    """Import what is public, with everything it needs, on first use."""
    if name in ("train", "Result"):
        from trainer import python

        return getattr(python, name)
    if name in ("Started", "Stepped", "Evaluated", "Ended", "Event", "Stop"):
        from trainer import events

        return getattr(events, name)
    if name == "Listener":
        from trainer.listeners import Listener

        return Listener
    raise AttributeError(f"module 'trainer' has no attribute '{name}'")
