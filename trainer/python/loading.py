"""trainer.load(): a run folder as a Result."""

import dataclasses
from pathlib import Path
from typing import Any

from trainer.config import given
from trainer.config.given import Given
from trainer.config.schema import Config, DeviceName
from trainer.disk import layout
from trainer.inference import model as trained
from trainer.python import objects
from trainer.python.in_place import device_of
from trainer.python.result import Result
from trainer.python.session import restoring, with_hints
from trainer.verbs.open_run import open_run


def load(
    run: str | Path = layout.LATEST,
    *,
    model: Any = None,
    data: Any = None,
    loss: Any = None,
    metrics: Any = None,
    device: str | None = None,
    trust: bool = False,
) -> Result:
    """Open a run with its best weights: to predict, to evaluate, for its model.

    run: a run folder, the end of its name, latest, or a sweep, of which it is the best run. model, data, loss, metrics:
    the objects that trainer.train was given, if it was given any: the run folder does not hold them. Only evaluate
    needs the data. device: auto, cpu, cuda, cuda:1 or mps; without, that of the run, or that of `model`. trust: import
    what the config of another author names.
    Raises ConfigError where there is no such run or objects are missing, StorageError for damaged files.
    """
    with with_hints():
        objs, theirs = objects.read(model, data, loss, metrics, ())
        changes = {} if device is None else {"device": device}
        opened = open_run(str(run), changes, trust_it=trust, say=lambda line: None)
        objects.check_same(objs, theirs, opened.data)
        return result_of(opened.folder, opened.config, objs, elsewhere=device is not None)


def result_of(folder: Path, config: Config, objs: Given, *, elsewhere: bool = False) -> Result:
    """A run that has its best weights. elsewhere: whether config.device is where the model is to be, rather than where
    a given model is."""
    if objs.model is not None and not elsewhere:
        config = dataclasses.replace(config, device=DeviceName(str(device_of(objs.model))))
    with given.using(objs), restoring():
        loaded = trained.load(folder, config)
    summary = layout.read_summary(folder)
    values = summary.get("best") or summary.get("last") or {}
    metrics = {name: value for name, value in values.items() if name != "step"}
    return Result(Path(folder), metrics, summary, loaded.model, loaded, config, objs)
