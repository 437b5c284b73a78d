"""Listeners of a user's own, as a config may name them."""

from pathlib import Path

import trainer


class Heard:
    """Writes each event to RUN/heard.txt. at, does: the step after which it ends the run, raises, or returns a number;
    where that is 0, it raises when it is closed."""

    per_call = True

    def __init__(self, run_dir: Path, name: str = "a", at: int = -1, does: str = "stop") -> None:
        self.file, self.name, self.at, self.does = run_dir / "heard.txt", name, at, does

    def __call__(self, event: trainer.Event) -> trainer.Stop | None:
        self.write(f"{type(event).__name__} {event.step}")
        if event.step != self.at or not isinstance(event, trainer.Stepped):
            return None
        if self.does == "raise":
            raise ValueError("of no use")
        return trainer.Stop("far enough") if self.does == "stop" else 1  # type: ignore[return-value]

    def close(self) -> None:
        self.write(f"closed {(self.file.parent / 'summary.json').exists()}")
        if self.at == 0:
            raise OSError("cannot be closed")

    def write(self, text: str) -> None:
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(f"{self.name} {text}\n")


class Refusing(Heard):
    def __init__(self, level: int = 0) -> None:
        raise KeyError("nothing under this name")
