"""A run as a Python object: its metrics, its model, what the model says about new rows, and how a notebook shows it."""

import base64
import dataclasses
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from trainer.config import given
from trainer.config.given import Given
from trainer.config.schema import Config
from trainer.data import fingerprint, tree
from trainer.data.meaning import INDEXED
from trainer.disk import layout
from trainer.disk.reading import Damaged, read_file
from trainer.errors import ConfigError, complain
from trainer.inference import labelled, predict
from trainer.inference import model as trained
from trainer.inference.array_rows import rows_of
from trainer.inference.model import Trained
from trainer.inference.rows import Unlabelled
from trainer.loop import evaluate
from trainer.processes import signals
from trainer.python import rows
from trainer.python.session import restoring
from trainer.tasks.columns import PREDICTION

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Result:
    """A finished run, which a notebook shows with its picture.

    metrics: {name: value} of the best weights; summary: the contents of summary.json; model: with the best weights, in
    eval mode.
    """

    run_dir: Path
    metrics: dict[str, float]
    summary: dict[str, Any]
    model: nn.Module
    trained: Trained = field(repr=False)
    config: Config = field(repr=False)
    given: Given = field(repr=False)

    def __reduce__(self) -> Any:
        """Pickled and copied without the data: what remains can predict."""
        parts = (self.trained.preprocessing, self.model, self.trained.loss_fn)
        kept = {name: getattr(self, name) for name in ("run_dir", "metrics", "summary", "config")}
        return _again, (kept, parts, self.trained.task.temperature)

    def predict(self, x: Any) -> Array | dict[str, Array]:
        """What the model says about rows, as NumPy arrays.

        x: rows as in training, without their targets: an array or tensor (N, …), a DataFrame, a tuple or dict of
        arrays, or the path of a file or a folder of pictures. Returns for classes the class of each row (N,): its name,
        or its number if classes have no names; for labels 0 or 1 (N, labels); for numbers (N,), or (N, targets), in the
        units of the data; for other tasks what the model gives, several outputs as a dict. Raises ConfigError for rows
        unlike those of training.
        """
        found, task = self._outputs(x), self.trained.task
        if PREDICTION not in found:
            return next(iter(found.values())) if len(found) == 1 else found
        answer, names = found[PREDICTION], self.trained.facts.classes
        if task.name in INDEXED and names is not None:
            of_text = self.config.dataset.get("classes") is not None  # also where they are called 0 and 1
            if of_text or names != [*map(str, range(len(names)))]:
                return np.array(names)[answer]
        is_one = task.name == "numbers" and answer.ndim == 2 and answer.shape[1] == 1
        return answer[:, 0] if is_one else answer

    def probabilities(self, x: Any) -> Array:
        """The probability of each class or label, (N, classes); x: as for predict. Raises ConfigError for other
        tasks."""
        task = self.trained.task
        if task.result != "probabilities":
            raise ConfigError(f"a model of {task.name} gives no probabilities", "result.predict(x)")
        return self._outputs(x)[task.result]

    def evaluate(self, data: Any = None, *, split: str | None = None) -> dict[str, float]:
        """The metrics, as `trainer eval` measures them: of the test split, or of the validation split if there is none.

        split: train, val or test; data: other rows, in a form that trainer.train takes. Raises ConfigError.
        """
        if data is not None and split is not None:
            raise ConfigError("data= is measured as a whole, and split= names a part of the run's own", "leave one out")
        objects, config = self.given, self.config
        if data is not None:
            held, node = rows.read(data, self.trained.facts.classes)
            objects = dataclasses.replace(self.given, data=held)
            config = dataclasses.replace(config, dataset=_like(config.dataset, node))
        with restoring(), given.using(objects):
            parts = (self.trained.preprocessing, self.model, self.trained.loss_fn)
            to_measure = trained.assembled(config, *parts, to_measure=True)
            if data is None:
                known = fingerprint.read(self.run_dir)
                own = labelled.open_own(config, to_measure, known, split, download=True)
                measured = evaluate(to_measure, own, own.split)
                for line in own.warnings(known):
                    complain(line)
                return measured
            others = labelled.open_other(config, to_measure, download=True)
            return evaluate(to_measure, others, others.split)

    def _outputs(self, x: Any) -> dict[str, Array]:
        size = self.config.loader.eval_batch_size
        was_training = self.model.training
        with restoring(), signals.listening(), given.using(self.given):  # what the model draws is seeded
            new = self._rows(x)
            self.model.eval()
            try:
                found, _, _ = predict.arrays(self.trained, new, "x", size)
            finally:
                self.model.train(was_training)
        predict.tell_unknown(new.unknown)
        return {name: values.numpy() for name, values in found.items()}

    def _rows(self, x: Any) -> Unlabelled:
        prepared, node = self.trained.preprocessing, self.config.dataset
        if isinstance(x, (str, Path)):
            return self.trained.open(str(x), node, self.config.loader.eval_batch_size, typed=True)
        if prepared.table is not None:
            from trainer.inference.frame_rows import open_frame  # imports pyarrow

            return open_frame(x, prepared.table)
        leaves = tree.named(x) if isinstance(x, (tuple, Mapping)) else [("x", x)]
        found = {path: rows.tensor(leaf, path) for path, leaf in leaves}
        raw, unlike = rows_of(found, "x", prepared, "x")
        return Unlabelled([], [], iter([({}, raw)]), unlike=unlike)

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={_shown(value)}" for name, value in self.metrics.items())
        return f"Result({self.run_dir}: {metrics})"

    def _repr_png_(self) -> bytes | None:
        try:
            return read_file(self.run_dir / layout.PICTURE)
        except (FileNotFoundError, Damaged):  # report=false, or the folder is gone
            return None

    def _repr_html_(self) -> str:
        lines = [("best", self.metrics), ("test", self.summary.get("test") or {})]
        columns = list(dict.fromkeys(name for _, values in lines for name in values))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(
            f"<tr><th>{kind}</th>{''.join(f'<td>{_shown(values.get(name))}</td>' for name in columns)}</tr>"
            for kind, values in lines
            if values
        )
        picture = self._repr_png_()
        data = f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else ""
        image = f'<img alt="loss and metrics of the run" style="max-width:100%" src="{data}">' if picture else ""
        title = html.escape(f"{type(self.model).__name__} on {self.summary.get('dataset')}: {self.run_dir}")
        return f"<div><p>{title}</p><table><tr><th></th>{head}</tr>{body}</table>{image}</div>"


def _again(kept: Mapping[str, Any], parts: Any, temperature: float | None) -> Result:
    loaded = trained.assembled(kept["config"], *parts)
    loaded.task.temperature = temperature
    return Result(**kept, model=loaded.model, trained=loaded, given=Given())


def _like(dataset: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """The node of other rows: they are split and read as the run's own."""
    shared = ("inputs", "target", "task", "types", "drop", "missing", "decimal", "thousands", "dates", "scale_targets")
    return {**{key: dataset[key] for key in shared if key in dataset}, **node, "val_fraction": 0.0}


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
