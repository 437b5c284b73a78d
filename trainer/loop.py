"""The loop: zero_grad, forward, loss, backward, step. It knows torch, a run's state, windows and events, and, for an
evaluation, the metrics of the task. It knows no files, no screen and no config."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from trainer.data.batches import Window
from trainer.events import Ended, Evaluated, Event, Started, Stepped
from trainer.state import Measurable, TrainState
from trainer.tasks import losses
from trainer.tasks.metrics import Totals


def train(run: TrainState) -> Iterator[Event]:
    """Train from the current step to the end, or to a reason to stop, and report each event. A listener may save the
    state at any event: it is consistent there."""
    progress = run.progress
    yield Started(progress.step)
    run.agree_to_stop()
    while not progress.done:
        run.model.train()
        for window in run.windows():
            run.seed_step()
            lr = run.optimizer.param_groups[0]["lr"]
            loss, norm = run.step(run, window)
            loss = run.ranks.mean(loss)
            progress.advance(window.num_samples, loss)
            yield Stepped(progress.step, loss, norm, lr, window)
            run.agree_to_stop()
        if progress.evaluation_due:
            metrics = evaluate(run, run.val_batches.for_rank(run.ranks), "val") if run.val_batches is not None else {}
            metrics = {"train/loss": progress.take_train_loss()} | metrics
            yield Evaluated(progress.step, metrics, run.judge(metrics))
            run.agree_to_stop()
    yield Ended(progress.step, progress.stop_reason)


def train_step(run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
    """Take one optimizer step over a window. Returns its loss, 0-dim and detached, and the gradient norm, if known."""
    run.optimizer.zero_grad()
    total = run.zero
    for x, y, share, sync in window:
        with sync():
            with run.autocast():
                prediction = run.forward(x)
                loss = run.loss_fn(prediction, y)
            if share is not None:
                loss = loss * share  # so that the window counts as one batch
            run.scaler.scale(loss).backward()
        if len(x):  # on a rank without rows the loss is the mean of nothing, NaN, and the gradients are 0
            total = total + loss.detach()
    run.scaler.unscale_(run.optimizer)
    norm = run.clip_gradients()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.scheduler.step()
    return total, norm


def evaluate(run: Measurable, batches: Iterable[tuple[Tensor, Tensor]], split: str) -> dict[str, float]:
    """Measure a split. Returns metrics by name (val/loss, val/acc, …); leaves the model in eval mode."""
    denominator, _ = losses.denominator(run.loss_fn)
    totals = Totals(run.facts, run.metrics, run.scale_y)
    run.ranks.share_buffers(run.model)
    for prediction, y in predict(run, batches):
        totals.add(prediction, y, run.loss_fn(prediction, y), denominator(y))
    totals.add_ranks(run.ranks)
    return totals.reduce(split)


@torch.no_grad()
def predict(run: Measurable, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (prediction, y) for every batch, in eval mode, without gradients; predictions have the model's dtype."""
    run.model.eval()
    for x, y in batches:
        with run.autocast():
            prediction = run.model(x)
        yield prediction.to(run.dtype), y
