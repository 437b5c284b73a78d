"""Learning curves: one configuration on growing shares of its training rows. Its lines are not ranked."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.compare.group import Group
from trainer.compare.protocol import FRACTION


@dataclass(frozen=True)
class LearningCurve:
    """settings: of the configuration, without dataset.fraction. groups: one for each share, ascending."""

    settings: dict[str, str]
    groups: list[Group]


def curves(groups: Sequence[Group]) -> list[LearningCurve]:
    """The curves of a ranking's groups, in the order of their first group. [] where the groups are a ranking: all have
    the same share, or some configuration was trained on the largest share alone.

    groups: those of the largest share come first.
    """
    by_settings: dict[tuple[tuple[str, str], ...], list[Group]] = defaultdict(list)
    for group in groups:
        own = tuple((key, value) for key, value in group.settings.items() if key.lstrip("+") != FRACTION)
        by_settings[own].append(group)
    shares = [{group.fraction for group in some} for some in by_settings.values()]
    if not any(len(own) > 1 for own in shares) or {groups[0].fraction} in shares:
        return []
    return [LearningCurve(dict(own), sorted(some, key=lambda g: g.fraction)) for own, some in by_settings.items()]
