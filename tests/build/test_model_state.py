"""Models whose state is unusual: what a checkpoint keeps of them, and what is refused before training."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import config
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import trainer
from trainer import checkpoint
from trainer.build.build import build
from trainer.cli import main
from trainer.disk.tensors import read_tensors
from trainer.errors import ConfigError
from trainer.loop import train
from trainer.state import TrainState

RUN = ["dataset=iris", "model=own", "epochs=3", "optimizer.lr=0.05", "report=false", "threads=1"]


class Lazy(nn.Sequential):
    """Every size but the last comes from the first batch."""

    def __init__(self, out_features: int) -> None:
        super().__init__(nn.Flatten(), nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(out_features))


class Recurrent(nn.Module):
    """Reads the features one by one."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(1, 6, batch_first=True), nn.Linear(6, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x[:, :, None])[0][:, -1])


class Net(nn.Module):
    """Two layers, with what the subclasses add."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(in_features, 6), nn.Linear(6, out_features)
        self.add()

    def add(self) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).tanh())


class Counting(Net):
    """Plain extra state, which moves with every training batch."""

    def add(self) -> None:
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.append(len(x))
        return super().forward(x) * (1 + 0.01 * len(self.seen))

    def get_extra_state(self) -> Any:
        return {"seen": self.seen, "shape": (2, 0.5), 3: None}

    def set_extra_state(self, state: Any) -> None:
        assert (state["shape"], state[3]) == ((2, 0.5), None)
        self.seen = list(state["seen"])


class Tied(Net):
    """Shared weights, a missing buffer, a number without axes, bits, a strided and an imaginary tensor."""

    def add(self) -> None:
        self.middle, self.again = nn.Linear(6, 6), nn.Linear(6, 6)
        self.again.weight = self.middle.weight
        self.last.weight = nn.Parameter(torch.randn(6, self.last.out_features).t())
        self.register_buffer("none", None)
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("bits", torch.tensor([True, False]))
        self.register_buffer("turn", torch.exp(1j * torch.arange(6.0)))
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return self.last(self.again((self.middle(self.first(x)) * self.turn).real).tanh()) * self.scale


class Imaginary(Net):
    """A complex parameter, which no fused optimizer takes."""

    def add(self) -> None:
        self.mix = nn.Parameter(torch.randn(6, 6, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(((self.first(x) + 0j) @ self.mix).abs())


class Normed(Net):
    """Weights that are computed from others."""

    def add(self) -> None:
        parametrizations.weight_norm(self.first)
        parametrizations.spectral_norm(self.last)


KINDS = [Lazy, Recurrent, Counting, Tied, Imaginary, Normed]


def trained(run: TrainState, num_steps: int) -> TrainState:
    for event in train(run):
        if getattr(event, "step", 0) == num_steps:
            break
    return run


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_keeps_all_of_a_model(tmp_path: Path, kind: type[nn.Module]) -> None:
    words = config(*RUN, f"model._target_=test_model_state.{kind.__name__}")
    whole, (half, _), (again, _) = trained(build(words)[0], 6), build(words), build(words)
    files = checkpoint.contents(trained(half, 3), {})
    checkpoint.load(again, files, tmp_path)
    trained(again, 6)
    ours, theirs = again.model.state_dict(), whole.model.state_dict()
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        assert torch.equal(ours[name], value) if isinstance(value, Tensor) else ours[name] == value, name
    moved = dict(build(words)[0].model.named_parameters())
    assert all(not torch.equal(moved[name], p) for name, p in again.model.named_parameters())


@pytest.mark.parametrize("kind", [pytest.param(Lazy, marks=pytest.mark.slow), Recurrent, Counting])
def test_eval_predict_and_export_open_the_model(kind: type[nn.Module], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        result = trainer.train([*RUN, f"model._target_=test_model_state.{kind.__name__}"])
        capsys.readouterr()
        assert main(["eval", "latest"]) == 0
        printed = dict(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("val/"))
        assert printed == {name: f"{v:.4f}" for name, v in result.metrics.items() if name.startswith("val/")}
        assert main(["export", "latest"]) == 0
        assert "as predict gives them, within" in capsys.readouterr().out
        code = main(["export", "latest", "format=safetensors"])
        if kind is Counting:  # only tensors fit into that file
            assert (code, "_extra_state is not one" in capsys.readouterr().err) == (2, True)
        else:
            assert code == 0


def test_the_stored_extra_state_is_json() -> None:
    run = trained(build(config(*RUN, "model._target_=test_model_state.Counting"))[0], 2)
    state = read_tensors(checkpoint.contents(run, {})[checkpoint.WEIGHTS])
    assert state["_extra_state"] == {"seen": [64, 56], "shape": (2, 0.5), 3: None}


def test_a_file_cannot_pass_plain_data_for_a_tensor() -> None:
    data = safetensors.torch.save({"w": torch.zeros(1)}, {"_extra_state": '{"w": 1}'})
    with pytest.raises(ValueError, match="has the name of a tensor"):
        read_tensors(data)


class Unused(Lazy):
    """A lazy layer that no batch reaches."""

    def __init__(self, out_features: int) -> None:
        super().__init__(out_features)
        self.spare = nn.ModuleDict({"head": nn.LazyLinear(2)})

    def forward(self, x: Tensor) -> Tensor:
        for layer in list(self)[:-1]:
            x = layer(x)
        return x


class Misfit(Lazy):
    """Its forward fails."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(7, -1))


class Keeping(Net):
    """Extra state that is not plain."""

    def get_extra_state(self) -> Any:
        return {"ema": torch.zeros(2)}


class Sparse(Net):
    def add(self) -> None:
        self.register_buffer("graph", torch.eye(6).to_sparse())


class Expanded(Net):
    def add(self) -> None:
        self.register_buffer("zeros", torch.zeros(1).expand(6))


class Hollow(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        with torch.device("meta"):
            super().__init__(in_features, out_features)


REFUSED = [
    (Unused, [], r"spare\.head\.weight of Unused is lazy, and forward does not use it"),
    (Misfit, [], r"Misfit does not take inputs of shape \(2, 4\)"),
    (Keeping, [], r"cannot be saved: _extra_state\.ema is a Tensor"),
    (Sparse, [], r"cannot be saved: graph is a sparse_coo tensor"),
    (Tied, ["dtype=float64"], r"cannot be saved: turn is a complex128"),
    (Expanded, [], r"cannot be saved: zeros is expanded"),
    (Hollow, [], r"the parameters of Hollow have no values"),
]


@pytest.mark.parametrize(("kind", "words", "answer"), REFUSED)
def test_what_cannot_be_kept_is_refused_before_training(kind: type, words: list[str], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer) as caught:
        build(config(*RUN, f"model._target_=test_model_state.{kind.__name__}", *words))
    assert caught.value.hint or kind is Misfit
