"""Make results.png and report.html again from a run's folder alone; for a sweep, those of its jobs too."""

import shlex
from argparse import Namespace

from trainer.disk import importance, layout, summary
from trainer.disk.reading import Damaged
from trainer.errors import ConfigError, StorageError, TrainerError, complain
from trainer.processes.torch_import import uncollected
from trainer.text import cleaned, cut, first_few
from trainer.verbs.arguments import Parser, add_trust
from trainer.verbs.open_run import open_run


def parser() -> Parser:
    parser = Parser("report", "[RUN|SWEEP|latest]", __doc__)
    parser.add_argument(
        "name", nargs="?", default=layout.LATEST, metavar="RUN|SWEEP", help="latest, a folder, or the end of its name"
    )
    text = "of a table: measure how much each column matters, however long it takes"
    parser.add_argument("--importance", action="store_true", help=f"{text}; of a sweep, in its best run")
    add_trust(parser)
    parser.add_argument("--open", action="store_true", help="show report.html in the browser")
    return parser


def run(args: Namespace) -> int:
    """Make the reports of a run, or of a sweep and its jobs. Returns the exit code."""
    import webbrowser

    from trainer.report import make

    if args.importance:
        _measure(args.name, trust_it=args.trust)
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
