"""trainer profile: sums computed by hand, a model whose time and memory are known, and what is left behind."""

import gzip
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import config

from trainer.build.build import build
from trainer.cli import main
from trainer.diagnosis import marks, profiled, trace
from trainer.diagnosis.profiled import BACKWARD, Spent
from trainer.events import Stepped
from trainer.loop import train

QUICK = ["dataset=iris", "threads=1", "device=cpu", "loader.batch_size=16"]

SLEEPY = '''
import time
import torch
from torch import nn


class Pause(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        time.sleep(0.004)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(0.009)
        return gradient


class Sleepy(nn.Module):
    """4 ms in forward and 9 ms in backward."""

    def forward(self, x):
        return Pause.apply(x)


class Large(nn.Module):
    """Holds 8 MB for a moment of forward."""

    def forward(self, x):
        return x + torch.ones(2_000_000).mean()


class Net(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.first, self.sleepy = nn.Linear(in_features, 8), Sleepy()
        self.large, self.last = Large(), nn.Linear(8, out_features)

    def forward(self, x):
        return self.last(self.large(self.sleepy(self.first(x))))
'''


def seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"s": 1, "ms": 1e-3, "µs": 1e-6}[unit]


def times(out: str) -> dict[str, float]:
    """The seconds of each line of the tables."""
    found = re.findall(r"^(\S.*?) {2,}([\d.]+ [mµ]?s) +[\d.]+% +[\d.]+$", out, re.M)
    return {name: seconds(text) for name, text in found}


def test_a_model_whose_time_and_memory_are_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    assert main(["profile", *QUICK, "model=own", "model._target_=sleepy.Net", "--steps", "4"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert max(map(len, said.out.splitlines())) <= 78
    found = times(said.out)
    assert 4e-3 < found["forward"] < 0.5
    assert 9e-3 < found["backward"] < 0.5
    assert found["sleepy (Sleepy)"] > 13e-3  # forward and backward
    modules = [name for name in found if name.endswith(")")]
    assert modules[0] == "sleepy (Sleepy)"
    assert sorted(modules) == [
        "first (Linear)",
        "large (Large)",
        "last (Linear)",
        *modules[:1],
        "the model itself (Net)",
    ]
    assert found["the model itself (Net)"] < 4e-3  # without those in it
    assert list(found)[:7] == [*marks.VERBS, "the rest"]
    assert re.search(r"^memory   up to [89]\.\d\d MB beyond the start of a step, in forward$", said.out, re.M)
    step = seconds(re.search(r"^step +([\d.]+ \w+);", said.out, re.M)[1])
    assert 13e-3 < step < 0.5
    (path,) = (path for path in (tmp_path / "outputs").rglob("*") if path.is_file())  # no run, no link
    assert path.relative_to(tmp_path).as_posix() in said.out.replace("\n         ", "")
    stored = json.loads(gzip.decompress(path.read_bytes()))
    assert not stored.keys() & {"host_name", "traceName"}
    names = [event["name"] for event in stored["traceEvents"] if event.get("cat") == "user_annotation"]
    assert [names.count(name) for name in (*marks.VERBS, "module sleepy (Sleepy)")] == [4] * 7
    levels = [event["args"]["bytes"] for event in stored["traceEvents"] if event["ph"] == "C"]
    assert max(levels) - min(levels) > 8e6


def test_the_marks_change_no_bit() -> None:
    weights = []
    for marked in (False, True):
        run, _ = build(config(*QUICK, "epochs=2", "accumulate=2", "clip_grad_norm=1", "model.dropout=0.3"))
        if marked:
            marks.mark(run)
        losses = [event.loss.item() for event in train(run) if isinstance(event, Stepped)]
        weights.append([*losses, *(value.clone() for value in run.model.state_dict().values())])
    assert len(weights[0]) > 8
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(*weights, strict=True))


def event(name: str, start: float, end: float, parent: object = None, **more: object) -> SimpleNamespace:
    """An event as torch's profiler has them, in microseconds; kernels: their durations; gpu: whether it is one."""
    kernels = [SimpleNamespace(duration=duration) for duration in more.get("kernels", ())]
    made = SimpleNamespace(
        name=name, time_range=SimpleNamespace(start=start, end=end), cpu_parent=parent, kernels=kernels, is_async=False,
        device_type=SimpleNamespace(name="CUDA" if more.get("gpu") else "CPU"), sequence_nr=more.get("number", -1),
        is_user_annotation=name in marks.VERBS or name.startswith("module "), self_cpu_time_total=end - start,
    )  # fmt: skip
    if parent is not None:
        parent.self_cpu_time_total -= end - start
    return made


def test_sums_of_a_step_on_a_gpu_by_hand() -> None:
    """Two modules, one in the other; backward in a thread of its own; the CPU waits once; kernels overlap."""
    outer = event("module net (Net)", 110, 190, forward := event("forward", 100, 200))
    inner = event("module net.a (Linear)", 120, 160, outer)
    linear = event("aten::linear", 130, 150, inner, number=7)
    kernel = event("aten::addmm", 140, 150, linear, number=8, kernels=[50])
    relu = event("aten::relu", 170, 180, outer, number=9, kernels=[10])
    backward = event("backward", 300, 500)
    relu_node = event(f"{BACKWARD}ReluBackward0", 310, 340, number=9)
    node = event(f"{BACKWARD}AddmmBackward0", 350, 400, number=8)
    other = event(f"{BACKWARD}Other", 410, 420, number=99)
    mm = event("aten::mm", 360, 380, node, kernels=[30, 40])
    item = event("aten::item", 450, 490, backward)
    sync = event("cudaStreamSynchronize", 455, 485, item)
    own = [event("data", 0, 50), event("zero_grad", 50, 60), event("loss", 200, 300), event("step", 500, 600)]
    gpu = [event("k1", 145, 195, gpu=True), event("k2", 185, 205, gpu=True), event("k3", 590, 620, gpu=True)]
    late = event("aten::late", 610, 800, kernels=[1000])  # after the last step
    ours = [forward, outer, inner, linear, kernel, relu, backward, relu_node, node, other, mm, item, sync]
    found = profiled.summed([late, *gpu, *own, *ours], 1)
    us = 1e-6
    assert found.step == pytest.approx(620 * us)
    assert {name: round(one.cpu / us) for name, one in found.verbs.items()} == {
        "data": 50, "zero_grad": 10, "forward": 100, "loss": 100, "backward": 200, "step": 100, "the rest": 60,
    }  # fmt: skip
    assert found.verbs["forward"].gpu == pytest.approx(60 * us)
    assert found.verbs["backward"].gpu == pytest.approx(70 * us)
    net, a = found.modules["net (Net)"], found.modules["net.a (Linear)"]
    assert (net.cpu, net.gpu, net.calls) == pytest.approx((80 * us - 40 * us + 30 * us, 10 * us, 1))
    assert (a.cpu, a.gpu, a.calls) == pytest.approx((40 * us + 50 * us, 120 * us, 1))
    assert found.operators["aten::mm"] == Spent(pytest.approx(20 * us), pytest.approx(70 * us), 1)
    assert "aten::late" not in found.operators
    assert {name: round(one.cpu / us) for name, one in found.syncs.items()} == {"aten::item": 30}
    assert found.gpu_busy == pytest.approx((60 + 30) * us)  # 145 to 205, and 590 to 620, which is the end
    dearest = profiled.most_expensive(found.operators, 2, on_gpu=True)
    assert [name for name, _ in dearest] == ["aten::mm", "aten::addmm"]


def test_the_timeline_of_a_gpu_is_what_torch_has_allocated() -> None:
    spans = [("zero_grad", 0, 5), ("forward", 5, 20), ("zero_grad", 100, 105), ("forward", 105, 120)]
    spans.append(("backward", 120, 150))
    events = [{"cat": "user_annotation", "name": name, "ts": a, "dur": b - a} for name, a, b in spans]
    for time, kind, total in ((2, 1, 10), (107, 1, 50), (110, 0, 999), (130, 1, 70), (140, 1, 30), (400, 1, 500)):
        events.append(
            {"name": "[memory]", "ts": time, "args": {"Device Type": kind, "Total Allocated": total, "Bytes": 1}}
        )
    found = trace.timeline({"traceEvents": events}, on_gpu=True)
    assert found.points == [(0, 10), (pytest.approx(7e-6), 50), (pytest.approx(30e-6), 70), (pytest.approx(40e-6), 30)]
    assert (found.peak, found.verb) == (70, "backward")
    assert trace.timeline({"traceEvents": events[:5]}, on_gpu=True) is None


def test_slips(capsys: pytest.CaptureFixture[str]) -> None:
    for words, text in {
        "--steps 0": "not a number from 1 to 1,000",
        "optimizer.lr=1,2": "several values make a sweep",
    }.items():
        assert main(["profile", *QUICK, *words.split()]) == 2
        assert text in capsys.readouterr().err
    assert main(["profile", *QUICK, "optimizer=sgd", "optimizer.lr=1e30", "--steps", "2"]) == 1
    assert "trainer lr-find" in capsys.readouterr().err
    assert not Path("outputs").exists()
