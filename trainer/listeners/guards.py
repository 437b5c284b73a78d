"""Calls the guards during a run: those for its first steps, then those for its curves."""

import math
import statistics
from collections import deque
from collections.abc import Callable

from trainer.events import Ended, Evaluated, Event, Started, Stepped
from trainer.guards import inputs, running, start, structure
from trainer.guards.finding import Finding
from trainer.listeners import Listener
from trainer.state import TrainState
from trainer.stopping import StopReason

WATCHED = 20  # first steps to look at; a GradScaler that begins at 65,536 may skip 16 of them
FIRST = 5  # logged steps that count as the beginning
RECENT = 10  # logged steps that count as the present


class Guards(Listener):
    """Reports each kind of finding once. strict: one that is not a note also ends the run, and is in `stopped_by`."""

    def __init__(self, run: TrainState, report: Callable[[Finding], None], *, strict: bool = False) -> None:
        self.run, self.report, self.strict = run, report, strict
        self.stopped_by: Finding | None = None
        self.reported: set[str] = set()
        self.is_start = False  # whether the first steps of a new run, not of a resumed one, are being watched
        self.chance = start.chance_level(run.loss_fn, run.facts.num_outputs)
        self.base_lr = float(run.optimizer.defaults.get("lr", 0.0))
        self.first_losses: list[float] = []
        self.losses: deque[float] = deque(maxlen=RECENT)
        self.rows: list[dict[str, float]] = []
        self.start_norm: float | None = None
        self.norms: deque[float] = deque(maxlen=running.LASTS)
        self.full_steps = 0  # steps at about the full learning rate, counted until the loss falls
        self.falls = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            if self.is_start:
                self._first_step(event)
            if event.step % self.run.log_every == 0:
                self._logged(event)
        elif isinstance(event, Evaluated):
            if self.run.stopping.patience is None and "val/loss" in event.metrics:
                self.rows.append({"epoch": event.step / self.run.progress.steps_per_epoch, **event.metrics})
                self._report(running.rising(self.rows))
        elif isinstance(event, Started):
            self.is_start = event.step == 0
            if self.is_start:
                self.before = start.sample(self.run.model)
        elif isinstance(event, Ended) and self.is_start and event.step:
            self._first_steps_done(event.step, self.run.optimizer.param_groups[0]["lr"])

    def _report(self, findings: list[Finding]) -> None:
        for finding in findings:
            if finding.check in self.reported:
                continue
            self.reported.add(finding.check)
            self.report(finding)
            if self.strict and not finding.note and self.run.progress.stop_reason is None:
                self.stopped_by = finding
                self.run.progress.stop_reason = StopReason.GUARD

    def _first_step(self, event: Stepped) -> None:
        run = self.run
        if event.step == 1:
            self.missing = structure.without_gradient(run.model)
            self._report(structure.left_in_eval(run.model))
            y = event.window.loader.targets(event.window.batches[0])
            self._report(inputs.target(y, run.loss_fn))
            self._report(start.first_loss(event.loss.item(), self.chance, run.facts.num_outputs))
        elif self.missing:
            self.missing &= structure.without_gradient(run.model)
        if event.step == WATCHED:
            self._first_steps_done(event.step, event.lr)

    def _first_steps_done(self, num_steps: int, lr: float) -> None:
        """Look at the effect of the first steps; with a GradScaler only after WATCHED of them."""
        self.is_start = False
        model = self.run.model
        if num_steps < WATCHED and self.run.scaler.is_enabled():
            return
        unmoved = start.nothing_moved(model, self.before, lr, num_steps)
        self._report(unmoved)
        self.falls = self.falls or bool(unmoved)  # one cause, one message
        self._report(structure.never_a_gradient(model, self.missing, num_steps))
        if num_steps >= WATCHED:
            self._report(running.vanishing(model))
        self.before = []

    def _logged(self, event: Stepped) -> None:
        loss, norm = event.loss.item(), None if event.norm is None else float(event.norm)
        (self.first_losses if len(self.first_losses) < FIRST else self.losses).append(loss)
        if not self.falls:
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
        """Report a loss that has never fallen. Steps below half the learning rate, as in a warm-up, do not count."""
        self.full_steps += self.run.log_every if event.lr >= self.base_lr / 2 else 0
        if len(self.losses) < RECENT:
            return
        first, recent = self.first_losses, list(self.losses)
        trained_before = self.chance is not None and sum(first) / len(first) < running.CHANCE * self.chance
        self.falls = trained_before or running.has_fallen(first, recent, self.chance)
        if not self.falls and self.full_steps >= running.FLAT_AFTER:
            self.falls = True  # so that it is reported once
            self._report([running.flat(first, recent, event.step, event.lr, norm)])
