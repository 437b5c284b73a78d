"""How many CPU threads a run takes. auto is a rule from the work in a step and one number of this machine, not a timing
of the run itself: the number of threads changes the last bits of a sum, and the same command must give the same result.

Measured on two cores with an MLP 784-128-10, eager: a second thread made steps of 78 MFLOP no faster, steps of 156
MFLOP 1.1 to 1.5 times as fast, steps of 312 MFLOP 1.6 times; on two cores with AVX-512, steps of 39 MFLOP 1.4 times.
On busy cores threads wait for each other, and cost more than that, so the rule asks for a clear gain.
"""

import os
from typing import Literal

import torch

from trainer.disk import reading, second_thread
from trainer.disk.second_thread import LEAST, Machine
from trainer.errors import StorageError
from trainer.processes import second_thread as timing
from trainer.processes.machine import cpu_model, num_cores
from trainer.processes.ranks import Ranks

SECOND = 250e6  # FLOP of a step from which a second thread pays, where that was not measured
FURTHER = 125e6  # FLOP of a step for each thread beyond the second
ALONE = Ranks()


def take(
    threads: Literal["auto"] | int,
    device: torch.device,
    flop: float,
    cores: int,
    ranks: Ranks = ALONE,
    *,
    may_measure: bool = False,
) -> tuple[int, str]:
    """Set the threads of this process. Returns how many, and why.

    flop: floating-point operations of a step; cores: the most that auto takes; ranks: that train together, and take as
    many threads each; may_measure: whether this machine may be measured now, once: not beside other runs.
    """
    count: int
    why: str
    chosen = _choose(threads, device, flop, cores, may_measure=may_measure and ranks.size == 1)
    count, why = ranks.tell(chosen)
    torch.set_num_threads(count)
    return count, why


def _choose(
    threads: Literal["auto"] | int, device: torch.device, flop: float, cores: int, *, may_measure: bool
) -> tuple[int, str]:
    if threads != "auto":
        return threads, f"threads={threads}"
    if device.type != "cpu":
        return 1, "auto: the work is on the device"
    why = f"auto: {flop / 1e6:,.3g} MFLOP a step"
    if cores == 1 or flop < LEAST:
        return 1, why
    pays_from, words = _pays_from(may_measure=may_measure)
    count = 1 if flop < pays_from else min(cores, max(2, int(flop / FURTHER)))
    return count, f"{why}, {words}"


def this_machine() -> Machine:
    """What the number of this machine is stored for."""
    return Machine(cpu_model(), num_cores(), torch.__version__)


def _pays_from(*, may_measure: bool) -> tuple[float, str]:
    """(The FLOP of a step from which a second thread pays, the same in words, with the reason if it was not measured
    here)."""
    machine = this_machine()
    try:
        number, why_not = second_thread.read(machine), "not measured yet"
        if number is None and may_measure:
            why_not = _measure(machine)
            number = second_thread.read(machine)
    except reading.Damaged:
        number, why_not = None, "the file with the measured number is damaged"
    if number is None:
        return SECOND, f"a second thread from {SECOND / 1e6:.0f}: {why_not}"
    return number, f"a second thread pays from {number / 1e6:,.3g} here"


def _measure(machine: Machine) -> str:
    """Measure this machine and store its number. Returns why not, if it could not be measured."""
    no_folder = "not measured, since there is no cache folder to keep it in"
    if not second_thread.can_store(machine):
        return no_folder
    timed = timing.measure() if is_quiet() else None
    if timed is None:
        return "not measured, since the machine is busy"
    try:
        second_thread.store(machine, timing.pays_from(timed))
    except (OSError, StorageError):
        return no_folder
    return ""


def is_quiet() -> bool:
    """Whether two cores have had little to do in the last minute, as far as the system tells."""
    try:
        return os.getloadavg()[0] <= (os.cpu_count() or 1) - 1.5
    except (AttributeError, OSError):
        return True
