"""predict, eval and an exported file give one answer for the same rows of a table, however far from 0."""

import csv

import numpy as np
import pytest
import torch
from conftest import config
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.build.build import build
from trainer.data.roles import VAL
from trainer.data.table import Table
from trainer.inference.labelled import OfTable
from trainer.inference.model import Trained
from trainer.inference.pipeline import Whole
from trainer.inference.rows import open_rows, open_table

CLOSE = 1e-5  # of the spread of the targets


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), far=st.sampled_from([0.0, 1e3, 1e8, 1e12]), holes=st.booleans())
def test_predict_eval_and_export_agree(
    tmp_path_factory: pytest.TempPathFactory, seed: int, far: float, holes: bool
) -> None:
    chance, path = np.random.default_rng(seed), tmp_path_factory.mktemp("answer") / "t.csv"
    x, city = chance.normal(far, 1, 200), chance.choice(["Oslo", "Rome", "01"], 200)
    y = 3 + (x - far) * 2 + (city == "Oslo")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "city", "y"])
        writer.writerows(
            ["" if holes and chance.random() < 0.1 else repr(float(a)), b, c]
            for a, b, c in zip(x, city, y, strict=True)
        )
    words = ["dataset=table", f"dataset.path={path}", "dataset.target=y", "dataset.val_fraction=0.3", "threads=1"]
    run, setup = build(config(*words, f"seed={seed % 1000}"))
    made = setup.splits.preprocessing
    shared = (run.call, run.loss_fn, run.loss, run.terms, run.fit, run.task)
    trained = Trained(run.model.eval(), *shared, made, run.metrics, run.seed, run.autocast, run.device, run.dtype)
    (_, raw), *_ = open_rows(str(path), made, {}, 64, typed=False).batches
    predicted = trained.named(raw)[trained.task.result][:, 0].double().numpy()

    def units(model_output: torch.Tensor) -> np.ndarray:
        scale = {name: value.double() for name, value in made.y.state_dict().items()}
        return (model_output.double() * scale["std"] + scale["mean"])[:, 0].numpy()

    with torch.no_grad():
        source = open_table(str(path), made.table, with_targets=True)
        labelled = OfTable("t.csv", source, made, 64, trained, by_value=False)
        evaluated = np.concatenate([units(run.model(x)) for x, *_ in labelled])
        exported = Whole(trained)(raw)[:, 0].double().numpy()
        validated = np.concatenate([units(run.model(x)) for x, *_ in run.val_batches])
    for other in (evaluated, exported):
        np.testing.assert_allclose(other, predicted, rtol=0, atol=CLOSE * np.std(y))
    roles = Table(str(path), "y").prepare({"val_fraction": 0.3}, torch.float32, made).parts[VAL].roles
    np.testing.assert_allclose(validated, predicted[roles == 1], rtol=0, atol=CLOSE * np.std(y))
