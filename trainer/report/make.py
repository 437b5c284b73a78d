"""Makes results.png and report.html from a folder alone."""

from pathlib import Path

from trainer.disk import history, layout, outcome, reading, storage
from trainer.disk.history import History
from trainer.disk.outcome import Outcome
from trainer.report import drawn, run_page, sweep_page
from trainer.report.overview import Overview


def of_run(folder: Path, past: History | None = None) -> list[Path]:
    """Write both files into a run folder. Returns their paths. past: the run's history, if it has already been read."""
    from trainer.report import picture  # matplotlib, which a sweep's page does not need

    past = past or history.read(folder)
    predictions = (outcome.read(folder) or Outcome()).predictions
    dataset = reading.text(layout.read_summary(folder).get("dataset"), 60)
    title = " · ".join(filter(None, [dataset, folder.name]))
    storage.write_file(folder / layout.PICTURE, picture.draw(title, past.curves, predictions, drawn.terms(past)))
    storage.write_file(folder / layout.REPORT, run_page.page(folder, past).encode())
    return [folder / layout.PICTURE, folder / layout.REPORT]


def of_sweep(sweep: Path) -> Path:
    """Write a sweep's report.html from the jobs so far. Returns its path. Its jobs have their own: see `of_run`."""
    storage.write_file(sweep / layout.REPORT, sweep_page.page(sweep).encode())
    return sweep / layout.REPORT


def of_all(overview: Overview) -> Path:
    """Write report.html of all runs below a folder. Returns its path. Their own pages stay as they are."""
    storage.write_file(overview.root / layout.REPORT, overview.page().encode())
    return overview.root / layout.REPORT
