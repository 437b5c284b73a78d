"""A sweep stands for its best run, if it has one: the folders here were never trained, only their results are read."""

import json
from pathlib import Path

import pytest

from trainer.cli import main
from trainer.disk import job_folder, layout, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.verbs.open_run import best_run

pytestmark = pytest.mark.no_torch


def sweep(*results: tuple[str, str, float | None]) -> Path:
    """A sweep with a job for each (status, dataset, val/acc)."""
    folder = layout.create_sweep("outputs")
    nodes = [{"_target_": f"trainer.data.embedded.{dataset}", "split_seed": 0} for _, dataset, _ in results]
    jobs = [Job(number, [f"seed={number}"], {"seed": number, "dataset": node}) for number, node in enumerate(nodes)]
    sweep_plan.write_plan(folder, ["seed=0,1"], jobs, {})
    for job, (status, _, value) in zip(jobs, results, strict=True):
        best = {"step": 1, "val/acc": value} if value is not None else None
        summary = {"status": status, "monitor": "val/acc", "best": best, "num_val": 30}
        with job_folder.claimed(folder, job) as run:
            (run / layout.SUMMARY).write_text(json.dumps(summary))
    return folder


def test_the_best_run_is_named() -> None:
    said: list[str] = []
    folder = sweep(("ok", "Iris", 0.5), ("ok", "Iris", 0.75), ("failed", "Iris", None))
    assert best_run(folder, "eval RUN", said.append) == layout.relative(folder) / "001"
    text = " ".join(line.strip() for line in said)
    line = "its line of the ranking has 2 runs, --top 1 is their ensemble"
    assert text == f"best     {folder}/001: val/acc 0.7500, the best run of the sweep; {line}"
    assert max(map(len, said)) <= 80


@pytest.mark.parametrize("verb", ["eval", "export", "predict"])
def test_a_sweep_without_a_good_run_is_refused(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sweep(("failed", "Iris", None), ("diverged", "Iris", None))
    assert main([verb, "latest", *(["new.csv"] if verb == "predict" else [])]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert f"no job of {folder} has ended well" in error
    assert f"trainer resume {folder}" in error


@pytest.mark.parametrize(
    ("words", "then"),
    [
        (["eval"], "eval {}"),
        (["export"], "export {}"),
        (["predict", "latest", "my new.csv"], "predict {} 'my new.csv'"),
    ],
)
def test_a_sweep_over_several_data_has_several_best_runs(
    words: list[str], then: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep(("ok", "Iris", 0.5), ("ok", "Wine", 0.9), ("ok", "Iris", 0.7))
    assert main(words) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert (
        f"2 best runs, as data, splits or metrics differ: {folder}/002 (Iris by val/acc), {folder}/001 (Wine" in error
    )
    assert error.endswith(f"  try: trainer {then.format(f'{folder}/002')}\n")
