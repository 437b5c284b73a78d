"""How fast a run trained, and what share of that time it waited for data."""

from dataclasses import dataclass

from trainer.config.schema import Loader

MUCH = 0.20  # share of time waiting above which there is a hint
ENOUGH = 1.0  # seconds of training below which the share says little


@dataclass(frozen=True)
class Throughput:
    """seconds: of training steps, without compiling and evaluation; waited: the part of them spent waiting for data."""

    samples: int
    seconds: float
    waited: float

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / max(self.seconds, 1e-9)

    @property
    def waiting(self) -> float:
        """Share of the time, 0 to 1, that the loop waited for data."""
        return min(1.0, self.waited / max(self.seconds, 1e-9))

    def hint(self, loader: Loader, cores: int, *, kept: bool = False) -> str | None:
        """What to type if the loop waits for data too long, or None. kept: whether rows stay in memory once read."""
        if self.waiting <= MUCH or self.seconds < ENOUGH or (kept and loader.workers >= cores):
            return None
        in_memory = "loader.in_memory=true" + (" loader.num_workers=0" if loader.workers else "")
        remedy = f"loader.num_workers={cores}" if loader.workers < cores else in_memory
        return f"the loop waited for data {self.waiting:.0%} of its time: try {remedy}"
