"""The pages in a real Chromium: no word in its console, nothing fetched, values on hover, and room on a phone."""

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from browser import PROGRAM, Browser
from test_hostile_report import evil_run
from test_report import QUICK
from test_search_part import search_folder

from trainer import cli
from trainer.disk import layout
from trainer.report import make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here"),
]


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as browser:
        yield browser


def opened(browser: Browser, page: Path, **how: object) -> None:
    """Open a page in both themes; it says nothing, asks for nothing but itself, and is no wider than the window."""
    grounds = {}
    for theme in ("light", "dark"):
        browser.open(page, theme=theme, **how)
        assert browser.said == []
        assert [url for url in browser.asked if not url.startswith("data:")] == [page.resolve().as_uri()]
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        grounds[theme] = browser.run("getComputedStyle(document.body).backgroundColor")
    assert grounds["light"] != grounds["dark"]


def tip(browser: Browser) -> str:
    return browser.run("[...document.querySelectorAll('.on .tip')].map((tip) => tip.innerText).join('|')")


def test_a_run(chromium: Browser, tmp_path: Path) -> None:
    assert cli.main(["train", *QUICK]) == 0
    folder = (tmp_path / "outputs/latest").resolve()
    for width in (1200, 400):
        opened(chromium, folder / layout.REPORT, width=width)
    chromium.point("figure[data-kind=x] .area", 0.999, 0.5)
    last = (folder / layout.RESULTS).read_text().splitlines()[-1].split(",")
    step, loss = last[1], float(last[3])
    shown = tip(chromium).split("\n")
    assert shown[0] == f"step {step}"
    assert float(shown[shown.index("val") + 1]) == pytest.approx(loss, rel=1e-4)
    chromium.point("h1", 0.5, 0.5)
    assert tip(chromium) == ""
    assert chromium.said == []


def test_curves_can_be_smoothed_and_logarithmic(chromium: Browser, tmp_path: Path) -> None:
    assert cli.main(["train", *QUICK]) == 0
    folder = (tmp_path / "outputs/latest").resolve()
    rows = [json.loads(line) for line in (folder / layout.METRICS).read_text().splitlines()]
    losses = [row["train/loss"] for row in rows if not row.get("eval")]
    chromium.open(folder / layout.REPORT)
    heights = "[...document.querySelector('.tall path.train').getAttribute('d').matchAll(/ (\\d+)/g)].map((m) => +m[1])"
    before = chromium.run(heights)
    chromium.run("document.querySelector('.tools button').click()")
    assert (
        chromium.run("document.querySelector('.tall').parentElement.querySelector('.scale').innerText") == "log scale"
    )
    places = chromium.run(heights)
    scale = [math.log(losses[0] / losses[i]) / math.log(losses[0] / losses[1]) for i in (1, 2)]
    drawn = [(places[i] - places[0]) / (places[1] - places[0]) for i in (1, 2)]
    assert drawn == pytest.approx(scale, abs=0.02)  # a place is rounded to a thousandth of the box
    chromium.run("document.querySelector('.tools button').click()")
    assert max(abs(a - b) for a, b in zip(before, chromium.run(heights), strict=True)) <= 1
    rough = sum(abs(a - b) for a, b in pairwise(before))
    move = "const s = document.querySelector('.tools input'); s.value = 50; s.dispatchEvent(new Event('input'))"
    chromium.run(f"(() => {{ {move} }})()")
    assert sum(abs(a - b) for a, b in pairwise(chromium.run(heights))) < rough
    assert chromium.said == []


def test_numbers(chromium: Browser, tmp_path: Path) -> None:
    assert cli.main(["train", "dataset=diabetes", "threads=1", "epochs=2"]) == 0
    opened(chromium, (tmp_path / "outputs/latest").resolve() / layout.REPORT)
    chromium.point("figure[data-kind=point] .area", 0.5, 0.5)
    assert "truth" in tip(chromium)


def test_a_sweep(chromium: Browser, tmp_path: Path) -> None:
    assert cli.main(["train", "-m", *QUICK, "optimizer.lr=1e-3,1e-2,1e-1", "model.dropout=0,0.5"]) == 0
    sweep = (tmp_path / "outputs/latest").resolve()
    for width in (400, 1200):
        opened(chromium, sweep / layout.REPORT, width=width)
    chromium.point(".parallel .area", 0.49, 0.25)
    assert "lr=" in tip(chromium)
    lit = "[...document.querySelectorAll('.lit')].map((part) => part.tagName.toLowerCase())"
    assert sorted(set(chromium.run(lit))) == ["path", "tr"]
    chromium.point(".ranking tr:nth-child(2) td", 0.5, 0.5)
    assert len(chromium.run(lit)) == 3  # its row, its curve, its line of settings


def test_a_hostile_run_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    page = make.of_run(evil_run(tmp_path / "<img src=x onerror=pwned=1>"))[-1]
    opened(chromium, page)
    assert chromium.run("typeof pwned") == "undefined"
    assert chromium.run("document.querySelectorAll('[onerror],[onload],svg[onload]').length") == 0
    chromium.point("figure[data-kind=x] .area", 0.1, 0.5)
    assert "1e+299" in tip(chromium)
    assert chromium.said == []


def test_a_search(chromium: Browser, tmp_path: Path) -> None:
    page = make.of_sweep(search_folder(tmp_path / "search"))
    for width in (400, 1200):
        opened(chromium, page, width=width)
    x, y = chromium.run(
        "(() => { const p = document.querySelector('.tall .pruned').getAttribute('d').match(/\\d+/g);"
        " return [p[0] / 2000, p[1] / 1000]; })()"
    )
    chromium.point("figure[data-kind=point] .area", x, y)
    assert tip(chromium).split("\n") == ["trial 2: lr=0.001, hidden=[8]", "val/acc", "0.9"]
    assert chromium.said == []
