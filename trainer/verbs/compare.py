"""Rank runs, or the jobs of sweeps, by a metric, those of each data and way of splitting apart. Runs that differ only
in their seeds become one row, with the 95% interval of its mean."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from trainer.compare import filters, plain, ranking, rows, table, two_runs
from trainer.compare.rows import Row
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import cleaned, counted, listed
from trainer.verbs.arguments import Parser
from trainer.verbs.runs import outside_sweeps


def parser() -> Parser:
    only = "only some of them: tags=NAME, name=NAME, status=ok, or a key of the config"
    parser = Parser("compare", "[RUN…|SWEEP…] [key=value …]", __doc__, lambda _: only)
    parser.add_argument("names", nargs="*", metavar="RUN|SWEEP", help="none: latest if it is a sweep, else all runs")
    parser.add_argument("--sort", metavar="METRIC", help="rank by this one; without, by what each run monitored")
    parser.add_argument("--all", action="store_true", help="a line for each run, without folding seeds")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--json", action="store_true", help="print everything as JSON")
    kinds.add_argument("--csv", action="store_true", help="print a line for each run as CSV")
    kinds.add_argument("--md", action="store_true", help="print the table as Markdown")
    return parser


def run(args: Namespace) -> int:
    """Print the ranking of runs and of sweeps' jobs. Returns the exit code."""
    runs = read_runs(args.names)
    if all(row.unreadable for row in runs):
        raise ConfigError(f"none of these runs can be read; {runs[0].name}: {runs[0].error}", "trainer runs")
    metric = args.sort or rows.monitored(runs)
    if metric.startswith("test/"):
        text = f"--sort {metric}: test numbers select nothing, so they rank nothing; the table shows them"
        raise ConfigError(text, shlex.join(["trainer", "compare", *args.names, "--sort", f"val/{metric[5:]}"]))
    known = list(dict.fromkeys(name for row in runs for name in row.metrics))
    if metric not in known and (args.sort or not known):
        if not known:
            raise ConfigError("none of these runs has reported a metric yet", "trainer runs")
        meant = [name for name in known if name.rpartition("/")[2] == metric] or [closest(metric, known) or known[-1]]
        command = shlex.join(["trainer", "compare", *args.names, "--sort", meant[-1]])
        raise ConfigError(f"no run here reports '{metric}'; they have {listed(known)}", command)
    ranked = ranking.rankings(runs, args.sort, fold=not args.all)
    if args.json:
        print(plain.json_text(ranked, runs))
    elif args.csv:
        print(table.csv_text(runs, ranked, cleaned if sys.stdout.isatty() else str), end="")
    elif args.md:
        print(table.markdown(ranked, runs))
    else:
        _show(ranked, runs)
    return 0


def read_runs(names: Sequence[str]) -> list[Row]:
    """The rows of the runs and sweeps that are named and match the filters among the words; without a name, of sweeps'
    jobs only those of the newest. Raises ConfigError for a name that is neither, and where no run matches."""
    names, wanted = filters.split(names)
    if wanted and not names:
        return rows.of_runs(_meant([layout.relative(folder) for folder in outside_sweeps(Path("outputs"))], wanted))
    sweeps = [layout.find_sweep(name) for name in names or [layout.LATEST]]
    if len(sweeps) == 1 and sweeps[0] is not None and not wanted:
        return rows.of_sweep(sweeps[0])
    if not names:
        folders = [layout.relative(folder) for folder in outside_sweeps(Path("outputs"))]
        if not folders:
            raise ConfigError("there is no run in outputs/ yet", "trainer train")
        return rows.of_runs(folders)
    folders = []
    for name, sweep in zip(names, sweeps, strict=True):
        folders += layout.jobs(sweep) if sweep is not None else [layout.find(name)]
    return rows.of_runs(_meant(folders, wanted))


def _meant(folders: Sequence[Path], wanted: Sequence[filters.Filter]) -> list[Path]:
    found = filters.meant(folders, wanted)
    if not found:
        texts = " ".join(f"{each.key}={','.join(each.wanted)}" for each in wanted)
        raise ConfigError(f"none of {counted(len(folders), 'run')} has {texts}", "trainer runs --sweeps")
    return found


def _show(ranked: Sequence[ranking.Ranking], runs: Sequence[Row]) -> None:
    from trainer.sweep import lines
    from trainer.terminal.screen import Screen

    with Screen() as screen:
        screen.say(f"compare  {counted(len(runs), 'run')} {lines.ranked_by(ranked)}", style="bold")
        lines.show_rankings(screen, ranked, runs, lambda best: [f"best     {best.name}"])
        if len(runs) == 2:
            screen.entry("differ", list(two_runs.lines(runs)))
