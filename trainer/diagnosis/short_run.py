"""Short runs that write no files, for doctor and lr-find. They use the same loop as any other run."""

import itertools
import shlex
from collections.abc import Sequence

from trainer.build.build import Setup, build
from trainer.config.check import check
from trainer.config.settings import Settings
from trainer.state import TrainState
from trainer.stopping import Stopping

CONSTANT = {"_target_": "trainer.schedules.Constant"}


def keep_one_batch(run: TrainState) -> None:
    """Train on the first window of the training split, again and again; an epoch is one step."""
    window = next(run.train_batches.windows(0))
    run.train_batches.windows = lambda epoch, first=0: itertools.repeat(window)  # type: ignore[method-assign]
    run.progress.steps_per_epoch = 1


def prepare(composed: Settings, num_steps: int, **changes: object) -> tuple[TrainState, Setup]:
    """Build a config with some keys changed, for that many steps without evaluation. Raises ConfigError."""
    shape = {"guards": "warn", "explain": 0, "compile": "none", "nproc": 1, "expect": {}}
    shape |= dict.fromkeys(("unfreeze_at", "ema", "swa", "swa_lr"))
    run, setup = build(check({**composed.data, **shape, **changes}))
    run.val_batches = None
    run.stopping = Stopping("train/loss", None, 0.0)
    run.progress.num_steps = run.progress.eval_every = num_steps
    return run, setup


def typed(overrides: Sequence[str], *, without: str = "") -> str:
    """Overrides as shell words for the next command, except those of one key."""
    return " ".join(shlex.quote(word) for word in overrides if word.lstrip("+").partition("=")[0] != without)
