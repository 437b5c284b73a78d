"""The keyword arguments of what trainer ships, by `_target_`: their types, ranges and help.

A class that is not in TARGETS is checked against its own signature when it is built (targets.py).
"""

from dataclasses import dataclass
from typing import Literal

from trainer.config.durations import Duration
from trainer.config.key import key

Activation = Literal["relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu"]


@dataclass
class DatasetKeys:
    """Keys of every dataset, beside those of its class."""

    val_fraction: float = key("share of the rows held back for validation", at_least=0, below=1)
    split_seed: int = key("which rows those are; apart from seed", at_least=0)


@dataclass
class Bundled:
    pass


@dataclass
class Line:
    num_points: int = key("points", at_least=2)
    noise: float = key("standard deviation of the noise on y", at_least=0)
    data_seed: int = key("which points", at_least=0)


@dataclass
class Spirals:
    num_points: int = key("points in all", at_least=2)
    num_classes: int = key("arms", at_least=2)
    noise: float = key("standard deviation of the noise on both coordinates", at_least=0)
    data_seed: int = key("which points", at_least=0)


@dataclass
class Vision:
    root: str = key("folder of the downloaded files")


@dataclass
class Table:
    path: str | list[str] = key("the file; a pattern like 'data/*.csv', or a list; ~ is your home folder")
    target: str | list[str] = key("the column to predict; several, where all are numbers")
    task: Literal["auto", "classes", "numbers"] = key(
        "what the target is; auto: text and few whole numbers are classes"
    )
    types: dict[str, str] | None = key("columns that are typed by hand: {zip: category, day: date, size: number}")
    drop: list[str] = key("columns to leave out")
    split: Literal["random", "stratified", "group", "time", "column"] = key(
        "which rows validate: at random, so within each class, whole groups, the latest, or as a column says"
    )
    split_by: str | None = key("the column of groups, of times, or of the words train, val and test")
    val_path: str | list[str] | None = key("a file of its own to validate on")
    test_path: str | list[str] | None = key("a file of its own to test on")
    delimiter: str = key("between values; auto: comma, semicolon, tab or |, as the first line has it")
    encoding: str = key("of text: utf-8, cp1252, utf-16")
    missing: list[str] = key("texts that are no value")


@dataclass
class Arrays:
    path: str = key("the file; ~ is your home folder")
    x: str = key("name of the inputs in it; with _test behind it, of the test split's, where there is one")
    y: str = key("name of the targets: whole numbers from 0 are classes, floats numbers")
    classes: list[str] | None = key("names of the classes")
    scaling: Literal["auto", "none", "standardize", "standardize_whole"] = key(
        "of the inputs: by column, or as a whole"
    )


@dataclass
class Images:
    path: str = key("the folder; in it one folder for each class")
    size: int = key("side of the square that pictures are brought to", at_least=1, unit="pixels")
    augment: bool = key("mirror and crop at random, anew each epoch")
    grey: bool = key("one channel instead of three")


@dataclass
class Linear:
    in_features: int | None = key("inputs; null: what the data has", at_least=1)
    out_features: int | None = key("outputs; null: what the data needs", at_least=1)
    bias: bool = key("whether there is a bias")
    init: Literal["uniform", "zero"] = key("the weights to begin with")


@dataclass
class MLP:
    in_features: int | None = key("inputs; null: what the data has", at_least=1)
    out_features: int | None = key("outputs; null: what the data needs", at_least=1)
    hidden: list[int] = key("width of each hidden layer", at_least=1)
    activation: Activation = key("between the layers")
    dropout: float = key("share of activations dropped in training", at_least=0, below=1)
    norm: Literal["none", "batch", "layer"] = key("normalisation after each hidden linear layer")


@dataclass
class CNN:
    in_channels: int | None = key("channels of the pictures; null: what the data has", at_least=1)
    num_classes: int | None = key("outputs; null: what the data needs", at_least=1)
    channels: list[int] = key("channels of each block, which halves the picture", at_least=1)
    kernel_size: int = key("side of the kernels, odd", at_least=1)
    activation: Activation = key("in each block")
    dropout: float = key("share of features dropped before the last layer", at_least=0, below=1)


@dataclass
class AutoLoss:
    weight: Literal["balanced"] | list[float] | None = key("weight of each class; balanced: the rarer, the more")


@dataclass
class CrossEntropy:
    weight: Literal["balanced"] | list[float] | None = key(
        "weight of each class; balanced: the rarer, the more", at_least=0
    )
    ignore_index: int = key("targets of this value do not count")
    label_smoothing: float = key("share of the target spread over all classes", at_least=0, at_most=1)


@dataclass
class PlainLoss:
    pass


@dataclass
class SGD:
    lr: float = key("learning rate", above=0)
    momentum: float = key("share of the last step carried over", at_least=0)
    dampening: float = key("share of the gradient left out of the momentum", at_least=0, at_most=1)
    nesterov: bool = key("look ahead along the momentum")
    weight_decay: float = key("pull towards zero, not on biases and norms", at_least=0)


@dataclass
class Adam:
    lr: float = key("learning rate", above=0)
    betas: list[float] = key("decay of the running mean and square", at_least=0, below=1)
    eps: float = key("keeps the division finite", at_least=0)
    weight_decay: float = key("pull towards zero, not on biases and norms", at_least=0)
    amsgrad: bool = key("divide by the largest running square so far")


@dataclass
class RMSprop:
    lr: float = key("learning rate", above=0)
    alpha: float = key("decay of the running square", at_least=0, below=1)
    eps: float = key("keeps the division finite", at_least=0)
    momentum: float = key("share of the last step carried over", at_least=0)
    centered: bool = key("subtract the running mean from the running square")
    weight_decay: float = key("pull towards zero, not on biases and norms", at_least=0)


@dataclass
class Adagrad:
    lr: float = key("learning rate", above=0)
    lr_decay: float = key("decay of the learning rate a step", at_least=0)
    eps: float = key("keeps the division finite", at_least=0)
    weight_decay: float = key("pull towards zero, not on biases and norms", at_least=0)


@dataclass
class Constant:
    pass


@dataclass
class StepLR:
    step_size: Duration | int = key("time between two cuts: 10epochs, 500steps", at_least=1)
    gamma: float = key("what the learning rate is multiplied by", above=0)


@dataclass
class CosineAnnealingLR:
    T_max: Duration | int | None = key("length; null: the whole run", at_least=1)
    eta_min: float = key("learning rate at the end", at_least=0)


@dataclass
class WarmupCosine:
    num_steps: Duration | int | None = key("length in all; null: the whole run", at_least=1)
    warmup: Duration | int = key("length of the rise: 1epoch, 500steps", at_least=0)
    eta_min: float = key("learning rate at the end", at_least=0)


@dataclass
class OneCycleLR:
    max_lr: float | None = key("the peak; null: optimizer.lr", above=0)
    total_steps: Duration | int | None = key("length; null: the whole run", at_least=1)
    pct_start: float = key("share of the time spent rising", above=0, below=1)
    div_factor: float = key("the peak over the start", above=0)
    final_div_factor: float = key("the start over the end", above=0)
    cycle_momentum: bool | None = key("momentum the other way round; null: where the optimizer has one")


@dataclass
class ReduceLROnPlateau:
    mode: Literal["min", "max"] | None = key("which way is better; null: as monitor has it")
    factor: float = key("what the learning rate is multiplied by", above=0, below=1)
    patience: int = key("evaluations without improvement before a cut", at_least=0, unit="evaluations")
    threshold: float = key("what counts as an improvement, relative", at_least=0)
    min_lr: float = key("lower bound", at_least=0)


TARGETS: dict[str, type] = {
    "trainer.data.embedded.Digits": Bundled,
    "trainer.data.embedded.Iris": Bundled,
    "trainer.data.embedded.Wine": Bundled,
    "trainer.data.embedded.BreastCancer": Bundled,
    "trainer.data.embedded.Diabetes": Bundled,
    "trainer.data.synthetic.Line": Line,
    "trainer.data.synthetic.Spirals": Spirals,
    "trainer.data.vision.MNIST": Vision,
    "trainer.data.vision.FashionMNIST": Vision,
    "trainer.data.vision.CIFAR10": Vision,
    "trainer.data.table.Table": Table,
    "trainer.data.arrays.Npz": Arrays,
    "trainer.data.arrays.SafeTensors": Arrays,
    "trainer.data.images.Images": Images,
    "trainer.models.linear.Linear": Linear,
    "trainer.models.mlp.MLP": MLP,
    "trainer.models.cnn.CNN": CNN,
    "auto": AutoLoss,
    "torch.nn.CrossEntropyLoss": CrossEntropy,
    "torch.nn.MSELoss": PlainLoss,
    "torch.nn.L1Loss": PlainLoss,
    "torch.optim.SGD": SGD,
    "torch.optim.Adam": Adam,
    "torch.optim.AdamW": Adam,
    "torch.optim.RMSprop": RMSprop,
    "torch.optim.Adagrad": Adagrad,
    "trainer.schedules.Constant": Constant,
    "torch.optim.lr_scheduler.StepLR": StepLR,
    "torch.optim.lr_scheduler.CosineAnnealingLR": CosineAnnealingLR,
    "trainer.schedules.WarmupCosine": WarmupCosine,
    "torch.optim.lr_scheduler.OneCycleLR": OneCycleLR,
    "torch.optim.lr_scheduler.ReduceLROnPlateau": ReduceLROnPlateau,
}
