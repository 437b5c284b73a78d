"""Building a config: every shipped option, sizes from the data, and the answer to what does not fit together."""

import pytest
import torch
from conftest import config
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from trainer import checkpoint
from trainer.build import batch_mean
from trainer.build.build import build
from trainer.config import files
from trainer.errors import ConfigError
from trainer.loop import train
from trainer.run.header import loss_lines

OPTIONS = files.options([files.shipped()])


@pytest.mark.parametrize("scheduler", OPTIONS["scheduler"])
@pytest.mark.parametrize("optimizer", OPTIONS["optimizer"])
def test_every_optimizer_with_every_schedule_takes_steps_and_can_be_saved(optimizer: str, scheduler: str) -> None:
    words = ["dataset=iris", f"optimizer={optimizer}", f"scheduler={scheduler}", "epochs=12", "model.hidden=[8]"]
    run, _ = build(config(*words))
    before = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    list(train(run))
    assert run.progress.step == 24
    assert all(not torch.equal(weight, before[name]) for name, weight in run.model.state_dict().items())
    assert checkpoint.contents(run, {})


def test_every_option_opens_with_what_it_is() -> None:
    assert {"dataset", "model", "loss", "optimizer", "scheduler", "experiment"} <= set(OPTIONS)
    assert all(text for options in OPTIONS.values() for text in options.values())


@pytest.mark.parametrize(
    ("dataset", "sizes"),
    [("digits", "64-128-10"), ("iris", "4-128-3"), ("diabetes", "10-128-1"), ("spirals", "2-128-3")],
)
def test_sizes_come_from_the_data(dataset: str, sizes: str) -> None:
    run, setup = build(config(f"dataset={dataset}"))
    linear = [m for m in run.model.modules() if isinstance(m, nn.Linear)]
    assert "-".join(map(str, [linear[0].in_features, *(m.out_features for m in linear)])) == sizes
    assert setup.config.model["in_features"] == linear[0].in_features


def test_biases_and_norms_do_not_decay() -> None:
    run, _ = build(config("model.norm=layer", "optimizer.weight_decay=0.1"))
    decay = {id(p): group["weight_decay"] for group in run.optimizer.param_groups for p in group["params"]}
    named = {name: decay[id(p)] for name, p in run.model.named_parameters()}
    assert len(named) == 6
    assert {name for name, rate in named.items() if rate == 0.1} == {"layers.0.weight", "layers.3.weight"}
    assert set(named.values()) == {0.0, 0.1}


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (build(config(f"seed={seed}"))[0].model.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_schedules_end_where_they_should() -> None:
    words = ["dataset=iris", "epochs=10", "optimizer=sgd"]
    runs = {name: build(config(*words, f"scheduler={name}"))[0] for name in ("cosine", "warmup", "step", "onecycle")}
    rates = {name: [event.lr for event in train(run) if hasattr(event, "lr")] for name, run in runs.items()}
    assert [len(values) for values in rates.values()] == [20] * 4
    assert rates["cosine"][0] == 0.1
    assert rates["cosine"][10] == pytest.approx(0.05)
    assert rates["warmup"][:3] == pytest.approx([0.05, 0.1, 0.1])
    assert rates["warmup"][11] == pytest.approx(0.05)  # the middle of steps 2 to 20
    assert set(rates["step"]) == {0.1}  # cut after 10 epochs, which is the end
    assert max(rates["onecycle"]) == pytest.approx(0.1)


class Flat(nn.Module):
    """Gives (B,) where the targets are (B, 1)."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))[:, 0]


class Frozen(nn.Module):
    """Keeps its layers in a plain list, so that nothing is registered."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.layers = [nn.Linear(in_features, 1)]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[0](x.flatten(1))


class Pairs(TensorDataset):
    """Targets (B,)."""

    def __init__(self) -> None:
        super().__init__(torch.rand(65, 3), torch.rand(65))


class Odd(TensorDataset):
    """65 rows: one more than a batch."""

    def __init__(self) -> None:
        super().__init__(torch.rand(65, 3), torch.arange(65) % 2)


OWN, SQUARES = "model=own", ("loss=mse", "loss._target_=broken.Squares")
MISFITS = [
    (["model.out_features=5"], "the data has 10 classes"),
    (["model.in_features=5"], r"does not take inputs of shape \(2, 1, 8, 8\)"),
    (["dataset=line", "loss=cross_entropy"], "the targets are numbers"),
    (["loss=mse"], "the targets are classes"),
    (["channels_last=true"], "channels_last is for pictures: MLP has no 2-D convolution"),
    (["channels_last=true", "dataset=iris"], r"for pictures: the inputs have the shape \(2, 4\)"),
    (["loss._target_=collections.Counter"], "makes a Counter, which is not an nn.Module"),
    (["loss=cross_entropy", "loss.weight=[1,2]"], "2 numbers, but the data has 10 classes"),
    (["monitor=val/accuracy"], "reports no such metric"),
    (["monitor=val/loss", "dataset.val_fraction=0"], "reports no such metric"),
    (["scheduler=warmup", "scheduler.warmup=30epochs"], "leaves nothing"),
    (["dataset=line", OWN, "model._target_=test_build.Flat", *SQUARES, "guards=strict"], r"broadcast to \(2, 2\)"),
    (["dataset=line", OWN, "model._target_=test_build.Frozen"], "no trainable parameter"),
    (["dataset=own", "dataset._target_=test_build.Pairs", "model.out_features=2"], r"\(2, 2\), but .*axis 1 differs"),
    ([OWN, "model._target_=test_build.Nothing"], "test_build has no Nothing"),
    ([OWN, "model._target_=nothere.Net"], "no module nothere"),
    ([OWN, "model._target_=net"], "not a dotted name"),
    ([OWN, "model._target_=test_build.Flat", "+model.in_feature=3"], "no key 'model.in_feature'"),
    ([OWN, "model._target_=math.sqrt"], "math.sqrt"),
    (["dataset=own", "dataset._target_=builtins.list"], "no rows"),
    (["optimizer._target_=torch.optim.LBFGS"], "closure"),
    (["model=cnn", "dataset=iris"], r"takes pictures \(channels, height, width\), not inputs of shape \(4,\)"),
]


@pytest.mark.parametrize(("words", "answer"), MISFITS, ids=[" ".join(words) for words, _ in MISFITS])
def test_what_does_not_fit_is_refused_with_the_reason(words: list[str], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        build(config(*words))


def test_a_broadcast_is_a_warning_unless_guards_are_strict_or_none() -> None:
    words = ["dataset=line", OWN, "model._target_=test_build.Flat", *SQUARES]
    assert [finding.check for finding in build(config(*words))[1].findings] == ["broadcast"]
    assert build(config(*words, "guards=none"))[1].findings == []


class Ranked(nn.Module):
    """A loss that compares rows with each other. noise: whether it draws as well."""

    def __init__(self, noise: bool = False) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return (prediction.var(0).sum() - 1).square() + self.noise * torch.rand(())


def test_only_a_loss_that_is_taken_in_parts_must_be_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["dataset=iris", f"loss._target_={__name__}.Ranked", "guards=none"]
    with pytest.raises(ConfigError, match="accumulate=2, but Ranked over a batch is not the mean over its parts"):
        build(config(*words, "accumulate=2"))
    assert "could not be checked" in loss_lines(*build(config(*words, "+loss.noise=true", "accumulate=2")))[-1]
    monkeypatch.delattr(batch_mean, "check")
    assert loss_lines(*build(config(*words)))[-1] == "taken as a mean over samples"


def test_a_last_batch_of_one_before_batch_norm_is_found_at_build() -> None:
    words = ["dataset=own", "dataset._target_=test_build.Odd", "dataset.val_fraction=0", "model.norm=batch"]
    with pytest.raises(ConfigError, match="last batch of an epoch has one sample") as caught:
        build(config(*words))
    assert caught.value.hint == "loader.drop_last=true"
    build(config(*words, "loader.drop_last=true"))
    build(config(*words, "model.norm=layer"))


def test_a_torchvision_model_by_target() -> None:
    words = ["dataset=own", "dataset._target_=test_build.Pictures", OWN, "+model.num_classes=null"]
    run, _ = build(config(*words, "model._target_=torchvision.models.squeezenet1_1"))
    assert type(run.model).__name__ == "SqueezeNet"


class Pictures(TensorDataset):
    """Eight pictures of two classes."""

    def __init__(self) -> None:
        super().__init__(torch.rand(8, 3, 64, 64), torch.arange(8) % 2)
