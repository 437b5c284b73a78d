"""Runs jobs side by side, each in its own process; this process does not import torch, it only waits."""

import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

from trainer.config.trust import Trust
from trainer.disk.sweep_plan import Job
from trainer.errors import TrainerError
from trainer.processes import signals
from trainer.processes.forking import start_method
from trainer.processes.machine import memory, num_cores
from trainer.sweep import job as one
from trainer.sweep.job import Place

TICK = 0.2  # seconds between two checks for signals
Count = Literal["auto"] | int
Rehearsed = tuple[str, int, str, str, int]  # device, number of GPUs, monitored metric, its better direction, bytes


def rehearse(job: Job, trust: Trust) -> Rehearsed | TrainerError | None:
    """Build a job in its own process, see job.rehearse. Returns what it sends; None where the process died, or raised
    an error that is not the config's fault: the job itself will show it."""
    context = start_method()
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=one.rehearse, args=(Path.cwd(), job, trust, send))
    with signals.held():
        process.start()
    send.close()
    try:
        answer: Rehearsed | TrainerError = receive.recv()
    except EOFError:
        return None
    finally:
        process.join()
    return answer


def places(
    wanted: Count,
    threads: Count,
    device: str,
    kind: str,
    num_gpus: int,
    num_jobs: int,
    num_ranks: int = 1,
    num_bytes: int = 0,
) -> list[Place]:
    """The places where jobs run side by side: `wanted` of them, or one for each core or GPU. They share the cores.

    device: from the config; kind: the type of device it resolved to. Each job sees its own GPUs where there are
    several. num_ranks: processes of each job, each of which takes a core or a GPU. num_bytes: of a process of a job
    before its first step; training may take as much again, and of places on a CPU there are as many as fit.
    """
    one_gpu_each = kind == "cuda" and device in ("auto", "cuda")
    per_device = num_gpus // num_ranks if one_gpu_each else 1
    fitting = num_cores() // (num_ranks * (1 if threads == "auto" else threads)) if kind == "cpu" else per_device
    if kind == "cpu" and num_bytes:
        fitting = min(fitting, memory() // (2 * num_bytes * num_ranks))
    width = max(1, min(fitting if wanted == "auto" else wanted, num_jobs))
    cores = max(1, num_cores() // width)
    if not one_gpu_each:
        return [Place(cores, num_jobs=width)] * width
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(num_gpus)))).split(",")
    gpus = itertools.cycle(visible[:num_gpus])
    return [Place(cores, ",".join(itertools.islice(gpus, num_ranks)), width) for _ in range(width)]


def run(
    sweep: Path,
    jobs: Sequence[Job],
    places: Sequence[Place],
    trust: Trust,
    stop: Callable[[], bool],
    tick: Callable[[Sequence[tuple[Job, int]]], None],
) -> Iterator[tuple[Job, int]]:
    """Run jobs, each in its place. Yields (job, exit code) as they end; the code of a killed job is minus the signal.

    trust: what the jobs may do. Once stop() is true no other job starts, and the running jobs are asked once to save
    and end. tick is called every TICK seconds with (job, process id) of each running job.
    """
    context = start_method()
    lifeline, held = context.Pipe(duplex=False)
    waiting, free = list(reversed(jobs)), list(reversed(places))
    running: dict[int, tuple[Any, Job, Place]] = {}
    is_stopping = False
    try:
        while waiting or running:
            while waiting and free and not stop():
                job, place = waiting.pop(), free.pop()
                process = context.Process(target=one.main, args=(Path.cwd(), sweep, job, place, trust, lifeline))
                with signals.held():
                    process.start()
                running[process.sentinel] = process, job, place
            if stop() and not is_stopping:
                is_stopping = True
                waiting.clear()
                for process, _, _ in running.values():
                    signals.send(process.pid, signals.stop_requested() or signal.SIGINT)
            for sentinel in wait(list(running), TICK):
                process, job, place = running.pop(sentinel)  # type: ignore[arg-type]
                process.join()
                free.append(place)
                yield job, process.exitcode
            tick([(job, process.pid) for process, job, _ in running.values()])
    finally:
        for process, _, _ in running.values():
            process.kill()
        held.close()
        lifeline.close()
