"""A line that says how far something has come, as wide as the terminal allows."""

from collections.abc import Sequence

from rich.text import Text

from trainer.text import clock

LONGEST, SHORTEST = 30, 6  # columns of the bar; there is none where fewer are left


def bar_line(share: float, texts: Sequence[str], width: int, *, ascii_only: bool) -> Text:
    """A bar, and behind it the texts, the most important first; those that do not fit are left out. share: 0 to 1."""
    behind = ""
    for text in filter(None, texts):
        if len(behind) + 2 + len(text) >= width:
            break
        behind += f"  {text}"
    columns = min(LONGEST, width - 1 - len(behind))
    full, rest = ("#", "-") if ascii_only else ("━", "─")
    if columns < SHORTEST:
        return Text(behind.strip())
    done = int(columns * min(1.0, share))
    return Text.assemble((full * done, "cyan"), (rest * (columns - done), "dim"), behind)


def time_left(elapsed: float, done: float, total: float) -> str:
    """How long the rest takes if it is as fast as what was done in `elapsed` seconds; '' before anything was done."""
    if done <= 0:
        return ""
    left = elapsed * (total - done) / done
    return f"{clock(left) if left >= 59.5 else f'{left:.0f} s'} left"
