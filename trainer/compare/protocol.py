"""What a run was measured on: its data, its way of splitting and its loss. Results of different ones are not ranked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.config.options import SCHEMAS

ROWS = ("split_seed", "fold")  # which rows are held back; with the seed, what repeated runs vary
FOLDED = ("seed", *(f"dataset.{key}" for key in ROWS))  # a ranking averages over these keys
FRACTION = "dataset.fraction"  # runs on different shares of the training rows are not ranked against each other
AUTO = '"_target_": "auto"'  # in the JSON of a loss that is left to the data
DEFAULTS = {"weight": None, "ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean"}  # of torch's losses
SPLIT = {  # how rows are held back, with the value that means nothing is asked for
    **{"val_fraction": None, "folds": None, "repeats": 1, "split": "random", "split_by": None, "val_path": None},
    **{"test_fraction": None, "test_seed": 0},
}
# Keys of the shipped datasets that say how the data are read: the rows and their targets stay the same.
PLACES = ("path", "root")  # where the data are: of no matter once they have been read
READING = (
    *("test_path", "root", "delimiter", "encoding", "missing", "decimal", "thousands", "dates"),
    *("types", "drop", "classes", "x", "scaling", "size", "augment", "grey"),
)


@dataclass(frozen=True)
class Protocol:
    """name: of the data, for people. node: the keys of its dataset as JSON, without those that only choose or read its
    rows. digest: of the data that was read, if the run recorded it. split, loss: as JSON. meant: the class that
    loss=auto is, if the run recorded it. settings: what may tell two protocols of one name apart, for people."""

    name: str = ""
    node: str = ""
    digest: str = ""
    split: str = ""
    loss: str = ""
    meant: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def data(self) -> str:
        """Equal for runs of the same data, wherever it was."""
        if not self.digest:
            return self.node
        return _json({"digest": self.digest, **_without(json.loads(self.node), PLACES)})

    def key(self, metric: str) -> tuple[str, ...]:
        """Equal for runs whose values of a metric can be compared. Another loss function makes another loss."""
        loss = self.loss.replace(AUTO, f'"_target_": "{self.meant}"') if self.meant else self.loss
        return self.data, self.split, loss if metric.endswith("/loss") else ""


def protocol(config: Mapping[str, Any], digest: str = "", resolved: str = "") -> Protocol:
    """The protocol of a run. config: plain data; digest: of its data, resolved: the class of its loss, both from
    summary.json."""
    node, loss = _node(config, "dataset"), _node(config, "loss")
    loss = {key: value for key, value in loss.items() if key not in DEFAULTS or value != DEFAULTS[key]}
    meant = resolved if loss.get("_target_") == "auto" else ""
    split = {key: node[key] for key, none in SPLIT.items() if node.get(key) not in (None, none)}
    left_out = ("val_fraction",) if "folds" in split else ("split",) if split.get("split") == "auto" else ()
    split = _without(split, left_out)  # what has no effect, and auto, which is random
    settings = {key: _text(value) for key, value in {**_data(node), **split}.items()}
    settings["loss"] = (meant or str(loss.get("_target_", ""))).rpartition(".")[2]
    settings |= {f"loss.{key}": _text(value) for key, value in loss.items() if key != "_target_"}
    return Protocol(_name(node), _json(_data(node)), digest, _json(split), _json(loss), meant, settings)


def seeds(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What may differ between runs that repeat one setting: the seed, and which rows are held back."""
    return _json(config.get("seed")), *(_json(_node(config, "dataset").get(key)) for key in ROWS)


def fold(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """(The repeat, the fold in it) of a run; None where its rows are not cut into folds."""
    node = _node(config, "dataset")
    folds, number = node.get("folds"), node.get("fold") or 0
    if not (isinstance(folds, int) and isinstance(number, int) and folds > 0):
        return None
    return divmod(number, folds)


def fraction(config: Mapping[str, Any]) -> float:
    """The share of the training rows that a run used."""
    share = _node(config, "dataset").get("fraction")
    return float(share) if isinstance(share, (int, float)) and 0 < share < 1 else 1.0


def unfolded(settings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Settings without the keys that a ranking averages over; + marks a key that was added."""
    return tuple((key, value) for key, value in settings.items() if key.lstrip("+") not in FOLDED)


def _node(config: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    node = config.get(group)
    return node if isinstance(node, Mapping) else {}  # a stranger's config may hold anything


def _data(node: Mapping[str, Any]) -> dict[str, Any]:
    ours = (*ROWS, *SPLIT, "fraction")
    return _without(node, ours + (READING if str(node.get("_target_")) in SCHEMAS else ()))


def _without(node: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}


def _name(node: Mapping[str, Any]) -> str:
    path = node.get("path")
    first = path[0] if isinstance(path, list) and path else path
    return Path(first).name if isinstance(first, str) else str(node.get("_target_", "")).rpartition(".")[2]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
