"""Listeners of the user's own, by `listeners=` or from Python: one that raises is named, and one may end the run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config import target
from trainer.config.schema import Config
from trainer.errors import ConfigError, ListenerFailed, TrainerError, described
from trainer.events import Event, Stop
from trainer.listeners import Listener
from trainer.state import TrainState
from trainer.stopping import StopReason


class Own(Listener):
    """Around a listener of the user's own. warn: says what it raised, and the run goes on without it; None: the run
    ends."""

    def __init__(
        self, run: TrainState, listener: Callable[[Event], Any], name: str, warn: Callable[[Sequence[str]], None] | None
    ) -> None:
        self.run, self.listener, self.name, self.warn = run, listener, name, warn
        self.per_call = bool(getattr(listener, "per_call", False))
        self.is_on = True

    def __call__(self, event: Event) -> None:
        if not self.is_on:
            return
        try:
            answer = self.listener(event)
            if answer is not None and not isinstance(answer, Stop):
                raise TypeError(f"it returned {answer!r}, not None or trainer.Stop('why')")
        except Exception as error:
            self._failed(f"{type(event).__name__} of step {event.step}", error)
            return
        progress = self.run.progress
        if answer is not None and progress.stop_reason is None and not progress.done:
            progress.stop_reason, progress.stop_note = StopReason.LISTENER, str(answer.why)

    def close(self) -> None:
        """Close the listener, if it has a method for that."""
        try:
            getattr(self.listener, "close", lambda: None)()
        except Exception as error:
            self._failed("close", error)

    def _failed(self, where: str, error: Exception) -> None:
        self.is_on = False
        text = f"the listener {self.name} failed at {where}: {described(error)}"
        if self.warn is None:
            raise ListenerFailed(text, "listener_errors=warn, to go on without it") from error
        self.warn([text, "the run goes on without it"])


def check(nodes: Sequence[Mapping[str, Any]]) -> None:
    """Raise ConfigError for a listener of the config that is no class, cannot be called, or does not take its keys."""
    for place, node in enumerate(nodes):
        key = f"listeners.{place}"
        kind = target.locate(node["_target_"], key)
        if not isinstance(kind, type) or all("__call__" not in vars(base) for base in kind.__mro__):
            text = f"{key}: {node['_target_']} is no class with a method __call__(self, event)"
            raise ConfigError(text, f"{key}._target_=my_file.MyListener", key)
        target.check(node, key, run_dir=Path())


def listening(
    run: TrainState,
    config: Config,
    folder: Path,
    passed: Sequence[Callable[[Event], Any]],
    warn: Callable[[Sequence[str]], None],
) -> list[Own]:
    """The listeners of the config, then those passed as objects. A class with a parameter `run_dir` gets the folder of
    the run. Raises ConfigError, or ListenerFailed for what else a constructor raises."""
    made = [_made(node, f"listeners.{place}", folder) for place, node in enumerate(config.listeners)]
    made += [(each, getattr(each, "__name__", type(each).__name__)) for each in passed]
    return [Own(run, *each, warn if config.listener_errors == "warn" else None) for each in made]


def _made(node: Mapping[str, Any], key: str, folder: Path) -> tuple[Callable[[Event], Any], str]:
    name = str(node["_target_"])
    try:
        listener = target.construct(node, key, run_dir=folder)
    except TrainerError:
        raise
    except Exception as error:
        raise ListenerFailed(f"the listener {name} cannot be made: {described(error)}") from error
    return listener, name
