"""A sweep from its plan to its ranking: refuses a wrong plan, runs the jobs, reports the results. No torch."""

import os
import shlex
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.compare import ranking, rows, table
from trainer.compare.protocol import protocol
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk import layout, storage, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, Interrupted, TrainerError
from trainer.processes import signals
from trainer.stopping import MONITORS, unknown_metric
from trainer.sweep import lines, pool
from trainer.sweep.job import Place, train
from trainer.sweep.progress import Progress
from trainer.terminal.screen import Screen
from trainer.text import counted, labelled

INTERRUPTED = (130, 143)  # exit codes after SIGINT and SIGTERM
LOG = "sweep.log"


class Sweep:
    """The jobs of one sweep, in the order they were planned, and its folder."""

    def __init__(self, typed: Sequence[str], screen: Screen) -> None:
        self.typed, self.screen = list(typed), screen
        self.folder: Path | None = None
        self.jobs: list[Job] = []
        self.places: list[Place] = []
        self.num_expected = 0  # jobs in total, where they are not all planned at once
        self.monitor = ""
        self.trails: Callable[[Job, Path], bool] | None = None  # whether a running job may be stopped, see search.py
        self.pruned: set[int] = set()
        self.best: dict[tuple[str, tuple[str, ...]], float] = {}  # by metric and what it was measured on
        self.num_ended = 0
        self.is_mixed = False  # whether not all jobs are compared with each other
        self.progress = Progress(screen, 0)

    def plan(self, jobs: Sequence[Job], *, locally: bool = True) -> Path:
        """Add jobs to the sweep. Returns its folder. Raises ConfigError before anything is started."""
        check_metric(jobs)
        if self.folder is None:
            self.begin(jobs, locally=locally)
        self.jobs += jobs
        sweep_plan.write_plan(self.need_folder(), self.typed, self.jobs, {})
        return self.need_folder()

    def begin(self, jobs: Sequence[Job], *, locally: bool = True, is_search: bool = False) -> None:
        """Check these jobs, then make the folder. locally: the jobs run on this machine, so one is built and
        discarded to check that it can be built. is_search: the jobs are compared, so they must be comparable."""
        layout.check_writable(jobs[0].data["output_dir"])
        if locally:
            self.prepare(jobs)
        if is_search:
            check_comparable(jobs, self.monitor)
        self.folder = layout.create_sweep(jobs[0].data["output_dir"])
        self.screen.open_log(self.folder / LOG)
        for line in lines.header(jobs, self.total or len(jobs), self.places, self.folder):
            self.screen.say(line)
        self.screen.say()
        self.progress = Progress(self.screen, 0)

    def need_folder(self) -> Path:
        """The folder of a sweep that has begun."""
        if self.folder is None:
            raise RuntimeError("a sweep has no folder before its first plan")
        return self.folder

    def row(self, job: Job) -> Row:
        """The results of a job so far."""
        return rows.read_row(job.folder(self.need_folder()), job.data, {})

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Find the places to run at. Raises the first job's error if the last job fails too."""
        self.screen.status("importing torch and building a job, to see whether it can be built")
        answer = pool.rehearse(jobs[0])
        if isinstance(answer, TrainerError):
            first_error, answer = answer, pool.rehearse(jobs[-1]) if len(jobs) > 1 else answer
            if isinstance(answer, TrainerError):
                raise first_error
        kind, num_gpus, self.monitor = answer or ("cpu", 0, "")
        config = Settings(jobs[0].data, Source(jobs[0].overrides)).check()
        wanted, threads = config.sweep.jobs, config.threads
        num_jobs, num_ranks = self.num_expected or len(jobs), 1 if config.nproc == "auto" else config.nproc
        self.places = pool.places(wanted, threads, config.device, kind, num_gpus, num_jobs, num_ranks)

    def open(self, folder: Path, jobs: Sequence[Job], num_ended: int) -> None:
        """Take over an existing sweep. num_ended: the number of its jobs that have ended."""
        self.folder, self.jobs, self.num_ended = folder, list(jobs), num_ended
        self.progress = Progress(self.screen, num_ended)
        self.screen.open_log(folder / LOG)

    def run(self, jobs: Sequence[Job]) -> list[int]:
        """Run jobs side by side and print a line for each as it ends. Returns the exit codes in order of ending. Raises
        Interrupted after a signal, once all jobs have saved."""
        stopped = False
        settings = self.settings
        codes = []
        self.is_mixed = len({(job.data.get("monitor"), protocol(job.data).key(self.monitor)) for job in self.jobs}) > 1
        with signals.listening():

            def stop() -> bool:
                return stopped or signals.stop_requested() is not None

            def tick(active: Sequence[tuple[Job, int]]) -> None:
                running = [job for job, _ in active]
                self.progress.show(self.need_folder(), running, settings, self.num_ended, self.total)
                if not stop():
                    self.prune(active)

            for job, code in pool.run(self.need_folder(), jobs, self.places, stop, tick):
                row = self.ended(job, code, settings[job.number])
                codes.append(code)
                stopped = stopped or (row.failed and jobs[0].data["sweep"]["on_fail"] == "stop")
            self.screen.clear()
            wish = signals.stop_requested()
        if wish is not None:
            raise self.interrupted(wish)
        return codes

    def prune(self, active: Sequence[tuple[Job, int]]) -> None:
        """Stop the running jobs that trail the others. active: (job, process id)."""
        for job, pid in active:
            if self.trails and job.number not in self.pruned and self.trails(job, job.folder(self.need_folder())):
                self.pruned.add(job.number)
                os.kill(pid, signal.SIGINT)

    def run_here(self, number: int) -> int:
        """Run a job in this process, for Hydra's basic launcher and submitit's. Returns the exit code."""
        job = self.jobs[number]
        self.screen.say(f"job {job.number}  {' '.join(job.overrides)}")
        code = train(self.need_folder(), job, Screen())
        self.ended(job, code, self.settings[job.number])
        if code in INTERRUPTED:
            raise self.interrupted(code - 128)
        return code

    def ended(self, job: Job, code: int, settings: dict[str, str]) -> Row:
        """Make sure that the end of a job is recorded, and report it."""
        folder = job.folder(self.need_folder())
        if code not in (0, *INTERRUPTED) and sweep_plan.status(self.need_folder(), job) in ("waiting", "interrupted"):
            sweep_plan.record_failure(folder, signals.exit_reason(code))
        elif code == 130 and job.number in self.pruned:
            sweep_plan.record_failure(folder, "it trailed the others", "pruned")
        row = rows.read_row(folder, job.data, settings)
        self.num_ended += 1
        value, key = row.value(row.monitor), (row.monitor, row.protocol.key(row.monitor))
        best, better = self.best.get(key), max if rows.mode(row.monitor) == "max" else min
        is_best = value is not None and (best is None or better(value, best) == value != best)
        if value is not None and is_best:
            self.best[key] = value
            if len(self.best) == 1:  # otherwise not all jobs can be compared
                self.progress.best = f"best     {row.monitor} {value:.4f}  {table.settings_text(row.settings)}"
        praise = f"best so far of {row.protocol.name}" if self.is_mixed else "best so far"
        for line in lines.job_lines(self.num_ended, self.total, row, praise if is_best else ""):
            self.screen.say(line, style="red" if row.failed else None)
        return row

    def end(self) -> int:
        """Rank the jobs, write sweep.csv and sweep.json, and print the ranking. Returns the exit code."""
        if self.folder is None or not self.jobs:
            return 2
        results = rows.of_jobs(self.folder, self.jobs)
        ranked = ranking.rankings(results)
        sweep_plan.write_plan(self.folder, self.typed, self.jobs, {"ranking": table.as_data(ranked)})
        storage.write_file(self.folder / layout.TABLE, table.csv_text(results, ranked).encode())
        if self.jobs[0].data["report"]:
            from trainer.report import make  # jinja2, after all jobs are done

            make.of_sweep(self.folder)
        self.say_ranking(results, ranked)
        return 0 if all(row.status in ("ok", "pruned") for row in results) else 1

    def say_ranking(self, results: Sequence[Row], ranked: Sequence[Ranking]) -> None:
        """Print the tables, their footnotes, the failures, and the next commands."""
        say, folder = self.screen.say, self.need_folder()
        jobs = {str(layout.relative(job.folder(folder))): job for job in self.jobs}
        counts = ", ".join(f"{count} {status}" for status, count in Counter(row.status for row in results).items())
        say(f"\nsweep    {counted(len(results), 'job')}: {counts}; {lines.ranked_by(ranked)}", style="bold")

        def best_lines(best: Row) -> list[str]:
            command = f"trainer train {shlex.join(jobs[best.name].overrides)}"
            return [*labelled("best     ", [command]), f"run      {best.name}"]

        lines.show_rankings(self.screen, ranked, results, best_lines)
        if any(row.status not in ("ok", "pruned") for row in results):
            self.screen.entry("again", [self.resume_command()])
        names = [name for name in (layout.REPORT, layout.TABLE) if (folder / name).exists()]
        say(f"files    {layout.relative(folder)}  {' '.join(names)}")
        if best := next((ranking.best for ranking in ranked if ranking.best is not None), None):
            for line in lines.next_lines(folder, jobs[best.name], is_only=len(ranked) == 1):
                say(line)

    @property
    def settings(self) -> dict[int, dict[str, str]]:
        """The overrides in which the jobs differ, by job number."""
        return dict(zip((job.number for job in self.jobs), rows.settings(self.jobs), strict=True))

    @property
    def total(self) -> int:
        """Number of jobs that there are, or will be."""
        return max(len(self.jobs), self.num_expected)

    def interrupted(self, number: int) -> Interrupted:
        """The error for a sweep that a signal stopped."""
        return Interrupted(number, "the sweep was stopped; the running jobs were saved", self.resume_command())

    def resume_command(self) -> str:
        """The command that resumes this sweep."""
        return f"trainer resume {layout.relative(self.need_folder())}"


def check_comparable(jobs: Sequence[Job], metric: str) -> None:
    """Raise ConfigError for a search whose jobs do not measure the same: it would find the easiest data or loss."""
    if len({protocol(job.data).key(metric) for job in jobs}) > 1:
        text = "a search compares its jobs, so they need the same data and split, and for a loss the same loss"
        raise ConfigError(text, "a grid: leave out hydra/sweeper=optuna")


def check_metric(jobs: Sequence[Job]) -> None:
    """Raise ConfigError for a metric to rank by that no run can report."""
    for metric in dict.fromkeys(job.data.get("monitor", "auto") for job in jobs):
        if metric not in ("auto", *MONITORS):
            raise unknown_metric(metric, MONITORS)
