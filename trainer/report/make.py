"""results.png and report.html, made anew from a folder alone."""

from pathlib import Path

from trainer.disk import history, layout, outcome, reading, storage
from trainer.disk.history import History
from trainer.report import run_page, sweep_page


def of_run(folder: Path, past: History | None = None) -> list[Path]:
    """Write both into a run folder; where they are. past: its history, where it has been read already."""
    from trainer.report import picture  # matplotlib, which a sweep's page has no use for

    past = past or history.read(folder)
    found = outcome.read(folder)
    title = reading.text(layout.read_summary(folder).get("dataset"), 60)
    title = f"{title} · {folder.name}" if title else folder.name
    drawing = picture.draw(title, past.curves, found.outcome if found else None)
    storage.write_file(folder / layout.PICTURE, drawing)
    storage.write_file(folder / layout.REPORT, run_page.page(folder, past).encode())
    return [folder / layout.PICTURE, folder / layout.REPORT]


def of_sweep(sweep: Path) -> Path:
    """Write report.html of a sweep, as far as it has come; where it is. Its jobs' own are theirs: see `of_run`."""
    storage.write_file(sweep / layout.REPORT, sweep_page.page(sweep).encode())
    return sweep / layout.REPORT
