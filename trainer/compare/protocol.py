"""What a run was measured on: its data, its way of splitting and its loss. Results of different ones are not ranked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.config.options import SCHEMAS

ROWS = ("split_seed", "fold")  # which rows are held back; with the seed, what repeated runs vary
SPLIT = ("val_fraction", "folds", "split", "split_by", "val_path")  # how rows are held back
# Keys of the shipped datasets that say how the data are read: the rows and their targets stay the same.
READING = (
    *("test_path", "root", "delimiter", "encoding", "missing", "decimal", "thousands", "dates"),
    *("types", "drop", "classes", "x", "scaling", "size", "augment", "grey"),
)


@dataclass(frozen=True)
class Protocol:
    """name: of the data, for people. data: see `data_key`. split, loss: as JSON. settings: what may tell two protocols
    of one name apart, for people."""

    name: str = ""
    data: str = ""
    split: str = ""
    loss: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)

    def key(self, metric: str) -> tuple[str, ...]:
        """Equal for runs whose values of a metric can be compared. Another loss function makes another loss."""
        return self.data, self.split, self.loss if metric.endswith("/loss") else ""


def protocol(config: Mapping[str, Any], folder: Path) -> Protocol:
    """The protocol of a run. config: plain data; folder: the run folder, which may still be empty."""
    node, loss = _node(config, "dataset"), _node(config, "loss")
    split = {key: node[key] for key in SPLIT if key in node}
    settings = {key: _text(value) for key, value in {**_data(node), **split}.items()}
    settings["loss"] = str(loss.get("_target_", "")).rpartition(".")[2]
    return Protocol(_name(node), data_key(config, folder), _json(split), _json(loss), settings)


def data_key(config: Mapping[str, Any], folder: Path) -> str:
    """Equal for runs of the same data: its dataset's keys, without those that only choose or read its rows."""
    return _json(_data(_node(config, "dataset")))


def seeds(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What may differ between runs that repeat one setting: the seed, and which rows are held back."""
    return _json(config.get("seed")), *(_json(_node(config, "dataset").get(key)) for key in ROWS)


def _node(config: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    node = config.get(group)
    return node if isinstance(node, Mapping) else {}  # a stranger's config may hold anything


def _data(node: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ROWS + SPLIT + (READING if node.get("_target_") in SCHEMAS else ())
    return {key: value for key, value in node.items() if key not in left_out}


def _name(node: Mapping[str, Any]) -> str:
    path = node.get("path")
    first = path[0] if isinstance(path, list) and path else path
    return Path(first).name if isinstance(first, str) else str(node.get("_target_", "")).rpartition(".")[2]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
