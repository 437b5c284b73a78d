"""What `metrics` asks for, as plain data: a name, a name with settings, or a class of your own. Imports no torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.errors import ConfigError

ALIASES = {"f1": "f1_score", "acc": "accuracy", "iou": "jaccard_index", "r2": "r2_score"}
SHORT = {name: alias for alias, name in ALIASES.items()}
COLUMN = re.compile(r"[A-Za-z_][\w.-]*")
AS, NAME, TARGET, AVERAGE, POSITIVE = "as", "name", "_target_", "average", "positive"
FORMS = "a name, {name: f1, average: micro} or {_target_: my_file.MyMetric}"


@dataclass(frozen=True)
class Asked:
    """One entry. column: under which it is reported, as in val/f1_spam. name: short, as f1; '' for a class of your own,
    whose node it is then. settings: what is typed beside the name; without average: macro, which holds if nothing is.
    key: of the entry, for messages."""

    column: str
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    node: Mapping[str, Any] | None = None
    key: str = "metrics"

    @property
    def full_name(self) -> str:
        """The name in torchmetrics.functional."""
        return ALIASES.get(self.name, self.name)


def read(entries: Sequence[Any]) -> list[Asked]:
    """The entries of `metrics`. Raises ConfigError for what is none, and for two of one column."""
    found = [_entry(entry, f"metrics.{place}") for place, entry in enumerate(entries)]
    for place, asked in enumerate(found):
        if asked.column in [earlier.column for earlier in found[:place]]:
            text = f"metrics: two of them would be reported as {asked.column}"
            raise ConfigError(text, "add 'as: NAME' to one of them", "metrics")
    return found


def _entry(entry: Any, key: str) -> Asked:
    node: Mapping[str, Any] = {NAME: entry} if isinstance(entry, str) else entry
    if not isinstance(node, Mapping) or not isinstance(node.get(NAME, node.get(TARGET)), str):
        raise ConfigError(f"{key}={entry} is not a metric", FORMS, "metrics")
    if not all(isinstance(name, str) for name in node):
        raise ConfigError(f"{key}: the names of settings are text", FORMS, "metrics")
    typed = node.get(AS)
    if typed is not None and not (isinstance(typed, str) and COLUMN.fullmatch(typed)):
        raise ConfigError(f"{key}.as={typed} is not a name for a column", "letters, digits and _", "metrics")
    settings = {name: value for name, value in node.items() if name not in (AS, NAME)}
    if NAME not in node:
        return Asked(typed or snake(str(node[TARGET])), node=settings, key=key)
    name = SHORT.get(node[NAME], node[NAME])
    if settings.get(AVERAGE, "macro") in ("macro", "none", None):  # the report has the value of each class
        settings.pop(AVERAGE, None)
    suffix = settings.get(POSITIVE, settings.get(AVERAGE))
    column = name if suffix is None else f"{name}_{re.sub(r'[^A-Za-z0-9.-]+', '_', str(suffix))}"
    return Asked(typed or column, name, settings, key=key)


def snake(dotted: str) -> str:
    """MedianError as median_error."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", dotted.rpartition(".")[2]).lower()
