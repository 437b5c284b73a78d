"""trainer runs: the runs below outputs/."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from trainer.disk import layout
from trainer.verbs.arguments import Parser


def parser() -> Parser:
    """The words and flags of this verb."""
    parser = Parser("runs", "[FOLDER]", "The runs below a folder, newest last.")
    parser.add_argument("folder", nargs="?", default="outputs", help="where they lie (outputs)")
    parser.add_argument("--sweeps", action="store_true", help="jobs of sweeps too")
    return parser


def run(args: Namespace) -> int:
    """List the runs below a folder, newest last. Returns the exit code."""
    root = Path(args.folder)
    found = [run for run in layout.runs(root) if args.sweeps or layout.SWEEPS not in run.relative_to(root).parts]
    if not found:
        print(f"no run below {root}/ yet: trainer train")
        return 0
    print(f"{'run':<46} {'status':<9} {'steps':>7}  metric")
    for folder in found:
        line = _line(folder.relative_to(root).as_posix(), layout.read_summary(folder))
        print("".join(c if c.isprintable() else "?" for c in line))  # a stranger's folder may hold escape codes
    return 0


def _line(name: str, summary: dict[str, Any]) -> str:
    best, monitor = summary.get("best") or {}, summary.get("monitor", "")
    value = best.get(monitor)
    metric = f"{monitor} {value:.4f}" if isinstance(value, (int, float)) else ""
    status, steps = str(summary.get("status", "unknown")), str(summary.get("steps", ""))
    return f"{name:<46} {status:<9} {steps:>7}  {metric}".rstrip()
