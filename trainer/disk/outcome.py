"""outcome.json: the data that a run's report needs beyond metrics and summary. Written at the end of the run."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.disk import figures, layout, reading, storage
from trainer.disk.figures import Figure, Picture
from trainer.disk.json_text import finite

FORMAT = 1
MOST = 2**25  # bytes of outcome.json that are read
MOST_CLASSES = 100_000
MOST_TEXT = 40  # characters of a value or its name

Change = tuple[str, str, str]  # key, value, default: a key that differs from the default, as text


@dataclass(frozen=True)
class Mistake:
    """A row that the model got most wrong. row: its number in the data, from 0. file: of a picture. score: probability
    of the guess for classes, |guess - truth| for numbers.

    truth and guess: index of a class, or numbers in the data's units. values: the row's first inputs, as text.
    """

    row: int
    truth: float
    guess: float
    score: float
    picture: Picture | None = None
    values: Sequence[str] = field(default_factory=list)
    file: str = ""


@dataclass(frozen=True)
class Layer:
    """One layer: its name in the model, what it is, the shape of one sample's output, its own parameters."""

    name: str
    kind: str
    output: list[int] | None
    parameters: int


@dataclass(frozen=True)
class Predictions:
    """Predictions over a split. confusions[truth, guess]: counts, for classes. pairs: (truth, guess), for numbers in
    the data's units. inputs: the names of a mistake's values, if they have names. figures: what the task shows of them.
    unit: what has a class: a row, position or pixel."""

    split: str
    classes: list[str] | None = None
    confusions: Mapping[tuple[int, int], int] = field(default_factory=dict)
    pairs: Sequence[tuple[float, float]] = ()
    mistakes: Sequence[Mistake] = ()
    inputs: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    unit: str = "row"

    def scores(self) -> list[tuple[int, float, float, float]]:
        """(rows, precision, recall, F1) of each class; 0 where there is nothing to divide by."""
        rows, guessed = Counter[int](), Counter[int]()
        for (truth, guess), count in self.confusions.items():
            rows[truth] += count
            guessed[guess] += count
        found = []
        for index in range(len(self.classes or [])):
            hit = self.confusions.get((index, index), 0)
            both = rows[index] + guessed[index]
            found.append(
                (rows[index], hit / (guessed[index] or 1), hit / (rows[index] or 1), 2 * hit / both if both else 0.0)
            )
        return found

    def mix_ups(self) -> list[tuple[int, int, int]]:
        """(truth, guess, count) of what is taken for something else, most frequent first."""
        wrong = [(truth, guess, count) for (truth, guess), count in self.confusions.items() if truth != guess]
        return sorted(wrong, key=lambda cell: (-cell[2], cell[0], cell[1]))

    def weakest(self) -> tuple[str, float, str, int] | None:
        """(class, its F1, the class it is most taken for, how often) for the class with the lowest F1, if any errs; of
        those that occur."""
        wrong = self.mix_ups()
        touched = {index for truth, guess, _ in wrong for index in (truth, guess)}
        scores = [(score[3], index) for index, score in enumerate(self.scores()) if index in touched and score[0]]
        if self.classes is None or not scores:
            return None
        score, index = min(scores)
        other, count = next(((guess, count) for truth, guess, count in wrong if truth == index), (index, 0))
        return self.classes[index], score, self.classes[other], count


@dataclass(frozen=True)
class EachClass:
    """Metrics by name that have a value for each class, label or output. values: {metric: its values, in the order of
    names}, None where it is not defined."""

    names: Sequence[str]
    values: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Outcome:
    """All of outcome.json. step: of the measured weights. changed: the keys in which the config differs from the
    defaults. trained_on: figures of the training rows as the model saw them."""

    step: int | None = None
    predictions: Predictions | None = None
    layers: Sequence[Layer] = ()
    changed: Sequence[Change] = ()
    each: EachClass | None = None
    trained_on: Sequence[Figure] = ()


def write(folder: Path, outcome: Outcome) -> None:
    """Write RUN/outcome.json."""
    data: dict[str, Any] = {"format": FORMAT, "step": outcome.step, "outcome": None}
    if (predictions := outcome.predictions) is not None:
        data["outcome"] = {
            "split": predictions.split,
            "classes": predictions.classes,
            "confusions": [[*cell, count] for cell, count in sorted(predictions.confusions.items())],
            "pairs": [[finite(truth), finite(guess)] for truth, guess in predictions.pairs],
            "mistakes": [_mistake_data(mistake) for mistake in predictions.mistakes],
            "inputs": list(predictions.inputs),
            "figures": figures.as_data(predictions.figures),
            "unit": predictions.unit,
        }
    data["each"] = dataclasses.asdict(outcome.each) if outcome.each is not None else None
    data["trained_on"] = figures.as_data(outcome.trained_on)
    data["layers"] = [dataclasses.asdict(layer) for layer in outcome.layers]
    data["changed"] = [list(row) for row in outcome.changed]
    storage.write_json(folder / layout.OUTCOME, data, indent=None)


def read(folder: Path) -> Outcome | None:
    """The outcome.json of any run, without its malformed parts. None where there is no readable file."""
    try:
        data = reading.read_json(folder / layout.OUTCOME, MOST)
    except (FileNotFoundError, reading.Damaged):
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    predictions = data.get("outcome")
    layers = [
        Layer(
            reading.text(item.get("name")),
            reading.text(item.get("kind")),
            [size for size in map(reading.count, reading.items(item.get("output"))) if size is not None]
            if item.get("output") is not None
            else None,
            reading.count(item.get("parameters")) or 0,
        )
        for item in reading.items(data.get("layers"), dict)
    ]
    rows = [row for row in reading.items(data.get("changed"), list) if len(row) == 3]
    changed = [(reading.text(key), reading.text(value), reading.text(default)) for key, value, default in rows]
    return Outcome(
        reading.count(data.get("step")),
        _predictions(predictions) if isinstance(predictions, dict) else None,
        layers,
        changed,
        _each(data.get("each")),
        tuple(figures.read(data.get("trained_on"))),
    )


def _each(data: Any) -> EachClass | None:
    if not isinstance(data, dict) or not isinstance(data.get("values"), dict):
        return None
    names = [reading.text(name) for name in reading.items(data.get("names"), str)[:MOST_CLASSES]]
    values = {
        reading.text(metric): [reading.number(value) for value in row]
        for metric, row in data["values"].items()
        if isinstance(row, list) and len(row) == len(names)
    }
    return EachClass(names, values) if values else None


def _predictions(data: Mapping[str, Any]) -> Predictions:
    names = data.get("classes")
    classes = [reading.text(name) for name in names[:MOST_CLASSES]] if isinstance(names, list) else None
    confusions = {}
    for row in reading.items(data.get("confusions"), list):
        cell = [reading.count(value) for value in row]
        if classes and len(cell) == 3 and None not in cell and cell[0] < len(classes) and cell[1] < len(classes):  # type: ignore[operator]
            confusions[cell[0], cell[1]] = cell[2]
    pairs = []
    for row in reading.items(data.get("pairs"), list):
        numbers = [reading.number(value) for value in row]
        if len(numbers) == 2 and None not in numbers:
            pairs.append((numbers[0], numbers[1]))
    mistakes = [found for item in reading.items(data.get("mistakes"), dict) if (found := _mistake(item, classes))]
    inputs = tuple(reading.text(name, MOST_TEXT) for name in reading.items(data.get("inputs"), str))
    return Predictions(
        reading.text(data.get("split")),
        classes,
        confusions,  # type: ignore[arg-type]
        pairs,  # type: ignore[arg-type]
        mistakes,
        inputs,
        tuple(figures.read(data.get("figures"))),
        reading.text(data.get("unit"), MOST_TEXT) or "row",
    )


def _mistake(data: Mapping[str, Any], classes: list[str] | None) -> Mistake | None:
    row = reading.count(data.get("row"))
    truth, guess, score = (reading.number(data.get(name)) for name in ("truth", "guess", "score"))
    if row is None or truth is None or guess is None or score is None:
        return None
    if classes is not None and not (truth in range(len(classes)) and guess in range(len(classes))):
        return None
    values = [reading.text(value, MOST_TEXT) for value in reading.items(data.get("values"), str)]
    return Mistake(
        row,
        truth,
        guess,
        score,
        figures.read_picture(data.get("picture")),
        values,
        reading.text(data.get("file"), MOST_TEXT),
    )


def _mistake_data(mistake: Mistake) -> dict[str, Any]:
    data = dataclasses.asdict(mistake)
    if mistake.picture is not None:
        data["picture"] = figures.picture_data(mistake.picture)
    return {name: finite(value) for name, value in data.items()}
