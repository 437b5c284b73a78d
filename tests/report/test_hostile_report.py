"""A report from a stranger's folder: what stands in it is shown as text, and nothing of it runs."""

import base64
import json
import random
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.cli import main
from trainer.disk import history, layout, sweep_plan
from trainer.disk.outcome import read as read_outcome
from trainer.disk.sweep_plan import Job
from trainer.report import make, picture, run_page, sweep_page

EVIL = "</script><script>pwned=1</script><img src=x onerror=pwned=1>'\"><svg onload=pwned=1>{{7*7}}"
HUGE = "9" * 400
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "footer", "script", "header", "p", "h1", "h2", "h3", "span"),
    *("div", "dl", "dt", "dd", "br", "strong", "small", "figure", "figcaption", "svg", "path", "i", "b", "em", "img"),
    *("section", "table", "tr", "th", "td", "pre", "details", "summary", "a", "h4"),
    *("thead", "tbody", "label", "select", "button", "input", "noscript"),
}


class Page(HTMLParser):
    """What a browser would make of a page: its scripts, the addresses in it, and whatever is none of ours."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[str, str]] = []
        self.addresses: set[str] = set()
        self.alien: list[str] = []
        self.words = ""
        self.kind: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.alien += [tag] if tag not in TAGS else []
        self.alien += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]
        self.addresses |= {str(value).partition(",")[0] for name, value in attrs if name in ("src", "href", "action")}
        if tag == "script":
            self.kind = dict(attrs).get("type") or "code"
            self.scripts.append((self.kind, ""))

    def handle_endtag(self, tag: str) -> None:
        self.kind = None if tag == "script" else self.kind

    def handle_data(self, data: str) -> None:
        if self.kind is None:
            self.words += data
        else:
            self.scripts[-1] = (self.kind, self.scripts[-1][1] + data)


def check(text: str, most: int = 300_000) -> Page:
    page = Page(text)
    assert page.alien == []
    assert [kind for kind, _ in page.scripts].count("code") == 1
    assert "pwned" not in next(code for kind, code in page.scripts if kind == "code")
    for kind, data in page.scripts:
        if kind != "code":
            json.loads(data, parse_constant=lambda name: pytest.fail(name))
    jobs = {
        f"./{number:03}/{name}" for number in range(7) for name in ("", "report.html")
    }  # of a sweep: its own folders
    assert page.addresses <= {"data:image/png;base64"} | jobs
    assert len(text.encode()) < most
    return page


def lines(*rows: object) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def evil_figures() -> list[object]:
    """Figures of every kind whose every string is code, and what none of them is."""
    square = {"height": 2, "width": 2, "channels": 1, "pixels": "AAECAw=="}
    known = {"title": EVIL, "caption": EVIL, "x_name": EVIL, "y_name": EVIL, "names": [EVIL, EVIL], "columns": [EVIL]}
    points = [[0, 1e299], [1, -1e299], [HUGE, 1], [2, None], EVIL, [3]]
    return [
        known | {"kind": "curves", "series": [[EVIL, points], [EVIL, [[5, 5e-324]]], EVIL, [EVIL]], "diagonal": True},
        known | {"kind": "curves", "series": [[EVIL, [[1, 1]]]], "diagonal": EVIL},
        known
        | {"kind": "pictures", "rows": [[EVIL, [square, square]], [EVIL, [square, EVIL]], EVIL], "key": [[EVIL, EVIL]]},
        known | {"kind": "pictures", "rows": [["", [square, square]]], "key": [[EVIL, "#0072b2"], [EVIL, "red;}"]]},
        known | {"kind": "matrices", "parts": [[EVIL, [[0, 2**62], [1, 0]]], [EVIL, [[EVIL, 1], [1, 1]]]]},
        known | {"kind": "table", "rows": [[EVIL], [1e299], [-1e299], [None], [[EVIL]], [EVIL, EVIL]]},
        known | {"kind": "texts", "rows": [[EVIL, [[EVIL] * 200, [EVIL]], [0, -1, EVIL, 2**70]], [EVIL]]},
        known | {"kind": EVIL}, known | {"kind": "curves", "series": EVIL}, {"kind": "table"}, EVIL, 3,
    ]  # fmt: skip


def evil_run(folder: Path) -> Path:
    """A run folder whose every string is code, and whose numbers are none that can be drawn."""
    folder.mkdir(parents=True)
    summary = {
        "status": EVIL, "stop_reason": EVIL, "error": EVIL, "monitor": EVIL + "/acc", "dataset": EVIL, "model": EVIL,
        "best": {"step": 1e308, EVIL + "/acc": 1e308, "val/" + EVIL: 1.5, "x/nan": None}, "last": [EVIL],
        "steps": -3, "num_steps": 2**70, "epochs": "1e9", "samples": True, "parameters": {"a": 1},
        "seconds": {EVIL: 1e299, "train": 1e299, "eval": -5, "data": "x"},
        "argv": ["train", EVIL, "$(touch pwned)", 7], "git": EVIL, "seed": [[EVIL]], "device": {EVIL: EVIL},
        "versions": {EVIL: EVIL, "torch": None},
    }  # fmt: skip
    (folder / layout.SUMMARY).write_text(json.dumps(summary))
    rows = [{"step": i, "epoch": i, "train/loss": v, "val/loss": v, "val/" + EVIL: v, "lr": v, "eval": True}
            for i, v in enumerate([1e299, -1e299, 1e-308, 0.0, 5e-324, 1.0])]  # fmt: skip
    odd = ['{"step": 1, "train/loss": NaN, "lr": Infinity}', f'{{"step": {HUGE}, "train/loss": {HUGE}}}', "[" * 9000,
           '{"step": 2, "train/loss": 1e999, "lr": -1e999, "grad_norm": 1e308}', "\x00", '{"step": -1}', "null",
           '{"step": 9223372036854775807, "epoch": 1, "train/loss": 3, "eval": true}']  # fmt: skip
    (folder / layout.METRICS).write_text(lines(*rows, *odd, *rows))
    mistake = {"row": 1, "truth": 0, "guess": 1, "score": 0.9, "values": [1e299, "x"]}
    picture = {"height": 2, "width": 2, "channels": 1, "pixels": "AAECAw=="}
    outcome = {
        "split": EVIL, "classes": [EVIL, EVIL * 50, 3], "pairs": [[1, 2], ["x", 3], [1e300, 1]],
        "confusions": [[0, 1, 7], [0, 9, 1], [-1, 0, 1], [0, 0, HUGE], [1, 1, 2**62], 5, [1.5, 0, 1]],
        "mistakes": [
            mistake | {"picture": picture}, mistake | {"picture": picture | {"height": 10**9}},
            mistake | {"truth": 99}, mistake | {"guess": 0.5}, mistake | {"picture": picture | {"pixels": EVIL}},
            mistake | {"picture": EVIL}, EVIL,
        ],
    }  # fmt: skip
    outcome |= {"unit": EVIL, "figures": evil_figures()}
    layers = [{"name": EVIL, "kind": EVIL * 20, "output": [1, EVIL, 2**80], "parameters": -1}, 3]
    data = {"format": 1, "outcome": outcome, "layers": layers, "changed": [[EVIL, EVIL, EVIL], [1], EVIL]}
    (folder / layout.OUTCOME).write_text(json.dumps(data))
    columns = [[EVIL * 9, 1e299, -1e299], [EVIL, -1e299, 5e-324], [3, 1, 1], [EVIL, "x", 1], [EVIL], EVIL, None]
    told = {"metric": EVIL, "mode": "max", "score": 1e299, "num_rows": 2**62, "num_shuffles": 1, "columns": columns}
    (folder / layout.IMPORTANCE).write_text(json.dumps({"format": 1, **told}))
    (folder / layout.CONFIG).write_text(
        f"model: !!python/object/apply:os.system ['touch pwned']\n{EVIL}\n" + "é" * 40_000
    )
    (folder / layout.OVERRIDES).write_text("!!python/object/apply:os.system ['touch pwned']")
    return folder


def test_a_hostile_run_is_shown_as_text(tmp_path: Path, watch) -> None:
    folder = evil_run(tmp_path / "<img src=x onerror=pwned=1>")
    watch.seen, watch.on = [], True
    try:
        text = run_page.page(folder)
    finally:
        watch.on = False
    assert watch.seen == []
    page = check(text)
    assert page.words.count("<script>pwned=1</script>") > 10
    assert text.count('class="drop"') == 2
    assert "{{7*7}}" in page.words
    assert "$(touch pwned)" in page.words
    assert not Path("pwned").exists()
    made = make.of_run(folder)
    assert [path.name for path in made] == ["results.png", "report.html"]


def test_the_largest_figures_make_a_page_below_two_megabytes(tmp_path: Path) -> None:
    noise = base64.b64encode(random.Random(0).randbytes(64 * 64 * 3)).decode()
    picture = {"height": 64, "width": 64, "channels": 3, "pixels": noise}
    names, points = ["<" * 40] * 4, [[0.123456 + i, 1.23456e-200 * i] for i in range(200)]
    all_kinds = {
        "pictures": {"rows": [["<" * 40, [picture] * 4]] * 16},
        "texts": {"rows": [["<" * 40, [["<" * 40] * 64] * 4, list(range(64))]] * 16},
        "curves": {"series": [["<" * 40, points]] * 8},
        "table": {"columns": names, "rows": [["<" * 40] * 4] * 100},
        "matrices": {"parts": [["<" * 40, [[2**62] * 4] * 4]] * 16},
    }
    for kind, data in all_kinds.items():
        figures = [{"kind": kind, "title": "<" * 80, "caption": "<" * 300, "names": names, **data}] * 30
        (tmp_path / layout.OUTCOME).write_text(json.dumps({"format": 1, "outcome": {"figures": figures}}))
        page = check(run_page.page(tmp_path), 2_000_000)
        assert page.words.count("<" * 80) >= 1


def test_links_and_pipes_in_a_run_are_not_followed(tmp_path: Path) -> None:
    folder, secret = tmp_path / "run", tmp_path / "secret.json"
    folder.mkdir()
    secret.write_text('{"status": "swordfish", "format": 1, "layers": [{"name": "swordfish"}]}')
    files = [layout.SUMMARY, layout.OUTCOME, layout.IMPORTANCE, layout.PREPROCESSING_FACTS, layout.CONFIG]
    for name in (*files, layout.OVERRIDES, layout.REPORT, layout.PICTURE):
        (folder / name).symlink_to(secret)
    before = secret.read_text()
    make.of_run(folder)
    assert secret.read_text() == before
    assert "swordfish" not in (folder / layout.REPORT).read_text()
    assert not (folder / layout.REPORT).is_symlink()


def test_a_hostile_sweep_is_shown_as_text(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    jobs = [Job(number, [f"{EVIL}={EVIL}{number}", f"lr={10.0**number}"], {"report": True}) for number in range(4)]
    for job in jobs:
        evil_run(job.folder(sweep))
    for number, value in ((1, 0.5), (2, 1e299), (3, -1e299)):
        summary = {
            "status": "ok",
            "monitor": "val/acc",
            "best": {"val/acc": value, "step": 1},
            "seconds": {"train": 1e299},
        }
        (jobs[number].folder(sweep) / layout.SUMMARY).write_text(json.dumps(summary))
    sweep_plan.write_plan(sweep, [EVIL], jobs, {})
    page = check(sweep_page.page(sweep))
    assert page.words.count("onerror=pwned=1") > 4
    content = json.loads((sweep / layout.SWEEP).read_text())
    for change in ({"number": "../../x"}, {"number": -1}, {"overrides": EVIL}, {"overrides": [3]}, {"identity": EVIL}):
        broken = content | {"jobs": [content["jobs"][0] | change]}
        (sweep / layout.SWEEP).write_text(json.dumps(broken))
        with pytest.raises(Exception, match=r"cannot be read|not the one that was planned"):
            sweep_page.page(sweep)


WORDS = """status monitor best last steps epochs seconds versions argv step train/loss val/acc eval epoch lr split
    classes confusions pairs mistakes row truth guess score picture values height width channels pixels layers name kind
    output parameters changed outcome figures unit title caption series names rows key parts columns curves pictures
    matrices table texts <script>"""
NAMES = st.sampled_from(WORDS.split())
KNOWN = [EVIL, "AA==", "train", "ok", 0, 1, "curves", "pictures", "matrices", "table", "texts"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(KNOWN)
ANYTHING = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=4) | st.dictionaries(NAMES, x, max_size=6), max_leaves=25
)
OBJECTS = st.dictionaries(NAMES, ANYTHING, max_size=10)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OBJECTS, OBJECTS, st.lists(OBJECTS, max_size=4))
def test_any_json_makes_a_page(tmp_path: Path, summary: dict, outcome: dict, rows: list[dict]) -> None:
    (tmp_path / layout.SUMMARY).write_text(json.dumps(summary))
    (tmp_path / layout.OUTCOME).write_text(json.dumps({**outcome, "format": 1}))
    (tmp_path / layout.METRICS).write_text(lines(*({"step": i, "epoch": 1, **row} for i, row in enumerate(rows))))
    check(run_page.page(tmp_path))
    found = read_outcome(tmp_path)
    assert picture.draw("x", history.read(tmp_path).curves, found and found.predictions).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [layout.METRICS, layout.SUMMARY])
def test_one_damaged_job_costs_the_others_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = layout.create_sweep("outputs")
    node = {"_target_": "trainer.data.embedded.Iris", "split_seed": 0}
    jobs = [Job(number, [f"seed={number}"], {"seed": number, "dataset": node}) for number in range(3)]
    for job in jobs:
        folder = job.folder(sweep)
        folder.mkdir()
        (folder / layout.CONFIG).write_text("seed: 0")
        summary = {"status": "ok", "monitor": "val/acc", "best": {"step": 1, "val/acc": 0.25 * (1 + job.number)}}
        (folder / layout.SUMMARY).write_text(json.dumps(summary))
    sweep_plan.write_plan(sweep, ["seed=0,1,2"], jobs, {})
    bad = jobs[1].folder(sweep) / name
    bad.unlink(missing_ok=True)
    bad.symlink_to((jobs[0].folder(sweep) / layout.SUMMARY).absolute())
    assert main(["compare", str(sweep), "--all"]) == 0
    assert "unreadable" in capsys.readouterr().out
    assert main(["report", str(sweep)]) == (1 if name == layout.METRICS else 0)  # a page shows a run without a summary
    words = Page((sweep / layout.REPORT).read_text()).words
    assert "unreadable" in words
    assert "0.5000" in words  # the mean of 0.25 and 0.75
    for number in (0, 2):
        assert (jobs[number].folder(sweep) / layout.REPORT).exists()


def test_a_picture_does_not_obey_a_matplotlibrc_beside_the_run() -> None:
    """Matplotlib reads one from the current folder, and would call LaTeX where it says so."""
    import matplotlib

    curves = {"train": [(1.0, 2.0), (2.0, 1.0)], "val": [(2.0, 1.5)]}
    expected = picture.draw("a $x$ title", curves, None)
    with matplotlib.rc_context({"text.usetex": True, "figure.facecolor": "red", "lines.linewidth": 9}):
        assert picture.draw("a $x$ title", curves, None) == expected
