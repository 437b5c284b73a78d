"""The networks for pictures: shapes, parameters counted by hand, gradients, and the layer fitted to the data."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from conftest import config
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from trials import attempt
from trials import config as plain

from trainer.build.build import build
from trainer.data import seeds
from trainer.errors import ConfigError
from trainer.guards import structure
from trainer.models.resnet import Block, ResNet
from trainer.models.wide_cnn import LEAST, PATCH, WideCNN

WIDE = ["model=wide_cnn", "model.widths=[8,8]", "device=cpu", "threads=1"]
OWN = ["dataset=own", "dataset._target_=test_models.Pictures", "model=own", "model._target_=test_models.Looking"]


def pictures(num_rows: int, channels: int = 3, side: int = 32) -> Tensor:
    """Pictures whose neighbouring pixels are alike."""
    x = torch.randn(num_rows, channels, side, side, generator=torch.Generator().manual_seed(0))
    return x + x.roll(1, -1) + 0.5 * x.roll(1, 1)


def num_trained(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_resnet_20_has_the_layers_and_the_parameters_of_the_paper() -> None:
    model = ResNet(3, 10)
    stem, head = 3 * 16 * 9 + 32, 64 * 10 + 10
    first = 6 * (16 * 16 * 9 + 2 * 16)
    second = 16 * 32 * 9 + 5 * 32 * 32 * 9 + 6 * 2 * 32
    third = 32 * 64 * 9 + 5 * 64 * 64 * 9 + 6 * 2 * 64
    assert num_trained(model) == stem + first + second + third + head == 269_722  # the paper: 0.27 million
    assert sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in model.modules()) == 20
    assert model(pictures(2)).shape == (2, 10)
    assert model.features(pictures(2)).shape == (2, 64, 8, 8)
    assert num_trained(ResNet(1, 7, depth=8, width=4)) == 36 + 8 + 304 + 896 + 3520 + 119
    for depth in (2, 9, 21):
        with pytest.raises(ValueError, match=f"depth={depth} is not"):
            ResNet(3, 10, depth)


def test_a_block_that_changes_nothing_passes_its_input_on() -> None:
    x = pictures(2, 4, 7)
    same, thinned = Block(4, 4, stride=1), Block(4, 6, stride=2)
    for block in (same, thinned):
        nn.init.zeros_(block.norm2.weight)
    assert torch.equal(same(x), x.relu())
    output = thinned(x)
    assert output.shape == (2, 6, 4, 4)
    assert torch.equal(output[:, 1:5], x[:, :, ::2, ::2].relu())
    assert not output[:, [0, 5]].any()


def test_wide_cnn_has_the_shapes_and_the_parameters_of_the_published_network() -> None:
    model = WideCNN(3, 10)
    convs = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 256 * 256 + 256 * 256 + 256 * 256)
    assert num_trained(model) == 24 + convs + 2 * (64 + 256 + 256) + 2560 == 1_971_352
    assert [model.whiten(pictures(2)).shape, model(pictures(2)).shape] == [(2, 24, 31, 31), (2, 10)]
    assert WideCNN(1, 4, widths=[8])(pictures(2, 1, 9)).shape == (2, 4)
    x = pictures(2, 24, 16)
    assert torch.equal(model.groups[0].conv1(x)[:, :24], x)  # its first filters are the identity
    assert {"whiten.weight", "groups.0.norm1.weight"} <= set(model.state_dict())


def test_synchronised_batch_norms_of_wide_cnn_train_their_biases_alone_and_change_no_name() -> None:
    model = WideCNN(3, 10, widths=[8, 8])
    names, trained, expected = list(model.state_dict()), num_trained(model), model.eval()(pictures(2))
    whole = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    norms = [module for module in whole.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert [(norm.momentum, norm.weight.requires_grad, norm.bias.requires_grad) for norm in norms] == [
        (0.4, False, True)
    ] * 4
    assert (list(whole.state_dict()), num_trained(whole)) == (names, trained)
    assert torch.equal(whole.eval()(pictures(2)), expected)
    assert not structure.frozen(whole)


@pytest.mark.parametrize(("words", "text", "hint"), [
    (["model=wide_cnn"], "pictures of 8×8 are too small for 3 widths", "'model.widths=[64,256]'"),
    (["model=resnet", "model.depth=9"], "depth=9 is not 8, 14, 20 or another 6n [+] 2", "model.depth=8"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_refused_with_some_that_do(words: list[str], text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"{text}$|{text}, ") as error:
        build(config("dataset=digits", *words))
    assert error.value.hint == hint
    build(config("dataset=digits", *words, hint.strip("'")))


@pytest.mark.parametrize("model", [ResNet(3, 10, depth=8, width=4), WideCNN(3, 10, widths=[8, 8, 8])])
def test_every_trained_parameter_gets_a_gradient(model: nn.Module) -> None:
    F.cross_entropy(model(pictures(16)), torch.arange(16) % 10).backward()
    assert all(bool(p.grad is not None and p.grad.any()) for p in model.parameters() if p.requires_grad)


def test_the_whitening_layer_makes_the_patches_uncorrelated_with_variance_one() -> None:
    model, x = WideCNN(3, 10, widths=[8]).double(), pictures(230, side=12).double()
    patches = F.unfold(x, PATCH).transpose(1, 2).reshape(-1, 12)
    variances = torch.linalg.eigvalsh(patches.T @ patches / len(patches))
    assert float(variances.max() / variances.min()) > 5
    model.init_from_data(x)
    output = model.whiten(x).transpose(0, 1).flatten(1)
    found = output[:12] @ output[:12].T / len(patches)
    torch.testing.assert_close(found, torch.diag(variances / (variances + LEAST)))
    torch.testing.assert_close(found, torch.eye(12).double(), atol=0.01, rtol=0)
    assert torch.equal(output[12:], -output[:12])


class Pictures(Dataset[Any]):
    """Pictures that hold their row."""

    classes = ("a", "b")

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.full((1, 4, 4), float(row)), row % 2


class Looking(nn.Linear):
    """Remembers what it was given to begin from."""

    given: ClassVar[list[Tensor]] = []

    def __init__(self, num_classes: int) -> None:
        super().__init__(16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))

    def init_from_data(self, inputs: Tensor) -> None:
        assert not torch.is_grad_enabled()
        nn.init.normal_(self.weight)
        self.given.append(inputs)


def test_a_model_begins_from_the_first_rows_of_the_first_epoch_however_they_are_read() -> None:
    weights = []
    for words in ([], ["loader.in_memory=true"], ["loader.num_workers=1"]):
        run, setup = build(config(*OWN, "seed=4", *words))
        (given,) = Looking.given
        Looking.given.clear()
        order = seeds.permutation(48, seeds.derive(4, "order", 0))
        assert torch.equal(given[:, 0, 0, 0], setup.splits.train.part.rows[order].float())
        weights.append(run.model.weight)
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


class Failing(Looking):
    def init_from_data(self, inputs: Tensor) -> None:
        raise RuntimeError("no eigenvalues")


def test_a_start_from_the_data_that_fails_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"Failing\.init_from_data failed on 48 rows: .*no eigenvalues"):
        build(config(*OWN[:-1], "model._target_=test_models.Failing"))


@pytest.mark.slow
def test_two_processes_fit_the_same_layer_as_one(tmp_path: Path) -> None:
    layers = []
    for name, nproc in (("one", 1), ("two", 2)):
        assert attempt(tmp_path / name, plain(*WIDE, "epochs=1", f"nproc={nproc}")) == 0
        layers.append(load_file(tmp_path / name / "model.safetensors")["whiten.weight"])
    assert torch.equal(*layers)
    assert float(layers[0].abs().max()) > 1  # no longer the identity
