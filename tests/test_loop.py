"""The loop against loops written by hand."""

import copy
import math
from pathlib import Path

import pytest
import torch
from conftest import config
from jobs import JOBS, own
from torch import nn

from trainer.build.build import build
from trainer.data.batches import EvalBatches, TrainBatches
from trainer.events import Ended, Evaluated, Started, Stepped
from trainer.loop import evaluate, train
from trainer.state import TrainState

GOLDEN = Path(__file__).parent / "golden" / "digits.txt"


def finished(*overrides: str) -> TrainState:
    run, _ = build(config(*overrides))
    list(train(run))
    return run


def test_an_epoch_equals_the_five_lines_written_by_hand_bit_for_bit() -> None:
    run, _ = build(config("epochs=1", "model.hidden=[32]", "optimizer.weight_decay=0"))
    model = copy.deepcopy(run.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0, fused=True)
    loss_fn = nn.CrossEntropyLoss()
    losses = [event.loss for event in train(run) if isinstance(event, Stepped)]

    by_hand, data = [], run.train_batches.loader
    for indices in run.train_batches.order(0).split(64):
        optimizer.zero_grad()
        prediction = model(data.x[indices])
        loss = loss_fn(prediction, data.y[indices])
        loss.backward()
        optimizer.step()
        by_hand.append(loss.detach())

    assert len(losses) == math.ceil(1438 / 64)
    assert torch.equal(torch.stack(losses), torch.stack(by_hand))
    assert all(torch.equal(run.model.state_dict()[name], weight) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("accumulate", [2, 3])
@pytest.mark.parametrize(
    "loss", ["loss=cross_entropy", "loss.weight=[1,5,1,1,2,1,0,1,1,9]", "loss.ignore_index=3", "dataset=diabetes"]
)
def test_accumulation_equals_the_big_batch(accumulate: int, loss: str) -> None:
    # SGD without momentum hides nothing; 1,438 rows leave a short batch in a short last window
    common = ["optimizer=sgd", "optimizer.lr=0.5", "dtype=float64", "epochs=2", "model.hidden=[8]"]
    common += [loss] if loss.startswith("dataset") else ["loss=cross_entropy", loss]
    big = finished(*common, f"loader.batch_size={31 * accumulate}")
    small = finished(*common, "loader.batch_size=31", f"accumulate={accumulate}")
    assert small.progress.step == big.progress.step == 2 * big.train_batches.steps_per_epoch
    torch.testing.assert_close([*small.model.parameters()], [*big.model.parameters()], rtol=1e-10, atol=1e-12)


def test_weighing_windows_by_batches_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # the same comparison with the usual mistake, dividing by the number of batches
    common = ["optimizer=sgd", "optimizer.lr=0.5", "dtype=float64", "epochs=1", "model.hidden=[8]"]
    big = finished(*common, "loader.batch_size=90")
    monkeypatch.setattr(TrainBatches, "_shares", lambda self, some, total: ([self.one / len(some)] * len(some), total))
    small = finished(*common, "loader.batch_size=30", "accumulate=3")
    pairs = zip(small.model.parameters(), big.model.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) > 1e-4


def test_validation_loss_weighs_uneven_batches_by_the_denominator() -> None:
    words = ["loss=cross_entropy", "loss.weight=[1,5,1,1,2,1,0,1,1,9]", "dtype=float64"]
    runs = [build(config(*words, f"loader.eval_batch_size={size}"))[0] for size in (1, 50, 359)]  # of 1, some weigh 0
    *small, big = (evaluate(run, run.val_batches or (), "val") for run in runs)
    for found in small:
        assert found["val/loss"] == pytest.approx(big["val/loss"], rel=1e-12)
        assert found["val/acc"] == big["val/acc"]


def test_a_batch_whose_targets_are_all_ignored_adds_nothing_to_its_window() -> None:
    common = ["loss=cross_entropy", "loss.ignore_index=3", "dtype=float64", "max_steps=4", "dataset.val_fraction=0"]
    runs = [build(config(*common, f"loader.batch_size={32 // n}", f"accumulate={n}"))[0] for n in (1, 32)]
    whole, rows = (torch.stack([e.loss for e in train(run) if isinstance(e, Stepped)]) for run in runs)
    torch.testing.assert_close(rows, whole, rtol=1e-10, atol=0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_whose_targets_are_all_ignored_has_the_loss_0_and_trains_on(accumulate: int) -> None:
    words = ["loss=cross_entropy", "loss.ignore_index=3", "max_steps=300", "loader.batch_size=1", "eval_every=300steps"]
    run, setup = build(config(*words, f"accumulate={accumulate}"))
    train_rows, order = setup.splits.train.loader.y, run.train_batches.order(0)
    nothing = [bool((train_rows[rows] == 3).all()) for rows in order[: 300 * accumulate].split(accumulate)]
    losses = [float(event.loss) for event in train(run) if isinstance(event, Stepped)]
    assert any(nothing)
    assert [loss == 0 for loss in losses] == nothing
    assert all(weight.isfinite().all() for weight in run.model.parameters())


@pytest.mark.parametrize(
    "words",
    [
        ["loss=cross_entropy", "loss.ignore_index=3"],
        ["loss=cross_entropy", "loss.weight=[1,5,1,1,2,1,0,1,1,9]", "accumulate=2"],
        ["loss._target_=own.Summed", "dtype=float64", "accumulate=2"],
        JOBS["tagger"],
        [*own(dataset="Sentences", model="Tagger", loss="Counted"), "dataset.task=free", "+model.num_classes=3"],
    ],
)
def test_the_losses_of_training_and_validation_are_weighted_alike(words: list[str]) -> None:
    """Where nothing is learned, an epoch's training loss is that of an evaluation of the same rows."""
    run, setup = build(config(*words, "optimizer=sgd", "optimizer.lr=1e-30", "epochs=1", "loader.batch_size=47"))
    trained = next(event.metrics["train/loss"] for event in train(run) if isinstance(event, Evaluated))
    measured = evaluate(run, EvalBatches(setup.splits.train.loader, setup.splits.num_rows("train"), 19), "train")
    assert setup.loss_counts == "sum" or not run.train_batches.even
    assert trained == pytest.approx(measured["train/loss"], rel=1e-5)


@pytest.mark.parametrize("words", [["dataset=digits"], ["dataset=diabetes"], JOBS["labels"], JOBS["two inputs"]])
def test_where_each_row_counts_as_much_the_weights_are_numbers_of_samples(words: list[str]) -> None:
    run, _ = build(config(*words, "loader.batch_size=47"))
    window = next(run.windows())
    assert window.weight is window.num_samples == 47


def test_golden_losses_of_digits() -> None:
    """A refactor shows the same curve. Processors round differently, so within 1e-4 relative."""
    run, _ = build(config("epochs=3", "threads=1"))
    losses = {event.step: event.loss.item() for event in train(run) if isinstance(event, Stepped)}
    golden = {int(step): float(loss) for step, loss in map(str.split, GOLDEN.read_text().splitlines())}
    assert losses == pytest.approx(golden, rel=1e-4)


def test_events_come_in_order_and_evaluation_uses_no_gradient_and_no_dropout() -> None:
    run, _ = build(config("epochs=2", "loader.batch_size=500", "model.dropout=0.5"))
    modes = []
    run.model.register_forward_hook(lambda module, *_: modes.append((module.training, torch.is_grad_enabled())))
    kinds = [type(event) for event in train(run)]
    epoch = [Stepped, Stepped, Stepped, Evaluated]
    assert kinds == [Started, *epoch, *epoch, Ended]
    assert modes == ([(True, True)] * 3 + [(False, False)]) * 2


def test_max_steps_comes_first_and_is_evaluated() -> None:
    run = finished("max_steps=5", "eval_every=2steps")
    assert (run.progress.step, run.progress.evaluated_at) == (5, 5)


def test_early_stop_ends_the_run() -> None:
    run = finished("early_stop.patience=2", "early_stop.min_delta=0.5", "epochs=20")
    assert run.progress.stop_reason == "early stop"
    assert run.progress.step == 3 * run.progress.steps_per_epoch  # the first is best, two more are not better


def test_not_a_number_stops_within_the_step() -> None:
    run, _ = build(config("epochs=1"))
    events = []
    for event in train(run):
        events.append(event)
        if isinstance(event, Stepped) and event.step == 4:
            with torch.no_grad():
                next(run.model.parameters())[0, 0] = math.nan
    assert run.progress.stop_reason == "diverged"
    assert run.progress.step == 5
    assert events[-1] == Ended(5, "diverged")


def test_clipping_bounds_the_norm_after_unscaling() -> None:
    run, _ = build(config("optimizer=sgd", "clip_grad_norm=0.01", "autocast=fp16", "epochs=1"))
    seen = []
    for event in train(run):
        if isinstance(event, Stepped):
            total = nn.utils.get_total_norm(p.grad for p in run.model.parameters() if p.grad is not None)
            assert event.norm is not None
            seen.append((float(event.norm), float(total)))
    assert all(after <= 0.01 * 1.001 < before < 100 for before, after in seen)  # scaled by 65,536 it would be > 1,000


def test_a_skipped_step_does_not_move_the_schedule() -> None:
    run, _ = build(config("autocast=fp16", "scheduler=cosine", "epochs=1"))
    window = next(run.windows())
    moved = run.scheduler.scheduler
    run.step(run, window)
    assert moved.last_epoch == 1
    loss = run.loss
    run.loss = lambda prediction, y, x: loss(prediction, y, x) * 1e38  # its gradient overflows
    run.step(run, window)
    assert moved.last_epoch == 1
    run.loss = loss
    run.step(run, window)
    assert moved.last_epoch == 2


def test_a_plateau_moves_on_evaluations() -> None:
    run = finished("scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.5", "epochs=4", "optimizer=sgd")
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**3)  # best at the first, then three cuts


def test_compiling_in_place_keeps_names_and_results() -> None:
    plain, compiled = (build(config("max_steps=1"))[0] for _ in range(2))
    compiled.model.compile(backend="eager")
    for run in (plain, compiled):
        list(train(run))
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())
    torch.testing.assert_close(list(plain.model.parameters()), list(compiled.model.parameters()))


def test_dropout_is_a_function_of_seed_and_step() -> None:
    runs = [finished("model.dropout=0.5", "epochs=2", word) for word in ("seed=0", "eval_every=1step", "seed=1")]
    first, again, other = (run.model.state_dict()["layers.0.weight"] for run in runs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_window_says_how_many_samples_it_holds() -> None:
    run, _ = build(config("accumulate=3", "loader.batch_size=300"))
    windows = list(run.train_batches.windows(0))
    assert [window.num_samples for window in windows] == [900, 538]
    for window in windows:
        assert float(sum(window.shares)) == pytest.approx(1)


def test_what_evaluations_draw_is_always_the_same_and_leaves_training_alone() -> None:
    """Of a model that draws in evaluations too."""
    losses, measured = [], []
    for every in ("3steps", "1epoch"):
        run, _ = build(config(*JOBS["variational"], "max_steps=9", f"eval_every={every}", "loader.batch_size=64"))
        losses.append([event.loss.tolist() for event in train(run) if isinstance(event, Stepped)])
        measured += [evaluate(run, run.val_batches.for_rank(run.ranks), "val") for _ in range(2)]
    assert losses[0] == losses[1]
    assert measured[0] == measured[1] == measured[2] == measured[3]
