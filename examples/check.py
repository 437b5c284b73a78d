"""Runs the examples, with trainer and as plain PyTorch loops, and checks what they reach and what each verb says.

    python examples/check.py                           everything, with three seeds
    python examples/check.py vae gru                   these examples
    python examples/check.py --checks trainer report   these checks
    python examples/check.py --checks trainer --set optimizer.lr=0.00001    see it fail

It ends with exit code 1 if a check fails. A file conf/experiment/NAME.yaml says what an example should reach.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from checks import bits, numbers, scores, verbs
from checks.example import NAMES, Example, Wrong

# A check looks at one example and returns a few words for the table. It raises Wrong with what should not be.
CHECKS: dict[str, Callable[[Example], str]] = {
    "plain": numbers.plain,
    "trainer": numbers.trainer,
    "interval": numbers.interval,
    "seconds": numbers.seconds,
    "predict": scores.predict,
    "sweep": verbs.sweep,
    "report": verbs.report,
    "plan": verbs.plan,
    "doctor": verbs.doctor,
    "verify": bits.verify,
    "processes": bits.processes,
    "compile=model": bits.compiled_model,
    "compile=step": bits.compiled_step,
}
FAILS = "FAILS"


def check(example: Example, names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Carry out checks. Returns ({check: its cell in the table}, what is wrong)."""
    cells, wrong = dict[str, str](), list[str]()
    for name in names:
        begun = time.perf_counter()
        try:
            cells[name] = CHECKS[name](example)
        except Exception as error:  # what one check meets does not cost the others
            cells[name] = FAILS
            text = str(error) if isinstance(error, Wrong) else repr(error)
            wrong.append(f"{example.name}, {name}: {text}")
            print(wrong[-1], file=sys.stderr)
        took = time.perf_counter() - begun
        print(f"{example.name:<14} {name:<10} {cells[name]}   ({took:.1f} s)", file=sys.stderr, flush=True)
    return cells, wrong


def table(rows: dict[str, dict[str, str]]) -> str:
    """A table in Markdown: a line for each example, a column for each check."""
    lines = [["example", *next(iter(rows.values()))], *([name, *cells.values()] for name, cells in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all of them if left out")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds to try, from 0 (default: 3)")
    parser.add_argument("--checks", nargs="+", choices=CHECKS, default=list(CHECKS), help="all of them if left out")
    parser.add_argument("--set", nargs="+", metavar="KEY=VALUE", default=[], help="more settings for trainer")
    asked = parser.parse_args()
    if unknown := [name for name in asked.examples if name not in NAMES]:
        parser.error(f"no example {unknown[0]}: there are {', '.join(NAMES)}")
    rows, wrong = dict[str, dict[str, str]](), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked.examples or NAMES:
            example = Example(name, Path(scratch), range(asked.seeds), asked.set)
            rows[name], more = check(example, asked.checks)
            wrong += more
    print(table(rows))
    print("\n".join(wrong) if wrong else "all as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
