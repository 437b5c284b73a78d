"""trainer.train(): from a script, a thread, a notebook's kernel; what Ctrl-C does there, and what stays as it was."""

import base64
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Cli

import trainer
from trainer.disk import layout
from trainer.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = ["dataset=iris", "epochs=3", "threads=1", "device=cpu"]
ESCAPE = "\x1b"


def test_it_is_the_verb(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = trainer.train(QUICK)
    lines = capsys.readouterr().out
    assert cli("train", *QUICK).returncode == 0
    ours, theirs = sorted((tmp_path / "outputs").glob("*/*-iris-*"))
    assert ours.samefile(result.run_dir)
    assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()
    assert result.summary["status"] == "ok"
    assert result.metrics == {name: result.summary["best"][name] for name in ("train/loss", "val/loss", "val/acc")}
    assert result._repr_png_() == (ours / "results.png").read_bytes()
    assert lines == (ours / "train.log").read_text()
    assert ESCAPE not in lines

    from safetensors.torch import load_file

    stored = load_file(ours / "model.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in result.model.state_dict().items())
    assert not result.model.training


def test_the_session_stays_as_it_was() -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]

    def seed() -> None:
        random.seed(1), np.random.seed(1), torch.manual_seed(1)

    seed()
    expected = draw()
    threads, handler, tiny = torch.get_num_threads(), signal.getsignal(signal.SIGINT), torch.tensor(1e-40)
    torch.set_num_threads(2)
    seed()
    trainer.train([*QUICK, "report=false"])
    assert draw() == expected
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tiny * 1).item() != 0


def test_errors_are_exceptions_with_the_hint() -> None:
    with pytest.raises(ConfigError, match=r"no key 'optimizer\.lrr'") as caught:
        trainer.train(["optimizer.lrr=1"])
    assert caught.value.__notes__ == ["try: optimizer.lr=1"]
    with pytest.raises(ConfigError, match="its own processes"):
        trainer.train(["-m", "seed=0,1"])
    with pytest.raises(ConfigError, match="its own processes"):
        trainer.train(["experiment=sweep/lr_by_seed"])
    with pytest.raises(ConfigError, match="a list"):
        trainer.train("epochs=1")
    assert not Path("outputs").exists()


def test_it_trains_in_a_thread() -> None:
    found: list[trainer.Result | BaseException] = []

    def work() -> None:
        try:
            found.append(trainer.train([*QUICK, "report=false"]))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(found[0], trainer.Result)
    assert found[0].summary["status"] == "ok"


INTERRUPTED = """
import signal, trainer
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
try:
    trainer.train(["epochs=100000", "threads=1", "device=cpu", "report=false"])
except KeyboardInterrupt as error:
    print("KeyboardInterrupt:", error)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
try:
    print("waits", flush=True)
    import time; time.sleep(60)
except KeyboardInterrupt:
    print("KeyboardInterrupt again")
"""


@pytest.mark.slow
def test_ctrl_c_saves_and_is_a_keyboard_interrupt() -> None:
    command = [sys.executable, "-u", "-c", INTERRUPTED]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if " 1/100k " in line or line == "waits\n":
                process.send_signal(signal.SIGINT)
    assert process.returncode == 0, seen
    (run,) = Path("outputs").glob("*/*-digits-*")
    assert re.search(r"KeyboardInterrupt: stopped by SIGINT at step [\d,]+; saved checkpoints/step-\d+", seen)
    assert f"Continue with: trainer resume {run}\nTrue\nwaits\nKeyboardInterrupt again\n" in seen
    assert layout.read_summary(run)["status"] == "stopped"
    assert len(list((run / "checkpoints").iterdir())) >= 1


Shown = dict[str, str]
Execute = Callable[..., tuple[str, Shown, dict[str, str]]]


@pytest.fixture
def execute(tmp_path: Path) -> Iterator[Execute]:
    """Run code in a real kernel, by Jupyter's own protocol."""
    manager_module = pytest.importorskip("jupyter_client.manager")
    pytest.importorskip("ipykernel")
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    manager = manager_module.KernelManager()
    manager.start_kernel(cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": paths})
    client = manager.blocking_client()
    client.start_channels()

    def execute(code: str, interrupt_at: str | None = None) -> tuple[str, Shown, dict[str, str]]:
        """(stream text, {kind: what is shown of the result}, {error name: its value})"""
        client.execute(code)
        text, shown, errors = "", Shown(), {}
        end = time.monotonic() + 90
        while time.monotonic() < end:
            message = client.get_iopub_msg(timeout=90)
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                text += content["text"]
                if interrupt_at and interrupt_at in text:
                    interrupt_at = None
                    manager.interrupt_kernel()
            elif kind in ("execute_result", "display_data"):
                shown |= content["data"]
            elif kind == "error":
                errors[content["ename"]] = content["evalue"]
            elif kind == "status" and content["execution_state"] == "idle":
                return text, shown, errors
        raise AssertionError(text)

    try:
        client.wait_for_ready(timeout=60)
        yield execute
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.optional
def test_a_notebook_gets_plain_lines_a_picture_and_its_interrupt(execute: Execute) -> None:
    text, shown, errors = execute(f"import trainer; trainer.train({QUICK!r})")
    assert errors == {}
    assert "image/png" in shown
    assert "best     val/acc" in text
    assert ESCAPE not in text
    text, _, errors = execute("trainer.train(['epochs=100000', 'report=false'])", interrupt_at=" 1/100k ")
    assert "saved checkpoints/step-" in errors["KeyboardInterrupt"]
    assert execute("print(6 * 7)")[0] == "42\n"


@pytest.mark.slow
@pytest.mark.optional
def test_the_readmes_example_in_a_notebook(execute: Execute, tmp_path: Path) -> None:
    """A class of the notebook itself trains too, and its model is there after an interrupt."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## From Python")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)[:1]
    text, shown, errors = execute(code)
    assert errors == {}
    assert re.search(r"^\[[01] [01] [01]\]$", text, re.M)
    (run,) = tmp_path.glob("outputs/*/*-data-sequential-*")
    page, best = shown["text/html"], layout.read_summary(run)["best"]
    assert "<th>val/acc</th>" in page
    assert f"<td>{best['val/acc']:.4g}</td>" in page
    assert base64.b64encode((run / "results.png").read_bytes()).decode() in page
    execute("class Net(torch.nn.Linear):\n    pass\nmine = Net(4, 2)")
    stops = "trainer.train(model=mine, data=(x, y), epochs=10**6, report=False)"
    _, _, errors = execute(stops, interrupt_at=" 1/1M ")
    assert "trainer.resume('outputs/" in errors["KeyboardInterrupt"]
    (stopped,) = tmp_path.glob("outputs/*/*-data-net-*")
    last = sorted((stopped / "checkpoints").iterdir())[-1] / "weights.safetensors"
    same = "from safetensors.torch import load_file\n"
    same += f"print(all((load_file({str(last)!r})[k] == v).all() for k, v in mine.state_dict().items()))"
    assert execute(same)[0] == "True\n"
