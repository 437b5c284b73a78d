"""What the tool promises of every run, for the twenty example jobs: the same bits after a kill, the same numbers on two
processes, the same numbers compiled."""

import contextlib
import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import trials
import twenty
from conftest import config
from trials import attempt, call, on_ranks
from twenty import COUPLED, DRAWN, JOBS

from trainer.build.build import build
from trainer.cli import main
from trainer.config.check import check
from trainer.diagnosis.fingerprint import evidence
from trainer.errors import ConfigError
from trainer.events import Evaluated, Stepped
from trainer.loop import train
from trainer.processes.ranks import Ranks, joined
from trainer.steps.compiled import CompiledStep
from trainer.verbs.verify import _Killer

Numbers = tuple[list[list[float]], dict[str, float]]
EPSILON = 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_a_killed_run_resumes_to_the_same_bits(job: str, tmp_path: Path) -> None:
    """As `trainer verify` does, in processes that start faster."""
    there = twenty.copy(job, tmp_path)
    with twenty.inside(there):
        data = trials.config(*twenty.words(job), "loader.batch_size=100", "max_steps=18", "eval_every=4steps")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    how = {"before": twenty.enter, "argument": there}
    assert attempt(whole, data, **how) == 0, (tmp_path / "whole.out").read_text()
    assert attempt(killed, data, listeners=[_Killer(killed, 5, 7)], **how) == -9, (tmp_path / "killed.out").read_text()
    assert attempt(killed, data, **how) == 0, (tmp_path / "killed.out").read_text()
    assert evidence(killed) == evidence(whole)


def numbers(data: dict, ranks: Ranks) -> tuple[Numbers, int, str | None]:
    """(The loss and its terms of each step, and the metrics of the last evaluation; rows of the last batch; why the
    step is not compiled)."""
    run, _ = build(check(data), ranks=ranks)
    losses: list[list[float]] = []
    metrics: dict[str, float] = {}
    for event in train(run):
        if isinstance(event, Stepped):
            losses.append([float(event.loss), *([] if event.terms is None else event.terms.tolist())])
        elif isinstance(event, Evaluated):
            metrics = dict(event.metrics)
    why = run.step.obstacle if isinstance(run.step, CompiledStep) else None
    return (losses, metrics), run.train_batches.num_rows % run.train_batches.batch_size, why


def assert_equal(found: list[list[float]], expected: list[list[float]]) -> None:
    assert len(found) == len(expected)
    for step, other in zip(found, expected, strict=True):
        assert step == pytest.approx(other, rel=EPSILON, abs=0)


def of_all(folders: dict[str, Path], configs: dict[str, dict]) -> dict[str, tuple[Numbers, int] | str]:
    """In a rank: the numbers of each job, or why it is refused."""
    found: dict[str, tuple[Numbers, int] | str] = {}
    with joined() as ranks:
        for job, there in folders.items():
            with twenty.inside(there):
                try:
                    found[job] = numbers(configs[job], ranks)[:2]
                except ConfigError as error:
                    found[job] = str(error)
    return found


@pytest.mark.slow
def test_two_processes_find_the_numbers_of_one(tmp_path: Path) -> None:
    """All jobs in the same processes, which start once."""
    folders = {job: twenty.copy(job, tmp_path) for job in JOBS if job != COUPLED}
    configs: dict[str, dict] = {}
    for job, there in folders.items():
        with twenty.inside(there):
            typed = [*twenty.words(job, exact=True), "epochs=1", "accumulate=3", "loader.eval_batch_size=30"]
            rows = build(config(*typed))[0].train_batches.num_rows
            size = min(range(30, 60), key=lambda size: (rows - 1) % size)  # of one row, or few: a process may get none
            configs[job] = trials.config(*typed, f"loader.batch_size={size}")
    with contextlib.chdir(tmp_path):  # where torch's launcher writes
        alone, *ranks = call(of_all, folders, configs), *on_ranks(2, of_all, folders, configs)
    assert set(alone) == set(JOBS) - {COUPLED}
    for job, ((losses, metrics), rest) in alone.items():
        assert rest > 0  # the last batch is shorter
        for rank in ranks:
            assert not isinstance(rank[job], str), (job, rank[job])
            (again, measured), _ = rank[job]
            assert_equal(again, losses)
            assert measured == pytest.approx(metrics, rel=EPSILON), job


@pytest.mark.parametrize("typed", ["nproc=2", pytest.param("accumulate=3", marks=pytest.mark.slow)])
def test_a_loss_that_couples_rows_is_refused(
    typed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = twenty.copy(COUPLED, tmp_path)
    with twenty.inside(there):
        if typed == "nproc=2":
            with pytest.raises(ConfigError, match="InfoNCE over a batch is not the mean over its parts") as caught:
                build(config(*twenty.words(COUPLED)), ranks=Ranks(0, 2))
            assert caught.value.exit_code == 2
        else:
            assert main(["train", *twenty.words(COUPLED), typed]) == 2
            assert "accumulate=3, but InfoNCE over a batch is not the mean" in capsys.readouterr().err
    assert not (there / "outputs").exists()


OBSTACLES = {
    "compile=model": dict.fromkeys(twenty.RECURRENT, "as it is: it does not compile an RNN, GRU or LSTM"),
    "compile=step": dict.fromkeys(twenty.RECURRENT, "RNN, GRU, or LSTM")
    | dict.fromkeys(DRAWN, "the data comes from a DataLoader"),
}
GENERATED = ("autoencoder", "char_gpt", "digits", "multi_task", "physics", "pictures", "segmentation", "token_tags")


def compiled(there: Path, configs: list[dict], backend: str) -> list[tuple[Numbers | None, str | None, int]]:
    """In a process of its own: the numbers by each config, why it is refused or its step is not compiled, and how many
    graphs are."""
    import torch._dynamo
    from torch._dynamo.utils import counters

    logging.disable()  # of dynamo's every word
    torch.compile = functools.partial(torch.compile, backend=backend)  # type: ignore[assignment]
    found = []
    with twenty.inside(there):
        for data in configs:
            torch._dynamo.reset()
            counters.clear()
            try:
                result, _, why = numbers(data, Ranks())
            except ConfigError as error:
                result, why = None, str(error)
            found.append((result, why, counters["stats"]["unique_graphs"]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_a_compiled_job_finds_the_numbers_of_an_eager_one(job: str, tmp_path: Path) -> None:
    """Traced, and run without generated code."""
    compare(job, ("compile=model", "compile=step"), "aot_eager", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("job", GENERATED)
def test_generated_code_finds_the_numbers_of_an_eager_model(job: str, tmp_path: Path) -> None:
    compare(job, ("compile=model",), "inductor", tmp_path)


@pytest.mark.slow
def test_what_torch_does_not_compile_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a torch that cannot trace derivatives which a model takes itself."""
    import torch._dynamo

    monkeypatch.setattr("trainer.device.trace_derivatives", lambda: None)
    with (
        twenty.inside(twenty.copy("physics", tmp_path)),
        torch._dynamo.config.patch(trace_autograd_ops=False),
        pytest.raises(ConfigError, match=r"compile=model: .* support Spring: .* double backward") as caught,
    ):
        build(config(*twenty.words("physics"), "compile=model"))
    assert caught.value.hint == "compile=none"


def compare(job: str, ways: Sequence[str], backend: str, folder: Path) -> None:
    there = twenty.copy(job, folder)
    typed = [*twenty.words(job, exact=True), "max_steps=4", "loader.batch_size=16", twenty.VARIANTS["in_memory"](job)]
    with twenty.inside(there):
        configs = [trials.config(*typed, "epochs=1", word) for word in ("compile=none", *ways)]
    ((losses, metrics), _, graphs), *others = call(compiled, there, configs, backend)
    assert graphs == 0
    for how, (found, why, graphs) in zip(ways, others, strict=True):
        obstacle = OBSTACLES[how].get(job)
        assert obstacle in why if obstacle else why is None and graphs > 0
        assert (found is None) == (bool(obstacle) and how == "compile=model")
        if found is not None:
            assert_equal(found[0], losses)
            assert found[1] == pytest.approx(metrics, rel=EPSILON)
