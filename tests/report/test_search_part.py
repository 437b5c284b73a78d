"""The page of a search: its trials in order, which keys decided, and each key by itself. No study is stored."""

import dataclasses
import importlib.util
import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_hostile_report import EVIL, check

from trainer.config.search_space import Axis
from trainer.disk import layout, sweep_plan
from trainer.disk.sweep_plan import Job, Plan
from trainer.report import make, search_part, sweep_page, trials
from trainer.report.key_importance import FEWEST, importance
from trainer.report.scales import Scale
from trainer.report.trials import DONE, FAILED, PRUNED, Trial

LR = Axis("optimizer.lr", (), 1e-5, 1e-1, False, True)
HIDDEN = Axis("model.hidden", ("[8]", "[64]"), values=([8], [64]))
AXES = [LR, HIDDEN]
ENDS = [("ok", 0.5), ("ok", 0.4), ("pruned", 0.9), ("failed", None), ("ok", 0.8), ("waiting", None), ("ok", 0.7)]


def search_folder(sweep: Path, axes: object = None, params: dict[str, str] | None = None) -> Path:
    """A stored search whose jobs ended as ENDS says, at rates of 1e-5 and ten times as many each."""
    node = {"_target_": "trainer.data.embedded.Iris", "split_seed": 0}
    jobs = []
    for number, (status, value) in enumerate(ENDS):
        trial = params or {"optimizer.lr": repr(1e-5 * 10 ** (number % 5)), "model.hidden": "[8]"}
        words = [f"{key}={text}" for key, text in trial.items()]
        jobs.append(Job(number, words, {"seed": 0, "report": True, "dataset": node}, trial))
        folder = jobs[-1].folder(sweep)
        folder.mkdir(parents=True)
        best = {} if value is None else {"step": 1, "val/acc": value}
        summary = {"status": status, "monitor": "val/acc", "modes": {"val/acc": "max"}, "best": best}
        if status != "waiting":
            (folder / layout.SUMMARY).write_text(json.dumps(summary))
    stored = axes if axes is not None else list(map(dataclasses.asdict, AXES))
    sweep_plan.write_plan(sweep, [], jobs, {"search": {"axes": stored}})
    return sweep


def drawn(many: int, seed: int = 0) -> list[Trial]:
    """Trials whose value follows from the rate alone, best at 1e-2."""
    draw, found = random.Random(seed), []
    for number in range(many):
        power = draw.uniform(-5, -1)
        params = {"optimizer.lr": repr(10**power), "model.hidden": draw.choice(HIDDEN.choices)}
        found.append(Trial(number, params, DONE, 1 - abs(power + 2) / 4))
    return found


def test_history_and_slices_show_every_trial_that_has_ended(tmp_path: Path) -> None:
    page = sweep_page.page(search_folder(tmp_path / "sweep"))
    shown = check(page)
    assert "4 finished, 1 pruned, 1 failed" in shown.words
    assert "Too few trials: 4 have ended well" in shown.words
    history, lr, hidden = [json.loads(data) for kind, data in shown.scripts if "trial 0" in data]
    assert [(trace["name"], trace["values"]) for trace in history] == [
        (DONE, [0.5, 0.4, 0.8, 0.7]),
        (PRUNED, [0.9]),
        (FAILED, []),
    ]
    assert history[1]["labels"] == ["trial 2: lr=0.001, hidden=[8]"]
    assert [trace["labels"] for trace in lr] == [trace["labels"] for trace in hidden]
    for without in ([], [{"key": 3}], EVIL, [{**dataclasses.asdict(LR), "low": "x"}]):
        assert "History" in sweep_page.page(search_folder(tmp_path / str(hash(str(without))), without))


@pytest.mark.parametrize(("mode", "corners"), [
    ("max", [(0, 0.5), (4, 0.5), (4, 0.8), (6, 0.8)]), ("min", [(0, 0.5), (1, 0.5), (1, 0.4), (6, 0.4)]),
])  # fmt: skip
def test_the_best_so_far_counts_finished_trials_only(mode: str, corners: list[tuple[int, float]]) -> None:
    ended = [(0, DONE, 0.5), (1, DONE, 0.4), (2, PRUNED, 0.9), (3, FAILED, 0.0), (4, DONE, 0.8), (6, DONE, 0.7)]
    found = [Trial(number, {}, kind, value) for number, kind, value in ended]
    assert list(search_part.best_so_far(found, max if mode == "max" else min)) == corners


def test_a_slice_has_the_scale_of_its_axis() -> None:
    own = [Trial(n, {"optimizer.lr": rate}, DONE, 0.5) for n, rate in enumerate(("1e-05", "0.001", "0.1"))]
    unit = Scale(0.0, 1.0)
    plot = search_part.sliced("optimizer.lr", "lr", LR, own, "val/acc", unit)
    assert (plot.traces[0].path, plot.x_name) == ("M0 500h0M1000 500h0M2000 500h0", "lr (log scale)")
    even = dataclasses.replace(LR, low=0.0, high=0.1, log=False)
    plot = search_part.sliced("optimizer.lr", "lr", even, own, "val/acc", unit)
    assert (plot.traces[0].path, plot.x_name) == ("M0 500h0M20 500h0M2000 500h0", "lr")
    choices = [Trial(n, {"m": name}, DONE, 0.5) for n, name in enumerate("aba")]
    plot = search_part.sliced("m", "m", Axis("m", ("a", "b")), choices, "val/acc", unit)
    assert [label for _, label in plot.x_ticks] == ["a", "b"]


def test_importance_finds_the_key_that_decides_in_20_of_20_searches() -> None:
    pytest.importorskip("optuna")
    axes, firsts = {axis.key: axis for axis in AXES}, []
    for seed in range(20):
        found, text = importance(drawn(20, seed), axes, "max")
        assert sum(percent for _, percent in found) == pytest.approx(100)
        firsts.append(found[0][0])
    assert firsts == ["optimizer.lr"] * 20
    turned = [dataclasses.replace(trial, value=-trial.value) for trial in drawn(20, 19)]
    assert importance(turned, axes, "min") == (found, text)
    assert "20 finished trials" in text
    assert "the best 25%" in text


def test_importance_says_why_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = {axis.key: axis for axis in AXES}
    few = drawn(FEWEST - 1)
    pruned = dataclasses.replace(few[0], kind=PRUNED)
    assert importance([*few, *[pruned] * 9], axes, "max")[1].startswith(f"Too few trials: {FEWEST - 1} have ended well")
    assert importance(drawn(30), {"optimizer.lr": LR}, "max") == ([], "A single key was searched.")
    assert importance(drawn(30), {}, "max")[1].startswith("Unknown: the plan")
    if importlib.util.find_spec("optuna"):
        text = importance(drawn(30), axes | {"optimizer.lr": dataclasses.replace(LR, high=1e-4)}, "max")[1]
        assert text.startswith("Unknown: optimizer.lr=")
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'fiveline[optuna]'" in importance(drawn(30), axes, "max")[1]


def test_a_grid_has_no_such_part_and_a_hostile_search_is_shown_as_text(tmp_path: Path) -> None:
    plan = Plan([], [Job(0, [], {})])
    assert trials.trials(plan.jobs, [SimpleNamespace(metrics={}, failed=True, status="failed")], "val/acc") == []
    evil = search_folder(tmp_path / "sweep", [dataclasses.asdict(Axis(EVIL, (EVIL,)))], {EVIL: EVIL})
    assert check(make.of_sweep(evil).read_text()).words.count("onerror=pwned=1") > 1
