"""A sweep from its plan to its ranking: refuses what is wrong, runs the jobs, says what they came to. No torch."""

import os
import shlex
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.text import Text

from trainer.compare import ranking, rows, table
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk import layout, storage, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, Interrupted, TrainerError
from trainer.processes import signals
from trainer.sweep import lines, pool
from trainer.sweep.job import Place, train
from trainer.terminal.screen import Screen
from trainer.text import clock

METRICS = ("train/loss", "val/loss", "val/acc", "val/mse", "val/mae", "val/r2")  # all that a run can report
LOG = "sweep.log"


class Sweep:
    """The jobs of one sweep, in the order they were planned, and the folder they land in."""

    def __init__(self, typed: Sequence[str], screen: Screen) -> None:
        self.typed, self.screen = list(typed), screen
        self.folder: Path | None = None
        self.jobs: list[Job] = []
        self.places: list[Place] = []
        self.num_expected = 0  # jobs in all, where they are not planned at once
        self.monitor = ""
        self.trails: Callable[[Job, Path], bool] | None = None  # whether a running job may stop, see search.py
        self.pruned: set[int] = set()
        self.best: float | None = None
        self.num_ended = 0

    def plan(self, jobs: Sequence[Job], *, locally: bool = True) -> Path:
        """Take these jobs on. Raises ConfigError before anything is started."""
        check_metric(jobs)
        if self.folder is None:
            self.begin(jobs, locally=locally)
        self.jobs += jobs
        sweep_plan.write_plan(self.need_folder(), self.typed, self.jobs, {})
        return self.need_folder()

    def begin(self, jobs: Sequence[Job], *, locally: bool = True) -> None:
        """Make the folder, once these jobs are found good. locally: they run on this machine, so one is built and
        thrown away to see that it can be."""
        layout.check_writable(jobs[0].data["output_dir"])
        if locally:
            self.prepare(jobs)
        self.folder = layout.create_sweep(jobs[0].data["output_dir"])
        self.screen.open_log(self.folder / LOG)
        for line in lines.header(jobs, self.total or len(jobs), self.places, self.folder):
            self.screen.say(line)
        self.screen.say()

    def need_folder(self) -> Path:
        """The folder, once there is one."""
        if self.folder is None:
            raise RuntimeError("a sweep has no folder before its first plan")
        return self.folder

    def row(self, job: Job) -> Row:
        """What became of a job so far."""
        return rows.read_row(job.folder(self.need_folder()), {})

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Find the places to run at. Raises the ConfigError that the first and the last job both meet."""
        answer = pool.rehearse(jobs[0])
        if isinstance(answer, TrainerError):
            last = pool.rehearse(jobs[-1]) if len(jobs) > 1 else answer
            if isinstance(last, TrainerError):
                raise answer
            answer = last
        kind, num_gpus, self.monitor = answer or ("cpu", 0, "")
        config = Settings(jobs[0].data, Source(jobs[0].overrides)).check()
        wanted, threads = config.sweep.jobs, config.threads
        num_jobs, num_ranks = max(len(jobs), self.num_expected), 1 if config.nproc == "auto" else config.nproc
        self.places = pool.places(wanted, threads, config.device, kind, num_gpus, num_jobs, num_ranks)

    def open(self, folder: Path, jobs: Sequence[Job], num_ended: int) -> None:
        """Go on with a sweep that is there."""
        self.folder, self.jobs, self.num_ended = folder, list(jobs), num_ended
        self.screen.open_log(folder / LOG)

    def run(self, jobs: Sequence[Job]) -> list[int]:
        """Run jobs side by side, a line for each as it ends; their exit codes in order of ending. Raises Interrupted
        once all have saved, where a signal asked for it."""
        folder, stopped = self.need_folder(), False
        on_fail = jobs[0].data["sweep"]["on_fail"]
        begun = time.monotonic()
        settings = dict(
            zip((job.number for job in self.jobs), rows.varied([j.overrides for j in self.jobs]), strict=True)
        )
        codes = []
        with signals.listening():

            def stop() -> bool:
                return stopped or signals.stop_requested() is not None

            def tick(active: Sequence[tuple[Job, int]]) -> None:
                seconds = clock(time.monotonic() - begun)
                self.screen.show(Text(f"{self.num_ended}/{self.total} done, {len(active)} running, {seconds}"))
                if not stop():
                    self.prune(active)

            for job, code in pool.run(folder, jobs, self.places, stop, tick):
                row = self.ended(job, code, settings[job.number])
                codes.append(code)
                stopped = stopped or (on_fail == "stop" and row.status in ("failed", "diverged"))
            self.screen.clear()
            wish = signals.stop_requested()
        if wish is not None:
            raise Interrupted(wish, "the sweep was stopped; what ran was saved", self.resume_command())
        return codes

    def prune(self, active: Sequence[tuple[Job, int]]) -> None:
        """Stop the running jobs (job, process id) that a search has no hope for."""
        for job, pid in active:
            if (
                self.trails is not None
                and job.number not in self.pruned
                and self.trails(job, job.folder(self.need_folder()))
            ):
                self.pruned.add(job.number)
                os.kill(pid, signal.SIGINT)

    def run_here(self, number: int) -> int:
        """Run a job in this process, as Hydra's basic launcher and submitit's have it. Returns the exit code."""
        job = self.jobs[number]
        self.screen.say(f"job {job.number}  {' '.join(job.overrides)}")
        code = train(self.need_folder(), job, Screen())
        self.ended(job, code, rows.varied([j.overrides for j in self.jobs])[number])
        if code in (130, 143):
            raise Interrupted(code - 128, "the sweep was stopped; what ran was saved", self.resume_command())
        return code

    def ended(self, job: Job, code: int, settings: dict[str, str]) -> Row:
        """See that a job that ended is recorded, and say so."""
        folder = job.folder(self.need_folder())
        if (
            code != 0
            and sweep_plan.status(self.need_folder(), job) in ("waiting", "interrupted")
            and code not in (130, 143)
        ):
            sweep_plan.record_failure(folder, signals.exit_reason(code))
        elif code == 130 and job.number in self.pruned:
            sweep_plan.record_failure(folder, "it trailed the others", "pruned")
        row = rows.read_row(folder, settings)
        self.num_ended += 1
        value = row.value(row.monitor)
        better = max if rows.mode(row.monitor) == "max" else min
        is_best = value is not None and (self.best is None or better(value, self.best) == value != self.best)
        self.best = value if is_best else self.best
        style = "red" if row.status in ("failed", "diverged") else None
        for line in lines.job_lines(self.num_ended, self.total, row, is_best):
            self.screen.say(line, style=style)
        return row

    def end(self) -> int:
        """Rank what there is, write sweep.csv and sweep.json, say so. Returns the exit code."""
        if self.folder is None:
            return 2
        found = rows.of_jobs([job.folder(self.folder) for job in self.jobs], [job.overrides for job in self.jobs])
        ranked = ranking.rank(found, rows.monitored(found))
        sweep_plan.write_plan(self.folder, self.typed, self.jobs, {"ranking": table.as_data(ranked)})
        storage.write_file(self.folder / layout.TABLE, table.csv_text(found).encode())
        if self.jobs[0].data["report"]:
            from trainer.report import make  # jinja2, after all jobs are done

            make.of_sweep(self.folder)
        self.say_ranking(found, ranked)
        return 0 if all(row.status in ("ok", "pruned") for row in found) else 1

    def say_ranking(self, found: Sequence[Row], ranked: Ranking) -> None:
        """The table, its footnotes, the failures, and what to type next."""
        say = self.screen.say
        counts = Counter(row.status for row in found)
        words = ", ".join(f"{counts[status]} {status}" for status in counts)
        say(f"\nsweep    {len(found)} jobs: {words}; by {ranked.metric or 'nothing'} ({ranked.mode})", style="bold")
        for index, line in enumerate(table.text_lines(ranked, self.screen.ascii_only)):
            say(line, style="bold" if index == 0 else None)
        for line in table.footnotes(ranked):
            say(line)
        for row in found:
            if row.status in ("failed", "diverged"):
                for line in lines.failure_lines(row):
                    say(line, style="red")
        if ranked.best is not None:
            job = next(
                job for job in self.jobs if layout.relative(job.folder(self.need_folder())) == Path(ranked.best.name)
            )
            say(f"best     trainer train {shlex.join(job.overrides)}")
        if any(row.status not in ("ok", "pruned") for row in found):
            say(f"again    {self.resume_command()}")
        names = [name for name in (layout.REPORT, layout.TABLE) if (self.need_folder() / name).exists()]
        say(f"files    {layout.relative(self.need_folder())}  {' '.join(names)}")

    @property
    def total(self) -> int:
        """How many jobs there are, or will be."""
        return max(len(self.jobs), self.num_expected)

    def resume_command(self) -> str:
        """What goes on with this sweep."""
        return f"trainer resume {layout.relative(self.need_folder())}"


def check_metric(jobs: Sequence[Job]) -> None:
    """Raise ConfigError for a metric to rank by that no run can report."""
    for metric in dict.fromkeys(job.data.get("monitor", "auto") for job in jobs):
        if metric not in ("auto", *METRICS):
            raise ConfigError(f"monitor={metric}: no run reports such a metric", "monitor=" + "|".join(METRICS))
