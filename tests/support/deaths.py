"""Where a run is killed: at a drawn moment at or after a drawn step. No clock has a share in it."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from faults import WRITING

FROM_THE_START = -1  # moments count before there is a step, while the run is built and its folder is made
MOST_MOMENTS = 15  # a resumed run has more than these, even where nothing is left but its end


@dataclass(frozen=True)
class Death:
    """Moments count from the first one at which the run stands at `step`; the run dies at number `moments`, from 0.

    Moments: each operation of storage, the start of each step (its data is there), each batch of an evaluation, and the
    end of each step or evaluation (nothing is written of it yet). torn: a write is done in half first.
    every: a save comes every so many steps, by a clock that counts how often it is asked.
    """

    step: int
    moments: int
    torn: bool = False
    every: int = 5
    by: int = signal.SIGKILL


def drawn(chance: random.Random, count: int, num_steps: int) -> list[Death]:
    """So many deaths for one run of `num_steps`, one a start. Each is reached: no step is before the last one's."""
    shares = sorted(chance.uniform(-0.2, 1.0) for _ in range(count))  # below 0: from the start
    return [
        Death(
            FROM_THE_START if share < 0 else int(share * num_steps),
            chance.randrange(MOST_MOMENTS),
            torn=chance.random() < 0.3,
            every=chance.choice([1, 5, 20]),
        )
        for share in shares
    ]


class Watched:
    """Counts the moments of this process and ends it. Stands in for `os` in disk/storage.py."""

    def __init__(self, death: Death) -> None:
        self.death, self.step, self.count = death, FROM_THE_START, 0

    def moment(self) -> bool:
        """One more; whether it is the last one. Kills, unless the caller has something to do before."""
        if self.step < self.death.step:
            return False
        self.count += 1
        return self.count == self.death.moments + 1

    def die_here(self) -> None:
        """A moment with nothing to do in it."""
        if self.moment():
            os.kill(os.getpid(), self.death.by)

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._watched(name, real) if name in WRITING else real

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            if self.moment():
                if self.death.torn and name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), self.death.by)
            return real(*args, **kwargs)

        return operation


class Asked:
    """A clock for saves: it moves by the same amount each time that it is asked."""

    def __init__(self, tick: float) -> None:
        self.tick, self.now = tick, 0.0

    def monotonic(self) -> float:
        """Seconds."""
        self.now += self.tick
        return self.now


def arm(death: Death, every_seconds: float) -> None:
    """Let this process die so. every_seconds: between saves, as the run's config has it."""
    import trainer.listeners.checkpoints
    from trainer import loop
    from trainer.disk import storage
    from trainer.run import runner
    from trainer.state import TrainState

    watched = Watched(death)
    storage.os = watched
    trainer.listeners.checkpoints.time = Asked(every_seconds / death.every)
    train, predict, seed_step = runner.train, loop.predict, TrainState.seed_step

    def watched_train(run: TrainState) -> Iterator[Any]:
        for event in train(run):
            watched.step = run.progress.step
            watched.die_here()
            yield event

    def watched_predict(*words: Any) -> Iterator[Any]:
        for answer in predict(*words):
            watched.die_here()
            yield answer

    def watched_step(run: TrainState, ahead: int = 0) -> None:
        watched.die_here()
        seed_step(run, ahead)

    runner.train, loop.predict, TrainState.seed_step = watched_train, watched_predict, watched_step
