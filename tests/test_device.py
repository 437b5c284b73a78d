"""Devices: the choice of auto, and the answer to an explicit device, with torch's answers faked."""

import os

import pytest
import torch
from torch import nn

from trainer import device, kernels
from trainer.data.loaders import InMemory
from trainer.data.scaling import Cast
from trainer.errors import ConfigError
from trainer.processes.ranks import Ranks


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU number {index}")


@pytest.mark.usefixtures("two_gpus")
def test_auto_takes_the_gpu_and_says_so() -> None:
    assert device.choose_device("auto") == (torch.device("cuda", 0), "auto: GPU number 0")
    assert device.choose_device("cuda:1") == (torch.device("cuda", 1), "GPU number 1")
    with pytest.raises(ConfigError, match="there are 2 GPUs"):
        device.choose_device("cuda:2")


def test_the_only_gpu_is_one(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="device=cuda:1: the only GPU is cuda:0"):
        device.choose_device("cuda:1")
    with pytest.raises(ConfigError, match=r"which has 1 GPU$"):
        Ranks(0, 2, 0, 2).device(torch.device("cuda", 0), "cuda")


def test_deterministic_kernels_are_asked_for_on_cuda_alone_and_only_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as compiler

    monkeypatch.setenv(kernels.WORKSPACE, ":16:8")  # set by the user

    def flags() -> tuple[object, ...]:
        memory, cudnn = torch.utils.deterministic.fill_uninitialized_memory, torch.backends.cudnn.benchmark
        kinds = torch.get_deterministic_debug_mode(), memory, cudnn, compiler.deterministic
        return *kinds, os.environ[kernels.WORKSPACE]

    def choose(device: str, *, is_deterministic: bool = True, is_compiled: bool = False) -> None:
        how = {"is_deterministic": is_deterministic, "is_compiled": is_compiled}
        kernels.choose(torch.device(device), **how, matmul="highest")

    before = flags()
    assert before == (0, True, False, False, ":16:8")
    with kernels.kept():
        choose("cpu", is_compiled=True)
        choose("cpu", is_deterministic=False)
        assert flags() == before
        choose("cuda:1", is_deterministic=False)
        assert flags() == (0, True, True, False, ":16:8")
        choose("cuda:1")
        assert flags() == (1, False, False, False, ":16:8")
        choose("cuda:1", is_compiled=True)
        assert flags() == (1, False, False, True, ":16:8")
    assert flags() == before


@pytest.mark.parametrize(("version", "reason"), [(None, "built without CUDA"), ("13.0", "no NVIDIA GPU or driver")])
def test_a_missing_device_is_refused(version: str | None, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=reason) as caught:
        device.choose_device("cuda")
    assert "device=cpu" in (caught.value.hint or "")
    chosen, why = device.choose_device("auto")
    assert chosen.type in ("cpu", "mps")
    assert chosen.type == "mps" or reason in why


def test_denormals_are_flushed() -> None:
    device.prepare_cpu()
    assert float(torch.tensor([1e-39]) * 1.0) == 0.0


def test_the_cuda_generator_is_seeded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = (torch.Generator(), torch.Generator())
    monkeypatch.setattr(torch.cuda, "default_generators", fakes)
    device.seed_generator(torch.device("cuda", 1), 77)
    assert [generator.initial_seed() == 77 for generator in fakes] == [False, True]
    assert torch.initial_seed() == 77


def test_fp16_on_mps_is_refused_and_a_scaler_comes_with_fp16_alone() -> None:
    with pytest.raises(ConfigError, match="MPS"):
        device.make_autocast(torch.device("mps"), "fp16")
    assert device.make_scaler(torch.device("cpu"), "fp16").is_enabled()
    assert not device.make_scaler(torch.device("cpu"), "bf16").is_enabled()


def test_autocast_covers_the_forward() -> None:
    layer, x = nn.Linear(3, 2), torch.rand(4, 3)
    for precision, dtype in (("bf16", torch.bfloat16), ("none", torch.float32)):
        with device.make_autocast(torch.device("cpu"), precision)():
            assert layer(x).dtype == dtype


def test_batches_reach_another_device_in_one_copy_an_epoch_and_as_floats_it_can_hold() -> None:
    meta, x = torch.device("meta"), torch.rand(10, 3, dtype=torch.float64)
    scale = Cast(torch.float32)
    loader = InMemory(x, torch.arange(10), scale, None, meta)
    parts = list(loader.fetch(torch.arange(10).split(4), 0))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert {part.untyped_storage()._cdata for part in parts} == {parts[0].untyped_storage()._cdata}
    batch, labels = loader.load(parts[0])
    assert (batch.device.type, batch.dtype, batch.shape) == ("meta", torch.float32, (4, 3))
    assert (labels.device.type, labels.dtype) == ("meta", torch.int64)
