"""From how many floating-point operations of a step a second CPU thread pays on this machine: training steps of a few
sizes, timed with one and with two threads in turns, in a process of their own: a pool of threads, once started, stays,
and a process that has one cannot be forked safely.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch
from torch import nn

from trainer.device import prepare_cpu
from trainer.disk.second_thread import LEAST
from trainer.processes import environment, parent_death, signals

INPUTS, HIDDEN, CLASSES = 784, 128, 10  # of an MLP
ROWS = (16, 32, 64, 128, 256, 512)  # in a batch
FLOP = 3 * 2 * (INPUTS * HIDDEN + HIDDEN * CLASSES)  # of a step, for each row: forward, and twice as many in backward
ROUNDS, SLICE = 7, 0.01  # how often each is timed, and for how many seconds
MOST = 2.0  # seconds of all rounds, which take one
SPREAD = 1.2  # the upper quartile of equal slices over the shortest: on a quiet machine below 1.13, on a busy one above
PATIENCE = 60.0  # seconds until an answer, an import of torch included
GAIN = 1.1  # a second thread pays from this many times the speed: on a busy machine it costs more than that


class Timed(NamedTuple):
    """Steps of one size. flop: of a step; one, two: the seconds of a step with as many threads."""

    flop: float
    one: float
    two: float

    @property
    def gain(self) -> float:
        """How many times as fast two threads are."""
        return self.one / self.two


def pays_from(timed: Sequence[Timed]) -> float:
    """The FLOP of a step from which a second thread pays, at this size and all larger ones; beyond the largest where it
    does not pay there. timed: from the smallest size to the largest."""
    paying = [steps.flop for steps in takewhile(lambda steps: steps.gain >= GAIN, reversed(timed))]
    return max(LEAST, paying[-1] if paying else 2 * timed[-1].flop)


def measure() -> list[Timed] | None:
    """Time steps, for about a second; the process takes as long again as an import of torch. None if other programs
    disturb the timing, or it cannot be done here."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(send,), daemon=True)
    with signals.held(), environment.safe_path():
        process.start()
    send.close()
    try:
        timed: list[Timed] | None = receive.recv() if receive.poll(PATIENCE) else None
        return timed
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def _answer(answer: Connection) -> None:
    """Carry out the timing in its process. Sends what it has found."""
    environment.forget_safe_path()
    signals.install_in_child()
    parent_death.die_with_it()
    signals.release()
    prepare_cpu()
    answer.send(compare(_Steps()))


def compare(seconds: Callable[[int, int], float], clock: Callable[[], float] = time.monotonic) -> list[Timed] | None:
    """Time steps of each size with one and with two threads, in turns. None where equal slices differ or take long.

    seconds(rows, threads): of a step, after a slice of such steps.
    """
    found: dict[tuple[int, int], list[float]] = {(rows, threads): [] for rows in ROWS for threads in (1, 2)}
    ends_at = clock() + MOST
    for _ in range(ROUNDS):
        for (rows, threads), times in found.items():
            times.append(seconds(rows, threads))
            if clock() > ends_at:
                return None
    if any(statistics.quantiles(times, n=4)[2] > SPREAD * min(times) for times in found.values()):
        return None
    typical = {size: statistics.median(times) for size, times in found.items()}
    return [Timed(FLOP * rows, typical[rows, 1], typical[rows, 2]) for rows in ROWS]


class _Steps:
    """Training steps as a default run takes them."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.x, self.y = torch.randn(max(ROWS), INPUTS), torch.randint(CLASSES, (max(ROWS),))

    def __call__(self, rows: int, threads: int) -> float:
        """The median seconds of a step within a slice."""
        torch.set_num_threads(threads)
        x, y = self.x[:rows], self.y[:rows]
        self.step(x, y)  # the pool of threads wakes up
        taken: list[float] = []
        ends_at = time.perf_counter() + SLICE
        while (begun := time.perf_counter()) < ends_at or len(taken) < 3:
            self.step(x, y)
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Take a step on a batch."""
        self.optimizer.zero_grad()
        self.loss(self.model(x), y).backward()
        self.optimizer.step()
