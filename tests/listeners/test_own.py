"""Listeners of the user's own: told of each event in order, closed at the end; one may raise, or end the run."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from trials import attempt, config

import trainer
from trainer.cli import main
from trainer.diagnosis.fingerprint import evidence
from trainer.disk import layout
from trainer.stopping import StopReason

Said = Callable[..., tuple[int, str, str]]
QUICK = ["dataset=iris", "epochs=2", "log_every=1", "threads=1", "device=cpu", "report=false"]  # 4 steps


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """(exit code, stdout, stderr) of a command."""

    def run(*words: str) -> tuple[int, str, str]:
        return main(list(words)), *capsys.readouterr()

    return run


def heard(**keys: object) -> str:
    return "{_target_: heard.Heard, " + ", ".join(f"{name}: {value}" for name, value in keys.items()) + "}"


def lines(run: Path) -> list[str]:
    return (run / "heard.txt").read_text().splitlines()


def test_each_hears_every_event_in_order_and_is_closed_when_the_folder_is_whole() -> None:
    assert main(["train", *QUICK, f"listeners=[{heard(name='a')},{heard(name='b')}]"]) == 0
    events = ["Started 0", "Stepped 1", "Stepped 2", "Evaluated 2", "Stepped 3", "Stepped 4", "Evaluated 4", "Ended 4"]
    run = layout.find("latest")
    assert lines(run) == [f"{name} {event}" for event in [*events, "closed True"] for name in "ab"]


def test_what_is_public_holds_no_window() -> None:
    names = {each: {field.name for field in fields(getattr(trainer, each))} for each in ("Started", "Stepped", "Stop")}
    assert names["Stepped"] == {"step", "loss", "norm", "lr", "num_samples", "terms", "logged"}
    assert names["Started"] == {"step", "num_steps", "steps_per_epoch"}
    assert names["Stop"] == {"why"}
    assert trainer.Event == trainer.Started | trainer.Stepped | trainer.Evaluated | trainer.Ended


def test_a_stop_ends_the_run_after_the_step_with_an_evaluation_and_a_checkpoint(said: Said) -> None:
    code, out, _ = said("train", *QUICK, f"listeners=[{heard(at=3)}]")
    run = layout.find("latest")
    summary, rows = layout.read_summary(run), (run / layout.METRICS).read_text().splitlines()
    assert (code, summary["status"], summary["stop_reason"]) == (0, "ok", "far enough")
    assert "stopped  by a listener at step 3: far enough" in out
    assert (json.loads(rows[-1])["step"], json.loads(rows[-1])["eval"]) == (3, True)
    assert [path.name for path in (run / layout.CHECKPOINTS).iterdir()] == ["step-00000003"]
    assert lines(run)[-3:] == ["a Evaluated 3", "a Ended 3", "a closed True"]
    assert "is finished: 3 steps" in said("resume", "latest")[1]
    assert main(["resume", "latest", "epochs=3"]) == 0
    assert layout.read_summary(run)["steps"] == 6


def test_one_that_was_stopped_and_killed_before_it_said_so_is_over() -> None:
    assert main(["train", *QUICK, f"listeners=[{heard(at=3)}]"]) == 0
    run = layout.find("latest")
    (run / layout.SUMMARY).unlink()
    assert main(["resume", "latest"]) == 0
    assert (layout.read_summary(run)["steps"], layout.read_summary(run)["stop_reason"]) == (3, "far enough")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"at": 3, "does": "raise"}, "failed at Stepped of step 3: ValueError: of no use"),
        ({"at": 3, "does": "tell"}, "failed at Stepped of step 3: TypeError: it returned 1, not None or trainer.Stop"),
        ({"at": 0}, "failed at close: OSError: cannot be closed"),
    ],
)
def test_one_that_raises_ends_the_run_or_is_left_out_and_is_named(keys: dict, words: str, said: Said) -> None:
    """The others are told of everything and closed. What was trained is saved, and a resume ends with the same bits."""
    typed = [*QUICK, f"listeners=[{heard(name='a', **keys)},{heard(name='b')}]"]
    code, out, _ = said("train", *typed, "listener_errors=warn")
    assert code == 0
    assert f"warning the listener heard.Heard {words}" in " ".join(out.split())
    assert lines(layout.find("latest"))[-1] == "b closed True"
    whole = evidence(layout.find("latest"))

    code, _, err = said("train", *typed)
    run = layout.find("latest")
    assert (code, layout.read_summary(run)["status"]) == (1, "failed")
    assert err.startswith(f"error: the listener heard.Heard {words}")
    assert "try: listener_errors=warn" in err
    assert lines(run)[-1] == "b closed True"
    (newest,) = (run / layout.CHECKPOINTS).iterdir()
    assert newest.name == ("step-00000003" if keys["at"] else "step-00000004")
    text = (run / layout.CONFIG).read_text()
    (run / layout.CONFIG).write_text(text.replace("listener_errors: stop", "listener_errors: warn"))
    assert main(["resume", str(run), "--trust"]) == 0
    assert evidence(run) == whole


@pytest.mark.parametrize(
    ("listener", "words", "hint"),
    [
        ("{_target_: heard.Heard, nmae: b}", "no key 'listeners.0.nmae': heard.Heard does not take it", ""),
        ("{_target_: heard.Hard}", "listeners.0._target_=heard.Hard: heard has no Hard", ""),
        ("{name: b}", "it must be a list of listeners, each with a _target_", "listeners=[{_target_: my_file"),
        ("heard.Heard", "it must be a list of listeners, each with a _target_", "listeners=[{_target_: my_file"),
        (
            "{_target_: builtins.compile}",
            "builtins.compile is no class with a method __call__(self, event)",
            "my_file.MyListener",
        ),
    ],
)
def test_one_that_cannot_be_made_is_found_before_there_is_a_folder(listener, words, hint, said: Said) -> None:
    code, _, err = said("train", *QUICK, f"listeners=[{listener}]")
    assert code == 2
    assert words in err
    assert hint in err
    assert not list(Path("outputs").glob("*/*"))


def test_one_whose_constructor_raises_is_named(said: Said) -> None:
    code, _, err = said("train", *QUICK, "listeners=[{_target_: heard.Refusing}]")
    assert code == 1
    assert "the listener heard.Refusing cannot be made: KeyError: 'nothing under this name'" in err


def test_a_strangers_listener_is_not_imported(said: Said) -> None:
    assert main(["train", *QUICK, f"listeners=[{heard(at=-1)}]"]) == 0
    run = layout.find("latest")
    (run / "config.sig").unlink()
    (run / "heard.txt").unlink()
    for verb in (["resume", str(run), "epochs=3"], ["eval", str(run)]):
        code, _, err = said(*verb)
        assert code == 2
        assert "would import listeners.0._target_=heard.Heard, and is not signed with your key" in err
    assert not (run / "heard.txt").exists()
    assert main(["eval", str(run), "--trust"]) == 0
    assert not (run / "heard.txt").exists()  # nothing is trained
    assert main(["resume", str(run), "epochs=3", "--trust"]) == 0
    assert lines(run)[0] == "a Started 4"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "last"), [(["nproc=2"], 3), (["compile=step", "compiler.steps=4", "loader.batch_size=20"], 4)]
)
def test_it_stops_all_processes_after_the_same_step_or_the_call(words: list[str], last: int, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert attempt(run, config(*QUICK, *words, f"listeners=[{heard(at=3)}]")) == 0
    summary = layout.read_summary(run)
    assert (summary["steps"], summary["stop_reason"]) == (last, "far enough")
    assert max(path.name for path in (run / layout.CHECKPOINTS).iterdir()) == f"step-{last:08d}"
    assert lines(run)[-3:] == [f"a Evaluated {last}", f"a Ended {last}", "a closed True"]
    if last == 4:
        assert "4 steps a call" in (run / layout.LOG).read_text()


def test_a_stop_is_no_other_reason() -> None:
    assert (StopReason.LISTENER.status, StopReason.LISTENER.signal) == ("ok", None)
