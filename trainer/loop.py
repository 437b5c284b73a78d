"""The loop: zero_grad, forward, loss, backward, step. It knows torch, a run's state, windows and events, and, for an
evaluation, the metrics of the task. It knows no files, no screen and no config."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.batches import Window
from trainer.data.tree import Tree
from trainer.events import Ended, Evaluated, Event, Started, Stepped
from trainer.state import TrainState
from trainer.tasks import losses, named_totals
from trainer.tasks.measurable import Measurable


def train(run: TrainState) -> Iterator[Event]:
    """Train from the current step to the end, or to a reason to stop, and report each event. A listener may save the
    state at any event where run.is_whole: it is consistent there."""
    progress = run.progress
    yield Started(progress.step, progress.num_steps, progress.steps_per_epoch)
    run.agree_to_stop()
    while not progress.done:
        run.model.train()
        run.loss_fn.train()
        for window in run.windows():
            run.seed_step()
            lr = run.optimizer.param_groups[0]["lr"]
            loss, norm = run.step(run, window)
            loss = run.ranks.mean(loss)
            logged = run.advance(window, loss, norm)
            loss, terms = (loss[0], loss[1:]) if run.terms else (loss, None)
            yield Stepped(progress.step, loss, norm, lr, window.num_samples, terms, logged)
            run.agree_to_stop()
        if progress.evaluation_due:
            with run.average.applied(run):
                val = run.val_batches
                metrics = evaluate(run, val.for_rank(run.ranks), "val") if val is not None else {}
                metrics = progress.take_train_loss(run.terms) | metrics
                improved = run.judge(metrics)
            yield Evaluated(progress.step, metrics, improved)
            run.agree_to_stop()
    run.look()
    yield Ended(progress.step, progress.stop_reason)


def train_step(run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
    """Take one optimizer step over a window. Returns its loss, detached, and the gradient norm, if known.

    The loss is 0-dim; if it has named terms, (1 + terms,), of which the first is minimised.
    """
    run.optimizer.zero_grad()
    total = run.zero
    for x, y, num_rows, share, sync in window:
        with sync():
            with run.autocast():
                prediction = run.forward(x)
                loss = run.loss(prediction, y, x)
            if share is not None:
                loss = loss * share  # so that the window counts as one batch
            run.scaler.scale(loss).backward(run.minimised)
        if num_rows:  # without rows, or if all targets are ignored, the loss is 0/0, NaN, and the gradients are 0
            total = total + (loss.detach() if share is None else loss.detach().where(share != 0, share))
    run.scaler.unscale_(run.optimizer)
    norm = run.clip_gradients()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.scheduler.step()
    return total, norm


@torch.no_grad()
def evaluate(run: Measurable, batches: Iterable[tuple[Tree, Tree, int]], split: str) -> dict[str, float]:
    """Measure a split. Returns metrics by name (val/loss, val/acc, …); leaves the model in eval mode."""
    denominator, counts = losses.denominator(run.loss_fn)
    totals = named_totals.begin(run.task, run.metrics)
    run.ranks.share_buffers(run.model, run.loss_fn)
    for x, prediction, y, num_rows in predict(run, batches):
        loss = run.loss(prediction, y, x)
        totals.add_loss(loss / num_rows if counts == "sum" else loss, denominator(y, num_rows))
        totals.add(run.fit(prediction), run.fit.target(y))
    totals.add_ranks(run.ranks)
    return totals.reduce(split, run.terms)


@torch.no_grad()
def predict(run: Measurable, batches: Iterable[tuple[Tree, Tree, int]]) -> Iterator[tuple[Tree, Tree, Tree, int]]:
    """Yield (x, prediction, y, number of rows) for every batch, in eval mode, without gradients; what a model draws is
    the same in every evaluation; predictions have the model's dtype."""
    run.model.eval()
    run.loss_fn.eval()
    for number, (x, y, num_rows) in enumerate(batches):
        run.seed_evaluation(number)
        with run.autocast():
            prediction = run.call(x)
        prediction = tree.mapped(Tensor.detach, prediction)  # of a model that opens enable_grad
        yield x, tree.cast(prediction, run.dtype), y, num_rows
