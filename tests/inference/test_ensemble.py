"""--top: several runs of a sweep as one model, measured only on rows that none of them has seen."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import csv as tables

from trainer.cli import main
from trainer.compare import ranking, rows
from trainer.data.embedded import Diabetes, Wine
from trainer.disk import layout
from trainer.inference import means

FOLDS = ["-m", "dataset.folds=3", "dataset.fold=range(3)", "epochs=3", "report=false", "sweep.jobs=1", "threads=1"]


def columns(path: str, *words: str) -> dict[str, np.ndarray]:
    """What predict writes for a file."""
    assert main(["predict", *words, path, "-o", "out.csv"]) == 0
    table = tables.read_csv("out.csv")
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_the_answer_is_the_mean_of_the_members(name: str) -> None:
    """Probabilities for classes; numbers in the data's units, where each fold has scaled them by its own mean."""
    assert main(["train", f"dataset={name}", *FOLDS, "optimizer.lr=0.01,0.02"]) == 0
    data = Wine() if name == "wine" else Diabetes()
    np.savez("new.npz", x=data.x[:9].numpy())
    sweep = layout.find_sweep("latest")
    assert sweep is not None
    (ranked,) = ranking.rankings(rows.of_sweep(sweep))
    for top, groups in (("1", ranked.groups[:1]), ("all", ranked.groups)):
        alone = [columns("new.npz", row.name) for group in groups for row in group.rows]
        assert len(alone) == 3 * len(groups)
        together = columns("new.npz", "latest", "--top", top)
        for column, values in together.items():
            if column.startswith("prob") or name == "diabetes":
                assert values == pytest.approx(np.mean([one[column] for one in alone], axis=0), rel=1e-5), column
    one = columns("new.npz", "latest")
    lowest = next(row for row in ranked.groups[0].rows if row.settings["dataset.fold"] == "0")
    assert all((one[column] == values).all() for column, values in columns("new.npz", lowest.name).items())


def test_it_is_one_file_that_answers_as_predict_does(capsys: pytest.CaptureFixture[str]) -> None:
    """export checks the file against the ensemble itself; here against predict's own columns."""
    assert main(["train", "dataset=diabetes", *FOLDS]) == 0
    x = Diabetes().x[:9]
    np.savez("new.npz", x=x.numpy())
    expected = columns("new.npz", "latest", "--top", "1")["prediction"]
    assert main(["export", "latest", "--top", "1"]) == 0
    sweep = layout.find_sweep("latest")
    assert sweep is not None
    whole = torch.export.load(sweep / layout.EXPORT / "model.pt2").module()
    assert whole(x.double()).flatten().tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    card = (sweep / layout.EXPORT / layout.CARD).read_text()
    assert "the mean of 3 runs" in card
    assert main(["export", "latest", "format=safetensors", "--top", "1"]) == 2
    assert "holds the weights of one model" in capsys.readouterr().err


def test_a_table_is_read_by_each_member_as_it_has_learned(tmp_path: Path) -> None:
    """A category that only some folds have met: each member encodes the rows by itself."""
    generator = np.random.default_rng(0)
    x, kind = generator.normal(size=120), generator.choice(["a", "b", "c", "d"], 120, p=[0.5, 0.4, 0.08, 0.02])
    y = np.where(x + (kind == "b") > 0.4, "yes", "no")
    lines = [f"{value:.4f},{word},{answer}" for value, word, answer in zip(x, kind, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,kind,y", *lines]) + "\n")
    assert main(["train", "dataset=table", "dataset.path=t.csv", "dataset.target=y", *FOLDS]) == 0
    sweep = layout.find_sweep("latest")
    assert sweep is not None
    alone = [columns("t.csv", str(layout.relative(sweep / f"{job:03}"))) for job in range(3)]
    together = columns("t.csv", "latest", "--top", "1")
    expected = np.mean([one["probability_yes"] for one in alone], axis=0)
    assert together["probability_yes"] == pytest.approx(expected, rel=1e-5)


def test_folds_of_a_table_of_numbers_are_one_file(tmp_path: Path) -> None:
    """They differ only in the ranges that their training rows had."""
    generator = np.random.default_rng(0)
    lines = [f"{a:.3f},{b:.3f},{a - b:.3f}" for a, b in generator.normal(size=(60, 2))]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")
    words = ["dataset=table", "dataset.path=t.csv", "dataset.target=y", "dataset.folds=2", "dataset.fold=range(2)"]
    assert main(["train", "-m", *words, "epochs=1", "report=false", "sweep.jobs=1", "threads=1"]) == 0
    assert main(["export", "latest", "--top", "1"]) == 0


def test_the_mean_of_labels_stays_finite_where_probabilities_are_1() -> None:
    several = torch.tensor([[40.0, -200.0, 0.0], [90.0, -300.0, 2.0]])
    found = means.mean("labels", [*several], 1)
    assert found.isfinite().all()
    assert found.double().sigmoid() == pytest.approx(several.double().sigmoid().mean(0), abs=1e-6)


@pytest.mark.slow
def test_it_is_measured_on_rows_that_no_member_has_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """The accuracy is that of predict's own answers on the test rows; without such rows, or on rows that a member was
    trained on, it is refused."""
    assert main(["train", "dataset=wine", *FOLDS, "dataset.test_fraction=0.2"]) == 0
    capsys.readouterr()
    assert main(["eval", "latest", "--top", "1"]) == 0
    said = capsys.readouterr().out
    from trainer.data import fingerprint
    from trainer.data.roles import TEST

    sweep = layout.find_sweep("latest")
    assert sweep is not None
    known = fingerprint.read(sweep / "000")
    assert known is not None
    data, test = Wine(), known.roles == TEST
    np.savez("test.npz", x=data.x[test].numpy(), y=data.y[test].numpy())
    answers = columns("test.npz", "latest", "--top", "1")["prediction"]
    names = np.array(data.classes)[data.y[test].numpy()]
    found = re.search(r"test/acc +([\d.]+) +members ([\d.]+)", said)
    assert found is not None
    assert float(found[1]) == pytest.approx((answers == names).mean(), abs=1e-4)
    for words, message in (
        (["split=val"], "those of split=val are not"),
        (["dataset.path=seen.npz"], "dataset.path"),
    ):
        assert main(["eval", "latest", "--top", "1", *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["train", "dataset=wine", *FOLDS]) == 0
    assert main(["eval", "latest", "--top", "all"]) == 2
    err = capsys.readouterr().err
    assert "these runs have no test split" in err
    assert "the score on the rows that each held back is val/acc 0." in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top", "2"], "--top 2: the ranking has 1 line"),
        (["--top", "0"], "--top 0: the ranking has 1 line"),
        (["--top", "some"], "--top some: the ranking has 1 line"),
    ],
)
def test_a_top_that_is_not_there_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dataset=iris", *FOLDS]) == 0
    np.savez("new.npz", x=np.zeros((2, 4)))
    assert main(["predict", "latest", "new.npz", *words]) == 2
    assert message in capsys.readouterr().err
    assert main(["predict", "latest", "-", "--top", "1"]) == 2
    sweep = layout.find_sweep("latest")
    assert main(["predict", f"{sweep}/000", "new.npz", "--top", "1"]) == 2
    assert "is one run" in capsys.readouterr().err
