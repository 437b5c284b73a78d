"""The page over all runs: what it says of them, what it reads again, and who may ask the server for it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_hostile_report import EVIL, check, evil_run, lines

from trainer.cli import main
from trainer.disk import layout
from trainer.report import run_entry
from trainer.report.overview import Overview

DIGITS, IRIS = ({"_target_": f"trainer.data.embedded.{name}", "split_seed": 0} for name in ("Digits", "Iris"))


def made(folder: Path, losses: list[float], status: str = "ok", **config: object) -> Path:
    """A run folder with a step and an evaluation for each loss; its accuracy is 1 - loss / 10."""
    folder.mkdir(parents=True)
    own: dict = {"seed": 0, "dataset": IRIS, "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1}} | config
    (folder / layout.CONFIG).write_text(json.dumps(own))
    rows = []
    for step, loss in enumerate(losses, 1):
        rows.append({"step": step, "epoch": step, "train/loss": loss})
        rows.append(rows[-1] | {"val/loss": loss, "val/acc": 1 - loss / 10, "eval": True})
    (folder / layout.METRICS).write_text(lines(*rows) + "\n")
    ended = {"best": {"step": len(losses), "val/acc": 1 - min(losses) / 10, "val/loss": min(losses)}} if losses else {}
    data = str(own["dataset"]["_target_"]).rpartition(".")[2].lower()
    summary = {"status": status, "monitor": "val/acc", "modes": {"val/acc": "max"}, "num_steps": 8, "dataset": data}
    (folder / layout.SUMMARY).write_text(json.dumps(summary | (ended if status == "ok" else {})))
    return folder


def several(root: Path) -> list[Path]:
    """Two runs, and two jobs of a sweep between them, oldest first."""
    rate = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.5}}
    first = made(root / "2026-01-02/10-00-00-iris-mlp-aaaa", [3.0, 2.0])
    jobs = [made(root / f"sweeps/2026-01-02/11-00-00-bbbb/{n:03}", [2.0, 1.0 - n / 2], seed=n) for n in range(2)]
    return [first, *jobs, made(root / "2026-01-03/09-00-00-digits-mlp-cccc", [5.0], dataset=DIGITS, **rate)]


def test_the_newest_run_is_first_and_only_settings_that_differ_are_columns(tmp_path: Path) -> None:
    folders = several(tmp_path / "outputs")
    (folders[0] / layout.REPORT).write_text("<script>pwned=1</script>")
    data = Overview(tmp_path / "outputs").data()
    names = ["09-00-00-digits-mlp-cccc", "11-00-00-bbbb/000", "11-00-00-bbbb/001", "10-00-00-iris-mlp-aaaa"]
    assert [run["name"] for run in data["runs"]] == names
    assert data["keys"] == [["seed", "seed"], ["optimizer.lr", "lr"]]
    assert [run["settings"] for run in data["runs"]] == [["0", "0.5"], ["0", "0.1"], ["1", "0.1"], ["0", "0.1"]]
    assert data["metrics"] == ["val/acc", "val/loss"]
    assert [run["metrics"] for run in data["runs"]] == [[0.5, 5], [0.9, 1], [0.95, 0.5], [0.8, 2]]
    assert data["runs"][1]["curves"]["val/loss"] == ([1, 2], [2, 1])
    assert [run["started"] for run in data["runs"]][::3] == ["2026-01-03 09:00:00", "2026-01-02 10:00:00"]
    links = [run["link"] for run in data["runs"]]
    assert links[3] == "./2026-01-02/10-00-00-iris-mlp-aaaa/report.html"
    assert links[2] == "./sweeps/2026-01-02/11-00-00-bbbb/001/"


HOLD = "import sys; from trainer.disk import lock; from pathlib import Path\n"
HOLD += "with lock.only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_run_is_running_while_its_process_lives(tmp_path: Path) -> None:
    folder = made(tmp_path / "outputs/2026-01-02/10-00-00-iris-mlp-aaaa", [3.0, 2.0, 4.0], "running")
    overview = Overview(tmp_path / "outputs")
    words = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "held\n"
        (run,) = overview.data()["runs"]
        assert (run["status"], run["steps"], run["all"]) == ("running", 3, 8)
        assert run["metrics"][overview.data()["metrics"].index("val/loss")] == 4  # the last, while no best is recorded
        writer.stdin.close()
    assert overview.data()["runs"][0]["status"] == "interrupted"


def test_only_what_has_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = several(tmp_path / "outputs")
    overview, read, seen = Overview(tmp_path / "outputs"), run_entry.read, []
    monkeypatch.setattr(run_entry, "read", lambda folder: seen.append(Path(folder)) or read(folder))
    assert overview.data() is overview.data()
    assert len(seen) == 4
    with (folders[1] / layout.METRICS).open("a") as file:
        file.write(lines({"step": 3, "epoch": 3, "train/loss": 7.0}) + "\n")
    assert overview.data()["runs"][1]["curves"]["train/loss"] == ([1, 2, 3], [2, 1, 7])
    assert seen[4:] == [folders[1]]


def test_what_stands_in_a_strangers_folder_is_text(tmp_path: Path) -> None:
    evil_run(tmp_path / "outputs" / EVIL.replace("/", ".")[:60] / "<img src=x onerror=pwned=1>")
    folder = made(tmp_path / "outputs/2026-01-02/a\udcff?b#c&d", [1.0], EVIL, name=EVIL, tags=[EVIL], **{EVIL: EVIL})
    (folder / layout.METRICS).write_text(
        lines({"step": 1, "epoch": 1, "eval": True, "train/loss": 1, f"val/{EVIL}": 1})
    )
    made(tmp_path / "outputs/2026-01-02/plain", [1.0])
    (tmp_path / "outputs/2026-01-02/plain" / layout.SUMMARY).write_text("[" * 9000)
    odd = made(tmp_path / "outputs/2026-01-02/odd", [1.0], dataset={"_target_": []})
    going = made(tmp_path / "outputs/2026-01-02/going", [1.0], "running")
    (going / layout.METRICS).write_text(lines({"step": 1, "epoch": 1, "eval": True, "train/loss": 1, "val/loss": None}))
    overview = Overview(tmp_path / "outputs")
    page = check(overview.page())
    assert overview.entries[odd].status == "ok"
    (data,) = (json.loads(text) for kind, text in page.scripts if kind == "application/json")
    assert sorted(run["status"] for run in data["runs"]) == [EVIL[:19] + "…", "interrupted", "ok", *["unreadable"] * 2]
    links = [run["link"] for run in data["runs"]]
    assert all(re.fullmatch(r"\./[\w./%-]+", link) for link in links), links
    assert "./2026-01-02/a%FF%3Fb%23c%26d/" in links
    policy = re.search('Content-Security-Policy" content="([^"]+)"', overview.page())[1]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "connect-src" not in policy


def test_slips_with_all_are_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = {
        "--all": "try: trainer train",
        "--all nowhere": "there is no folder nowhere",
        "--watch": "try: trainer report --all --watch",
        "--all --importance": "measures one run",
        "--all --port 80": "--port is for --watch",
        "--all --watch --port 0": "not a number from 1 to 65535",
    }
    for words, text in expected.items():
        assert main(["report", *words.split()]) == 2
        assert text in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["report", "--all", "--watch", "--port", str(taken.getsockname()[1])]) == 2
        assert "cannot be used: Address already in use" in capsys.readouterr().err
    several(tmp_path / "outputs")
    assert main(["report", "--all"]) == 0
    assert capsys.readouterr().out.splitlines() == ["runs     4", "report   outputs/report.html"]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of `trainer report --all --watch` over several runs; at the end Ctrl-C ends it with exit code 0."""
    several(tmp_path / "outputs")
    words = [sys.executable, "-m", "trainer", "report", "--all", "--watch"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            yield int(re.search(r"http://127\.0\.0\.1:(\d+)/ ", server.stdout.readline())[1])
        finally:
            server.send_signal(signal.SIGINT)
            assert server.communicate(timeout=60) == ("", "")
            assert server.returncode == 0


def asked(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    """(status, text, headers) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, dict(answer.getheaders())


def test_the_server_answers_get_for_the_page_its_data_and_the_reports(port: int, tmp_path: Path) -> None:
    secret, run = tmp_path / "outputs/secret.txt", "sweeps/2026-01-02/11-00-00-bbbb/001"
    secret.write_text("swordfish")
    (tmp_path / "outputs" / run / layout.REPORT).write_text("<script>pwned=1</script>")  # made by somebody else
    status, page, headers = asked(port, "/")
    assert status == 200
    assert "connect-src 'self'; " in page
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not {name for name in headers if name.startswith("Access-Control")}
    status, text, headers = asked(port, "/data.json")
    assert len(json.loads(text)["runs"]) == 4
    assert asked(port, "/data.json", If_None_Match=headers["ETag"])[:2] == (304, "")
    made(tmp_path / "outputs/2026-01-04/10-00-00-iris-mlp-dddd", [3.0])
    status, text, _ = asked(port, "/data.json", If_None_Match=headers["ETag"])
    assert (status, len(json.loads(text)["runs"])) == (200, 5)
    for path in (f"/{run}/report.html", f"/{run}/", f"/{run}"):
        status, page, _ = asked(port, path)
        assert status == 200
        assert "pwned" not in check(page).words
        assert "To train it again" in page
    for path in ("/secret.txt", f"/{run}/summary.json", f"/{run}/../001/report.html", "/../outputs/secret.txt", "/x"):
        assert asked(port, path)[:2] == (404, "there is no such page\n")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"):
        assert asked(port, "/", method)[0] == 501
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
        assert asked(port, "/data.json", Host=host)[:2] == (
            403,
            "open this page as http://localhost or http://127.0.0.1\n",
        )
    for host in ("localhost", f"LOCALHOST:{port}", "127.0.0.1:9", "[::1]:8080"):  # a tunnel ends at another port
        assert asked(port, "/data.json", Host=host)[0] == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on its loopback device")
def test_the_server_listens_at_one_address_of_this_machine(port: int) -> None:
    for address in ("127.0.0.2", "::1"):
        with pytest.raises(OSError, match=r"refused|unreachable|assign|not supported"):
            socket.create_connection((address, port), timeout=10).close()
