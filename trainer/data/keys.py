"""What a config says about the samples of a data set."""

from dataclasses import dataclass

from trainer.data import labels
from trainer.data.sample import AUTO, Pick


@dataclass(frozen=True)
class Keys:
    """What dataset.inputs, dataset.target and dataset.task say; why: what decided for the task, if it is typed.

    outputs: of the model; None where it takes them from the data. ignored: the label that the loss leaves out.
    vocabulary: whether the model takes the number of different whole numbers in its inputs from the data.
    """

    inputs: Pick = AUTO
    target: Pick = AUTO
    task: str = AUTO
    why: str = ""
    outputs: int | None = None
    ignored: int = labels.IGNORED
    vocabulary: bool = False
