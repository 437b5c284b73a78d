"""trainer compare: runs ranked by a metric."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from trainer.compare import ranking, rows, table
from trainer.compare.rows import Row
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.terminal.spelling import did_you_mean
from trainer.verbs.arguments import Parser


def parser() -> Parser:
    """The words and flags of this verb."""
    parser = Parser(
        "compare", "[RUN…|SWEEP…]", "Rank runs, or the jobs of sweeps, by a metric; seeds become mean ± std."
    )
    parser.add_argument("names", nargs="*", metavar="RUN|SWEEP", help="none: latest if it is a sweep, else all runs")
    parser.add_argument("--sort", metavar="METRIC", help="rank by this one; else by what most runs monitored")
    parser.add_argument("--all", action="store_true", help="a line for each run, seeds too")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--json", action="store_true", help="all of it as JSON")
    kinds.add_argument("--csv", action="store_true", help="a line for each run as CSV")
    kinds.add_argument("--md", action="store_true", help="the table as Markdown")
    return parser


def run(args: Namespace) -> int:
    """Print the ranking of runs and of sweeps' jobs. Returns the exit code."""
    found = read(args.names)
    metric = args.sort or rows.monitored(found)
    check_metric(metric, found)
    ranked = ranking.rank(found, metric, fold=not args.all)
    if args.json:
        print(table.json_text(ranked))
    elif args.csv:
        print(table.csv_text(found), end="")
    elif args.md:
        print(table.markdown(ranked))
    else:
        _show(ranked, found)
    return 0


def read(names: Sequence[str]) -> list[Row]:
    """The rows that were asked for. Raises ConfigError for a name that is neither run nor sweep."""
    sweeps = [layout.find_sweep(name) for name in names or [layout.LATEST]]
    if len(sweeps) == 1 and sweeps[0] is not None:
        return rows.of_sweep(sweeps[0])
    root = Path("outputs")
    if not names:
        folders = [run for run in layout.runs(root) if layout.SWEEPS not in run.relative_to(root).parts]
        if not folders:
            raise ConfigError(f"there is no run below {root}/ yet", "trainer train")
        return rows.of_runs([layout.relative(folder) for folder in folders])
    folders = []
    for name, sweep in zip(names, sweeps, strict=True):
        folders += layout.jobs(sweep) if sweep is not None else [layout.find(name)]
    return rows.of_runs(folders)


def check_metric(metric: str, found: Sequence[Row]) -> None:
    """Raise ConfigError for a metric that no run reports."""
    known = list(dict.fromkeys(name for row in found for name in row.metrics))
    if metric not in known:
        choices = "|".join(known) or "none of them has reported a metric yet"
        raise ConfigError(f"no run here reports '{metric}'.{did_you_mean(metric, known)}", f"--sort {choices}")


def _show(ranked: ranking.Ranking, found: Sequence[Row]) -> None:
    from trainer.sweep import lines
    from trainer.terminal.screen import Screen

    with Screen() as screen:
        screen.say(f"compare  {len(found)} runs by {ranked.metric} ({ranked.mode})", style="bold")
        for index, line in enumerate(table.text_lines(ranked, screen.ascii_only)):
            screen.say(line, style="bold" if index == 0 else None)
        for line in table.footnotes(ranked):
            screen.say(line)
        for row in found:
            if row.status in ("failed", "diverged"):
                for line in lines.failure_lines(row):
                    screen.say(line, style="red")
        if ranked.best is not None:
            screen.say(f"best     {ranked.best.name}")
