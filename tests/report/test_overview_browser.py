"""The page over all runs in a real Chromium: sort, filter, pick, follow; and nothing of a stranger's folder runs."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import PROGRAM, Browser
from test_browser import chromium, opened, tip  # noqa: F401 - a fixture
from test_hostile_report import EVIL, lines
from test_overview import made, several

from trainer.disk import layout
from trainer.report import make
from trainer.report.overview import Overview
from trainer.report.page_server import PageServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here"),
]

NAMES = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[1].textContent)"
JOBS = ["11-00-00-bbbb/000", "11-00-00-bbbb/001"]
FIRST, LAST = "10-00-00-iris-mlp-aaaa", "09-00-00-digits-mlp-cccc"


def column(browser: Browser, heading: str) -> list[str]:
    """The texts of a column."""
    place = "[...document.querySelectorAll('#table thead th')].findIndex((one) => one.textContent === %s)"
    cells = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[%s].textContent)"
    return browser.run(cells % (place % json.dumps(heading)))


def click(browser: Browser, heading: str) -> None:
    """Click a heading of the table."""
    buttons = "[...document.querySelectorAll('#table thead button')]"
    browser.run(f"{buttons}.find((one) => one.textContent === {json.dumps(heading)}).click()")


def type_filter(browser: Browser, text: str) -> list[str]:
    """Type into the filter. Returns the names of the runs that are shown."""
    field = "document.getElementById('filter')"
    browser.run(f"{field}.value = {json.dumps(text)}; {field}.dispatchEvent(new Event('input'))")
    return browser.run(NAMES)


def test_sort_filter_and_pick(chromium: Browser, tmp_path: Path) -> None:  # noqa: F811
    several(tmp_path / "outputs")
    page = make.of_all(Overview(tmp_path / "outputs"))
    for width in (400, 1200):
        opened(chromium, page, width=width)
    assert chromium.run(NAMES) == [LAST, *JOBS, FIRST]
    click(chromium, "val/loss")
    assert column(chromium, "val/loss") == ["5.0000", "2.0000", "1.0000", "0.5000"]
    click(chromium, "val/loss")
    assert chromium.run(NAMES) == [*JOBS[::-1], FIRST, LAST]
    assert chromium.run("document.querySelector('th[aria-sort=ascending]').textContent") == "val/loss"
    found = {
        "digits": [LAST], "lr=0.5": [LAST], "LR=5e-1": [LAST], "optimizer.lr<0.3 acc>0.85": JOBS[::-1],
        "bbbb seed=1": [JOBS[1]], "lr=0": [], "val/loss<1": [JOBS[1]], "steps=1": [LAST], "ok iris nothing": [],
        "2026-01-03": [LAST], "acc >= 0.5 digits": [LAST],
    }  # fmt: skip
    for text, names in found.items():
        assert type_filter(chromium, text) == names, text
    type_filter(chromium, "bbbb")
    heads = "[...document.querySelectorAll('#table thead button')].map((one) => one.textContent)"
    assert chromium.run(heads)[-1] == "seed"  # the only setting in which these differ
    type_filter(chromium, "nokey=1")
    assert "No column is called nokey" in chromium.run("document.getElementById('notes').textContent")
    type_filter(chromium, "")
    chromium.run("document.getElementById('none').click()")
    assert chromium.run("document.querySelectorAll('path.line').length") == 0
    for name in JOBS:
        chromium.run(f"document.querySelector('input[aria-label=\"pick {name}\"]').click()")
    choice = "document.getElementById('metric')"
    chromium.run(f"{choice}.value = 'val/loss'; {choice}.dispatchEvent(new Event('change'))")
    heights = "[...document.querySelectorAll('path.line')].map((p) => p.getAttribute('d').match(/\\d+/g).map(Number))"
    ours = {tuple(path[::2]): path[1::2] for path in chromium.run(heights)}
    assert list(ours) == [(0, 2000)]  # both from the first to the last step
    assert sorted(path[3] - path[1] for path in chromium.run(heights)) == pytest.approx([617, 926], abs=1)  # 1 and 1.5
    table = "document.getElementById('differing').innerText.replace(/\\s+/g, ' ').trim()"
    assert chromium.run(table) == f"Settings that differ {JOBS[0]} {JOBS[1]} seed 0 1"
    chromium.point("#plot .area", 0.999, 0.96)
    assert tip(chromium).split("\n") == [f"{JOBS[1]} seed=1", "val/loss", "0.5"]
    assert len(chromium.run("[...document.querySelectorAll('tr.lit')].map((row) => row.dataset.run)")) == 1
    chromium.run("document.querySelector('#plot .tools button').click()")
    assert chromium.run("document.querySelector('#plot .scale').textContent") == "log scale"
    assert chromium.said == []


def hostile(root: Path) -> None:
    """Runs whose every text is code."""
    folder = made(
        root / "2026-01-02/<img src=x onerror=pwned=1>", [2.0, 1.0], EVIL, name=EVIL, **{EVIL: EVIL, "x": "y"}
    )
    other = made(root / "2026-01-02/javascript:pwned=1", [2.0, 1.0], EVIL, name="<b>", **{EVIL: "javascript:pwned=1"})
    for one in (folder, other):
        summary = json.loads((one / layout.SUMMARY).read_text())
        words = {"dataset": EVIL, "model": EVIL, "monitor": f"val/{EVIL}", "best": {f"val/{EVIL}": 1.0}}
        (one / layout.SUMMARY).write_text(json.dumps(summary | words))
        row = {"step": 1, "epoch": 1, "eval": True, "train/loss": 1, f"val/{EVIL}": 1}
        (one / layout.METRICS).write_text(lines(row, row | {"step": 2}) + "\n")
        (one / layout.REPORT).write_text("")
    made(root / "2026-01-02/broken", [1.0])
    (root / "2026-01-02/broken" / layout.CONFIG).write_text(f"a: !!python/{EVIL}")


def test_a_strangers_runs_run_nothing(chromium: Browser, tmp_path: Path) -> None:  # noqa: F811
    hostile(tmp_path / "outputs")
    opened(chromium, make.of_all(Overview(tmp_path / "outputs")))
    assert chromium.run("document.body.innerText.includes('<script>pwned=1</script>')")
    assert type_filter(chromium, "<script>") != []
    chromium.point("#plot .area", 0.5, 0.5)
    chromium.run("document.querySelectorAll('#table a, #table input, #table button').forEach((one) => one.focus())")
    assert chromium.run("typeof pwned") == "undefined"
    assert chromium.run("document.querySelectorAll('img,b,[onerror],[onload],svg[onload]').length") == chromium.run(
        "document.querySelectorAll('.tip b').length"
    )
    links = chromium.run("[...document.querySelectorAll('a')].map((link) => link.protocol)")
    assert set(links) == {"file:"}
    assert chromium.said == []


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where outputs/ is served."""
    with PageServer(Overview(tmp_path / "outputs")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def until(browser: Browser, expression: str) -> None:
    """Wait until an expression is true in the page."""
    end = time.monotonic() + 60
    while not browser.run(expression):
        assert time.monotonic() < end, expression
        browser.call("Runtime.evaluate", expression="new Promise(requestAnimationFrame)", awaitPromise=True)


def test_the_page_follows_the_runs(chromium: Browser, address: str, tmp_path: Path) -> None:  # noqa: F811
    folders = several(tmp_path / "outputs")
    chromium.open(address)
    assert chromium.run(NAMES) == [LAST, *JOBS, FIRST]
    type_filter(chromium, "iris")
    click(chromium, "run")
    chromium.run(f"document.querySelector('input[aria-label=\"pick {FIRST}\"]').click()")
    with (folders[1] / layout.METRICS).open("a") as file:
        file.write(
            lines({"step": 9, "epoch": 9, "train/loss": 1, "val/loss": 7.5, "val/acc": 0.25, "eval": True}) + "\n"
        )
    made(tmp_path / "outputs/2026-01-04/10-00-00-iris-mlp-dddd", [3.0], "running")
    until(chromium, f"{NAMES}.length === 4")
    assert chromium.run(NAMES) == ["10-00-00-iris-mlp-aaaa", "10-00-00-iris-mlp-dddd", *JOBS]  # filter and order stay
    assert chromium.run(f"document.querySelector('input[aria-label=\"pick {FIRST}\"]').checked") is False
    until(chromium, "[...document.querySelectorAll('#plot .xtick')].at(-1)?.textContent === '8'")  # up to step 9
    chromium.point("#table tbody a", 0.5, 0.5)
    chromium.open(chromium.run("document.querySelector('#table tbody tr:nth-child(3) a').href"))
    assert chromium.run("document.querySelector('h1').textContent") == "iris"
    assert chromium.said == []


def test_a_hostile_run_that_is_served_runs_nothing(chromium: Browser, address: str, tmp_path: Path) -> None:  # noqa: F811
    hostile(tmp_path / "outputs")
    chromium.open(address)
    until(chromium, "document.getElementById('state').textContent.startsWith('following, ')")
    assert chromium.run("typeof pwned") == "undefined"
    asked = {url for url in chromium.asked if not url.startswith("data:")}
    assert asked == {address, f"{address}data.json"}
    for link in chromium.run("[...document.querySelectorAll('#table a')].map((link) => link.href)"):
        assert link.startswith(address)
        chromium.open(link)
        assert chromium.run("typeof pwned") == "undefined"
    chromium.open(address)
    refused = "fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')"
    answer = chromium.call("Runtime.evaluate", expression=refused, awaitPromise=True)
    assert answer["result"]["value"] == "refused"
    assert any("Content Security Policy" in text for text in chromium.said)
