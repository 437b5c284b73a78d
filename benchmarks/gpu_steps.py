"""What a step costs on a GPU: checks first, then samples/s of every way to take a step beside loops by hand.

    python benchmarks/gpu_steps.py [--seconds 1] [--batch 64 512 8192] [--device cuda] [--json FILE]

The checks: no step waits for the GPU between two that are logged; a step as a graph has the bits of the eager step. The
table: an MLP 784-128-10 with Adam on 60,000 MNIST-sized pictures on the device. The loops by hand gather from memory of
the GPU, have a fused Adam, and read no number back. The ways take turns in one process; ratios are to the plain loop.
On the CPU the script runs without what needs a GPU, to try it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "peers")]

import job  # noqa: E402

from trainer.build.build import build  # noqa: E402
from trainer.config import compose, files, source  # noqa: E402
from trainer.diagnosis.step_times import measure  # noqa: E402
from trainer.events import Stepped  # noqa: E402
from trainer.loop import train  # noqa: E402

PICTURES = ["dataset=own", "dataset._target_=job.Pictures", "optimizer=adam", f"optimizer.lr={job.LR}", "report=false"]
WAYS = {
    "trainer graph=false": ["graph=false"],
    "trainer": [],
    "trainer compile=step": ["compile=step"],
    "trainer compile=model": ["compile=model"],
}
WAITS = {"eager": ["graph=false"], "graph": [], "DataLoader": ["loader.in_memory=false", "graph=false"]}
SAME_BITS = {
    "MLP, dropout, cosine": ["dataset=digits", "model.dropout=0.3", "scheduler=cosine", "epochs=3"],
    "CNN, bf16": ["dataset=digits", "dataset.val_fraction=0.5", "model=cnn", "autocast=bf16", "epochs=2"],
    "accumulate, clipped": ["dataset=digits", "accumulate=3", "clip_grad_norm=0.5", "epochs=3"],
    "SGD, average": ["dataset=digits", "optimizer=sgd", "optimizer.momentum=0.9", "ema=0.9", "epochs=2"],
    "from a DataLoader": ["dataset=digits", "loader.in_memory=false", "epochs=2"],
}


def composed(*words: str) -> Any:
    """The config of these words."""
    return compose.compose(source.Source(list(words), files.roots()))


def losses(device: str, *words: str) -> tuple[list[float], list[torch.Tensor], str | None]:
    """(The losses of all steps, the weights, why steps are not recorded) of a run."""
    run, _ = build(composed("report=false", f"device={device}", *words).check())
    found = [event.loss for event in train(run) if isinstance(event, Stepped)]
    step = getattr(run.step, "step", run.step)
    return torch.stack(found).tolist(), list(run.model.parameters()), getattr(step, "obstacle", "it is the plain step")


def has_the_bits(device: str, words: list[str]) -> str:
    """Compare a run with graphs, twice, and one without."""
    first, weights, obstacle = losses(device, *words)
    again, eager = losses(device, *words), losses(device, *words, "graph=false")
    if obstacle is not None and device == "cuda":
        return f"not recorded: {obstacle}"
    same = all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(weights, again[1], eager[1], strict=True))
    return "ok" if same and first == again[0] == eager[0] else "OTHER BITS"


def waits(device: str, *words: str) -> str:
    """Take steps while torch reports whatever waits for the device as an error."""
    config = composed("dataset=digits", f"device={device}", "log_every=50", "report=false", "epochs=10", *words).check()
    run, _ = build(config)
    for event in train(run):
        if isinstance(event, Stepped) and event.step in (60, 99) and device == "cuda":
            torch.cuda.set_sync_debug_mode("error" if event.step == 60 else "default")
        if isinstance(event, Stepped) and event.step == 100:
            return "ok"
    return "too short"


def plain(device: str, batch: int) -> Iterator[None]:
    """The loop by hand: yields after each step."""
    x, y, _, _ = (part.to(device) for part in job.tensors(False))
    model = job.mlp(784).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=job.LR, fused=True)
    while True:
        for rows in torch.randperm(len(x), device=device).split(batch)[: len(x) // batch]:
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            yield


def recorded(device: str, batch: int) -> Iterator[None]:
    """The same with its step recorded as a CUDA graph by hand."""
    x, y, _, _ = (part.to(device) for part in job.tensors(False))
    model = job.mlp(784).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=job.LR, fused=True)
    rows, graph = torch.arange(batch, device=device), torch.cuda.CUDAGraph()

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        step()
    while True:
        for chosen in torch.randperm(len(x), device=device).split(batch)[: len(x) // batch]:
            rows.copy_(chosen)
            graph.replay()
            yield


def rate(steps: Callable[[str, int], Iterator[None]], device: str, batch: int, seconds: float) -> float:
    """Samples/s of a loop by hand."""
    loop, wait = steps(device, batch), torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(20):
        next(loop)
    wait()
    begun, taken = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        next(loop)
        taken += 1
    wait()
    return taken * batch / (time.perf_counter() - begun)


def timed(device: str, batch: int, seconds: float) -> dict[str, float]:
    """Samples/s of every way."""
    by_hand = {"by hand": plain} | ({"by hand, recorded": recorded} if device == "cuda" else {})
    found = {name: rate(steps, device, batch, seconds) for name, steps in by_hand.items()}
    for name, words in WAYS.items():
        data = composed(*PICTURES, f"device={device}", f"loader.batch_size={batch}", *words).data
        found[name] = measure(data, seconds).samples_per_second
    return found


def main() -> int:
    """Print the checks and a table for each batch size. Returns 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 512, 8192])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    checks = {f"waits for nothing, {name}": waits(args.device, *words) for name, words in WAITS.items()}
    checks |= {f"bits, {name}": has_the_bits(args.device, words) for name, words in SAME_BITS.items()}
    for name, said in checks.items():
        print(f"{name:<44} {said}", flush=True)
    tables = {}
    for batch in args.batch:
        tables[batch] = found = timed(args.device, batch, args.seconds)
        print(f"{f'batch {batch}':<28}{'samples/s':>14}{'ratio':>8}")
        for name, speed in found.items():
            print(f"{name:<28}{speed:>14,.0f}{speed / found['by hand']:>8.2f}", flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps({"checks": checks, "samples/s": tables}, indent=1))
    return int(set(checks.values()) != {"ok"})


if __name__ == "__main__":
    sys.exit(main())
