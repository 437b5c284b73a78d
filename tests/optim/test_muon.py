"""Muon takes matrices and convolutions, AdamW the rest; two processes agree with one as far as bfloat16 allows."""

from pathlib import Path

import pytest
import torch
from conftest import config
from safetensors.torch import load_file
from torch import Tensor, nn

from trainer.build.build import build
from trainer.cli import main
from trainer.optim import groups, muon
from trainer.optim.muon import Muon

CNN = ("dataset=digits", "model=cnn", "model.channels=[4,8]", "optimizer=muon")


def stepped(parameter: nn.Parameter, optimizer: torch.optim.Optimizer, gradients: list[Tensor]) -> Tensor:
    for gradient in gradients:
        parameter.grad = gradient.clone(memory_format=torch.preserve_format)
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("adjust_lr_fn", ["match_rms_adamw", "original"])
def test_a_kernel_moves_as_torchs_matrix_does(memory_format: torch.memory_format, adjust_lr_fn: str) -> None:
    """The flattened kernel under torch.optim.Muon; in another order in memory, the same up to bfloat16's rounding."""
    generator = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(6, 3, 2, 5, generator=generator) for _ in range(4))
    settings = {"lr": 0.1, "weight_decay": 0.1, "adjust_lr_fn": adjust_lr_fn}
    matrix = nn.Parameter(start.flatten(1).clone())
    theirs = torch.optim.Muon([matrix], **settings)
    wanted = stepped(matrix, theirs, [g.flatten(1) for g in gradients])
    kernel = nn.Parameter(start.clone(memory_format=memory_format))
    ours = Muon([kernel], **settings)
    found = stepped(kernel, ours, gradients).flatten(1)
    moved = (wanted - start.flatten(1)).abs().max()
    if memory_format is torch.contiguous_format:
        assert torch.equal(found, wanted)
    assert (found - wanted).abs().max() < 0.02 * moved
    mean = ours.state[kernel]["momentum_buffer"]
    assert torch.equal(mean.flatten(1), theirs.state[matrix]["momentum_buffer"])
    assert mean.stride() == kernel.stride()


class Words(nn.Module):
    """An embedding, two hidden layers with a norm, a head that is may be tied to the embedding."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.conv, self.norm, self.hidden = nn.Conv1d(8, 8, 3), nn.LayerNorm(8), nn.Linear(8, 8)
        self.position = nn.Parameter(torch.zeros(1, 4, 8))
        self.head = nn.Linear(8, 20)
        if tied:
            self.head.weight = self.embed.weight


def test_embeddings_the_head_norms_and_biases_take_adamw() -> None:
    def by_muon(adamw: object = "auto", **kwargs: bool) -> list[str]:
        model = Words(**kwargs)
        node = {"_target_": groups.MUON, "lr": 0.01, "weight_decay": 0.1, "adamw": adamw}
        found = groups.split(node, model, dict(model.named_parameters()))
        assert [group.node["_target_"] for group in found] == [groups.MUON, groups.ADAMW]
        assert found[1].name.endswith("vectors")
        assert sum(len(group.parameters) for group in found) == len(list(model.parameters()))
        return list(found[0].parameters)

    assert muon.for_adamw(Words()) == ["embed", "head"]
    assert by_muon() == ["conv.weight", "hidden.weight"]
    assert by_muon(["embed", "conv"]) == ["hidden.weight", "head.weight"]
    assert by_muon([]) == ["embed.weight", "conv.weight", "hidden.weight", "head.weight"]
    assert by_muon(tied=True) == ["conv.weight", "hidden.weight"]  # the head is the embedding


def test_a_network_learns_and_plan_shows_who_updates_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *CNN, "epochs=1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["matrices", "324", "0.01", "0.01", "Muon"] in lines
    assert ["classifier.3,", "vectors", "80", "0.01", "0.01", "AdamW"] in lines
    run, _ = build(config(*CNN))
    assert groups.count(groups.rows(run.optimizer)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "most"), [("float64", 1e-9), ("float32", 0.3)])
def test_two_processes_agree_with_one(dtype: str, most: float, tmp_path: Path) -> None:
    """After two epochs, as a share of the way that training moved a parameter. Torch orthogonalises in bfloat16: two
    processes add up gradients in another order, and a last bit that rounds another way to bfloat16 moves an element of
    the update by 1%. In float64 that bit is far below bfloat16's: 5e-16 measured; in float32 it is not: 0.16."""
    words = ["dataset=digits", "model.hidden=[64,64]", "optimizer=muon", "epochs=2", "report=false", f"dtype={dtype}"]
    found = {}
    for nproc in (1, 2):
        folder = tmp_path / str(nproc)
        assert main(["train", *words, "threads=1", "device=cpu", f"nproc={nproc}", f"output_dir={folder}"]) == 0
        found[nproc] = load_file(folder / "latest/model.safetensors")
    start, _ = build(config(*words))
    shares = [
        float((found[1][name] - found[2][name]).abs().max() / (found[1][name] - p.detach()).abs().max())
        for name, p in start.model.named_parameters()
    ]
    assert max(shares) < most, shares
