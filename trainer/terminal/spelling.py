"""The closest right word for a wrong one."""

from collections.abc import Iterable

LAST_PART_ONLY = 0.5  # added to the distance where only the last parts of two dotted keys are alike


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice with the fewest slips from `word`, or None where nothing is near.

    Dotted keys are compared whole and by their last part, so that `optim.lr` and `lr` both find `optimizer.lr`.
    """

    def slips(choice: str) -> float:
        last = distance(word.rpartition(".")[2], choice.rpartition(".")[2])
        return min(distance(word, choice), last + LAST_PART_ONLY)

    best = min(choices, key=slips, default=None)
    if best is None:
        return None
    return best if slips(best) <= max(1, len(word.rpartition(".")[2]) // 3) + LAST_PART_ONLY else None


def distance(a: str, b: str) -> int:
    """Slips between two words: letters left out, put in, exchanged, or swapped with their neighbour.

    The optimal string alignment distance; case, dashes and underscores do not count.
    """
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
    """' Did you mean x?' or nothing."""
    near = closest(word, choices)
    return f" Did you mean {near}?" if near else ""
