"""Short runs that leave nothing behind: for doctor and lr-find. They go through the same loop as any other."""

import dataclasses
from collections.abc import Iterator, Sequence

from trainer.build.build import Setup, build
from trainer.config.check import check
from trainer.config.settings import Settings
from trainer.data.windows import TrainBatches, Window
from trainer.state import TrainState
from trainer.stopping import Stopping

CONSTANT = {"_target_": "trainer.schedules.Constant"}


class OneBatch(TrainBatches):
    """The first window of the training split, again and again; an epoch is one step."""

    @classmethod
    def of(cls, batches: TrainBatches) -> "OneBatch":
        """The first window of `batches`, held."""
        one = cls(**{field.name: getattr(batches, field.name) for field in dataclasses.fields(batches)})
        one.held = next(batches.windows(0))
        return one

    held: Window

    def windows(self, epoch: int, first: int = 0) -> Iterator[Window]:
        """It, for ever."""
        while True:
            yield self.held


def prepare(composed: Settings, num_steps: int, **changes: object) -> tuple[TrainState, Setup]:
    """Build a config with some keys changed, to take that many steps at a constant rate, without evaluation.

    Raises ConfigError.
    """
    shape = {"guards": "warn", "explain": 0, "compile": "none", "nproc": 1, "expect": {}}
    run, setup = build(check({**composed.data, **shape, **changes}))
    run.val_batches = None
    run.stopping = Stopping("train/loss", None, 0.0)
    run.progress.num_steps = run.progress.eval_every = num_steps
    return run, setup


def typed(overrides: Sequence[str], *, without: str = "") -> str:
    """Overrides as words for a next command, but for those of one key."""
    import shlex

    return " ".join(shlex.quote(word) for word in overrides if word.lstrip("+").partition("=")[0] != without)
