"""Timed steps end when the device has done its work, on each kind of device."""

import pytest
import torch

from trainer import device
from trainer.diagnosis import plan, step_times


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_clock_waits_for_the_device(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """bench used to know CUDA alone, so it timed unfinished work on MPS."""
    waited = []
    monkeypatch.setattr(getattr(torch, kind), "synchronize", lambda *_: waited.append(kind))
    for module in (plan, step_times):
        module.synchronize(torch.device(kind))
    device.synchronize(torch.device("cpu"))
    assert waited == [kind] * 2
