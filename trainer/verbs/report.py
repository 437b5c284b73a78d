"""Make results.png and report.html again from a run's folder alone; for a sweep, those of its jobs too."""

from argparse import Namespace

from trainer.disk import layout
from trainer.errors import ConfigError, TrainerError, complain
from trainer.text import cleaned
from trainer.verbs.arguments import Parser


def parser() -> Parser:
    parser = Parser("report", "[RUN|SWEEP|latest]", __doc__)
    parser.add_argument(
        "name", nargs="?", default=layout.LATEST, metavar="RUN|SWEEP", help="latest, a folder, or the end of its name"
    )
    parser.add_argument("--open", action="store_true", help="show report.html in the browser")
    return parser


def run(args: Namespace) -> int:
    """Make the reports of a run, or of a sweep and its jobs. Returns the exit code."""
    import webbrowser

    from trainer.report import make

    sweep, code = layout.find_sweep(args.name), 0
    if sweep is not None:
        jobs = layout.jobs(sweep)
        for folder in list(jobs):
            try:
                make.of_run(folder)
            except TrainerError as error:  # one damaged job costs the others nothing
                complain(f"warning: {error.message}; {folder} gets no {layout.REPORT}")
                jobs.remove(folder)
                code = 1
        page = make.of_sweep(sweep)
        print(cleaned(f"jobs     {len(jobs)}, each with {layout.PICTURE} and {layout.REPORT}"))
    else:
        page = make.of_run(layout.find(args.name))[-1]
    print(cleaned(f"report   {page}"))
    if args.open and not webbrowser.open(page.resolve().as_uri()):
        raise ConfigError("no browser was found to open it", f"open {page} in any browser, here or elsewhere")
    return code
