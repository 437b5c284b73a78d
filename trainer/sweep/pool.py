"""Runs jobs side by side, each in its own process; this process does not import torch, it only waits."""

import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from trainer.config.trust import Trust
from trainer.disk.sweep_plan import Job
from trainer.errors import TrainerError
from trainer.processes import signals, told
from trainer.processes.forking import start_method
from trainer.processes.machine import memory, num_cores
from trainer.sweep import job as one
from trainer.sweep.job import Place, Rehearsed

TICK = 0.2  # seconds between two checks for signals
Count = Literal["auto"] | int
Prunes = Callable[[Job, Sequence[float]], bool]


def share_rows(job: Job, trust: Trust) -> None:
    """Let the fork server load the rows of a job, for all jobs that train on the same. Call it before the first."""
    if trust.granted:
        start_method("trainer.sweep.preload_data", is_told=True)
        told.send(job.data)


def rehearse(job: Job, trust: Trust) -> Rehearsed | TrainerError:
    """Build a job in its own process. Returns what it sends; nothing is known where the process died, or raised an
    error that is not the config's fault: the job itself will show it."""
    context = start_method()
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=one.rehearse, args=(Path.cwd(), job, trust, send))
    with signals.held():
        process.start()
    send.close()
    try:
        answer: Rehearsed | TrainerError = receive.recv()
    except EOFError:
        return Rehearsed()
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
    tick: Callable[[Sequence[Job]], None],
    is_over: Callable[[], bool] = lambda: False,
    prunes: Prunes | None = None,
) -> Iterator[tuple[Job, int]]:
    """Run jobs, each in its place. Yields (job, exit code) as they end; the code of a killed job is minus the signal.

    trust: what the jobs may do. Once is_over() is true no other job starts. Once stop() is true, neither, and the
    running jobs are asked once to save and end. tick is called every TICK seconds, or more often, with the running
    jobs. prunes(job, values): whether a job ends here, after these values of its metric, one for each evaluation.
    """
    context = start_method()
    lifeline, held = context.Pipe(duplex=False)
    waiting, free = list(reversed(jobs)), list(reversed(places))
    running: dict[int, tuple[Any, Job, Place]] = {}
    asking: dict[Connection, Job] = {}
    is_stopping = False
    try:
        while waiting or running:
            while waiting and free and not stop() and not is_over():
                job, place = waiting.pop(), free.pop()
                with ExitStack() as ends:
                    at = place
                    if prunes is not None:
                        asked, asks = context.Pipe()
                        asking[asked], at = job, replace(place, search=ends.enter_context(asks))
                    process = context.Process(target=one.main, args=(Path.cwd(), sweep, job, at, trust, lifeline))
                    with signals.held():
                        process.start()
                running[process.sentinel] = process, job, place
            if is_over():
                waiting.clear()
            if stop() and not is_stopping:
                is_stopping = True
                waiting.clear()
                for process, _, _ in running.values():
                    signals.send(process.pid, signals.stop_requested() or signal.SIGINT)
            for ready in wait([*running, *asking], TICK):
                if ready in asking:
                    _answer(ready, asking, prunes)
                    continue
                process, job, place = running.pop(ready)  # type: ignore[arg-type]
                process.join()
                free.append(place)
                yield job, process.exitcode
            tick([job for _, job, _ in running.values()])
    finally:
        for process, _, _ in running.values():
            process.kill()
        for asked in asking:
            asked.close()
        held.close()
        lifeline.close()


def _answer(asked: Connection, asking: dict[Connection, Job], prunes: Prunes | None) -> None:
    """Answer a job, or close the connection of one that has ended."""
    try:
        values = json.loads(asked.recv_bytes())
        asked.send_bytes(json.dumps(prunes is not None and prunes(asking[asked], values)).encode())
    except (EOFError, OSError):
        del asking[asked]
        asked.close()
