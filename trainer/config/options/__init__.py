"""The keyword arguments of the classes that trainer ships, one file a group.

A class that is not in SCHEMAS is checked against its own signature when it is built (config/target.py).
"""

from collections.abc import Mapping
from typing import Any

from trainer.config.options import dataset, loss, model, optimizer, scheduler
from trainer.config.options.dataset import DatasetKeys as DatasetKeys
from trainer.config.options.optimizer import OptimizerKeys as OptimizerKeys
from trainer.config.schema_key import keys

# {`_target_`: the dataclass of its keys} of each group, and of all
BY_GROUP = {
    "dataset": dataset.SCHEMAS,
    "model": model.SCHEMAS,
    "loss": loss.SCHEMAS,
    "optimizer": optimizer.SCHEMAS,
    "scheduler": scheduler.SCHEMAS,
}
SCHEMAS = {target: schema for schemas in BY_GROUP.values() for target, schema in schemas.items()}

# Keys that ship with every option: a class that has a parameter of this name gets the value, whatever it is.
MAY_BE_THEIRS = (*dataset.MAY_BE_THEIRS, *keys(OptimizerKeys))


def target_schema(group: str, node: Mapping[str, Any]) -> dict[str, Any] | None:
    """{name: dataclass field} of the keys beside a shipped `_target_`; None where the class's signature decides."""
    schema = SCHEMAS.get(node.get("_target_", ""))
    return None if schema is None else common(group) | keys(schema)


def common(group: str) -> dict[str, Any]:
    """The keys of every option of a group, as `target_schema` gives them."""
    return {"dataset": keys(DatasetKeys), "optimizer": keys(OptimizerKeys)}.get(group, {})
