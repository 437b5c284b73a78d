"""A `_target_` typed over an option's: which keys it gets, and nodes inside nodes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from trainer.build.build import build
from trainer.cli import main
from trainer.config import files
from trainer.config.compose import compose
from trainer.config.run_config import read_config
from trainer.config.source import Source
from trainer.errors import ConfigError

OURS = ("groups", "layer_decay")  # keys of every optimizer


def node(group: str, *words: str) -> dict:
    found: dict = compose(Source(list(words), files.roots())).data[group]
    return {name: value for name, value in found.items() if group != "optimizer" or name not in OURS}


CASES = [
    ("loss", ["loss._target_=torch.nn.PoissonNLLLoss"], {}),
    ("model", ["model._target_=a.B", "model.hidden=[128]"], {"hidden": [128]}),  # typed, though it is the default
    ("model", ["model._target_=a.B", "+model.width=3"], {"width": 3}),
    ("optimizer", ["optimizer._target_=torch.optim.NAdam", "optimizer.lr=0.1"], {"lr": 0.1}),
    ("scheduler", ["scheduler=cosine", "scheduler._target_=a.B"], {}),
    (
        "dataset",
        ["dataset=table", "dataset._target_=a.B"],
        {"val_fraction": 0.2, "split_seed": 0, "folds": None, "fold": None, "repeats": 1, "test_fraction": None}
        | {"test_seed": 0, "fraction": None, "scale_targets": "auto"},
    ),
    ("optimizer", ["optimizer=sgd", "optimizer._target_=torch.optim.SGD"], None),  # the option's own: nothing changes
    ("model", ["experiment=mine", "model._target_=a.B"], {"hidden": [8]}),
    ("model", ["experiment=other"], {"width": 5}),
    ("model", ["model=any", "model._target_=a.B"], {"width": 3}),
    ("optimizer", ["optimizer=mine"], {"lr": 0.002, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}),
]


@pytest.mark.parametrize(("group", "words", "keys"), CASES, ids=[" ".join(words) for _, words, _ in CASES])
def test_keys_of_an_option_stay_with_its_class(tmp_path: Path, group: str, words: list[str], keys: dict | None) -> None:
    texts = {
        "experiment/mine": "# @package _global_\nmodel:\n  hidden: [8]\n",
        "experiment/other": "# @package _global_\nmodel:\n  _target_: a.C\n  width: 5\n",
        "model/any": "_target_: ???\nwidth: 3\n",
        "optimizer/mine": "defaults: [adamw]\n_target_: a.Opt\n",  # what a file inherits was typed by its author
    }
    for name, text in texts.items():
        (tmp_path / f"conf/{name}.yaml").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"conf/{name}.yaml").write_text(text)
    found = node(group, *words)
    expected = node(group, "optimizer=sgd") if keys is None else {"_target_": found["_target_"], **keys}
    assert found == expected


def test_a_typed_key_that_the_class_does_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no key 'loss.weight': torch.nn.PoissonNLLLoss does not take it"):
        build(config("loss._target_=torch.nn.PoissonNLLLoss", "loss.weight=null"))


class Halved(nn.Module):
    """Half of another loss."""

    def __init__(self, inner: nn.Module, parts: list[nn.Module]) -> None:
        super().__init__()
        self.inner, self.parts = inner, nn.ModuleList(parts)

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return self.inner(prediction, y) / 2


class Headed(nn.Module):
    """A backbone and a head."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x.flatten(1)).relu())


class Shifted(TensorDataset):
    """Points that a transform has moved."""

    classes = ("a", "b")

    def __init__(self, transforms: dict[str, list[nn.Module]]) -> None:
        x = torch.rand(40, 4)
        for transform in transforms["train"]:
            x = transform(x)
        super().__init__(x, torch.arange(40) % 2)


def test_nodes_inside_nodes_are_built_in_every_group() -> None:
    linear = "{_target_:torch.nn.Linear,in_features:%s,out_features:%s}"
    run, setup = build(
        config(
            "dataset._target_=test_option_keys.Shifted",
            "+dataset.transforms={train:[{_target_:torch.nn.ReLU},{_target_:torch.nn.Threshold,threshold:9,value:7}]}",
            "model._target_=test_option_keys.Headed",
            f"+model.backbone={linear % ('null', 5)}",
            f"+model.head={linear % (5, 'null')}",
            "loss._target_=test_option_keys.Halved",
            "+loss.inner={_target_:torch.nn.CrossEntropyLoss,label_smoothing:0.5}",
            "+loss.parts=[{_target_:torch.nn.Identity}]",
        )
    )
    x, y = setup.splits.sample
    assert bool((x == 7).all())
    assert (run.model.backbone.in_features, run.model.head.out_features) == (4, 2)
    assert setup.config.model["backbone"]["in_features"] == 4  # stored with the run
    expected = nn.functional.cross_entropy(run.model(x), y, label_smoothing=0.5) / 2
    assert torch.equal(run.loss_fn(run.model(x), y), expected)


WRONG = [
    ("+model.head={_target_:torch.nn.Linear,in_feature:3}", r"no key 'model.head.in_feature'"),
    ("+model.head={_target_:torch.nn.Linea}", r"model.head._target_=torch.nn.Linea: torch.nn has no Linea"),
    ("+model.head={_target_:torch.nn.Linear,in_features:3}", r"model.head: torch.nn.Linear: missing .* 'out_features'"),
    ("+model.head=[{_target_:3}]", r"model.head.0._target_=3 is not a dotted name"),
]


@pytest.mark.parametrize(("word", "answer"), WRONG)
def test_what_is_wrong_in_a_nested_node_is_named(word: str, answer: str) -> None:
    words = ["model._target_=test_option_keys.Headed", "+model.backbone={_target_:torch.nn.Identity}", word]
    with pytest.raises(ConfigError, match=answer):
        build(config(*words))


class Plain(nn.Linear):
    """Takes no key of a model option but the sizes."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)


class Points(TensorDataset):
    """Takes no key of a dataset option."""

    def __init__(self) -> None:
        super().__init__(torch.rand(40, 4), torch.arange(40) % 2)


class Entropy(nn.CrossEntropyLoss):
    """Takes no key of a loss option."""

    def __init__(self) -> None:
        super().__init__()


class Descent(torch.optim.SGD):
    """Takes no key of an optimizer option but the rate."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)


class Falling(torch.optim.lr_scheduler.ExponentialLR):
    """Takes no key of a scheduler option."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer, 0.5)


@pytest.mark.parametrize(
    ("group", "option", "name"),
    [
        ("dataset", "table", "Points"),
        ("model", "mlp", "Plain"),
        ("loss", "cross_entropy", "Entropy"),
        ("optimizer", "adamw", "Descent"),
        ("scheduler", "onecycle", "Falling"),
    ],
)
def test_a_class_of_your_own_trains_over_any_option(group: str, option: str, name: str) -> None:
    words = [f"{group}={option}", f"{group}._target_=test_option_keys.{name}", "dataset=iris"]
    words = words[:2] if group == "dataset" else words
    assert main(["train", *words, "max_steps=2", "threads=1", "device=cpu", "report=false"]) == 0
    stored = read_config(next(Path("outputs").rglob("config.yaml")).parent)
    assert stored[group]["_target_"] == f"test_option_keys.{name}"
