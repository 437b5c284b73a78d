"""What cannot be trained on is refused before anything is spent: exit 2, one message, what to type. What only a later
row shows ends the run at that step, after a checkpoint, and names the row."""

import re
from pathlib import Path

import pytest

from trainer import checkpoint
from trainer.cli import main
from trainer.data import seeds
from trainer.data.inventory import CHECKED
from trainer.disk import layout

SHORT = ["dataset=own", "model=linear", "threads=1", "device=cpu", "epochs=1", "report=false", "max_steps=3"]
X = "dataset.inputs=x"


def data(name: str, *words: str) -> list[str]:
    return [f"dataset._target_=bad.{name}", *words]


def model(name: str) -> list[str]:
    return ["model=own", f"model._target_=bad.{name}"]


def terms(how: str) -> list[str]:
    return [*data("Named", X), *model("OnlyX"), "loss._target_=bad.Terms", f"+loss.how={how}"]


REFUSED = {  # what is wrong: the words, the message, the hint
    "an input that the sample lacks": (
        data("Named", "dataset.inputs=[x,image]"),
        r"dataset\.inputs asks for 'image', but bad\.Named\[0\] has the keys x, size, label \(on the command line\)",
        "'dataset.inputs=[x,size]'",
    ),
    "a renamed one": (data("Named", "dataset.inputs={x: image}"), "asks for 'image'", "'dataset.inputs={x: x}'"),
    "a target that it lacks": (
        data("Named", "dataset.target=tag"),
        r"dataset\.target asks for 'tag'",
        "dataset.target=label",
    ),
    "a row without a key": (
        [*data("WithoutKey"), *model("Both")],
        r"bad\.WithoutKey\[1\] has no 'size', which row 0 has; its keys are x, label",
        "the same keys in every row",
    ),
    "a row without its target": (
        [*data("WithoutLabel"), *model("Both")],
        r"\[1\] has no 'label', which row 0 has",
        "every row",
    ),
    "a row of another structure": (
        [*data("Nested"), *model("Views")],
        r"bad\.Nested\[1\] has the parts views\.0, views\.1, views\.2, that of row 0 has the parts views\.0, views\.1",
        "the same parts in every row",
    ),
    "a row of another shape": (
        [*data("OtherShape"), *model("Both")],
        r"bad\.OtherShape\[1\] has an input size of shape \(3,\), row 0 of \(2,\)",
        "a collate_fn in the Dataset",
    ),
    "a row that raises": (
        [*data("Raises"), *model("Both")],
        r"bad\.Raises\[1\] raises FileNotFoundError: picture 7 .*bad\.py",
        "",
    ),
    "a label out of range": (
        [*data("OtherLabel"), *model("Both")],
        r"label 7 in row 1 of bad\.OtherLabel is outside the 2",
        "count from 0",
    ),
    "rows that are not returned": (
        data("Nothing", "+dataset.odd=0"),
        r"bad\.Nothing\[0\] is None: there is nothing in it",
        "return (input, target)",
    ),
    "one that is not": (
        [*data("Nothing"), *model("Both")],
        r"bad\.Nothing\[1\] is None, unlike row 0",
        "return (input, target)",
    ),
    "a target on another device": (
        data("Elsewhere"),
        r"bad\.Elsewhere\[0\]: its target is on the device 'meta'",
        "return tensors on the CPU",
    ),
    "no target": (
        [*data("Unlabelled"), *model("Both")],
        "loss=auto needs a target, but the rows have none",
        "dataset.target=NAME",
    ),
    "several targets": (
        data("TwoTargets"),
        r"has labels, label, each of which may be the target",
        "dataset.target=labels",
    ),
    "more than two parts": (data("Four"), r"bad\.Four\[0\] has 4 parts", "'dataset.inputs=[0,1,2]' dataset.target=3"),
    "one whole-number tensor": (data("Whole"), r"bad\.Whole\[0\] is one tensor of whole numbers", "dataset.task=input"),
    "one name twice": (
        [*data("Twice"), *model("Both")],
        r"bad\.Twice\[0\]: two parts of its input are called a\.x",
        "another name",
    ),
    "a dict without tensors": (
        data("Texts"),
        r"bad\.Texts\[0\] has no number or tensor for the input, and 'text' is a str",
        "return numbers",
    ),
    "an array of objects": (data("Array"), r"bad\.Array\[0\]: its input is an array of object", "return numbers"),
    "a collate_fn that returns nothing": (
        data("Padded", "+dataset.how=empty"),
        r"the batch of bad\.Padded\.collate_fn is \(\): there is nothing",
        "return (input",
    ),
    "or None": (
        data("Padded", "+dataset.how=nothing"),
        r"the batch of bad\.Padded\.collate_fn is None",
        "return (input",
    ),
    "or texts": (
        data("Padded", "+dataset.how=texts"),
        r"the batch of bad\.Padded\.collate_fn: its target 0 is a str",
        "classes.index(word)",
    ),
    "or lists of rows": (
        data("Padded", "+dataset.how=lists"),
        r"the batch of bad\.Padded\.collate_fn: its input is a list of 4 rows, not a tensor with a row for each sample",
        "pad_sequence(inputs, batch_first=True)",
    ),
    "or a list of labels": (
        data("Padded", "+dataset.how='a list of labels'"),
        r"the batch of bad\.Padded\.collate_fn: its target is a list of 4 rows",
        "torch.tensor(targets)",
    ),
    "or one row fewer": (
        data("Padded", "+dataset.how=fewer"),
        r"bad\.Padded\.collate_fn gives 1 target for 2 rows",
        "a target for each row",
    ),
    "or one target fewer": (
        data("Padded", "+dataset.how='fewer y'"),
        "gives 1 target for 2 rows",
        "a target for each row",
    ),
    "or raises": (
        data("Padded", "+dataset.how=raises"),
        r"collate_fn raises RuntimeError: stack .*bad\.py line \d+\) at row 1",
        "",
    ),
    "an input that forward does not take": (
        [*data("Named"), *model("OnlyX")],
        r"model OnlyX does not take its inputs: it is forward\(x\), and the inputs are called x, size: got an .*'size'",
        "'dataset.inputs=[x]'",
    ),
    "a target that is taken for an input": (
        [*data("Diagnosed"), *model("Both")],
        r"it is forward\(x, size\), and the inputs are called x, size, diagnosis: got an .*'diagnosis'",
        "dataset.target=diagnosis",
    ),
    "several inputs for a model of pictures": (
        [*data("Pictured"), "model=cnn"],
        r"CNN takes pictures \(channels, height, width\), not inputs image, size",
        "dataset.inputs=image",
    ),
    "an input of another name": (
        [*data("Renamed"), *model("Both")],
        r"it is forward\(x, size\), and the inputs are called x, length",
        "'dataset.inputs={x: x, size: length}'",
    ),
    "an input too few": (
        [*data("Named", X), *model("Both")],
        r"it is forward\(x, size\), and the input is one tensor: missing",
        "return x, size in a dict",
    ),
    "an input too many": (
        [*data("Four", "dataset.inputs=[0,1]", "dataset.target=3"), *model("OnlyX")],
        r"it is forward\(x\), and the input is a tuple of 2: too many",
        "dataset.inputs=0",
    ),
    "a third argument of the loss": (
        [*data("Named", X), *model("OnlyX"), "loss._target_=bad.Third"],
        r"Third\.forward\(\) missing 1 required positional argument: 'x'",
        "call the parameter x inputs",
    ),
    "too many classes": (
        [*data("Named", X), *model("Wide")],
        r"outputs of shape \(2, 5\), 5 along axis 1; the data has 2 classes",
        "(batch, 2)",
    ),
    "too many numbers": (
        [*data("Numbers"), *model("Wide")],
        r"\(2, 5\), but the targets have the shape \(2, 3\): axis 1 differs",
        "(batch, 3)",
    ),
    "no axis of the rows": ([*data("Named", X), *model("Sums")], r"outputs of shape \(2,\)", "(batch, 2)"),
    "another axis first": ([*data("Named", X), *model("Turned")], r"axis 0 is not the rows'", "batch_first=True"),
    "rows and positions joined": (
        [*data("Spans"), *model("Joined")],
        r"\(8, 3\), the targets need",
        "without the reshape",
    ),
    "a mark of what does not count": (
        data("Marked"),
        r"label 255 in row 0 of bad\.Marked is outside the 4 classes",
        "loss.ignore_index=255, if it marks",
    ),
    "outputs of another length": (
        [*data("Spans"), *model("Sequence")],
        r"\(2, 6, 5\), the targets need \(batch, 3, 4\)",
        "(batch, 3, 4)",
    ),
    "outputs that are a text": ([*data("Named", X), *model("Said")], "the model returns a str, not a tensor", ""),
    "a monitor that nothing reports": (
        data("Numbers", "monitor=val/acc"),
        r"this run reports no such metric; it has train/loss",
        "monitor=auto",
    ),
    "a task that does not fit": (
        data("Named", X, "dataset.task=pixels"),
        r"a target of bad\.Named\[0\] has the shape \(\)",
        "dataset.task=auto",
    ),
    "a task of your own that is none": (
        data("Named", X, "dataset.task={_target_: bad.OnlyX}"),
        "bad.OnlyX is not a task",
        "a subclass of trainer.tasks",
    ),
    "a term of several numbers": (
        terms("vector"),
        r"its term 'each' is of shape \(2,\), not one number in a tensor",
        "the mean of each term",
    ),
    "a term that is no tensor": (terms("float"), "its term 'penalty' is a float, not one number", "as a tensor"),
    "a term of nothing": (terms("none"), "its term 'penalty' is None, not one number", "as a tensor"),
    "a term without a name": (terms("numbers"), "its term 0 is named by more than letters", "a word for each term"),
    "a term named like a path": (terms("slash"), "its term 'val/fit' is named by more", "a word for each term"),
    "no terms": (terms("empty"), "returns an empty dict", "one number"),
    "a loss of nothing": (terms("nothing"), "gives is None, not one number in a tensor", "return one number"),
    "a loss of many numbers": (
        terms("matrix"),
        r"what loss Terms gives is of shape \(2, 2\), not one number",
        "return one number",
    ),
}


@pytest.mark.parametrize(("words", "text", "hint"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_before_anything_is_spent(
    words: list[str], text: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *SHORT, *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert re.search(f"^error: .*{text}", lines[0]), lines
    assert hint in lines[1] if hint else len(lines) == 1, lines
    assert len(lines) <= 2
    assert not (tmp_path / "outputs").exists()


LATER = {  # what a later row shows: the words, the message
    "raises": ([*data("Raises"), *model("Both")], r"bad\.Raises\[{row}\] raises FileNotFoundError: picture 7"),
    "has another shape": (
        [*data("OtherShape"), *model("Both")],
        r"bad\.OtherShape\[{row}\] has an input size of shape \(3,\), row 0 of",
    ),
    "lacks a key": ([*data("WithoutKey"), *model("Both")], r"bad\.WithoutKey\[{row}\] has no 'size', which row 0 has"),
    "has a label out of range": ([*data("OtherLabel"), *model("Both")], r"label 7 in row {row} of bad\.OtherLabel"),
    "is not returned": ([*data("Nothing"), *model("Both")], r"bad\.Nothing\[{row}\] is None, unlike row 0"),
    "has a label out of range in a batch": (
        data("Padded", "+dataset.how=label"),
        r"label 7 in row {row} of bad\.Padded",
    ),
    "cannot be padded": (
        data("Padded", "+dataset.how='raises late'"),
        r"bad\.Padded\.collate_fn raises RuntimeError: a row of 5 .* at row {row}",
    ),
}


def unseen(num_rows: int, step: int) -> int:
    """A row of that step of the first epoch, in batches of 64, which nothing reads before training."""
    order, known = (seeds.permutation(num_rows, seeds.derive(0, *name)) for name in (("order", 0), ("fingerprint",)))
    read = {0, 1, 2, 3, *known[:CHECKED].tolist()}
    return next(row for row in order[64 * (step - 1) : 64 * step].tolist() if row not in read)


@pytest.mark.parametrize(("words", "text"), LATER.values(), ids=LATER)
def test_a_later_row_ends_the_run_at_its_step_after_a_checkpoint(
    words: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = unseen(2000, step=3)
    more = ["+dataset.num_rows=2000", f"+dataset.odd={odd}", "dataset.val_fraction=0", "loader.batch_size=64", "seed=0"]
    assert main(["train", *SHORT, *words, *more, "max_steps=9"]) == 1
    error = capsys.readouterr().err.splitlines()[0]
    assert re.search(f"^error: {text.format(row=odd)}", error), error
    (folder,) = tmp_path.glob("outputs/2*/*")
    assert checkpoint.checkpoints(folder)[-1].name == "step-00000002"
    assert "Traceback" in (folder / layout.LOG).read_text(encoding="utf-8")
