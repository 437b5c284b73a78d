"""Each guard trips on its own broken thing, with its message, and nothing else does."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from broken import BLOBS, SHORT, data, model
from conftest import config
from jobs import JOBS, own
from PIL import Image

from trainer import checkpoint
from trainer.build.build import build
from trainer.cli import main
from trainer.errors import ConfigError, TrainerError
from trainer.guards.finding import Finding
from trainer.guards.shared_rows import shared_rows
from trainer.listeners.guards import Guards
from trainer.loop import train
from trainer.run import runner
from trainer.run.session import Session
from trainer.terminal.screen import Screen

LINE = ["dataset=line", "dataset.val_fraction=0", "epochs=25"]


def loss(name: str) -> list[str]:
    return [f"loss._target_=torch.nn.{name}"]


def found_in(*words: str) -> list[Finding]:
    """What guards say of a whole run, in their order."""
    run, setup = build(config(*SHORT, *words))
    found = list(setup.findings)
    guards = Guards(run, found.append, chosen=setup.splits.preprocessing.table is not None)
    for event in train(run):
        guards(event)
    return found


CASES = [  # what is wrong, what is typed, the guard, what it says, what it says to type
    ("tensor", [*BLOBS, *model("RawTensor")], "unregistered", "scale is a plain tensor", r"self\.scale = nn\.Param"),
    ("list", [*BLOBS, *model("RawList")], "unregistered", "middle holds modules in a plain list", "nn.ModuleList"),
    ("frozen", [*BLOBS, *model("Frozen")], "frozen", r"2 of 4 .* first\.weight, first\.bias", "requires_grad_"),
    ("remade", [*BLOBS, *model("RemadeParameter")], "optimizer", "bias of the model is not", "__init__"),
    ("half", [*BLOBS, *model("Plain"), "optimizer._target_=broken.HalfSGD", "~optimizer.betas", "~optimizer.eps",
              "~optimizer.weight_decay"], "optimizer", r"first\.weight, first\.bias of the model are", "super"),
    ("device", [*BLOBS, *model("Elsewhere")], "device", r"model\.table on meta; the rest is on cpu", "leave"),
    ("broadcast", [*LINE, *model("Flat"), "loss=mse", "loss._target_=broken.Squares"], "broadcast",
     r"\(2,\) against target \(2, 1\) broadcast to \(2, 2\)", r"\(2, 1\)"),
    ("softmax", [*BLOBS, *model("Softmax")], "activation", "probabilities.*stays above 0.55", "logits"),
    ("by hand", [*BLOBS, *model("SoftmaxByHand")], "activation", "probabilities", "logits"),
    ("batch", [*BLOBS, *model("SoftmaxOfBatch")], "activation",
     "probabilities along axis 0, but the classes are along axis 1: a softmax", "logits"),
    ("positions", own(dataset="Sentences", model="Softmaxed"), "activation",
     "along axis 1, but the classes are along axis 2", "logits"),
    ("axes", [*own(dataset="Lines", model="Tagger", loss="ReadsPositions"), "+dataset.length=12"], "class axis",
     r"^ReadsPositions: it reads the classes along axis 1, but the model gives them along axis 2", r"movedim\(2, 1\)"),
    ("padding", [*own(dataset="Sentences", model="Tagger"), "+dataset.padding=0"], "padding",
     r"29% of the targets are 0 where input_ids is padded with 0; CrossEntropyLoss", "-100 there, in collate_fn"),
    ("teacher", [*JOBS["distilled"], "+loss.thawed=true"], "teacher",
     r"^Distilled: teacher in it has 2,410 parameters to train; .* 9,610", r"self\.teacher\.requires_grad_\(False\)"),
    ("mirrored", ["dataset=digits", "model=mlp", "augment.flip=true", "max_steps=4"], "mirrored",
     r"augment\.flip=true mirrors digits", r"augment\.flip=false"),
    ("labels", [*own(dataset="Signs"), *model("Sigmoid")], "activation", "went through a sigmoid", "remove sigmoid"),
    ("second input", [*JOBS["two inputs"], "+dataset.scale=100"], "scale", "^right: its inputs are", "standardise"),
    ("sigmoid", [*data("Binary"), *model("Sigmoid"), *loss("BCEWithLogitsLoss")], "activation",
     "stays above 0.31", "remove sigmoid"),
    ("nll", [*BLOBS, *model("Plain"), *loss("NLLLoss")], "activation", "not log-prob", "loss=cross_entropy"),
    ("labels", [*data("FloatLabels"), *model("Plain")], "target", "0 to 2, stored as float32", r"int\(label\)"),
    ("bce", [*data("Binary"), "+dataset.low=-1", *model("Plain"), *loss("BCEWithLogitsLoss")], "target",
     "-1 to 1", "0 and 1"),
    ("pixels", [*data("Pixels"), *model("Scaled")], "scale", r"^first: its inputs are 0 to 255, .* about 1", "by 255"),
    ("eval", [*BLOBS, *model("LeftInEval")], "eval", "LeftInEval: it is in eval mode", r"self\.eval\(\)"),
    ("part", [*BLOBS, *model("PartInEval")], "eval", "dropout is in eval mode", r"\.eval\(\) on parts"),
    ("logits", [*BLOBS, *model("LargeLogits")], "first loss", r"ln\(3\) = 1\.099", "last layer"),
    ("unused", [*BLOBS, *model("Unused")], "gradient", r"forgotten\.weight, forgotten\.bias had no .* 20 steps",
     "forward"),
    ("cut", [*BLOBS, *model("DetachedInside")], "gradient", r"first\.weight, first\.bias", r"\.data"),
    ("deep", [*BLOBS, f"model.hidden={[8] * 16}", "model.activation=sigmoid"], "vanishing",
     r"vanish in layers\.0\.weight", "relu"),
    ("still", [*BLOBS, *model("Plain"), "optimizer.lr=1e-30"], "nothing moved", "20 steps; .* learning rate is 1e-30",
     "lr-find"),
    ("flat", [*data("Noise"), "model=linear", "model.init=zero"], "flat",
     r"it was 1\.\d+ and is 1\.\d+ after 2\d\d steps", "overfit"),
    ("exploding", [*LINE, "epochs=40", "model=linear", "optimizer=sgd", "optimizer.lr=1.5", "dtype=float64",
                   "log_every=1"], "exploding", "rate 1.5 is too high", r"optimizer\.lr=0\.15"),
    ("by heart", [*data("Noise"), "+dataset.num_rows=150", "+dataset.num_features=40", "model.hidden=[256]",
                  "epochs=60"], "overfitting", r"val/loss has risen from .* at epoch \d", r"early_stop\.patience=5"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "check", "text", "remedy"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_trap_trips_its_guard_and_no_other(words: list[str], check: str, text: str, remedy: str) -> None:
    found = found_in(*words)
    assert [finding.check for finding in found] == [check], [finding.message for finding in found]
    assert re.search(text, found[0].message), found[0].message
    assert re.search(remedy, found[0].remedy), found[0].remedy
    assert found[0].note == (check in ("frozen", "teacher"))


def test_targets_and_inputs_are_judged_as_the_data_has_them() -> None:
    """Labels stored as floats, which the scaling of targets hides; a table's own rule and its user may want numbers.
    An outlier in the first rows is no sign of a wrong scale, where the scale is the training split's own."""
    chance = np.random.default_rng(0)
    x, y = chance.normal(size=(3000, 3)), chance.integers(0, 3, 3000)
    x[:2] = 1e6
    np.savez("labels.npz", x=x, y=y.astype(np.float32))
    np.savetxt("labels.csv", np.column_stack([x, y]), delimiter=",", header="a,b,c,y", comments="")
    words = ["dataset.val_fraction=0.2", "epochs=1", "loss=mse"]
    (finding,) = found_in("dataset=npz", "dataset.path=labels.npz", *words)
    assert (finding.check, "whole numbers 0 to 2" in finding.what) == ("target", True)
    table = ["dataset=table", "dataset.path=labels.csv", "dataset.target=y", "dataset.task=numbers", *words]
    assert found_in(*table) == []


def test_what_cannot_be_carried_out_at_all_is_an_error_that_names_the_trap() -> None:
    with pytest.raises(ConfigError, match=r"model\.table on meta; the rest is on cpu"):
        build(config(*BLOBS, *model("Elsewhere"), "+model.used=true"))
    with pytest.raises(ConfigError, match=r"ReadsPositions on output \(2, 8, 12\) and target \(2, 8\)") as caught:
        build(config(*own(dataset="Lines", model="Tagger", loss="ReadsPositions")))
    assert "prediction.movedim(2, 1) in the loss" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match=r"label 3 in .* outside the 3 classes, 0 to 2"):
        found_in(*data("OutOfRange"), *model("Plain"))


EARLY = [*BLOBS, *model("Softmax")]
LATE = [*BLOBS, *model("LeftInEval")]


def test_warn_says_it_once_on_the_screen_and_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (EARLY, LATE):
        assert main(["train", *SHORT, *words]) == 0
        out = capsys.readouterr().out
        (log,) = Path("outputs").glob("2*/*/train.log")
        assert out.count("warning  ") == log.read_text().count("warning  ") == 1
        assert "\n         try: " in out
        told = re.findall(r"^warning  .+\n(?:         .+\n)+", out, flags=re.M)
        assert [max(map(len, text.splitlines())) <= 78 for text in told] == [True]
        log.rename(log.with_suffix(".seen"))


def test_strict_refuses_before_training_what_is_known_then(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SHORT, *EARLY, "guards=strict"]) == 2
    assert "a softmax comes before the loss" in capsys.readouterr().err
    assert not Path("outputs").exists() or not list(Path("outputs").glob("2*/*"))


def test_strict_ends_the_run_after_saving_where_a_step_had_to_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SHORT, *LATE, "guards=strict"]) == 1
    assert "in eval mode while it trains" in capsys.readouterr().err
    (folder,) = Path("outputs").glob("2*/*")
    assert [path.name for path in checkpoint.checkpoints(folder)] == ["step-00000001"]
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["status"], summary["stop_reason"], summary["steps"]) == ("failed", "guard", 1)


def test_a_note_stops_nothing_in_strict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SHORT, *BLOBS, *model("Frozen"), "guards=strict"]) == 0
    assert "note     Frozen: 2 of 4 parameters" in capsys.readouterr().out


def test_none_is_silent_and_looks_at_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_asked(*args: object) -> list[Finding]:
        raise AssertionError("a guard was asked")

    monkeypatch.setattr("trainer.build.guarded.before_training", not_asked)
    monkeypatch.setattr("trainer.build.model.structure.unregistered", not_asked)
    monkeypatch.setattr(Guards, "__call__", not_asked)
    for words in (EARLY, LATE):
        assert main(["train", *SHORT, *words, "guards=none"]) == 0
        assert "warning" not in capsys.readouterr().out


def test_guards_change_no_bit_of_a_run() -> None:
    words = [*SHORT, "dataset=digits", "model=cnn", "model.dropout=0.3", "max_steps=30"]
    weights = []
    for guards in ("warn", "none"):
        run, setup = build(config(*words, f"guards={guards}"))
        watch = [Guards(run, setup.findings.append)] if guards == "warn" else []
        for event in train(run):
            for listener in watch:
                listener(event)
        weights.append(run.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


OOM = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB"


def test_out_of_memory_says_what_to_set_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, setup = build(config(*SHORT, *BLOBS, "accumulate=2", "model.hidden=[1000]"))

    def full(*args: object) -> None:
        raise torch.OutOfMemoryError(OOM)

    run.step = full  # type: ignore[assignment]
    with Screen() as screen, pytest.raises(TrainerError) as caught:
        runner.carry_out(run, setup, tmp_path, Session(screen, 0.0))
    held = (4 * 1000 + 1000 + 1000 * 3 + 3) * 4 / 2**20
    assert "out of memory at step 1, batch 64, 2.00 GiB more needed" in caught.value.message
    assert f"hold {held:.1f} MiB" in caught.value.message
    assert "loader.batch_size=32 accumulate=4" in (caught.value.hint or "")
    assert "autocast=bf16 may help too" in caught.value.message
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "failed"


def test_the_processors_memory_can_run_out_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SHORT, *BLOBS, *model("Huge")]) == 1
    said = capsys.readouterr().err
    assert f"out of memory at step 1, batch 64, {2**52} bytes more needed" in said
    assert "try: loader.batch_size=32 accumulate=2" in said


def test_augmented_pictures_are_compared_as_they_are(tmp_path: Path) -> None:
    """Every picture lies in both splits, and augmentation draws each of the training pictures differently."""
    pixels = np.random.default_rng(0).integers(0, 255, (2, 10, 9, 9, 3), dtype=np.uint8)
    for split, label, number in np.ndindex(2, 2, 10):
        path = tmp_path / "pics" / ("train", "val")[split] / f"class{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[label, number]).save(path)
    words = ["dataset=images", "dataset.path=pics", "dataset.size=9", "dataset.augment=true"]
    (finding,) = shared_rows(build(config(*words))[1].splits)
    assert "20 of 20 validation rows (100.0%) are in training too" in finding.message
