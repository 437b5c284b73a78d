"""A schedule that continues with another length, or over other groups, than it had."""

import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer


def num_moves(schedule: Mapping[str, Any]) -> int | None:
    """How often a saved scheduler, or the first of its parts, has moved; None if it does not say."""
    parts = schedule.get("_schedulers") or [{}]
    moves: int | None = schedule.get("last_epoch", parts[0].get("last_epoch"))
    return moves


def stretch(schedule: Any, optimizer: Optimizer, saved: dict[str, Any], num_moves: int, num_steps: int) -> str:
    """Move a run's new schedule to the current step, and put its learning rates into the saved state of the optimizer.

    num_moves: of the saved schedule; num_steps: of the run now. Returns a line that says so.
    """
    scheduler = move(schedule, num_moves)
    before = saved["param_groups"][0]["lr"]
    saved["param_groups"] = optimizer.state_dict()["param_groups"]
    now = saved["param_groups"][0]["lr"]
    schedule.load_state_dict(scheduler.state_dict())
    return (
        f"{type(scheduler).__name__} now follows {num_steps:,} steps from the start: lr was {before:.3g}, is {now:.3g}"
    )


def move(schedule: Any, num_moves: int) -> Any:
    """Move a new schedule on, without the steps between. Returns it without its wrapper."""
    scheduler = getattr(schedule, "scheduler", schedule)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch expects optimizer.step() between
        for _ in range(num_moves):
            scheduler.step()
    return scheduler


def continued(before: Any, schedule: Any, optimizer: Optimizer, factor: float) -> Any:
    """A new schedule over more groups, moved to where the one before it is, as if the groups had been there.

    factor: the present rate over the first one, for a schedule that does not count its moves or moves on evaluations.
    """
    state = before.state_dict()
    moves = num_moves(state)
    if moves is not None and not hasattr(before, "look"):
        move(schedule, moves)
        return schedule
    schedule.load_state_dict({name: value for name, value in state.items() if not isinstance(value, list)})
    for group in optimizer.param_groups:  # a list would hold one number for each of the groups before
        group["lr"] *= factor
    return schedule
