"""Scores computed from what predict writes are those of eval on the same rows, for tasks whose answer is no table."""

import runpy

import numpy as np
import pytest
import torch
from test_outputs import QUICK, RUN, exported, held_back

from trainer.cli import main
from trainer.config.run_config import read_config
from trainer.config.settings import Settings
from trainer.inference import model


def test_an_input_comes_back_in_the_units_of_the_data() -> None:
    assert main(["train", "dataset=digits", "dataset.task=input", "model=mlp", "model.hidden=[8]", *QUICK]) == 0
    run = model.load(RUN.resolve(), Settings(read_config(RUN.resolve())).check())
    x, _, metrics = held_back(run)
    raw = run.preprocessing.x.inverse(torch.from_numpy(x["x"])).round()
    assert (raw.min(), raw.max()) == (0, 16)
    np.savez("new.npz", x=raw.byte())
    assert main(["predict", "latest", "new.npz", "-o", "out.npz"]) == 0
    found = np.load("out.npz")["prediction"]
    assert found.shape == raw.shape  # the model gives (N, 64)
    errors = (found - raw.numpy()) / run.preprocessing.x.std.numpy()
    assert np.square(errors).mean() == pytest.approx(metrics["val/mse"], rel=1e-5)
    assert main(["export", "latest"]) == 0
    np.testing.assert_allclose(exported({"x": raw.numpy()})[""].detach(), found, atol=1e-4)
    assert main(["export", "latest", "format=safetensors"]) == 0
    scope = runpy.run_path(str(RUN / "export/load_safetensors.py"))  # its x is as the model sees it
    np.testing.assert_allclose(scope["output"], run.task.answer(run.call(scope["x"]).detach())[0], atol=1e-4)


def predicted(kind: str, *words: str) -> tuple[dict[str, np.ndarray], np.ndarray | None, dict[str, float]]:
    """(What a run of every_task.py predicts for its validation rows, by name, their targets, their metrics)."""
    names = ["dataset._target_=every_task.Rows", "model._target_=every_task.Net"]
    kinds = [f"+dataset.kind={kind}", f"+model.kind={kind}"]
    assert main(["train", "dataset=own", "model=own", *names, *kinds, *QUICK, *words]) == 0
    run = model.load(RUN.resolve(), Settings(read_config(RUN.resolve())).check())
    x, y, metrics = held_back(run)
    np.savez("new.npz", **x)
    assert main(["predict", "latest", "new.npz", "-o", "out.npz"]) == 0
    return dict(np.load("out.npz")), y, metrics


@pytest.mark.optional
def test_pixels(capsys: pytest.CaptureFixture[str]) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    found, y, metrics = predicted("pixels")
    assert y is not None
    assert {name: array.shape for name, array in found.items()} == {
        "prediction": y.shape,
        "probabilities": (12, 3, 8, 10),
    }
    iou = theirs.jaccard_score(y.ravel(), found["prediction"].ravel(), average="macro")
    assert iou == pytest.approx(metrics["val/iou"], abs=1e-12)
    chances = np.take_along_axis(found["probabilities"], y[:, None], 1)
    assert -np.log(chances).mean() == pytest.approx(metrics["val/loss"], rel=1e-5)
    assert main(["predict", "latest", "new.npz", "-o", "out.csv"]) == 2
    assert "try: -o out.npz" in capsys.readouterr().err


def test_outputs_that_only_a_loss_knows() -> None:
    found, y, metrics = predicted("free", "loss._target_=every_task.Terms")
    assert y is None
    state = found["state"].astype(float)
    near, far = np.square(state).mean(), np.square(state - 1).mean()
    measured = [metrics[f"val/{name}"] for name in ("near", "far", "loss")]
    assert measured == pytest.approx([near, far, near + far], rel=1e-5)
