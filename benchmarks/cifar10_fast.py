"""Seconds an epoch of `experiment=cifar10_fast` beside PyPI's airbench, on the same tensors of CIFAR-10's shape.

    pip install airbench
    python benchmarks/cifar10_fast.py [--pictures 50000] [--batch 1024] [--rounds 3] [key=value …]

On a GPU: airbench's own training, against trainer with compile=none and with compile=step. On a CPU: airbench's network
in a loop by hand, in float32 and on all cores, against trainer; a few hundred pictures will do (--pictures 512 --batch
128), and the seconds are of as many as CIFAR-10 has. The ways take turns, an epoch each. `of work` compares the seconds
of all cores together, which others' work on the machine changes less. The pictures are made: ten patterns under noise,
which a network learns; none is of CIFAR-10.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.build.build import build
from trainer.config import compose, files, source
from trainer.config.check import check
from trainer.events import Stepped
from trainer.loop import train

NUM_PICTURES = 50_000  # that CIFAR-10 trains on
MOST = {"compile=none": 1.3, "compile=step": 1.1, "cpu": 1.05}  # times as long as airbench: what we claim


def pictures(number: int) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, 32, 32) uint8 and labels (N,) int64."""
    draw = torch.Generator().manual_seed(0)
    patterns = F.interpolate(torch.rand(10, 3, 8, 8, generator=draw), scale_factor=4)
    y = torch.randint(0, 10, (number,), generator=draw)
    noise = torch.rand(number, 3, 32, 32, generator=draw)
    return (55 * patterns[y] + 200 * noise).to(torch.uint8), y


def epochs_of_trainer(path: Path, batch: int, *words: str) -> Iterator[None]:
    """Train, and yield after each epoch."""
    data = ["dataset=npz", f"dataset.path={path}", "dataset.val_fraction=0", f"loader.batch_size={batch}"]
    typed = ["experiment=cifar10_fast", *data, "epochs=1000", "eval_every=1000epochs", *words]
    run, _ = build(check(compose.compose(source.Source(typed, files.roots())).data))
    steps = (event for event in train(run) if isinstance(event, Stepped))
    while True:
        for _ in itertools.islice(steps, run.progress.steps_per_epoch):
            pass
        yield


def epochs_by_hand(x: Tensor, y: Tensor, batch: int) -> Iterator[None]:
    """Train airbench's network on the CPU by its own recipe, and yield after each epoch."""
    import airbench
    from airbench import utils

    with mock.patch.object(nn.Module, "cuda", lambda self: self):
        model = airbench.make_net94().float()
    pixels = x.float() / 255
    whole = ((pixels - pixels.mean()) / pixels.std()).to(memory_format=torch.channels_last)
    with torch.no_grad():
        utils.init_whitening_conv(model[0], whole[:1000])
    norms = [p for name, p in model.named_parameters() if "norm" in name and p.requires_grad]
    others = [p for name, p in model.named_parameters() if "norm" not in name and p.requires_grad]
    groups = [{"params": norms, "lr": 96.0}, {"params": others, "lr": 1.5, "weight_decay": 0.00133}]
    optimizer = torch.optim.SGD(groups, momentum=0.85, nesterov=True, fused=True)
    averaged = {name: value.clone() for name, value in model.state_dict().items()}
    padded, step = F.pad(whole, (2,) * 4, "reflect"), 0
    while True:
        augmented = utils.batch_flip_lr(utils.batch_crop(padded, 32)).to(memory_format=torch.channels_last)
        for rows in torch.randperm(len(x)).split(batch)[: len(x) // batch]:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(augmented[rows]), y[rows], label_smoothing=0.2)
            loss.backward()
            optimizer.step()
            step += 1
            if step % 5 == 0:  # as often as airbench looks ahead
                for name, value in model.state_dict().items():
                    if value.is_floating_point():
                        averaged[name].lerp_(value, 0.05)
        yield


def epochs_of_airbench(folder: Path, batch: int) -> Iterator[None]:
    """Let airbench train, and yield after each epoch. It knows only whole trainings, so one epoch is the difference."""
    import airbench

    def whole(epochs: int) -> float:
        loader = airbench.CifarLoader(
            "cifar10", train=True, batch_size=batch, aug={"flip": True, "translate": 2}, altflip=True
        )
        torch.cuda.synchronize()
        begun = time.perf_counter()
        airbench.train94(loader, epochs=epochs, verbose=False)
        torch.cuda.synchronize()
        return time.perf_counter() - begun

    with contextlib.chdir(folder):
        whole(1)
    while True:
        with contextlib.chdir(folder):
            few, many = whole(1), whole(5)
        yield (many - few) / 4


def timed(epochs: Iterator[float | None], on_gpu: bool) -> tuple[float, float]:
    """The seconds of the next epoch on the clock, and of all cores' work."""
    begun, worked = time.perf_counter(), time.process_time()
    said = next(epochs)
    if on_gpu:
        torch.cuda.synchronize()
    spent, work = time.perf_counter() - begun, time.process_time() - worked
    return (spent if said is None else said), work


def store(folder: Path, x: Tensor, y: Tensor) -> Path:
    """Write the pictures as both sides read them. Returns trainer's file."""
    np.savez(folder / "pictures.npz", x=x.numpy(), y=y.numpy())
    (folder / "cifar10").mkdir()
    for name in ("train", "test"):
        said = {"images": x.permute(0, 2, 3, 1).contiguous(), "labels": y, "classes": list("0123456789")}
        torch.save(said, folder / "cifar10" / f"{name}.pt")
    return folder / "pictures.npz"


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=NUM_PICTURES)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    args, words = parser.parse_known_args()
    try:
        import airbench  # noqa: F401
    except ImportError as error:
        sys.exit(f"the other side of the comparison is missing: {error}\n  try: pip install airbench")
    on_gpu = torch.cuda.is_available()
    x, y = pictures(args.pictures)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = store(folder, x, y)
        ways: dict[str, Callable[[], Iterator[float | None]]]
        if on_gpu:
            ways = {"airbench": lambda: epochs_of_airbench(folder, args.batch)}
            for how in ("compile=none", "compile=step"):
                ways[how] = lambda how=how: epochs_of_trainer(path, args.batch, "device=cuda", how, *words)  # type: ignore[misc]
        else:
            cores = os.cpu_count() or 1
            torch.set_flush_denormal(True)
            cpu = ["device=cpu", "autocast=none", f"threads={cores}", *words]
            ways = {
                "airbench": lambda: epochs_by_hand(x, y, args.batch),
                "cpu": lambda: epochs_of_trainer(path, args.batch, *cpu),
            }
        running = {way: make() for way, make in ways.items()}
        seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for number in range(-1, args.rounds):  # the first is not counted
            for way, epochs in running.items():
                if not on_gpu:
                    torch.set_num_threads(os.cpu_count() or 1)
                both = timed(epochs, on_gpu)
                seconds[way] += [both] * (number >= 0)
    scale = NUM_PICTURES / (args.pictures // args.batch * args.batch)
    medians = {
        way: [scale * statistics.median(each) for each in zip(*both, strict=True)] for way, both in seconds.items()
    }
    print(f"{'':<14}{'s an epoch':>12}{'airbench = 1':>14}{'at most':>9}{'of work':>9}")
    for way, (clock, work) in medians.items():
        each = ", ".join(f"{scale * spent:.3g}" for spent, _ in seconds[way])
        of_clock, of_work = (mine / other for mine, other in zip((clock, work), medians["airbench"], strict=True))
        print(f"{way:<14}{clock:>12.3f}{of_clock:>14.2f}{MOST.get(way, ''):>9}{of_work:>9.2f}  {each}")


if __name__ == "__main__":
    main()
