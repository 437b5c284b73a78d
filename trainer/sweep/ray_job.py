"""What a machine of a Ray cluster runs: one job of a sweep, as a task in a process of its own."""

import os
import signal
import time
from pathlib import Path

from trainer.config.trust import Trust
from trainer.disk import sweep_plan
from trainer.processes import machine, signals
from trainer.sweep import ended
from trainer.sweep.job import Place, train_quietly

PATIENCE = 30.0  # seconds for an earlier attempt at the job to end, whose machine Ray has given up


def carry_out(here: Path, sweep: Path, number: int, cores: int, trusts: bool) -> int:
    """Train the job with this number, from its checkpoint if it has one. Returns the exit code.

    here: where the sweep was typed; sweep: its absolute folder. cores: that threads=auto may take. trusts: whether
    --trust was typed. The SIGINT with which Ray cancels a task saves the job, and so does SIGTERM.
    """
    os.chdir(here)
    signals.install_in_child(own_session=False)  # Ray ends its processes by their group
    plan = sweep_plan.read_plan(sweep)
    job = next(job for job in plan.jobs if job.number == number)
    place = Place(cores, num_jobs=max(1, machine.num_cores() // cores))
    until = time.monotonic() + PATIENCE
    try:
        with signals.listening():  # from now on: the sweep may end before the run begins
            while (code := train_quietly(sweep, job, place, Trust(plan.signed, trusts))) == ended.BUSY:
                if time.monotonic() > until or signals.stop_requested() is not None:
                    break
                time.sleep(0.5)
    except signals.Stop:
        code = 128 + (signals.stop_requested() or signal.SIGINT)
    ended.record(sweep, job, code)
    return code
