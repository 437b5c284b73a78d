"""trainer report: results.png and report.html, made again."""

from argparse import Namespace
from pathlib import Path

from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.verbs.arguments import Parser

DESCRIPTION = "results.png and report.html made anew from a run's folder alone; for a sweep, also those of its jobs."


def parser() -> Parser:
    """The words and flags of this verb."""
    parser = Parser("report", "[RUN|SWEEP|latest]", DESCRIPTION)
    parser.add_argument("name", nargs="?", default=layout.LATEST, metavar="RUN|SWEEP", help="latest, a folder, a name")
    parser.add_argument("--open", action="store_true", help="show report.html in the browser")
    return parser


def run(args: Namespace) -> int:
    """Make the reports of a run, or of a sweep and its jobs. Returns the exit code."""
    from trainer.report import make

    sweep = layout.find_sweep(args.name)
    if sweep is not None:
        jobs = [folder for folder in layout.jobs(sweep) if not folder.is_symlink()]  # nothing is written elsewhere
        for folder in jobs:
            make.of_run(folder)
        made = make.of_sweep(sweep)
        print(f"jobs     {len(jobs)}, each with {layout.PICTURE} and {layout.REPORT}")
    else:
        made = make.of_run(layout.find(args.name))[-1]
    print(f"report   {made}")
    if args.open:
        show(made)
    return 0


def show(page: Path) -> None:
    """Open a page in the browser. Raises ConfigError where there is none."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise ConfigError("no browser was found to open it with", f"open {page} in any browser, also elsewhere")
