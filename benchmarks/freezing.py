"""What freezing and averaging cost or spare: milliseconds a step, and bytes of gradients and of the optimizer's state.

python benchmarks/freezing.py [steps]

The variants take turns, so that a change in the machine's speed meets all of them; the figure is the median of a step.
"""

import statistics
import sys
import time

from trainer.build.build import build
from trainer.config import files
from trainer.config.compose import compose
from trainer.config.source import Source
from trainer.events import Stepped
from trainer.loop import train

BASE = ["model.hidden=[1024,1024,1024]", "epochs=1000", "eval_every=1000epochs", "threads=1", "device=cpu"]
VARIANTS = {
    "all trained": [],
    "all but the last layer frozen": ["freeze=[layers.0,layers.2,layers.4]"],
    "ema=0.999": ["ema=0.999"],
    "frozen, ema=0.999": ["freeze=[layers.0,layers.2,layers.4]", "ema=0.999"],
}
TURNS = 5


def main() -> None:
    """Print a line for each variant."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    runs = {name: build(compose(Source([*BASE, *words], files.roots())).check())[0] for name, words in VARIANTS.items()}
    events = {name: train(run) for name, run in runs.items()}
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TURNS):
        for name, stream in events.items():
            for _ in range(steps):
                begun = time.perf_counter()
                while not isinstance(next(stream), Stepped):
                    pass
                spent[name].append(time.perf_counter() - begun)
    print(f"{'':<30}{'ms a step':>10}{'gradients':>12}{'optimizer':>12}{'average':>12}  bytes")
    for name, run in runs.items():
        gradients = sum(p.grad.nbytes for p in run.model.parameters() if p.grad is not None)
        state = sum(value.nbytes for entry in run.optimizer.state.values() for value in entry.values())
        average = sum(tensor.nbytes for tensor in run.average.tensors.values())
        milliseconds = 1e3 * statistics.median(spent[name])
        print(f"{name:<30}{milliseconds:>10.2f}{gradients:>12,}{state:>12,}{average:>12,}")


main()
