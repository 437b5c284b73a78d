"""Make results.png and report.html again from a run's folder alone; for a sweep, those of its jobs too. With --all, one
page over all runs below outputs/ or another folder: a table, curves, and the settings that differ."""

import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.disk import importance, layout, summary
from trainer.disk.reading import Damaged
from trainer.errors import ConfigError, StorageError, TrainerError, complain
from trainer.processes.torch_import import uncollected
from trainer.text import cleaned, cut, first_few
from trainer.verbs.arguments import Parser, add_trust
from trainer.verbs.open_run import open_run

if TYPE_CHECKING:
    from trainer.report.overview import Overview


def parser() -> Parser:
    parser = Parser("report", "[RUN|SWEEP|latest]", __doc__)
    text = "latest, a folder, or the end of its name; with --all, the folder of the runs"
    parser.add_argument("name", nargs="?", metavar="RUN|SWEEP", help=text)
    parser.add_argument("--all", action="store_true", help="make one page over all runs: outputs/report.html")
    text = "with --all: serve that page to this machine alone, and follow the runs"
    parser.add_argument("--watch", action="store_true", help=text)
    parser.add_argument("--port", type=_port, metavar="N", help="with --watch: the port (default: a free one)")
    text = "of a table: measure how much each column matters, however long it takes"
    parser.add_argument("--importance", action="store_true", help=f"{text}; of a sweep, in its best run")
    add_trust(parser)
    parser.add_argument("--open", action="store_true", help="show the page in the browser")
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise ConfigError(f"--port {text} is not a number from 1 to 65535", "trainer report --all --watch")
    return int(text)


def run(args: Namespace) -> int:
    """Make the reports of a run, of a sweep and its jobs, or the page over all runs. Returns the exit code."""
    if args.all:
        return _all(args)
    if args.watch or args.port is not None:
        raise ConfigError("--watch follows all runs", "trainer report --all --watch")
    from trainer.report import make

    name = args.name or layout.LATEST
    if args.importance:
        _measure(name, trust_it=args.trust)
    sweep, code = layout.find_sweep(name), 0
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
        page = make.of_run(layout.find(name))[-1]
    print(cleaned(f"report   {page}"))
    if args.open:
        _open(page)
    return code


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise ConfigError("no browser was found to open it", f"open {page} in any browser, here or elsewhere")


def _all(args: Namespace) -> int:
    """Make or serve the page over all runs. Returns the exit code."""
    from trainer.report import make
    from trainer.report.overview import Overview

    if args.importance:
        raise ConfigError("--importance measures one run, not all", "trainer report RUN --importance")
    if args.port is not None and not args.watch:
        raise ConfigError("--port is for --watch", f"trainer report --all --watch --port {args.port}")
    root = Path(args.name or "outputs")
    if not root.is_dir() and args.name is not None:
        raise ConfigError(f"there is no folder {root}", "trainer report --all")
    overview = Overview(root)
    if args.watch:
        return _watch(overview, args)
    if not overview.read():
        raise ConfigError(f"there is no run in {root}/ yet", "trainer train")
    page = make.of_all(overview)
    print(cleaned(f"runs     {len(overview.entries):,}"))
    print(cleaned(f"report   {page}"))
    if args.open:
        _open(page)
    return 0


def _watch(overview: "Overview", args: Namespace) -> int:
    """Serve the page until a signal comes. Returns the exit code."""
    import webbrowser

    from trainer.processes import signals
    from trainer.report.page_server import PageServer

    try:
        server = PageServer(overview, args.port or 0)
    except OSError as error:
        text = f"port {args.port} cannot be used: {error.strerror}"
        raise ConfigError(text, "trainer report --all --watch") from error
    with server, signals.listening(may_abandon=False):
        print(cleaned(f"report   {server.url}  for this machine alone; Ctrl-C ends it"), flush=True)
        if args.open and not webbrowser.open(server.url):
            complain("warning: no browser was found to open it")
        server.timeout = 0.2  # seconds after which a signal is seen
        while signals.stop_requested() is None:
            server.handle_request()
    return 0


def _measure(name: str, *, trust_it: bool) -> None:
    """Write a run's importance.json, and print the first columns. Raises ConfigError."""
    stored = open_run(name, trust_it=trust_it, command="report RUN --importance")
    with uncollected():
        from trainer.data import fingerprint
        from trainer.inference import labelled as rows_of
        from trainer.inference import model
        from trainer.run.importance import measure

    from trainer.report.columns import texts
    from trainer.terminal.screen import Screen

    folder, config = stored.folder, stored.config
    try:
        known, recorded = fingerprint.read(folder), summary.read(folder)
    except Damaged as error:
        raise StorageError(str(error)) from error
    trained, size = model.load(folder, config, to_measure=True), config.loader.eval_batch_size
    if trained.preprocessing.table is None:
        text = f"--importance shuffles the columns of a table, and {folder} was not trained on one"
        raise ConfigError(text, f"trainer report {shlex.quote(name)}")
    splits = rows_of.own_splits(config, trained, known, download=stored.data.trusted)
    with Screen() as screen:
        found = measure(trained, splits, recorded.monitor, recorded.modes, config.seed, size, screen.status)
        screen.clear()
        for line in rows_of.OfSplits(splits, ["val"], size, own=True).warnings(known):
            complain(line)
        importance.write(folder, found)
        columns = [f"{cut(one.name, 40)} {text}" for one, text in zip(found.columns, texts(found), strict=True)]
        screen.entry("columns", [f"{found.metric} gets worse when one is shuffled: {first_few(columns, 4)}"])
