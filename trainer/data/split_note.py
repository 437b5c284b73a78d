"""The lines of the header that say which rows validate, test and train."""

from collections.abc import Collection

from trainer.data.roles import TEST, TRAIN, VAL
from trainer.data.splitting import Splitting


def lines(how: Splitting, by: str | None, drawn: Collection[int]) -> list[str]:
    """by: the column or attribute that the split depends on; drawn: the roles whose rows were drawn."""
    found = [f"validation: {_held_back(how, by)}"] if VAL in drawn else []
    if TEST in drawn and how.test_fraction:
        found.append(f"test: {_share(how, by, how.test_fraction, f'test_seed {how.test_seed}')}; it selects nothing")
    if how.fraction != 1 and TRAIN in drawn:
        found.append(f"training: {100 * how.fraction:g}% of the rows that are left, dataset.fraction={how.fraction:g}")
    return found


def _held_back(how: Splitting, by: str | None) -> str:
    if how.folds is None:
        return _share(how, by, how.val_fraction, f"split_seed {how.split_seed}")
    repeat, fold = divmod(how.fold, how.folds)
    which = f"fold {fold} (of 0 to {how.folds - 1})"
    which += f" of repeat {repeat} (of 0 to {how.repeats - 1})" * (how.repeats > 1)
    if how.split == "time":
        return f"{which}: a block by {by}, trained on those before; the first is never predicted"
    kind = {"random": "at random", "stratified": "of each class", "group": f"of whole groups by {by}"}[how.split]
    return f"{which}, {kind} (split_seed {how.split_seed})"


def _share(how: Splitting, by: str | None, fraction: float, seed: str) -> str:
    share = f"{100 * fraction:g}%"
    return {
        "random": f"{share} of the rows, drawn at random ({seed})",
        "stratified": f"{share} of the rows of each class, drawn at random ({seed})",
        "group": f"about {share} of the rows, whole groups by {by} ({seed})",
        "time": f"the latest {share} of the rows by {by}",
        "column": f"the rows that {by} names",
    }[how.split]
