"""List the runs in a folder, newest last."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.text import printable
from trainer.verbs.arguments import Parser


def parser() -> Parser:
    parser = Parser("runs", "[FOLDER]", __doc__)
    parser.add_argument("folder", nargs="?", default="outputs", help="the folder to list (default: outputs)")
    parser.add_argument("--sweeps", action="store_true", help="list the jobs of sweeps too")
    return parser


def run(args: Namespace) -> int:
    """List the runs in a folder, newest last. Returns the exit code."""
    root = Path(args.folder)
    if not root.is_dir() and args.folder != "outputs":
        raise ConfigError(f"there is no folder {root}", "trainer runs")
    folders = list(layout.runs(root) if args.sweeps else outside_sweeps(root))
    if not folders:
        print(f"no run in {root}/ yet: trainer train")
        return 0
    print(f"{'run':<46} {'status':<9} {'steps':>7}  metric")
    for folder in folders:
        print(printable(_line(folder.relative_to(root).as_posix(), layout.read_summary(folder))))
    return 0


def outside_sweeps(root: Path) -> Iterator[Path]:
    """The run folders below root that are not jobs of a sweep, oldest first."""
    return (run for run in layout.runs(root) if layout.SWEEPS not in run.relative_to(root).parts)


def _line(name: str, summary: dict[str, Any]) -> str:
    best, monitor = summary.get("best") or {}, summary.get("monitor", "")
    value = best.get(monitor)
    metric = f"{monitor} {value:.4f}" if isinstance(value, (int, float)) else ""
    status, steps = str(summary.get("status", "unknown")), str(summary.get("steps", ""))
    return f"{name:<46} {status:<9} {steps:>7}  {metric}".rstrip()
