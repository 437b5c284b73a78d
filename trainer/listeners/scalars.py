"""The numbers that trackers show, by name: step/loss, step/lr, step/grad_norm and step/TERM of a logged step;
train/loss, val/loss and so on of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.events import Evaluated, Event, Stepped


def of_event(event: Event, terms: Sequence[str]) -> dict[str, float]:
    """Those of an event; {} for one that brings none. terms: the names of the loss's."""
    if isinstance(event, Evaluated):
        return dict(event.metrics)
    if not isinstance(event, Stepped) or event.logged is None:
        return {}
    loss, values, norm = event.logged
    named = {f"step/{name}": value for name, value in zip(terms, values, strict=True)}
    return {"step/loss": loss, "step/lr": event.lr, **named, **({"step/grad_norm": norm} if norm is not None else {})}


def of_row(row: Mapping[str, Any]) -> dict[str, float]:
    """Those of a line of metrics.jsonl, without the ones that were not finite, which are null there."""
    if row.get("eval"):
        named = {name: value for name, value in row.items() if "/" in name}
    else:
        named = {name.replace("train/", "step/"): value for name, value in row.items() if "/" in name}
        named |= {"step/lr": row["lr"], "step/grad_norm": row.get("grad_norm")}
    return {name: value for name, value in named.items() if value is not None}
