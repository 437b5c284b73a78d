"""Runs the jobs of a sweep as tasks of a Ray cluster, whose machines share the sweep's folder."""

import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trainer.disk import job_folder, layout
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, TrainerError
from trainer.sweep import ray_job
from trainer.sweep.pool import TICK
from trainer.sweep.sweep import Sweep
from trainer.text import counted, cut, first_line

PATIENCE = 5.0  # seconds for a cluster to answer
AMOUNTS = ("num_cpus", "num_gpus", "memory_gb")
LOOK = 1.0  # seconds between two looks at the cluster and at what runs


class Ray:
    """A cluster, for one sweep. settings: hydra.launcher, as plain data."""

    def __init__(self, sweep: Sweep, settings: Mapping[str, Any]) -> None:
        self.sweep, self.settings = sweep, settings
        self.num_nodes = 0

    def check(self) -> None:
        """Connect to the cluster, until the sweep ends. Raises ConfigError where it does not answer."""
        if find_spec("ray") is None:
            raise ConfigError("hydra/launcher=ray needs Ray", "pip install 'fiveline[ray]'")
        self._check_amounts()
        address, start = str(self.settings["address"]), "ray start --head, or hydra.launcher.address=HOST:6379"
        place = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
        if ":" in place:  # Ray itself waits for a minute
            try:
                at = urlsplit(place if "//" in place else f"//{place}")
                socket.create_connection((at.hostname or "", at.port or 6379), PATIENCE).close()
            except (OSError, ValueError) as error:
                raise ConfigError(f"no Ray cluster answers at {place}: {error}", start) from error
        import ray

        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:  # none is found, or one of another version
            text = "no Ray cluster runs here" if isinstance(error, ConnectionError) else f"Ray: {first_line(error)}"
            raise ConfigError(text, start) from error
        finally:
            signal.signal(signal.SIGTERM, before)  # which Ray takes
        self.sweep.held.callback(ray.shutdown)
        self.num_nodes = len(_nodes())

    def run(
        self,
        jobs: Sequence[Job],
        stop: Callable[[], bool],
        tick: Callable[[Sequence[Job]], None],
        is_over: Callable[[], bool],
    ) -> Iterator[tuple[Job, int]]:
        """Submit the jobs, and wait. Yields (job, exit code) as they end; Ray itself starts a job again whose machine
        is lost. Once is_over() is true no other job starts. Once stop() is true, neither, and running jobs are asked to
        save and end. tick: see pool.run."""
        import ray

        wanted, looked = self._wanted(), -math.inf
        submit = ray.remote(**wanted)(ray_job.carry_out).remote
        here, sweep, trusts = Path.cwd(), self.sweep.need_folder().absolute(), self.sweep.trust.typed
        cores = max(1, int(wanted["num_cpus"]))
        left = {submit(here, sweep, job.number, cores, trusts): job for job in jobs if not stop()}
        self._say(f"{counted(len(left), 'job')} submitted to {counted(self.num_nodes, 'machine')}")
        if left and not any(_fits(node, wanted) for node in _nodes()):
            asked = {name: self.settings[name] for name in AMOUNTS} | wanted.get("resources", {})
            text = ", ".join(f"{name}={amount:g}" for name, amount in asked.items() if amount)
            self._say(f"no machine has {text}; the jobs wait for one")
        while left:
            if time.monotonic() - looked >= LOOK:
                looked, is_stopping = time.monotonic(), stop()
                self._look()
                running = [job for job in left.values() if self._recorded(job) == "running"]
                for ref, job in left.items() if is_stopping or is_over() else ():
                    if is_stopping or self._recorded(job) is None:
                        ray.cancel(ref)
                tick(running)
            for ref in ray.wait(list(left), timeout=TICK)[0]:
                job = left.pop(ref)
                if (code := self._code(ref, job)) is not None:
                    yield job, code

    def _check_amounts(self) -> None:
        """Raise ConfigError for what Ray does not take."""
        for name in AMOUNTS:
            amount = self.settings[name] or 0
            is_part = name == "num_gpus" and amount > 1 and amount != int(amount)
            if not 0 <= amount < math.inf or is_part:
                what = "whole GPUs, or a part of one" if is_part else "an amount"
                raise ConfigError(f"hydra.launcher.{name}={amount:g} is not {what}", f"hydra.launcher.{name}=1")
        if (times := self.settings["max_retries"]) < -1:
            text = f"hydra.launcher.max_retries={times} is below -1, which is for ever"
            raise ConfigError(text, "hydra.launcher.max_retries=3")

    def _wanted(self) -> dict[str, Any]:
        """What Ray is told of each job."""
        wanted = {name: self.settings[name] for name in ("num_cpus", "num_gpus", "max_retries", "resources")}
        if (gigabytes := self.settings["memory_gb"]) is not None:
            wanted["memory"] = int(gigabytes * 1024**3)
        return {**wanted, "max_calls": 1}  # a process for each job

    def _look(self) -> None:
        """Say so if machines have come or gone."""
        before, self.num_nodes = self.num_nodes, len(_nodes())
        if self.num_nodes < before:
            self._say(f"lost a machine, {self.num_nodes} left; its jobs continue from their checkpoints")
        elif self.num_nodes > before:
            self._say(f"{counted(self.num_nodes, 'machine')} now")

    def _code(self, ref: Any, job: Job) -> int | None:
        """The exit code of a job that has ended; None if it was cancelled before it began. Records the end of one that
        could not say it itself."""
        import ray
        from ray.exceptions import RayError, RayTaskError, TaskCancelledError

        try:
            return int(ray.get(ref))
        except TaskCancelledError:
            return None if self._recorded(job) is None else 128 + signal.SIGINT
        except RayTaskError as error:
            status, text = "failed", first_line(error.cause)
        except RayError as error:
            status, text = "interrupted", f"Ray: {first_line(error)}"
        with suppress(TrainerError), job_folder.claimed(self.sweep.need_folder(), job) as folder:
            job_folder.record(folder, status, text)
        return 1 if status == "failed" else 128 + signal.SIGTERM

    def _recorded(self, job: Job) -> object:
        return layout.read_summary(job.folder(self.sweep.need_folder())).get("status")

    def _say(self, text: str) -> None:
        self.sweep.screen.say(cut(f"ray      {text}"))


def _nodes() -> list[Mapping[str, Any]]:
    """The machines of the cluster that are alive."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _fits(node: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a machine has what a job needs, be it in use now."""
    needs = {"CPU": wanted["num_cpus"], "GPU": wanted["num_gpus"], "memory": wanted.get("memory", 0)}
    needs |= wanted.get("resources", {})
    return all(node["Resources"].get(name, 0) >= amount for name, amount in needs.items())
