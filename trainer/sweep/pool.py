"""Jobs in processes of their own, so many side by side; this process imports no torch and only waits."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

from trainer.disk.sweep_plan import Job
from trainer.errors import TrainerError
from trainer.processes.forking import no_interrupt, start_method
from trainer.processes.machine import num_cores
from trainer.sweep import job as one
from trainer.sweep.job import Place

TICK = 0.2  # seconds between two looks at the wish to stop


def rehearse(job: Job) -> tuple[str, int, str] | TrainerError | None:
    """Build a job in a process of its own: (kind of device, number of GPUs, monitored metric), or
    the error that it met.

    None where its process died or raised what no config explains: the job itself will show that.
    """
    context = start_method()
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=one.rehearse, args=(Path.cwd(), job, send))
    with no_interrupt():
        process.start()
    send.close()
    try:
        answer: tuple[str, int, str] | TrainerError = receive.recv()
    except EOFError:
        return None
    finally:
        process.join()
    return answer


def places(
    wanted: Literal["auto"] | int,
    threads: Literal["auto"] | int,
    device: str,
    kind: str,
    num_gpus: int,
    num_jobs: int,
    num_ranks: int = 1,
) -> list[Place]:
    """Where jobs run side by side: a core or a GPU each, or as many as wanted; the cores are split between them.

    device: as the config has it; kind: what it came to be. Of several GPUs each job sees its own, in turn. num_ranks:
    processes of each job, which take a core or a GPU each.
    """
    own_gpu = kind == "cuda" and device in ("auto", "cuda")
    per_device = num_gpus // num_ranks if own_gpu else 1
    fitting = num_cores() // (num_ranks * (1 if threads == "auto" else threads)) if kind == "cpu" else per_device
    width = max(1, min(fitting if wanted == "auto" else wanted, num_jobs))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(num_gpus)))).split(",")
    return [
        Place(
            max(1, num_cores() // width),
            ",".join(visible[(slot * num_ranks + rank) % num_gpus] for rank in range(num_ranks)) if own_gpu else None,
        )
        for slot in range(width)
    ]


def run(
    sweep: Path,
    jobs: Sequence[Job],
    places: Sequence[Place],
    stop: Callable[[], bool],
    tick: Callable[[Sequence[tuple[Job, int]]], None],
) -> Iterator[tuple[Job, int]]:
    """Run jobs, a place each; yields (job, exit code) as they end. The code of a killed one is minus the signal.

    Once stop() is true no other job starts, and those that run are asked once to save and end. tick((job, process id)
    of those that run) is called now and then.
    """
    context = start_method()
    lifeline, held = context.Pipe(duplex=False)
    waiting, free = list(reversed(jobs)), list(reversed(places))
    running: dict[int, tuple[Any, Job, Place]] = {}
    asked = False
    try:
        while waiting or running:
            while waiting and free and not stop():
                job, place = waiting.pop(), free.pop()
                process = context.Process(target=one.main, args=(Path.cwd(), sweep, job, place, lifeline))
                with no_interrupt():
                    process.start()
                running[process.sentinel] = process, job, place
            if stop():
                waiting.clear()
                if not asked:
                    for process, _, _ in running.values():
                        os.kill(process.pid, signal.SIGINT)
                    asked = True
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
