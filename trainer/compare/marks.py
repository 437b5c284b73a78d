"""What the marks in a table of a ranking mean, and what mattered."""

from collections.abc import Sequence

from trainer.compare.group import Group, is_share
from trainer.compare.paired import FEWEST, Difference
from trainer.compare.ranking import Ranking
from trainer.compare.table import TEST, short_names
from trainer.text import counted

FOLDED = ("seeds", "split seeds", "folds")  # what a line is the mean over, see Row.seeds


def marks(ranking: Ranking) -> list[tuple[str, str]]:
    """(mark, its meaning) of the marks in a table."""
    if ranking.curves:
        return curve_marks(ranking)
    notes, groups = [], ranking.groups[: ranking.num_ranked]
    names = spread_over(groups)
    seeds = f"the spread over {names}" if names else ""
    both = f"{seeds}{',' * (' and ' in names)} and the" if seeds else "of"
    if counts := [group.num_rows for group in groups if group.num_rows]:
        notes.append(("±", f"95%: {both} {counted(min(counts), 'validation row')}"))
    elif any(group.interval for group in groups):
        is_unknown = all(is_share(ranking.metric, group.rows) for group in groups)
        unknown = "; the number of validation rows was not recorded" if is_unknown else ""
        notes.append(("±", f"95%: {seeds} alone{unknown}"))
    if any(len(group.values) == 2 and group.interval for group in groups):
        notes.append(("n 2", "two values tell little of their spread; try seed=0,1,2"))
    if told := [gap for gap in ranking.gaps.values() if gap.half is not None]:
        notes.append(("vs best", f"± 95% of the difference of pairs, over {over(told[0])}"))
    if any(map(ranking.mark, groups)):
        notes.append(("~", "cannot be told apart from the best (95%)"))
    if any(group.interval is None for group in groups):
        notes.append(("no ±", "fewer than 3 values, or equal ones, tell no spread; try seed=0,1,2"))
    if ranking.share:
        notes.append(("fraction", f"only lines of {ranking.share}, are ranked"))
    return notes + _common_marks(ranking)


def curve_marks(ranking: Ranking) -> list[tuple[str, str]]:
    """(mark, its meaning) of the marks in a table of learning curves."""
    counts = {len(group.values) for group in ranking.groups if group.values}
    notes = [("±", f"the standard deviation over {spread_over(ranking.groups)}")] if counts - {1} else []
    notes += [("no ±", "one value tells no spread; try seed=0,1,2")] if 1 in counts else []
    notes.append(("fraction", f"shares are not ranked against each other: best is of {ranking.share}"))
    return notes + _common_marks(ranking)


def _common_marks(ranking: Ranking) -> list[tuple[str, str]]:
    notes = []
    if any(group.test is not None for group in ranking.groups):
        name = ranking.metric.removeprefix("val/")
        notes.append((TEST, f"{name} of the test split, measured once a run; it ranks and selects nothing"))
    if repeats := sum(len(group.rows) - group.num_seeds for group in ranking.groups):
        notes.append(("repeats", f"{repeats}: the settings and seeds of another run, so not counted in n"))
    return notes


def spread_over(groups: Sequence[Group]) -> str:
    """What the values of a line differ in, such as 'seeds and folds'; '' where each line has one value."""
    several = [list(zip(*(row.seeds for row in group.rows), strict=True)) for group in groups if len(group.values) > 1]
    names = [name for at, name in enumerate(FOLDED) if any(len({*parts[at]}) > 1 for parts in several if parts[at:])]
    return " and ".join([", ".join(names[:-1]), *names[-1:]] if len(names) > 1 else names)


def over(gap: Difference) -> str:
    """What the interval of a paired difference is taken over."""
    if gap.splits >= FEWEST:
        return f"{gap.splits} splits of the rows"
    rows = counted(gap.rows, "validation row") if gap.rows else ""
    if gap.seeds < FEWEST or gap.splits > 1:
        few = f"{FEWEST} splits" if gap.splits > 1 else f"{FEWEST} pairs: try seed=0,1,2"
        return f"the {rows} alone (fewer than {few})"
    return f"{gap.seeds} seeds and the {rows}" if rows else f"{gap.seeds} seeds alone (no rows are stored)"


def footnotes(ranking: Ranking) -> list[str]:
    """The meaning of the marks, and each key's share of the variance."""
    notes = [f"{mark:<9}{meaning}" for mark, meaning in marks(ranking)]
    if ranking.shares:
        names = short_names(list(ranking.shares))
        parts = sorted(ranking.shares.items(), key=lambda part: -part[1])
        rest = max(0.0, 1 - sum(ranking.shares.values()))
        words = ", ".join(f"{names[key]} {share:.0%}" for key, share in parts)
        notes.append(f"mattered {words}, together {rest:.0%} of the variance")
    return notes
