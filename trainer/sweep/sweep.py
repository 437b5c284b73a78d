"""A sweep from its plan to its ranking: refuses a wrong plan, runs the jobs, reports the results. No torch."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.compare import plain, ranking, rows, table
from trainer.compare.rows import Row
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.config.trust import OWN, Trust, strangers
from trainer.disk import folder as folders
from trainer.disk import layout, lock, storage, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, Interrupted, StorageError, TrainerError
from trainer.processes import signals
from trainer.sweep import ended, lines, pool
from trainer.sweep.best import Best
from trainer.sweep.comparable import check_metric
from trainer.sweep.ended import BUSY
from trainer.sweep.job import Place, train
from trainer.sweep.progress import Progress
from trainer.terminal.screen import Screen

LOG = "sweep.log"
Runner = Callable[..., Iterator[tuple[Job, int]]]  # called with jobs, stop, tick and is_over, see pool.run


class Sweep:
    """The jobs of one sweep, in the order they were planned, and its folder."""

    def __init__(self, typed: Sequence[str], screen: Screen, trust: Trust = OWN) -> None:
        self.typed, self.screen, self.trust = list(typed), screen, trust
        self.folder: Path | None = None
        self.jobs: list[Job] = []
        self.places: list[Place] = []
        self.num_expected = 0  # jobs in total, where they are not all planned at once
        self.monitor, self.mode = "", "min"  # the metric of the first job, and its better direction
        self.num_evaluations: int | None = None  # of the first job
        self.prunes: pool.Prunes | None = None  # what a search says about a running job, see study.py
        self.ends_at = math.inf  # on the monotonic clock: the time after which no job starts
        self.stopped = False  # whether a failure has ended the sweep
        self.best, self.num_ended = Best(), 0
        self.runner: Runner = self._side_by_side
        self.remains = "the running jobs were saved"  # what there is of the sweep after a signal
        self.rest: dict[str, Any] = {}  # what sweep.json holds beside the jobs: search and launcher
        self.damaged: dict[int, str] = {}  # why a job cannot be run, by number
        self.held = ExitStack()  # the lock on the folder
        self.place = folders.Folder(Path())  # the held folder, wherever it is
        self.progress = Progress(screen, 0)

    def __enter__(self) -> "Sweep":
        return self

    def __exit__(self, *error: object) -> None:
        self.held.close()

    def plan(self, jobs: Sequence[Job], launcher: Mapping[str, Any] | None = None) -> Path:
        """Add jobs to the sweep. Returns its folder. Raises ConfigError before anything is started.

        launcher: where they run, as plain data; None: on this machine.
        """
        check_metric(jobs)
        if self.folder is None:
            layout.check_writable(jobs[0].data["output_dir"])
            if launcher is None:
                self.prepare(jobs)
            self.begin(jobs)
            self.rest = {"launcher": launcher}
        if not self.trust.granted and (unknown := [name for job in jobs for name in strangers(job.data)]):
            raise ConfigError(f"job {jobs[0].number} would import {unknown[0]}", f"{self.resume_command()} --trust")
        self.jobs += jobs
        self.write({})
        return self.need_folder()

    def write(self, results: Mapping[str, Any]) -> None:
        """Write sweep.json. results: entries beside the plan."""
        rest = {name: value for name, value in (self.rest | dict(results)).items() if value is not None}
        sweep_plan.write_plan(self.need_folder(), self.typed, self.jobs, rest, sign=self.trust.signed)

    def begin(self, jobs: Sequence[Job], note: str = "") -> None:
        """Make the folder, and say what is about to run. note: a line about it."""
        self.folder = layout.create_sweep(jobs[0].data["output_dir"])
        self.hold(self.folder)
        self.screen.open_log(self.folder / LOG)
        for line in lines.header(jobs, self.total or len(jobs), self.places, self.folder, note):
            self.screen.say(line)
        self.screen.say()
        self.progress = Progress(self.screen, 0)

    def need_folder(self) -> Path:
        """The folder of a sweep that has begun."""
        if self.folder is None:
            raise RuntimeError("a sweep has no folder before its first plan")
        return self.folder

    def hold(self, folder: Path) -> None:
        """Keep other processes from running this sweep. Raises InUse."""
        self.place = folders.of(self.held.enter_context(lock.only_writer(folder, "sweep")))

    def row(self, job: Job, settings: dict[str, str] | None = None) -> Row:
        """The results of a job so far. One that another process works on is running, whatever its summary says."""
        folder = job.folder(self.need_folder())
        row = rows.read_row(folder, job.data, settings or {})
        if job.number in self.damaged:
            return replace(row, status="failed", metrics={}, error=self.damaged[job.number])
        if (who := lock.holder(folder)) is not None:
            return replace(row, status="running", metrics={}, error=f"{who} is writing to it")
        return replace(row, status="interrupted") if row.status == "running" else row

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Build a job and discard it, to see whether it can be built and where such jobs run. Raises the first job's
        error if the last job fails too."""
        self.screen.status("importing torch and building a job, to see whether it can be built")
        pool.share_rows(jobs[0], self.trust)
        built = pool.rehearse(jobs[0], self.trust)
        if isinstance(built, TrainerError):
            first_error, built = built, pool.rehearse(jobs[-1], self.trust) if len(jobs) > 1 else built
            if isinstance(built, TrainerError):
                raise first_error
        self.monitor, self.mode, self.num_evaluations = built.monitor, built.mode, built.num_evaluations
        config = Settings(jobs[0].data, Source(jobs[0].overrides)).check()
        wanted, threads = config.sweep.jobs, config.threads
        num_jobs, num_ranks = self.num_expected or len(jobs), 1 if config.nproc == "auto" else config.nproc
        self.places = pool.places(wanted, threads, config.device, *built[:2], num_jobs, num_ranks, built.num_bytes)

    def open(self, folder: Path, jobs: Sequence[Job], num_ended: int) -> None:
        """Take over an existing sweep. num_ended: the number of its jobs that have ended."""
        self.folder, self.jobs, self.num_ended = folder, list(jobs), num_ended
        self.progress = Progress(self.screen, num_ended)
        self.screen.open_log(folder / LOG)

    def run(self, jobs: Sequence[Job]) -> list[int]:
        """Run jobs and print a line for each as it ends. Returns the exit codes in order of ending. Raises Interrupted
        after a signal, once all jobs have saved."""
        settings = self.settings
        codes = []
        self.best.compare(self.jobs, self.monitor)
        with signals.listening():

            def stop() -> bool:
                return self.stopped or signals.stop_requested() is not None or self.place.gone() is not None

            def tick(running: Sequence[Job]) -> None:
                self.progress.show(self.need_folder(), running, settings, self.num_ended, self.total)

            for job, code in self.runner(jobs, stop, tick, lambda: self.is_over):
                self.ended(job, code, settings[job.number])
                codes.append(code)
                stops = jobs[0].data["sweep"]["on_fail"] == "stop" and code not in (0, BUSY)
                self.stopped = self.stopped or (stops and signals.stop_requested() is None)
            self.screen.clear()
            wish = signals.stop_requested()
        if (gone := self.place.gone()) is not None:
            now = self.place.place()
            raise StorageError(gone.message, f"trainer resume {layout.relative(now)}" if now else None)
        if wish is not None:
            raise self.interrupted(wish)
        return codes

    def _side_by_side(self, jobs: Sequence[Job], stop: Any, tick: Any, is_over: Any) -> Iterator[tuple[Job, int]]:
        return pool.run(self.need_folder(), jobs, self.places, self.trust, stop, tick, is_over, self.prunes)

    def run_here(self, number: int) -> int:
        """Run a job in this process, for Hydra's basic launcher and submitit's. Returns the exit code."""
        job = self.jobs[number]
        self.screen.say(f"job {job.number}  {' '.join(job.overrides)}")
        code = train(self.need_folder(), job, Screen(), Place(), self.trust)
        self.ended(job, code, self.settings[job.number])
        if code in signals.INTERRUPTED:
            raise self.interrupted(code - 128)
        return code

    def ended(self, job: Job, code: int, settings: dict[str, str]) -> Row:
        """Make sure that the end of a job is recorded, and report it."""
        ended.record(self.need_folder(), job, code)
        row = self.row(job, settings)
        self.num_ended += 1
        if (praise := self.best.praise(row)) and self.best.is_one:
            value = row.value(row.monitor)
            self.progress.best = f"best     {row.monitor} {value:.4f}  {table.settings_text(row.settings)}"
        for line in lines.job_lines(self.num_ended, self.total, row, praise):
            self.screen.say(line, style="red" if row.failed else None)
        return row

    def end(self) -> int:
        """Rank the jobs, write sweep.csv and sweep.json, and print the ranking. Returns the exit code."""
        if self.folder is None or not self.jobs:
            return 2
        if self.place.gone() is not None:  # nothing of the sweep is made again
            return StorageError.exit_code
        with signals.listening():
            code = self._rank()
            if (number := signals.stop_requested()) is not None:
                raise self.interrupted(number)
        return code

    def _rank(self) -> int:
        folder, settings = self.need_folder(), self.settings
        results = [self.row(job, settings[job.number]) for job in self.jobs]
        ranked = ranking.rankings([row for row in results if row.status != "running"] or results)
        self.write({"ranking": plain.as_data(ranked)})
        storage.write_file(folder / layout.TABLE, table.csv_text(results, ranked).encode())
        if self.jobs[0].data["report"]:
            from trainer.report import make  # jinja2, after all jobs are done

            make.of_sweep(folder)
        late = self.total - len(self.jobs) if self.is_late else 0
        lines.show_end(self.screen, folder, self.jobs, results, ranked, self.resume_command(), late)
        done = ("ok", "pruned", "waiting") if self.is_late else ("ok", "pruned")
        return 0 if all(row.status in done for row in results) else 1

    @property
    def settings(self) -> dict[int, dict[str, str]]:
        """The overrides in which the jobs differ, by job number."""
        return dict(zip((job.number for job in self.jobs), rows.settings(self.jobs), strict=True))

    @property
    def is_over(self) -> bool:
        """Whether no other job starts: a failure has ended the sweep, or its time is over."""
        return self.stopped or self.is_late

    @property
    def is_late(self) -> bool:
        """Whether the time that a search may take is over."""
        return time.monotonic() >= self.ends_at

    @property
    def total(self) -> int:
        """Number of jobs that there are, or will be."""
        return max(len(self.jobs), self.num_expected)

    def interrupted(self, number: int) -> Interrupted:
        """The error for a sweep that a signal stopped."""
        name, command = signal.Signals(number).name, self.resume_command()
        text = f"the sweep was stopped by {name}; {self.remains}"
        self.screen.note(f"{text}\n  try: {command}")
        return Interrupted(number, text, command)

    def resume_command(self) -> str:
        """The command that resumes this sweep."""
        return f"trainer resume {layout.relative(self.need_folder())}"
