"""Suggests the closest known word for a misspelt one."""

import math
from collections.abc import Iterable

LAST_PART_ONLY = 0.5  # added to the distance if only the last parts of two dotted keys are alike


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice with the smallest distance to `word`; None if none is near.

    Dotted keys are compared in full and by their last part, so `optim.lr` and `lr` both find `optimizer.lr`. A first
    part asks for the same last part: `model.weights` is not `loss.weight`.
    """
    group, _, name = word.rpartition(".")

    def slips(choice: str) -> float:
        last = distance(name, choice.rpartition(".")[2])
        return min(distance(word, choice), last + LAST_PART_ONLY if not (group and last) else math.inf)

    best = min(choices, key=slips, default=None)
    most = max(1, len(name) // 3) + LAST_PART_ONLY
    return best if best is not None and slips(best) <= most else None


def distance(a: str, b: str) -> int:
    """The optimal string alignment distance of two words; case, dashes and underscores do not count."""
    a, b = (word.lower().replace("-", "_").replace("_", "") for word in (a, b))
    rows = [list(range(len(b) + 1))]
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            best = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """' Did you mean x?', or '' if no choice is near."""
    near = closest(word, choices)
    return f" Did you mean {near}?" if near else ""
