"""What a sweep shows while it runs: how far its jobs are, from their folders, and how long it will take."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from trainer.sweep.progress import Steps, read_steps


def test_the_steps_of_a_job_are_read_from_what_it_has_written_so_far(tmp_path: Path) -> None:
    assert read_steps(tmp_path / "none") == Steps()
    (tmp_path / "summary.json").write_text('{"num_steps": 400}')
    assert read_steps(tmp_path) == Steps(0, 400)
    lines = [json.dumps({"step": step, "train/loss": 1 / step}) for step in range(10, 101, 10)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 110, "tra')
    steps = read_steps(tmp_path)
    assert steps == Steps(100, 400, 0.01)
    assert steps.share == 0.25
    assert steps.texts() == ["100/400", "loss 0.01     "]
    (tmp_path / "metrics.jsonl").write_text("[]\n")
    assert read_steps(tmp_path) == Steps(0, 400)


@pytest.mark.slow
def test_a_terminal_shows_the_progress_of_running_jobs_and_the_time_left(tmp_path: Path) -> None:
    pytest.importorskip("pty", reason="no terminals of this kind on Windows")
    from terminal import Terminal

    words = ["train", "-m", "seed=0,1", "epochs=1,9000", "dataset=iris", "sweep.jobs=2", "report=false", "threads=1"]
    terminal = Terminal(tmp_path, words)
    whole = re.compile(r"(\d+ s|[\d:]+) left  (\d)/4 jobs  2 running$")
    running = re.compile(r" ([\d,]+)/([\d,]+)  loss \S+ +seed=(\d) epochs=9000")

    def shown() -> bool:
        state = [match for line in terminal.screen if (match := whole.search(line))]
        return bool(state) and len([line for line in terminal.screen if running.search(line)]) == 2

    terminal.until(lambda: "see whether it can be built…" in "".join(terminal.screen))
    terminal.until(shown)
    (sweep,) = tmp_path.glob("outputs/sweeps/2*/*")
    for line in filter(running.search, terminal.screen):
        step, total, seed = running.search(line).groups()
        job = next(path.parent for path in sweep.glob("0*/overrides.yaml") if _is(path, seed))
        known = [json.loads(text)["step"] for text in (job / "metrics.jsonl").read_text().split("\n")[:-1]]
        assert int(step.replace(",", "")) in known
        assert int(total.replace(",", "")) == json.loads((job / "summary.json").read_text())["num_steps"]
    assert any(line.startswith("best     val/acc ") for line in terminal.screen)
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.wait() == 130
    assert not [line for line in terminal.history if " left  " in line or line.endswith("running")]


def _is(path: Path, seed: str) -> bool:
    text = path.read_text()
    return f"seed={seed}" in text and "epochs=9000" in text
