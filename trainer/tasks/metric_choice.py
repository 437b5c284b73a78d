"""The metrics that a config asks for by name: which class of torchmetrics fits the task, and its settings.

torchmetrics is imported here and only here, and only if a config asks for what a task does not measure itself.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from trainer.config import target
from trainer.config.asked_metrics import ALIASES, AVERAGE, NAME, POSITIVE, Asked
from trainer.data.meaning import INDEXED
from trainer.errors import ConfigError
from trainer.tasks.named_metric import (
    UNCOUNTED,
    Feed,
    Named,
    as_it_is,
    flat,
    one_class,
    one_label,
    predicted,
    quiet,
    settle,
)
from trainer.tasks.task import Task
from trainer.terminal.spelling import closest
from trainer.text import first_line, listed

LIKELY = ("auroc", "spearman_corrcoef")  # what a hint names
BINARY, MULTICLASS, MULTILABEL = "Binary", "Multiclass", "Multilabel"
MODES = {True: "max", False: "min", None: None}
Kinds = Mapping[str, Any]  # {name in lower case without underscores: class}


def chosen(asked: Sequence[Asked], task: Task) -> tuple[list[str], list[Named]]:
    """(The names of those that the task measures itself, the others). Raises ConfigError."""
    own = [one.column for one in asked if one.column == one.name and not one.settings and one.name in _own(task)]
    others = [one for one in asked if one.column not in own]
    named = [make(one, task) for one in others]
    for one in others:
        if one.column in _own(task):
            text = f"metrics: {one.column} is what the {task.name} task calls a metric of its own"
            raise ConfigError(text, "add 'as: NAME' to it", "metrics")
    return own, named


def make(asked: Asked, task: Task) -> Named:
    """The metric that an entry of `metrics` asks for. Raises ConfigError for one that is unknown, or does not fit."""
    torchmetrics = library()
    if asked.node is not None:
        metric = target.construct(asked.node, asked.key, **task.facts.for_model())
        if not isinstance(metric, torchmetrics.Metric):
            text = f"{asked.key}: {asked.node['_target_']} makes a {type(metric).__name__}"
            raise ConfigError(f"{text}, which is not a torchmetrics.Metric", "a subclass of it", "metrics")
        settle(metric)
        return Named(asked.column, metric, MODES[metric.higher_is_better], as_it_is, task.facts.num_outputs)
    kind, positive = _kind(asked, task), _positive(asked, task)
    settings = _settings(asked, kind, task, is_binary=positive is not None)
    try:
        with quiet():
            metric = kind(**settings)
    except (TypeError, ValueError) as error:
        missing = re.search(r"missing .*argument: '(\w+)'", str(error))
        hint = _typed(asked, **{missing[1]: "VALUE"}) if missing else None
        text = f"needs the setting {missing[1]}" if missing else first_line(error)
        raise ConfigError(f"metrics: {asked.name}: {text}", hint, "metrics") from error
    if "validate_args" not in asked.settings and hasattr(metric, "validate_args"):
        metric.validate_args = False  # after its settings were checked: it would read every batch once more
    named = Named(asked.column, metric, MODES[metric.higher_is_better], _feed(kind, asked, task, positive))
    named.is_curve = _takes_probabilities(kind)
    named.is_two_sided = "Precision" not in kind.__name__
    named.positive, named.size = positive, 1 if positive is not None else task.facts.num_outputs
    settle(metric)
    return named


def library() -> Any:
    """torchmetrics. Raises ConfigError if it is not installed."""
    try:
        with quiet():
            import torchmetrics
            import torchmetrics.audio
            import torchmetrics.image
    except ModuleNotFoundError as error:
        text = f"metrics needs {error.name}, which is not installed"
        raise ConfigError(text, "pip install 'fiveline[metrics]'", "metrics") from error
    return torchmetrics


def _kind(asked: Asked, task: Task) -> Any:
    """torchmetrics' class for a name and a task. Raises ConfigError."""
    is_binary = asked.settings.get(AVERAGE) == "binary" or POSITIVE in asked.settings
    name, kinds = _plain(asked.full_name), _kinds(task, is_binary=is_binary)
    for prefix in (BINARY, MULTICLASS, MULTILABEL):
        name = name.removeprefix(prefix.lower()) if name not in kinds else name
    if name in kinds:
        return kinds[name]
    others = {word for known in _all_kinds() for word in known}
    if name in others:
        text = f"metrics: {asked.name} does not fit targets that are {task.name}"
        raise ConfigError(text + " with average: binary" * is_binary, _instead(task, kinds), "metrics")
    words = {_plain(word): word for word in (*library().functional.__all__, *ALIASES, *_own(task))}
    known = {word: full for word, full in words.items() if word in kinds or full in (*ALIASES, *_own(task))}
    near = closest(asked.name, known.values())
    text = f"metrics: torchmetrics has no {asked.name}" + (f". Did you mean {near}?" if near else "")
    raise ConfigError(text, f"'metrics=[{near}]'" if near else _instead(task, kinds), "metrics")


def _instead(task: Task, kinds: Kinds) -> str:
    names = [word for word in library().functional.__all__ if _plain(word) in kinds]
    if task.name == "free":
        return "'metrics=[{_target_: my_file.MyMetric}]'"
    return f"'metrics=[{next((name for name in LIKELY if name in names), names[0])}]'"


def _own(task: Task) -> list[str]:
    return [*task.modes, *task.more]


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _kinds(task: Task, *, is_binary: bool) -> Kinds:
    """The classes whose metrics fit a task."""
    binary, multiclass, multilabel, general = _all_kinds()
    if task.name in INDEXED:
        return binary if is_binary else multiclass
    if task.name == "labels":
        return binary if is_binary else multilabel
    return general


def _all_kinds() -> tuple[Kinds, Kinds, Kinds, Kinds]:
    """(binary, of several classes, of several labels, of numbers) by name."""
    torchmetrics = library()
    of_classes = torchmetrics.classification

    def family(prefix: str) -> Kinds:
        names = [name for name in of_classes.__all__ if name.startswith(prefix)]
        return {name.removeprefix(prefix).lower(): getattr(of_classes, name) for name in names}

    modules = (torchmetrics.audio, torchmetrics.image, torchmetrics.regression)
    general = {name.lower(): getattr(module, name) for module in modules for name in module.__all__}
    return family(BINARY), family(MULTICLASS), family(MULTILABEL), general


def _positive(asked: Asked, task: Task) -> int | None:
    """The index of the class that average: binary is about; None without. Raises ConfigError."""
    typed = asked.settings.get(POSITIVE)
    if typed is None and asked.settings.get(AVERAGE) != "binary":
        return None
    names = task.facts.classes or []
    if str(typed) in names and asked.settings.get(AVERAGE, "binary") == "binary":
        return names.index(str(typed))
    if typed is None:
        text = f"metrics: {asked.name} with average: binary needs 'positive', the class that it is about"
    elif str(typed) in names:
        text = f"metrics: {asked.name} has 'positive', so its average is binary, not {asked.settings[AVERAGE]}"
    else:
        text = f"metrics: {asked.name} has positive: {typed}, but the classes are {listed(names)}"
    near = typed if str(typed) in names else closest(str(typed), names) or (names or ["CLASS"])[-1]
    raise ConfigError(text, _typed(asked, average="binary", positive=near), "metrics")


def _settings(asked: Asked, kind: Any, task: Task, *, is_binary: bool) -> dict[str, Any]:
    """The keyword arguments of a class: what is typed, and what the data knows. Raises ConfigError."""
    accepted = inspect.signature(kind.__init__).parameters
    typed = {name: value for name, value in asked.settings.items() if not is_binary or name not in (AVERAGE, POSITIVE)}
    for name in typed:
        if name not in accepted:
            near = closest(name, [name for name in accepted if name not in ("self", "kwargs")])
            text = f"metrics: {asked.name} has no setting '{name}'" + (f". Did you mean {near}?" if near else "")
            raise ConfigError(text, _typed(asked, **{near: typed[name]}) if near else None, "metrics")
        if type(typed[name]) is int and accepted[name].annotation in (float, "float"):  # beta: 2
            typed[name] = float(typed[name])
    size = task.facts.num_outputs
    filled: dict[str, Any] = {"num_classes": size, "num_labels": size, AVERAGE: None}
    if task.name in INDEXED:
        filled["ignore_index"] = UNCOUNTED if is_binary else task.facts.ignored
    elif task.name != "labels":
        filled["num_outputs"] = size
    return {name: value for name, value in filled.items() if name in accepted} | typed


def _typed(asked: Asked, **settings: Any) -> str:
    """What to type for a metric with these settings."""
    inner = ", ".join(f"{key}: {value}" for key, value in {NAME: asked.name, **settings}.items())
    return f"'metrics=[{{{inner}}}]'"


def _takes_probabilities(kind: Any) -> bool:
    """Whether a metric of classes needs their probabilities, not only which one is predicted."""
    bases = {base.__name__.removeprefix(p) for base in kind.__mro__ for p in (BINARY, MULTICLASS, MULTILABEL)}
    return not bases & {"StatScores", "ConfusionMatrix", "ExactMatch"}


def _feed(kind: Any, asked: Asked, task: Task, positive: int | None) -> Feed:
    """What a metric takes of a batch."""
    choice = not _takes_probabilities(kind) and not {"top_k", "threshold"} & asked.settings.keys()
    if positive is not None and task.name == "labels":
        return partial(one_label, positive)
    if positive is not None:
        return partial(one_class, positive, task.facts.ignored, choice)
    if task.name in INDEXED:
        return predicted if choice else as_it_is
    return flat if kind.__module__.startswith("torchmetrics.regression") else as_it_is
