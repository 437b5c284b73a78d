"""The kernels that a run asks for: what they change, that they end with the run, and what opens the run computes as it
did."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from conftest import config
from torch import Tensor, nn
from torch.utils.data import Dataset

import trainer
from trainer import kernels
from trainer.build.build import build
from trainer.config.check import check
from trainer.config.run_config import read_config
from trainer.inference import model as inference
from trainer.loop import train
from trainer.run import header
from trainer.terminal.screen import Screen

CNN = ["model=cnn", "model.channels=[4,8]", "device=cpu", "threads=1", "epochs=1", "report=false"]
FAST = ["channels_last=true", "matmul=medium"]
LOOKING = ["model=own", "model._target_=test_kernels.Looking", *CNN[2:], "dataset=own"]
LOOKING += ["dataset._target_=test_kernels.Pictures"]


def precisions() -> tuple[str, str, str]:
    cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    return torch.get_float32_matmul_precision(), cuda.fp32_precision, cpu.fp32_precision


class Looking(nn.Module):
    """Remembers how its inputs lie in memory, and the precision of matrix products."""

    seen: ClassVar[set[tuple[bool, str]]] = set()

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(in_channels, 6, 3), nn.Linear(6, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add((x.stride(1) == 1, torch.get_float32_matmul_precision()))
        output: Tensor = self.head(self.conv(x).mean((2, 3)))
        return output


class Pictures(Dataset[Any]):
    """Pictures of two channels; with one, both formats are the same."""

    classes = ("a", "b")

    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.arange(32.0).reshape(2, 4, 4) + row, row % 2


@pytest.fixture(autouse=True)
def _kernels_again() -> Iterator[None]:
    with kernels.kept():
        yield


def test_what_is_on_ends_with_the_run() -> None:
    torch.set_float32_matmul_precision("high")  # the session's own
    for words, during in ((FAST, (True, "medium")), ([], (False, "highest"))):
        Looking.seen.clear()
        trainer.train([*LOOKING, *words])
        assert Looking.seen == {during}
        assert precisions() == ("high", "tf32", "tf32")


def test_a_run_without_them_has_no_hook_and_the_format_changes_no_name_and_no_shape() -> None:
    plain, fast = (build(config(*CNN, *words))[0] for words in ([], ["channels_last=true"]))
    assert not plain.model._forward_pre_hooks
    assert len(fast.model._forward_pre_hooks) == 1
    one, other = plain.model.state_dict(), fast.model.state_dict()
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in other.items()}
    assert all(torch.equal(one[name], other[name]) for name in one)
    dense = [value.is_contiguous() for value in other.values() if value.ndim == 4 and value.shape[1] > 1]
    assert dense == [False]
    losses = [[float(event.loss) for event in train(run) if hasattr(event, "lr")] for run in (plain, fast)]
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)


def test_an_evaluation_of_the_stored_run_uses_the_same_kernels() -> None:
    folder = trainer.train([*LOOKING, *FAST]).run_dir
    Looking.seen.clear()
    inference.load(folder, check(read_config(folder))).call(torch.rand(3, 2, 4, 4))
    assert (True, "medium") in Looking.seen


def test_the_header_says_what_is_on(tmp_path: Path) -> None:
    for words, line in ((FAST, "kernels  channels_last, matmul=medium (bf16 at best)"), ([], None)):
        with Screen() as screen:
            screen.open_log(tmp_path / "log")
            header.show(screen, *build(config(*CNN, *words)))
        said = [text for text in (tmp_path / "log").read_text().splitlines() if text.startswith("kernels")]
        assert said == ([line] if line else [])
        (tmp_path / "log").unlink()
