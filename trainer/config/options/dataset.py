"""The keys of the shipped dataset options, by `_target_`: their types, ranges and help."""

from dataclasses import dataclass
from typing import Literal

from trainer.config.schema_key import NoKeys, key


@dataclass
class DatasetKeys:
    """Keys of every dataset, beside those of its class."""

    val_fraction: float = key("share of the rows held back for validation", at_least=0, below=1)
    split: Literal["auto", "random", "stratified", "group", "time"] = key(
        "rows to validate on: random, random within each class, complete groups or the latest; auto: random, of folds "
        "within each class"
    )
    split_seed: int = key("chooses the validation rows; independent of seed", at_least=0)
    folds: int | None = key("parts of the rows, of which one validates, in place of val_fraction", at_least=2)
    fold: int | None = key("the part that validates, from 0; in a sweep 'range(5)'", at_least=0)
    repeats: int = key(
        "times that the rows are cut into folds, each time differently; folds 5 to 9 are those of the second",
        at_least=1,
    )
    test_fraction: float | None = key("share of the rows kept for the test, before all others", above=0, below=1)
    test_seed: int = key("chooses the test rows; independent of split_seed", at_least=0)
    fraction: float | None = key("share of the training rows that are used, for a learning curve", above=0, at_most=1)
    scale_targets: Literal["auto"] | bool = key(
        "standardise numbers to predict; auto: where that changes only the units of the loss (mse, l1, Huber)"
    )
    task: Literal["auto", "classes", "numbers", "labels", "tokens", "pixels", "input", "free"] = key(
        "what a target is; auto: as the data shows"
    )


MAY_BE_THEIRS = ("split", "folds", "fold", "test_fraction", "fraction", "scale_targets", "task")  # of DatasetKeys


@dataclass
class Line:
    num_points: int = key("number of points", at_least=2)
    noise: float = key("standard deviation of the noise on y", at_least=0)
    data_seed: int = key("seed that draws the points", at_least=0)


@dataclass
class Spirals:
    num_points: int = key("number of points in total", at_least=2)
    num_classes: int = key("number of arms", at_least=2)
    noise: float = key("standard deviation of the noise on both coordinates", at_least=0)
    data_seed: int = key("seed that draws the points", at_least=0)


@dataclass
class Vision:
    root: str = key("folder for the downloaded files")


@dataclass
class Table:
    path: str | list[str] = key("the file; a pattern like 'data/*.csv', or a list; ~ is your home folder")
    target: str | list[str] = key("the column to predict; several if all are numbers")
    task: Literal["auto", "classes", "numbers"] = key("kind of target; auto: text and few whole numbers are classes")
    types: dict[str, str] | None = key("types that are guessed wrong: {zip: category, day: date, size: number}")
    drop: list[str] = key("columns to leave out")
    split: Literal["auto", "random", "stratified", "group", "time", "column"] = key(
        "rows to validate on: random, random within each class, complete groups, the latest, or those a column names; "
        "auto: random, of folds within each class"
    )
    split_by: str | None = key("the column of groups, times, or the words train, val and test")
    val_path: str | list[str] | None = key("a separate file to validate on")
    test_path: str | list[str] | None = key("a separate file to test on")
    delimiter: str = key("between values; auto: the comma, semicolon, tab or | of the first line")
    encoding: str = key("encoding of the text: utf-8, cp1252, utf-16")
    missing: list[str] = key("texts that mean a missing value, beside an empty one")
    decimal: Literal["point", "comma"] = key("the decimal mark of numbers in text")
    thousands: Literal["none", "point", "comma", "space"] = key("the mark between thousands of numbers in text")
    dates: Literal["iso", "dmy", "mdy"] = key("dates in text: 2026-11-25; dmy 25/11/2026, mdy 11/25/2026, also - or .")


@dataclass
class Arrays:
    path: str = key("the file; ~ is your home folder")
    x: str = key("name of the inputs in the file; those of a test split end in _test")
    y: str = key("name of the targets; whole numbers from 0 are classes, floats are numbers")
    classes: list[str] | None = key("names of the classes")
    scaling: Literal["auto", "none", "standardize", "standardize_whole"] = key("scale inputs by column, or all alike")


@dataclass
class Images:
    path: str = key("the folder that holds a folder for each class")
    size: int = key("side of the square that pictures are resized to, in pixels", at_least=1, unit="pixels")
    augment: bool = key("mirror and crop training pictures at random, differently each epoch")
    grey: bool = key("one channel instead of three")
    background: Literal["white", "black"] = key("the colour behind transparent pictures")


BUNDLED = ("Digits", "Iris", "Wine", "BreastCancer", "Diabetes")
SCHEMAS: dict[str, type] = {
    **{f"trainer.data.embedded.{name}": NoKeys for name in BUNDLED},
    **{f"trainer.data.vision.{name}": Vision for name in ("MNIST", "FashionMNIST", "CIFAR10")},
    "trainer.data.synthetic.Line": Line,
    "trainer.data.synthetic.Spirals": Spirals,
    "trainer.data.table.Table": Table,
    "trainer.data.arrays.Npz": Arrays,
    "trainer.data.arrays.SafeTensors": Arrays,
    "trainer.data.images.Images": Images,
}
