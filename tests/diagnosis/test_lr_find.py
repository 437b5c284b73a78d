"""trainer lr-find: the curve, a rate that trains, the words to type; and an answer where none does."""

import math
import re
from pathlib import Path

import pytest
from broken import BLOBS, model

from trainer.cli import main
from trainer.diagnosis import lr_range


def lr_find(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["lr-find", "threads=1", "device=cpu", *words])
    said = capsys.readouterr()
    assert max(len(line) for line in said.out.splitlines() if not line.startswith("next ")) <= 78  # to be copied whole
    assert not Path("outputs").exists()
    return code, said.out, said.err


@pytest.mark.parametrize("words", [["dataset=digits"], ["dataset=diabetes", "optimizer=sgd"]])
def test_the_rate_that_it_suggests_trains_better_than_a_hundredth_or_a_hundredfold(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = lr_find(capsys, *words)
    assert code == 0
    assert "loss  ⠒ train" in out
    command = re.search(r"^next     trainer train (.*)optimizer\.lr=(\S+)$", re.sub(r" \\\n +", " ", out), flags=re.M)
    assert command is not None, out
    assert command[1].split() == ["threads=1", "device=cpu", *words]
    losses = []
    for factor in (0.01, 1, 100):
        rate = float(command[2]) * factor
        code = main(["train", *command[1].split(), f"optimizer.lr={rate}", "epochs=4", "report=false"])
        capsys.readouterr()
        (results,) = Path("outputs").glob("2*/*/results.csv")
        losses.append(float(results.read_text().splitlines()[-1].split(",")[2]) if code == 0 else math.inf)
        results.rename(results.with_suffix(".seen"))
    assert losses[1] == min(losses), losses


def test_the_schedule_of_the_run_to_come_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    plain, cycle = (lr_find(capsys, "dataset=wine", f"scheduler={name}")[1] for name in ("none", "onecycle"))
    assert "\nsuggest  optimizer.lr=" in plain
    assert plain == cycle.replace(", OneCycleLR", "").replace("scheduler=onecycle", "scheduler=none")


def test_where_no_rate_lowers_the_loss_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr-find", *BLOBS, *model("Detached")]) == 2
    assert "no gradient by its parameters" in capsys.readouterr().err
    code, _, err = lr_find(capsys, *BLOBS, "+dataset.nan_in=1", "dataset.val_fraction=0")
    assert code == 1
    assert "the loss does not fall at any learning rate" in err
    assert "trainer doctor --overfit" in err


def test_the_steepest_fall_is_suggested_and_nothing_for_a_flat_curve() -> None:
    rates = [10.0 ** (n / 20 - 7) for n in range(160)]
    curve = [(rate, 1 / (1 + (rate / 1e-3) ** 2) + rate**2) for rate in rates]  # a step down at 1e-3, up at 1
    steepest, lowest = lr_range.suggest(curve) or (0, 0)
    assert steepest == pytest.approx(1e-3, rel=0.3)
    assert lowest == pytest.approx(0.03, rel=0.5)
    assert lr_range.suggest([(rate, 1.0) for rate in rates]) is None
    assert lr_range.suggest(curve[:8]) is None
