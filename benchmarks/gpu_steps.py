"""What a step costs on a GPU: checks first, then samples/s of every way to take a step beside loops by hand.

    python benchmarks/gpu_steps.py [--seconds 1] [--jobs NAME …] [--device cuda] [--json FILE]

The checks: no step waits for the GPU between two that are logged; a step as a graph has the bits of the eager step, and
several steps a call those of one. The jobs: an MLP 784-128-10 on MNIST-sized pictures at three batch sizes, the network
of cifar10_fast in bf16, and a GPT of two layers. The loops by hand train the same model on the same rows in memory of
the device, with a fused optimizer and no number read back. Each job has a process of its own, and so have peers; ratios
are to the plain loop. On the CPU the script runs without what needs a GPU, to try it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(Path.cwd())]  # the last: of the classes of a job

import cifar10_fast  # noqa: E402
import peers  # noqa: E402

from trainer.build.build import build  # noqa: E402
from trainer.config import compose, files, source  # noqa: E402
from trainer.config.schema import Config  # noqa: E402
from trainer.diagnosis.step_times import measure  # noqa: E402
from trainer.events import Stepped  # noqa: E402
from trainer.loop import train  # noqa: E402

MLP = ["dataset=own", "dataset._target_=job.Pictures", "optimizer=adam"]
CNN = ["experiment=cifar10_fast", "dataset=npz", "dataset.path=cifar.npz", "dataset.val_fraction=0", "augment=none"]
CNN += ["ema=null", "loader.batch_size=512"]
JOBS = {  # by name: the folder with its classes and configs, and its words
    "MLP, batch 64": ("benchmarks/peers", [*MLP, "loader.batch_size=64"]),
    "MLP, batch 512": ("benchmarks/peers", [*MLP, "loader.batch_size=512"]),
    "MLP, batch 8192": ("benchmarks/peers", [*MLP, "loader.batch_size=8192"]),
    "CNN, bf16, batch 512": (".", CNN),
    "GPT, 2 layers, batch 32": ("examples/char_gpt", ["experiment=char_gpt", "loader.in_memory=true"]),
}
WAYS = ["graph=false", "graph=true", "compile=step compiler.steps=1", "compile=step compiler.steps=8", "compile=model"]
PEERS = {"Lightning": "lightning", "JAX scan": "jax"}  # of the MLP, and the package that each needs
PICTURES = 20_000  # of the CNN
WAITS = {
    "eager": ["graph=false"],
    "graph": [],
    "DataLoader": ["loader.in_memory=false", "graph=false"],
    "eight steps a call": ["compile=step", "compiler.steps=8"],
}
SAME_BITS = {
    "MLP, dropout, cosine": ["dataset=digits", "model.dropout=0.3", "scheduler=cosine", "epochs=3"],
    "CNN, bf16": ["dataset=digits", "dataset.val_fraction=0.5", "model=cnn", "autocast=bf16", "epochs=2"],
    "accumulate, clipped": ["dataset=digits", "accumulate=3", "clip_grad_norm=0.5", "epochs=3"],
    "SGD, average": ["dataset=digits", "optimizer=sgd", "optimizer.momentum=0.9", "ema=0.9", "epochs=2"],
    "from a DataLoader": ["dataset=digits", "loader.in_memory=false", "epochs=2"],
}
CALLS = {  # of eight steps: one graph, and eight launches of one step's
    "": ["dataset=digits", "compile=step", "scheduler=cosine", "epochs=3"],
    ", dropout": ["dataset=digits", "compile=step", "scheduler=cosine", "model.dropout=0.3", "epochs=3"],
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


def calls_have_the_bits(device: str, words: list[str]) -> str:
    """Compare a run with eight steps a call and one with one."""
    several, one = losses(device, *words, "compiler.steps=8"), losses(device, *words, "compiler.steps=1")
    if one[2] is not None:
        return f"not compiled: {one[2]}"
    same = all(torch.equal(a, b) for a, b in zip(several[1], one[1], strict=True))
    return "ok" if same and several[0] == one[0] else "OTHER BITS"


def waits(device: str, *words: str) -> str:
    """Take steps while torch reports whatever waits for the device as an error."""
    common = ["dataset=digits", "log_every=50", "eval_every=200steps", "epochs=10", "report=false"]
    run, _ = build(composed(*common, f"device={device}", *words).check())
    for event in train(run):
        if isinstance(event, Stepped) and event.step in (60, 99) and device == "cuda":
            torch.cuda.set_sync_debug_mode("error" if event.step == 60 else "default")
        if isinstance(event, Stepped) and event.step == 100:
            return "ok"
    return "too short"


def plain(config: Config) -> Iterator[int]:
    """The loop by hand: yields the rows of each step."""
    loader, batches, step = by_hand(config)
    while True:
        for rows in batches():
            step(*loader.load(rows))
            yield len(rows)


def recorded(config: Config) -> Iterator[int]:
    """The same with its step recorded as a CUDA graph by hand."""
    loader, batches, step = by_hand(config)
    rows, graph, stream = next(iter(batches())).clone(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(*loader.load(rows))
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        step(*loader.load(rows))
    while True:
        for chosen in batches():
            rows.copy_(chosen)
            graph.replay()
            yield len(rows)


def by_hand(config: Config) -> tuple[Any, Callable[[], Sequence[torch.Tensor]], Callable[[Any, Any], None]]:
    """(Rows in memory, a function that draws the full batches of an epoch, a function that takes a step on one)."""
    run, _ = build(config)
    model, loss_fn, loader, size = run.model, run.loss, run.train_batches.loader, config.loader.batch_size
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    num_rows = run.train_batches.num_rows

    def batches() -> Sequence[torch.Tensor]:
        return torch.randperm(num_rows, device=run.device).split(size)[: num_rows // size]

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        with run.autocast():
            loss = loss_fn(model(x), y, x)
        loss.backward()
        optimizer.step()

    model.train()
    return loader, batches, step


def rate(loop: Iterator[int], device: str, seconds: float) -> float:
    """Samples/s of a loop by hand."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(20):
        next(loop)
    wait()
    begun, taken = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        taken += next(loop)
    wait()
    return taken / (time.perf_counter() - begun)


def timed(words: list[str], device: str, seconds: float) -> dict[str, float | str]:
    """Samples/s of every way, or why there is none. Within the job's folder."""
    words = [*words, f"device={device}", "report=false"]
    config = composed(*words, "graph=false" if device == "cuda" else "graph=auto").check()
    found: dict[str, float | str] = {"by hand": rate(plain(config), device, seconds)}
    if device == "cuda":
        found["by hand, recorded"] = rate(recorded(config), device, seconds)
    for way in WAYS:
        if way != "graph=true" or device == "cuda":
            try:
                measured = measure(composed(*words, *way.split()).data, seconds)
                found[f"trainer {way}"] = measured.note or measured.samples_per_second
            except Exception as error:  # one way that fails must not end the measurement of the others
                found[f"trainer {way}"] = f"{type(error).__name__}: {error}".splitlines()[0]
    if "job.Pictures" in words[1]:
        batch = int(next(word for word in words if "batch_size" in word).partition("=")[2])
        for name in (name for name, package in PEERS.items() if find_spec(package)):
            report = peers.run(name, batch, 3)
            found[name] = report if isinstance(report, str) else peers.rate(report)
    return found


def alone(job: str, device: str, seconds: float) -> dict[str, Any]:
    """What `timed` finds for a job, in a process of its own; nothing if that fails."""
    with tempfile.TemporaryDirectory() as scratch:
        x, y = cifar10_fast.pictures(PICTURES)
        np.savez(Path(scratch) / "cifar.npz", x=x.numpy(), y=y.numpy())
        folder = scratch if JOBS[job][0] == "." else HERE.parent / JOBS[job][0]
        command = [sys.executable, __file__, "--one", "--jobs", job, "--device", device, "--seconds", str(seconds)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        print(f"{job}: {done.stderr.strip().splitlines()[-1]}")
        return {}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> int:
    """Print the checks and a table for each job. Returns 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # time this job alone, in its folder
    args = parser.parse_args()
    if args.one:
        print(json.dumps(timed(JOBS[args.jobs[0]][1], args.device, args.seconds)))
        return 0
    checks = {f"waits for nothing, {name}": waits(args.device, *words) for name, words in WAITS.items()}
    checks |= {f"bits, {name}": has_the_bits(args.device, words) for name, words in SAME_BITS.items()}
    checks |= {f"bits, eight steps a call{name}": calls_have_the_bits(args.device, w) for name, w in CALLS.items()}
    for name, said in checks.items():
        print(f"{name:<44} {said}", flush=True)
    tables = {}
    for job in args.jobs:
        tables[job] = found = alone(job, args.device, args.seconds)
        if not found:
            continue
        plain_speed = found["by hand"]
        print(f"{job:<42}{'samples/s':>12}{'ratio':>8}")
        for name, speed in found.items():
            numbers = speed if isinstance(speed, str) else f"{speed:>12,.0f}{speed / plain_speed:>8.2f}"
            print(f"  {name:<40}{numbers}", flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps({"checks": checks, "samples/s": tables}, indent=1))
    return int(set(checks.values()) != {"ok"} or not all(tables.values()))


if __name__ == "__main__":
    sys.exit(main())
