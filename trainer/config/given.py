"""Objects that a Python program gives to a run, and the `_target_`s that stand for them in its config.

A config is plain data, from which a run can be built again. So an object stands in it as a function of this module,
which returns what `using` holds, and as `of`, which tells people what it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from trainer.config.target import nodes
from trainer.errors import ConfigError


@dataclass(frozen=True)
class Given:
    """model, loss: nn.Modules. data: what `train` and, if there are any, `val` and `test` hold, by name, see
    python/rows.py. metrics: torchmetrics.Metrics, in the order of the config's."""

    model: Any = None
    data: Any = None
    loss: Any = None
    metrics: Sequence[Any] = ()


TARGETS = {name: f"{__name__}.{name}" for name in ("model", "dataset", "loss", "metric")}
DATA = (TARGETS["dataset"], "trainer.data.arrays.Given", "trainer.data.table.Frame")  # where the rows are given
ARGUMENTS = {"model": "model", "dataset": "data", "loss": "loss", "metrics": "metrics"}  # key: argument of train
_given: ContextVar[Given] = ContextVar("given", default=Given())  # noqa: B039 - frozen


@contextmanager
def using(given: Given) -> Iterator[None]:
    """Within: the nodes of a config that stand for objects become these."""
    token = _given.set(given)
    try:
        yield
    finally:
        _given.reset(token)


def current() -> Given:
    """The objects that are given here."""
    return _given.get()


def model(of: str) -> Any:
    """The model that was given. of: its class, as when the run began. Raises ConfigError, as all of these do, where
    there is none, or one of another class."""
    return _one("model", current().model, of)


def loss(of: str) -> Any:
    """The loss that was given. of: as for the model."""
    return _one("loss", current().loss, of)


def metric(place: int, of: str) -> Any:
    """A copy of a metric, since a run changes it. place: among those that were given; of: as for the model."""
    import copy

    return copy.deepcopy(_one("metrics", next(iter(current().metrics[place : place + 1]), None), of))


def dataset(of: str) -> Any:
    """The Dataset to train on, with `val` and `test` where they were given. of: as for the model."""
    return _one("data", data().get("train"), of)


def data() -> Mapping[str, Any]:
    """The rows that were given, by split."""
    found: Mapping[str, Any] | None = current().data
    if found is None:
        raise _missing("data", "")
    return found


def called(target: str) -> str:
    """How messages name a dataset: by its `_target_`, or `data` where a program gave it."""
    return "data" if target in DATA else target


def _one(name: str, thing: Any, of: str) -> Any:
    if thing is None:
        raise _missing(name, of)
    if (now := class_of(thing)).rpartition(".")[2] != of.rpartition(".")[2]:  # the module may be __main__, or not
        raise ConfigError(f"the run began with the {name} {of}, and {name}= is a {now}", f"{name}= as it was")
    return thing


def _missing(name: str, of: str) -> ConfigError:
    text = f"{name} {of}".rstrip() + " is an object of a Python program, which no run folder can build again"
    return ConfigError(text, f"in Python: trainer.resume(RUN, {name}=…) or trainer.load(RUN, {name}=…)", name)


def class_of(thing: Any) -> str:
    """The dotted name of an object's class, or of what it wraps: its `given_as`."""
    kind, wrapped = type(thing), getattr(thing, "given_as", None)
    return str(wrapped) if wrapped is not None else f"{kind.__module__}.{kind.__qualname__}"


def arguments(config: Mapping[str, Any]) -> str:
    """The objects in a config as arguments that Python is given again: model=…, data=…; '' where there are none."""
    found = {key.partition(".")[0] for key in described(config)}
    return ", ".join(f"{name}=…" for key, name in ARGUMENTS.items() if key in found)


def resuming(config: Mapping[str, Any], run: str, **changes: Any) -> str:
    """What to type to resume a run, with these changes."""
    if not (objects := arguments(config)):
        return " ".join([f"trainer resume {run}", *(f"{key}={value}" for key, value in changes.items())])
    return f"trainer.resume({', '.join([repr(run), objects, *(f'{key}={value!r}' for key, value in changes.items())])})"


def changed_data(run: str) -> str | None:
    """What to type to train on with rows that a program gave and that have changed; None where none were given."""
    return None if current().data is None else f"trainer.resume('{run}', …, data_changed=True)"


def described(config: Mapping[str, Any]) -> dict[str, str]:
    """{what: of which class} of the objects in a config, which cannot be built again from it."""
    known = (*TARGETS.values(), *DATA)
    found = {key: node for key, node in nodes(config) if node["_target_"] in known}
    return {key.removesuffix("._target_"): str(node.get("of")) for key, node in found.items()}
