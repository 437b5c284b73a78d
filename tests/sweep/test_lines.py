"""What a sweep and a comparison print: in 78 columns, and nothing that matters is cut off."""

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.compare.protocol import Protocol
from trainer.compare.ranking import rankings
from trainer.compare.rows import Row
from trainer.sweep import lines
from trainer.terminal.screen import Screen

pytestmark = pytest.mark.no_torch
RUN = Row("outputs/2026-11-28/12-50-44-digits-mlp-7d5c", {}, "ok", "val/acc", {"val/acc": 0.5}, 1.0, 5, [], None)


@given(st.lists(st.from_regex(r"[a-z]{1,12}[0-9,]{0,20}", fullmatch=True), max_size=9), st.sampled_from(["", "best"]))
def test_a_job_keeps_every_setting_and_its_metric(values: list[str], praise: str) -> None:
    settings = {f"model.key_{number}": value for number, value in enumerate(values)} | {"seed": "16"}
    found = lines.job_lines(3, 12, replace(RUN, settings=settings), praise)
    assert max(map(len, found)) <= 78
    words = " ".join(found).split()
    assert words[:2] == ["[", "3/12]"]
    typed = [f"key_{number}={value}" for number, value in enumerate(values)]
    assert words[2:] == [*typed, "seed=16", "val/acc", "0.5000", "1.0", "s", *filter(None, [praise])]


def test_runs_with_nothing_to_be_compared_with_take_a_line_each() -> None:
    def run(name: str, data: str, value: float, metric: str = "val/acc") -> Row:
        return replace(RUN, name=name, monitor=metric, metrics={metric: value}, protocol=Protocol(data, data))

    runs = [run("a", "Iris", 0.9), run("b", "Wine", 0.8), run("c", "Iris", 0.2, "val/loss"), run("d", "Iris", 0.7)]
    out = io.StringIO()
    lines.show_rankings(Screen(out), rankings(runs), runs, lambda best: [f"best     {best.name}"])
    text = out.getvalue()
    assert len(re.findall("^rank ", text, re.M)) == 1
    assert text.endswith(
        "alone    2 runs with nothing to be compared with:\n"
        "         b  val/acc 0.8000  Wine\n"
        "         c  val/loss 0.2000  Iris\n"
    )


def test_the_header_says_which_keys_vary_in_step() -> None:
    grid = [{"model": model, "lr": lr, "seed": seed} for model, lr in (("a", "1"), ("b", "2")) for seed in "01"]
    assert lines.axes(grid) == ["(model, lr)", "seed"]
    assert lines.axes([*grid, {"model": "a", "lr": "2", "seed": "0"}]) == ["model", "lr", "seed"]
    assert lines.axes([{"scheduler": "none"}, *({"scheduler": "step", "size": size} for size in "12")]) == [
        "scheduler",
        "size",
    ]
