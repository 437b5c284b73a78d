"""Calls the guards during a run: those for its first steps, then those for its curves."""

import math
import statistics
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainer.events import Ended, Evaluated, Event, Started, Stepped
from trainer.guards import inputs, running, start, structure
from trainer.guards.finding import Finding
from trainer.listeners import Listener
from trainer.state import TrainState
from trainer.stopping import StopReason

# First steps to look at, and on to the next that is logged; a GradScaler that begins at 65,536 may skip 16 of them.
WATCHED = 20
FIRST = 5  # logged steps that count as the beginning
RECENT = 10  # logged steps that count as the present
MOST_TARGETS = 10_000  # rows whose targets tell the loss of guessing


class Guards(Listener):
    """Reports each kind of finding once. strict: one that is not a note also ends the run, and is in `stopped_by`.
    chosen: see inputs.target. past: the losses that a resumed run has logged before."""

    def __init__(
        self,
        run: TrainState,
        report: Callable[[Finding], None],
        *,
        strict: bool = False,
        chosen: bool = False,
        past: Sequence[float] = (),
    ) -> None:
        self.run, self.report, self.strict, self.chosen = run, report, strict, chosen
        self.stopped_by: Finding | None = None
        self.reported: set[str] = set()
        self.is_start = False  # whether the first steps of a new run, not of a resumed one, are being watched
        self.chance = start.chance_level(run.loss_fn, run.facts.num_outputs)
        self.base_lr = float(run.optimizer.defaults.get("lr", 0.0))
        self.guesses: list[float] | None = None
        self.start = past[0] if past else None  # the loss of the first step
        self.first_losses = list(past[:FIRST])
        self.losses: deque[float] = deque(maxlen=RECENT)
        self.rows: list[dict[str, float]] = []
        self.start_norm: float | None = None
        self.norms: deque[float] = deque(maxlen=running.LASTS)
        self.full_steps = 0  # steps at about the full learning rate
        self.has_learned = False
        self.low_since: int | None = None  # the step since when the learning rate is nearly nothing

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            if self.guesses is None:
                self._first_seen(event)
            if self.is_start:
                self._first_step(event)
            self._rate(event)
            if event.logged is not None:
                self._logged(event, event.logged.loss, event.logged.norm)
        elif isinstance(event, Evaluated):
            if "val/loss" in event.metrics:
                self._evaluated(event)
        elif isinstance(event, Started):
            self.is_start = event.step == 0
            if self.is_start:
                self.before = start.sample(self.run.model)
        elif isinstance(event, Ended) and self.is_start and event.step:
            self._first_steps_done(event.step, self.run.optimizer.param_groups[0]["lr"])

    def _evaluated(self, event: Evaluated) -> None:
        self.rows.append({"epoch": event.step / self.run.progress.steps_per_epoch, **event.metrics})
        losses = [row["val/loss"] for row in self.rows]
        self.has_learned = self.has_learned or running.validation_falls(losses, self.guesses or [])
        if self.run.stopping.patience is None:
            self._report(running.rising(self.rows))

    def _report(self, findings: list[Finding]) -> None:
        for finding in findings:
            if finding.check in self.reported:
                continue
            self.reported.add(finding.check)
            self.report(finding)
            if self.strict and not finding.note and self.run.progress.stop_reason is None:
                self.stopped_by = finding
                self.run.progress.stop_reason = StopReason.GUARD

    def _first_seen(self, event: Stepped) -> None:
        """Look at the targets, in the data's units, and at the loss of guessing them."""
        run, window = self.run, self.run.window
        if window is None:
            return  # no step has been taken
        loader = window.loader
        x, y = loader.load(window.batches[0])
        self.start = event.loss.item() if self.start is None else self.start
        if not isinstance(y, Tensor):
            self.guesses = []
            return
        scale = run.scale_y
        are_mixed = run.facts.task == "classes" and y.is_floating_point()
        if self.is_start and not are_mixed:
            self._report(inputs.padding(x, y, run.loss_fn))
            raw = y if scale is None else scale.inverse(y)
            self._report(inputs.target(raw, run.loss_fn, chosen=self.chosen))
        if loader.knows_targets:
            step = -(-run.train_batches.num_rows // MOST_TARGETS)
            y = loader.targets(torch.arange(0, run.train_batches.num_rows, step, device=y.device))
        self.guesses = start.guesses(run.loss_fn, self.chance, y)

    def _rate(self, event: Stepped) -> None:
        """Report a schedule that has brought the rate to nearly nothing long before the end. Steps below half the
        learning rate, as in a warm-up, do not count for a loss that stays flat."""
        self.full_steps += event.lr >= self.base_lr / 2
        if event.lr >= running.LOW * self.base_lr:
            self.low_since = None
            return
        self.low_since = event.step if self.low_since is None else self.low_since
        num_steps = self.run.progress.num_steps
        is_early, lasts = self.low_since <= num_steps * (1 - running.LEFT), num_steps * running.LASTING
        if is_early and event.step - self.low_since >= lasts:
            self._report(running.low_rate(event.lr, self.base_lr, event.step, num_steps))

    def _first_step(self, event: Stepped) -> None:
        run = self.run
        if event.step == 1:
            self.missing = structure.without_gradient(run.model)
            self._report(structure.left_in_eval(run.model))
            self._report(start.first_loss(event.loss.item(), self.chance, run.facts.num_outputs))
        elif self.missing:
            self.missing &= structure.without_gradient(run.model)
        if event.step >= WATCHED and event.logged is not None:
            self._first_steps_done(event.step, event.lr)

    def _first_steps_done(self, num_steps: int, lr: float) -> None:
        """Look at the effect of the first steps; with a GradScaler only after WATCHED of them."""
        self.is_start = False
        model = self.run.model
        if num_steps < WATCHED and self.run.scaler.is_enabled():
            return
        unmoved = start.nothing_moved(model, self.before, lr, num_steps)
        self._report(unmoved)
        self.has_learned = self.has_learned or bool(unmoved)  # one cause, one message
        self._report(structure.never_a_gradient(model, self.missing, num_steps))
        if num_steps >= WATCHED:
            self._report(running.vanishing(model))
        self.before = []

    def _logged(self, event: Stepped, loss: float, norm: float | None) -> None:
        (self.first_losses if len(self.first_losses) < FIRST else self.losses).append(loss)
        if not self.has_learned:
            self._flat(event, norm)
        if norm is None or self.run.max_norm is not None or not math.isfinite(norm):
            return  # unknown, clipped, or a step that the GradScaler skipped
        self.norms.append(norm)
        if self.start_norm is None:
            if len(self.norms) == running.LASTS:
                self.start_norm = statistics.median(self.norms)
        elif norm > running.EXPLODED * self.start_norm and loss > statistics.fmean(self.first_losses):
            self._report(running.exploding(self.start_norm, self.norms, event.lr))

    def _flat(self, event: Stepped, norm: float | None) -> None:
        """Report once a loss that has never shown that something is learned."""
        first, recent = self.first_losses, list(self.losses)
        if len(recent) < RECENT or self.guesses is None or self.start is None:
            return
        curve = (first, recent, self.guesses, self.start)
        self.has_learned = running.has_learned(*curve, running.SURE)
        if self.full_steps >= running.FLAT_AFTER and not running.has_learned(*curve, running.UNSURE):
            self.has_learned = True
            self._report([running.flat(first, recent, event.step, event.lr, norm)])
