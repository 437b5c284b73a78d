"""A loss without a gradient is refused before anything is spent, whatever loses it."""

import pytest
from conftest import config
from torch import Tensor, nn

from trainer.build.build import build
from trainer.cli import main
from trainer.errors import ConfigError

QUICK = ["dataset=iris", "threads=1", "device=cpu", "guards=none"]


class Detached(nn.CrossEntropyLoss):
    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return super().forward(prediction, y).detach()


class Net(nn.Linear):
    """how: frozen; cut, whose outputs are detached; or careful, which has a gradient only in training."""

    def __init__(self, in_features: int, num_classes: int, how: str) -> None:
        super().__init__(in_features, num_classes)
        self.how = how
        self.requires_grad_(how != "frozen")

    def forward(self, x: Tensor) -> Tensor:
        has_gradient = self.how != "cut" and (self.training or self.how != "careful")
        found = super().forward(x)
        return found if has_gradient else found.detach()


def net(how: str) -> list[str]:
    return ["model=own", "model._target_=test_gradient.Net", f"+model.how={how}"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss._target_=test_gradient.Detached"], "the loss Detached has no gradient by the outputs of MLP"),
        (net("cut"), "the outputs of Net have no gradient by its parameters"),
        (net("frozen"), "all parameters of the model are frozen"),
    ],
)
def test_it_is_refused_with_what_lost_it(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_model_with_a_gradient_only_in_training_is_trained() -> None:
    build(config(*QUICK, *net("careful")))
    with pytest.raises(ConfigError):
        build(config(*QUICK, *net("cut")))
