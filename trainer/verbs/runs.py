"""List the runs in a folder, newest last."""

import shlex
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from trainer.compare import filters
from trainer.disk import layout, summary
from trainer.disk.reading import Damaged
from trainer.disk.summary import UNREADABLE
from trainer.errors import ConfigError
from trainer.text import cleaned, counted
from trainer.verbs.arguments import Parser


def parser() -> Parser:
    only = "only some of them: tags=NAME, name=NAME, status=ok, or a key of the config"
    parser = Parser("runs", "[FOLDER] [key=value …]", __doc__, lambda _: only)
    parser.add_argument("words", nargs="*", metavar="FOLDER", help="the folder to list (default: outputs)")
    parser.add_argument("--sweeps", action="store_true", help="list the jobs of sweeps too")
    return parser


def run(args: Namespace) -> int:
    """List the runs in a folder, newest last. Returns the exit code."""
    names, wanted = filters.split(args.words)
    if len(names) > 1:
        raise ConfigError("runs lists one folder", f"trainer runs {shlex.quote(names[0])}")
    root = Path(*names or ["outputs"])
    if not root.is_dir() and names:
        raise ConfigError(f"there is no folder {root}", "trainer runs")
    all_runs = list(layout.runs(root) if args.sweeps else outside_sweeps(root))
    folders = filters.meant(all_runs, wanted)
    if not folders:
        asked = " ".join(word for word in args.words if word not in names)
        none = f"none of {counted(len(all_runs), 'run')} in {root}/ has {asked}"
        others = "" if args.sweeps else "; those of sweeps: trainer runs --sweeps"
        print(cleaned(none + others if all_runs else f"no run in {root}/ yet: trainer train"))
        return 0
    names = [folder.relative_to(root).as_posix() for folder in folders]
    width = max(map(len, names))
    print(cleaned(f"{'run':<{width}} {'status':<9} {'steps':>9}  metric"))
    for folder, name in zip(folders, names, strict=True):
        print(cleaned(f"{name:<{width}} {_results(folder)}".rstrip()))
    return 0


def outside_sweeps(root: Path) -> Iterator[Path]:
    """The run folders below root that are not jobs of a sweep, oldest first."""
    return (run for run in layout.runs(root) if layout.SWEEPS not in run.relative_to(root).parts)


def _results(folder: Path) -> str:
    try:
        found = summary.read(folder)
    except Damaged as error:
        return f"{UNREADABLE}  {error}"
    metric = f"{found.monitor} {found.best[found.monitor]:.4f}" if found.monitor in found.best else ""
    steps = "" if found.steps is None else f"{found.steps:,}"
    return f"{found.status or 'unknown':<9} {steps:>9}  {metric:<18} {', '.join(found.tags)}"
