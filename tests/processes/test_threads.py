"""threads=auto: its rule, the number that a machine was measured to have, and the life of the file that holds it."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from conftest import config

from trainer.build.build import build
from trainer.cli import main
from trainer.disk import second_thread as stored
from trainer.disk import storage
from trainer.processes import second_thread, threads
from trainer.processes.second_thread import FLOP, ROWS, Timed
from trainer.verbs import verify

CPU = torch.device("cpu")
MFLOP = 1e6
STEP = 40 * MFLOP


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and two cores."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setattr("trainer.processes.threads.num_cores", lambda: 2)
    monkeypatch.setattr("trainer.build.build.num_cores", lambda: 2)
    monkeypatch.setattr("trainer.verbs.bench.num_cores", lambda: 2)
    return tmp_path / ".cache" / "trainer"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A quiet machine on which a second thread pays from the last of these FLOPs; each measurement takes it off."""
    numbers: list[float] = []
    monkeypatch.setattr(threads, "is_quiet", lambda: True)
    monkeypatch.setattr(second_thread, "measure", lambda: [Timed(numbers.pop(), 1.2, 1.0)] if numbers else None)
    return numbers


def taken(flop: float = STEP, **how: Any) -> tuple[int, str]:
    return threads.take("auto", CPU, flop, 2, **how)


def files(cache: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in sorted(cache.glob("*"))}


def store(number: float) -> None:
    assert stored.can_store(threads.this_machine())
    stored.store(threads.this_machine(), number, replace=True)


def test_the_rule_without_a_measurement_and_with_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)

    def chosen() -> list[int]:
        return [threads.take("auto", CPU, flop * MFLOP, 4)[0] for flop in (1, 39, 249, 250, 374, 375, 500, 9e4)]

    assert chosen() == [1, 1, 1, 2, 2, 3, 4, 4]
    store(39 * MFLOP)
    assert chosen() == [1, 2, 2, 2, 2, 3, 4, 4]
    store(400 * MFLOP)
    assert chosen() == [1, 1, 1, 1, 1, 1, 4, 4]
    assert threads.take(3, CPU, 0, 2) == (3, "threads=3")
    assert threads.take("auto", torch.device("cuda"), 1e12, 4)[0] == 1
    assert counts[-2:] == [3, 1]


def machine(wait: float, noise: Callable[[], float] = lambda: 0.0) -> Callable[[int, int], float]:
    """The seconds of a step: 100 µs of Python, and the work at 100 GFLOP/s, shared by the threads, which wait."""
    return lambda rows, threads: 1e-4 + rows * FLOP / 1e11 / threads + wait * (threads > 1) + noise()


def test_where_the_second_thread_pays_is_found_in_turns() -> None:
    """Here by hand: 1e-4 + w >= 1.1 (1e-4 + w/2 + wait), so w >= (1e-5 + 1.1 wait) / 0.45 seconds of work."""
    calls: list[tuple[int, int]] = []

    def seconds(rows: int, threads: int) -> float:
        calls.append((rows, threads))
        return machine(5e-5)(rows, threads)

    timed = second_thread.compare(seconds)
    assert timed is not None
    assert calls[: 2 * len(ROWS)] == [(rows, count) for rows in ROWS for count in (1, 2)]
    assert calls == calls[: 2 * len(ROWS)] * second_thread.ROUNDS
    for wait in (0.0, 5e-5, 3e-4, 6e-4):
        timed = second_thread.compare(machine(wait))
        assert timed is not None
        found, exact = second_thread.pays_from(timed), 1e11 * (1e-5 + 1.1 * wait) / 0.45
        assert max(stored.LEAST, exact) <= found < max(1.03 * stored.LEAST, 2 * exact)
    nowhere = second_thread.compare(machine(1.0))
    assert nowhere is not None
    assert second_thread.pays_from(nowhere) == 2 * ROWS[-1] * FLOP < stored.MOST
    gains = [Timed(flop, gain, 1.0) for flop, gain in ((10, 1.2), (20, 1.0), (40, 1.2), (80, 1.3))]
    assert second_thread.pays_from([steps._replace(flop=steps.flop * MFLOP) for steps in gains]) == 40 * MFLOP


def test_a_busy_machine_is_noticed() -> None:
    slices = iter(range(10**6))
    assert second_thread.compare(machine(0.0, lambda: 1e-6 * (next(slices) % 7))) is not None
    assert second_thread.compare(machine(0.0, lambda: 1e-4 * (next(slices) % 7 > 3))) is None
    clock = iter(0.1 * tick for tick in range(10**6))
    assert second_thread.compare(machine(0.0), lambda: next(clock)) is None


def test_a_machine_is_measured_once_and_no_run_replaces_the_number(cache: Path, measured: list[float]) -> None:
    assert taken() == (1, "auto: 40 MFLOP a step, a second thread from 250: not measured yet")
    measured[:] = [20 * MFLOP, 30 * MFLOP]
    assert taken() == (1, "auto: 40 MFLOP a step, a second thread from 250: not measured yet")
    assert not cache.exists()
    assert taken(may_measure=True) == (2, "auto: 40 MFLOP a step, a second thread pays from 30 here")
    assert measured == [20 * MFLOP]
    first = files(cache)
    assert list(first.values()) == [{**threads.this_machine()._asdict(), stored.KEY: 30 * MFLOP}]
    assert taken(may_measure=True)[0] == taken()[0] == 2
    stored.store(threads.this_machine(), 50 * MFLOP)  # by another run that was as early
    assert files(cache) == first
    assert measured == [20 * MFLOP]


def test_another_number_of_cores_or_torch_has_its_own(
    cache: Path, measured: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured[:] = [60 * MFLOP, 20 * MFLOP, 30 * MFLOP]
    assert taken(may_measure=True)[0] == 2
    monkeypatch.setattr("trainer.processes.threads.num_cores", lambda: 3)
    assert taken(may_measure=True)[0] == 2
    monkeypatch.setattr(torch, "__version__", "9.0")
    assert taken(may_measure=True)[0] == 1
    assert (len(files(cache)), measured) == (3, [])


def test_nobody_measures_beside_others_on_one_core_or_where_it_decides_nothing(
    cache: Path, measured: list[float]
) -> None:
    measured[:] = [20 * MFLOP]
    ranks: Any = SimpleNamespace(size=2, tell=lambda value: value)
    assert taken(ranks=ranks, may_measure=True)[1].endswith("250: not measured yet")
    assert threads.take("auto", CPU, STEP, 1, may_measure=True) == (1, "auto: 40 MFLOP a step")
    assert taken(9.9 * MFLOP, may_measure=True) == (1, "auto: 9.9 MFLOP a step")
    assert threads.take(2, CPU, STEP, 2, may_measure=True) == (2, "threads=2")
    assert len(measured) == 1


def test_a_busy_machine_and_a_missing_folder_leave_the_rule(
    cache: Path, measured: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "auto: 40 MFLOP a step, a second thread from 250: not measured, since "
    assert taken(may_measure=True) == (1, rule + "the machine is busy")
    monkeypatch.setattr(threads, "is_quiet", lambda: False)
    measured[:] = [20 * MFLOP]
    assert taken(may_measure=True) == (1, rule + "the machine is busy")
    assert files(cache) == {}
    monkeypatch.setattr(threads, "is_quiet", lambda: True)
    cache.rmdir()
    cache.write_text("a file")
    assert taken(may_measure=True) == (1, rule + "there is no cache folder to keep it in")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent.parent / "other"))
    monkeypatch.setattr(storage.os, "replace", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    assert taken(may_measure=True) == (1, rule + "there is no cache folder to keep it in")
    assert measured == []


@pytest.mark.parametrize(
    "change",
    [
        lambda found: "not JSON",
        lambda found: "[" * 100_000,
        lambda found: json.dumps([found]),
        lambda found: json.dumps({**found, stored.KEY: "20e6"}),
        lambda found: json.dumps({**found, stored.KEY: True}),
        lambda found: json.dumps({**found, stored.KEY: 9.9e6}),
        lambda found: json.dumps({**found, stored.KEY: 1.1e9}),
        lambda found: json.dumps({**found, stored.KEY: float("nan")}),
        lambda found: json.dumps({**found, "cores": 64}),
        lambda found: json.dumps({**found, "more": "x" * 20_000}),
    ],
)
def test_a_damaged_file_is_ignored_until_it_is_measured_again(
    change: Callable[[Any], str], cache: Path, measured: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    store(20 * MFLOP)
    (file,) = cache.glob("*")
    file.write_text(change(json.loads(file.read_text())))
    before, measured[:] = file.read_text(), [30 * MFLOP]
    why = "auto: 40 MFLOP a step, a second thread from 250: the file with the measured number is damaged"
    assert taken(may_measure=True) == (1, why)
    assert (file.read_text(), measured) == (before, [30 * MFLOP])
    assert main(["bench", "--calibrate"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "stored   a second thread pays from 30 MFLOP a step here"
    assert taken() == (2, "auto: 40 MFLOP a step, a second thread pays from 30 here")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_place_of_the_file_holds_nobody_up(cache: Path, measured: list[float]) -> None:
    store(20 * MFLOP)
    (file,) = cache.glob("*")
    file.unlink()
    os.mkfifo(file)
    assert taken(may_measure=True)[1].endswith("damaged")


def test_bench_calibrate_replaces_the_number_if_the_machine_is_quiet(
    cache: Path, measured: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(20 * MFLOP)
    before = files(cache)
    assert main(["bench", "--calibrate", "epochs=2"]) == 2
    assert main(["bench", "--calibrate"]) == 1  # busy
    assert "the machine is busy" in capsys.readouterr().err
    assert files(cache) == before
    measured[:] = [50 * MFLOP]
    assert main(["bench", "--calibrate"]) == 0
    assert [value[stored.KEY] for value in files(cache).values()] == [50 * MFLOP]
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert main(["bench", "--calibrate"]) == 4
    monkeypatch.setattr("trainer.verbs.bench.num_cores", lambda: 1)
    assert main(["bench", "--calibrate"]) == 2


def test_digits_take_one_thread_wherever_the_second_pays(cache: Path) -> None:
    store(stored.LEAST)
    for words in ([], ["optimizer=muon"], ["model.hidden=[128,64]"]):
        _, setup = build(config("dataset=digits", *words))
        assert (setup.threads, setup.config.threads) == (1, 1)
        assert setup.threads_why.endswith("MFLOP a step")


def test_a_resume_takes_the_threads_of_the_run_whatever_the_number_is_now(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "device=cpu", "loader.batch_size=512", "report=false", "guards=none"]
    store(20 * MFLOP)
    assert main([*words, "epochs=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "         2 threads (auto: 29.1 MFLOP a step, a second thread pays from 20" in lines
    assert max(map(len, lines)) <= 78
    (path,) = Path("outputs").glob("*/*/config.yaml")
    assert yaml.safe_load(path.read_text())["threads"] == 2
    store(30 * MFLOP)
    assert main(["resume", "latest", "epochs=2"]) == 0
    assert "2 threads (threads=2)" in capsys.readouterr().out
    assert yaml.safe_load(path.read_text())["threads"] == 2
    assert main([*words, "epochs=1"]) == 0
    assert "1 thread (auto: 29.1 MFLOP a step, a second thread pays from 30" in capsys.readouterr().out


def test_verify_takes_the_threads_of_its_first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def attempt(folder: Path, data: dict[str, Any], *_: Any) -> None:
        given.append(data["threads"])
        (folder / "checkpoints/step-00000001").mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text("threads: 3\n")
        (folder / "summary.json").write_text('{"steps": 5}')

    monkeypatch.setattr(verify, "_attempt", attempt)
    monkeypatch.setattr("trainer.diagnosis.fingerprint.evidence", lambda folder: {})
    assert verify._compare({"threads": "auto"}, True, tmp_path, lambda *_: None) == 0
    assert given == ["auto", 3, 3]


@pytest.mark.slow
def test_the_measurement_leaves_this_process_as_it_was() -> None:
    """It may find the machine busy; but no pool of threads has started here."""
    before = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0
    timed = second_thread.measure()
    assert timed is None or [steps.flop for steps in timed] == [FLOP * rows for rows in ROWS]
    assert sys.platform != "linux" or len(os.listdir("/proc/self/task")) == before
