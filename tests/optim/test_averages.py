"""Averaged weights: their arithmetic, what sees them, and what a checkpoint holds of them."""

import copy
import json
from pathlib import Path

import pytest
import torch
from conftest import Cli, config
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, update_bn

from trainer import checkpoint
from trainer.build.build import build
from trainer.cli import main
from trainer.data.batches import EvalBatches
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.events import Evaluated, Stepped
from trainer.loop import evaluate, train, train_step
from trainer.optim.averaging import copied, decay
from trainer.state import TrainState

NET = ["dataset=iris", "model.hidden=[8]", "model.norm=batch", "loader.batch_size=32", "dtype=float64", "epochs=8"]
STEPS = 4  # an epoch


def built(*words: str) -> TrainState:
    return build(config(*NET, *words))[0]


def seen(run: TrainState) -> dict[str, Tensor]:
    """What an evaluation would see now."""
    return run.average.weights(run)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_plain_run_takes_the_plain_step() -> None:
    run = built()
    assert run.step is train_step
    list(train(run))
    assert not run.average.tensors
    assert not run.phases.begun
    assert equal(seen(run), run.weights())


def test_ema_is_that_of_a_hand_written_loop() -> None:
    run = built("ema=0.9", "eval_every=7steps")
    by_hand: dict[str, Tensor] = {}
    for event in train(run):
        if isinstance(event, Stepped):
            share = min(0.9, (1 + event.step) / (10 + event.step)) if by_hand else 0.0
            for name, value in run.weights().items():
                is_float = value.is_floating_point()
                by_hand[name] = share * by_hand.get(name, 0) + (1 - share) * value if is_float else value.clone()
        elif isinstance(event, Evaluated):
            other = copy.copy(run)
            other.model = copy.deepcopy(run.model)
            other.model.load_state_dict(by_hand)
            other.call = other.model
            assert event.metrics["val/loss"] == pytest.approx(evaluate(other, run.val_batches, "val")["val/loss"])  # type: ignore[arg-type]
    torch.testing.assert_close(seen(run), by_hand, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(by_hand["layers.1.running_var"], run.weights()["layers.1.running_var"], rtol=1e-3)
    assert decay(1, 0.9) == 2 / 11
    assert decay(10_000, 0.9) == 0.9


@pytest.mark.parametrize(
    ("words", "begin", "every"),
    [(["swa=0.5"], 16, 4), (["swa=4epochs", "eval_every=3steps"], 16, 3), (["swa=17steps"], 17, 4)],
)
def test_swa_is_that_of_torch(words: list[str], begin: int, every: int) -> None:
    run, rows = built(*words), EvalBatches(built().train_batches.loader, 96, 32)  # of 120; the rest is no whole batch
    by_torch: AveragedModel | None = None
    for event in train(run):
        if isinstance(event, Stepped) and event.step > begin and (event.step % every == 0 or event.step == 32):
            before = copied(run.weights())
            by_torch = by_torch or AveragedModel(run.model)
            by_torch.update_parameters(run.model)
            update_bn(((x, y) for x, y, _ in rows), by_torch)
            torch.testing.assert_close(seen(run), dict(by_torch.module.state_dict()), rtol=1e-12, atol=1e-14)
            assert equal(before, run.weights())
    assert by_torch is not None
    assert run.average.num_averaged == by_torch.n_averaged > 3
    assert run.phases.begun == {"swa": begin}


@pytest.mark.parametrize("words", [["augment=shift"], ["augment=shift", "loader.num_workers=1"]], ids=" ".join)
def test_statistics_of_batch_norms_come_from_rows_that_are_not_augmented(words: list[str]) -> None:
    small = ["model=cnn", "model.channels=[4]", "max_steps=2", "swa=1steps", "eval_every=1steps"]
    run, (plain, setup) = build(config(*small, *words))[0], build(config(*small))
    list(train(run))
    by_torch = AveragedModel(run.model)
    update_bn(((x, y) for x, y, _ in EvalBatches(setup.splits.train.loader, 22 * 64, 64)), by_torch)
    torch.testing.assert_close(seen(run), dict(by_torch.module.state_dict()))
    assert plain.train_batches.num_rows == 22 * 64 + 30


def test_until_swa_begins_a_run_is_the_plain_one() -> None:
    plain, averaged = ([e for e in train(built(*words)) if isinstance(e, Evaluated)] for words in ([], ["swa=0.5"]))
    losses = [[event.metrics["val/loss"] for event in events] for events in (plain, averaged)]
    assert losses[0][:4] == losses[1][:4]
    assert losses[0][4:] != losses[1][4:]


@pytest.mark.parametrize(
    ("words", "first", "held"),
    [
        (["scheduler=cosine", "swa=0.5"], 0.01, 0.005),
        (["scheduler=cosine", "swa=31steps"], 0.01, 0.001),
        (["scheduler=onecycle", "swa=0.75", "swa_lr=0.02"], 0.0004, 0.02),
        (["swa=1e-9"], 0.01, 0.01),
    ],
)
def test_the_rate_is_held_while_weights_are_averaged(words: list[str], first: float, held: float) -> None:
    run = built("optimizer.lr=0.01", *words)
    rates = [event.lr for event in train(run) if isinstance(event, Stepped)]
    begin = run.phases.begun["swa"]
    assert rates[0] == pytest.approx(first)
    assert rates[begin:] == pytest.approx([held] * (32 - begin))


def test_a_run_that_becomes_longer_keeps_the_step_at_which_swa_began() -> None:
    run = built("swa=0.5")
    list(train(run))
    longer = built("swa=0.5", "epochs=16")
    checkpoint.load(longer, checkpoint.contents(run, {}), Path("saved"))
    assert longer.phases.begun == {"swa": 16}
    assert equal(run.average.tensors, longer.average.tensors)
    assert longer.average.num_averaged == 4
    list(train(longer))
    assert longer.average.num_averaged == 12


def test_a_checkpoint_holds_the_average_as_the_best_weights_also_where_those_are_the_newest() -> None:
    run, again = built("ema=0.9"), built("ema=0.9")
    next(event for event in train(run) if isinstance(event, Evaluated) and event.improved)
    assert run.progress.best_step == run.progress.step
    checkpoint.load(again, checkpoint.contents(run, {}), Path("saved"))
    assert equal(again.best_weights, seen(run))  # type: ignore[arg-type]
    assert not equal(again.best_weights, run.weights())  # type: ignore[arg-type]


def test_what_is_trained_in_the_loss_is_averaged_too() -> None:
    run = built("ema=0.5", "loss._target_=own.Tempered", "loss=cross_entropy")
    list(train(run))
    assert [name for name in run.average.tensors if name.startswith("loss:")] == ["loss:temperature"]
    assert seen(run)["loss:temperature"] != run.weights()["loss:temperature"]


def test_what_is_kept_and_measured_is_the_average(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*NET, "ema=0.99", "report=false", "device=cpu", "threads=1"]
    assert main(["train", *words]) == 0
    shown = capsys.readouterr().out
    assert "exponential average, decay 0.99" in shown
    run = built("ema=0.99")
    best = next(e for e in reversed(list(train(run))) if isinstance(e, Evaluated) and e.improved)
    kept = load_file("outputs/latest/model.safetensors")
    torch.testing.assert_close(kept, run.best_weights, rtol=0, atol=0)
    assert main(["eval", "latest"]) == 0
    assert f"{best.metrics['val/loss']:.4f}" in capsys.readouterr().out


BAD = {
    "ema=1": "ema=0.999", "ema=0": "ema=0.999", "ema=-0.1": "ema=0.999", "ema=0.9 swa=0.5": "swa=null",
    "swa=1": "swa=0.75", "swa=0epochs": "swa=1epoch", "swa_lr=0.1": "swa=0.75 swa_lr=0.1",
}  # fmt: skip


@pytest.mark.parametrize("words", BAD)
def test_what_cannot_be_averaged_is_refused(words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(*words.split())
    assert caught.value.hint == BAD[words]


SIGNALLED = """
import os, signal
from torch import is_grad_enabled, nn

class Net(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, 8), nn.BatchNorm1d(8), nn.Linear(8, out_features))

    def forward(self, x):
        if self.training and not is_grad_enabled() and self.layers[1].momentum is None:  # an average settles
            with open("settled", "a") as file:
                file.write(".")
            if os.path.getsize("settled") == int(os.environ.get("STOP_AT", 0)):
                os.kill(os.getpid(), signal.SIGTERM)
        return self.layers(x)
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 7, 16])  # of 4 batches in each of 4 evaluations: in the first, in another, the last
def test_a_stop_while_an_average_settles_resumes_to_the_bit(at: int, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    words = ["dataset=iris", "model=own", "model._target_=signalled.Net", "epochs=8", "swa=0.5", "loader.batch_size=30"]
    words += ["report=false", "device=cpu", "threads=1", "optimizer=sgd", "optimizer.lr=0.1"]
    whole = cli("train", *words, "output_dir=whole")
    assert whole.returncode == 0, whole.stderr
    assert (tmp_path / "settled").stat().st_size == 16
    (tmp_path / "settled").unlink()
    stopped = cli("train", *words, STOP_AT=str(at))
    assert stopped.returncode == 143, stopped.stderr
    assert "stopped by SIGTERM at step" in stopped.stderr
    assert cli("resume", "latest").returncode == 0
    folders = [tmp_path / "whole/latest", tmp_path / "outputs/latest"]
    assert equal(*(load_file(folder / layout.MODEL) for folder in folders))
    best = [json.loads((folder / layout.SUMMARY).read_text())["best"] for folder in folders]
    assert best[0] == best[1]
    newest = [max(folder.glob("checkpoints/step-*")) for folder in folders]
    assert equal(*(load_file(folder / checkpoint.WEIGHTS) for folder in newest))
