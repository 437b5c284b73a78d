"""Pictures that stay in memory once decoded: the same bits, each file read once, and who decodes them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import trials
from conftest import Cli, config
from drawn import draw

from trainer.build.build import build
from trainer.config import files
from trainer.config.check import check
from trainer.config.compose import compose
from trainer.config.source import Source
from trainer.config.trust import OWN
from trainer.data import picture_file
from trainer.data.kept_pictures import KeptPictures
from trainer.data.room import Room
from trainer.data.workers import Workers
from trainer.disk import layout
from trainer.disk.sweep_plan import Job
from trainer.events import Stepped
from trainer.loop import train
from trainer.processes import machine
from trainer.processes.ranks import joined
from trainer.report import predictions
from trainer.sweep.job import Place
from trainer.sweep.job import train as train_job
from trainer.terminal.screen import Screen

PICTURES = ("dataset=images", "dataset.path=pics", "dataset.size=8", "model=cnn", "model.channels=[8]", "threads=1")
CPU = torch.device("cpu")


def epochs(run: Any, num_epochs: int = 2) -> torch.Tensor:
    """All batches of some epochs, from the middle of the first one on."""
    windows = (window for epoch in range(num_epochs) for window in run.train_batches.windows(epoch, 1 - epoch))
    return torch.cat([x for window in windows for x, *_ in window])


@pytest.mark.parametrize("workers", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
def test_kept_pictures_have_the_same_bits_and_every_file_is_read_once(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(Path("pics"))
    read = Counter[str]()
    original = picture_file.read_bytes

    def counted(path: str) -> bytes:
        read[path] += 1
        return original(path)

    words = [*PICTURES, "loader.batch_size=4", f"loader.num_workers={workers}", "loader.in_memory"]
    plain, kept = (build(config(*words[:-1], f"{words[-1]}={way}"))[0] for way in ("false", "auto"))
    assert isinstance(plain.train_batches.loader, Workers)
    assert isinstance(loader := kept.train_batches.loader, KeptPictures)
    monkeypatch.setattr(picture_file, "read_bytes", counted)
    assert torch.equal(epochs(kept), epochs(plain))
    assert loader.is_complete
    read.clear()
    again = epochs(kept)
    assert loader.reader is None  # and its workers have ended
    assert not read
    assert torch.equal(again, epochs(plain))
    before = read.total()
    validation = [torch.cat([x for x, *_ in run.val_batches]) for run in (kept, plain, kept)]
    assert torch.equal(validation[0], validation[1])
    assert torch.equal(validation[0], validation[2])
    if not workers:
        assert read.total() - before == 2 * len(validation[0])  # not 3 times


def test_training_has_the_same_bits_in_memory_and_out_of_it() -> None:
    draw(Path("pics"))
    losses = []
    for way in ("auto", "false", "true"):
        run, _ = build(config(*PICTURES, f"loader.in_memory={way}", "epochs=3", "loader.batch_size=5"))
        losses.append([event.loss.item() for event in train(run) if isinstance(event, Stepped)])
    assert losses[0] == losses[1] == losses[2]


def test_pictures_that_do_not_fit_are_decoded_each_time_and_the_header_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw(Path("pics"))
    run, setup = build(config(*PICTURES))
    num_bytes = sum(part.num_rows for part in setup.splits.parts.values()) * run.train_batches.loader.x[0].numel()
    assert setup.splits.loader_name.startswith("in memory once decoded (0.0 MB")
    monkeypatch.setattr(machine, "free", lambda device: 4 * num_bytes)
    assert isinstance(build(config(*PICTURES))[0].train_batches.loader, KeptPictures)
    monkeypatch.setattr(machine, "free", lambda device: 4 * num_bytes - 1)
    run, setup = build(config(*PICTURES))
    assert isinstance(run.train_batches.loader, Workers)
    assert setup.splits.loader_name == "DataLoader, 0 workers (0.0 GB are more than a quarter of the free memory)"


def test_pictures_that_are_augmented_as_they_are_decoded_do_not_stay_but_those_to_validate_on_do() -> None:
    draw(Path("pics"))
    run, _ = build(config(*PICTURES, "dataset.augment=true"))
    assert isinstance(run.train_batches.loader, Workers)
    assert run.val_batches is not None
    assert isinstance(run.val_batches.loader, KeptPictures)


@pytest.mark.parametrize("way", ["auto", "false", "true"])
def test_a_mistake_has_the_name_of_its_file(way: str) -> None:
    draw(Path("pics"))
    run, setup = build(config(*PICTURES, f"loader.in_memory={way}"))
    val = setup.splits.parts["val"].part
    assert run.val_batches is not None
    found = predictions.measure(run, setup.splits.preprocessing, run.val_batches, val, "val")
    assert found is not None
    assert found.mistakes
    names = [path.name for folder in sorted(Path("pics").iterdir()) for path in sorted(folder.iterdir())]
    assert [mistake.file for mistake in found.mistakes] == [names[mistake.row] for mistake in found.mistakes]


@pytest.mark.slow
def test_two_processes_keep_what_one_keeps() -> None:
    draw(Path("pics"))
    for more in ([], ["accumulate=2"]):
        words = [*PICTURES[:3], "model=linear", "dtype=float64"]  # batch norm would see a part of each batch
        data = trials.config(*words, "epochs=3", "loader.batch_size=5", *more)
        whole = trials.call(trained, data)
        assert trials.on_ranks(2, trained, data) == [pytest.approx(whole, rel=1e-9)] * 2


def trained(data: dict[str, Any]) -> list[float]:
    """In a rank: the loss of every step."""
    with joined() as ranks:
        run, _ = build(check(data), ranks=ranks)
        assert isinstance(run.train_batches.loader, KeptPictures)
        return [event.loss.item() for event in train(run) if isinstance(event, Stepped)]


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["loader.num_workers=2"], ["loader.in_memory=false", "loader.num_workers=1"]])
def test_a_killed_run_on_pictures_resumes_to_the_same_bits(words: list[str], cli: Cli) -> None:
    draw(Path("pics"))
    done = cli("verify", *PICTURES, "loader.batch_size=3", "epochs=4", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok       killed and resumed" in done.stdout


def test_room_divides_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free", lambda device: 1000)
    assert Room(cores=1, processes=2).too_large(125, CPU) is None
    assert Room(cores=1, processes=2).too_large(126, CPU) is not None
    many = 10**9
    monkeypatch.setattr("sys.platform", "linux")
    assert [Room(cores).num_workers(many) for cores in (1, 2, 4, 64)] == [0, 1, 3, 8]
    assert Room(4).num_workers(10**6) == 0  # decoded before a worker has started
    monkeypatch.setattr("sys.platform", "win32")
    assert Room(4).num_workers(many) == 0


def test_jobs_side_by_side_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 pictures of 192 bytes are less than a quarter of 20,000, and more than an eighth."""
    draw(Path("pics"))
    monkeypatch.setattr(machine, "free", lambda device: 20_000)
    words = [*PICTURES, "max_steps=1", "report=false"]
    data, sweep = compose(Source(words, files.roots())).data, layout.create_sweep("outputs")
    for number, keeps in ((1, True), (2, False)):
        job = Job(number, words, data)
        assert train_job(sweep, job, Screen(), Place(1, num_jobs=number), OWN) == 0
        assert ("data in memory once decoded" in (job.folder(sweep) / "train.log").read_text()) is keeps


def test_auto_workers_are_for_pictures_and_a_run_stores_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    draw(Path("pics"))
    monkeypatch.setattr("trainer.data.room.WORTH_WORKERS", 0)
    _, setup = build(config(*PICTURES), cores=3)
    assert setup.config.loader.num_workers == 2
    assert ", by 2 workers" in setup.splits.loader_name
    assert build(config(*PICTURES, "loader.num_workers=0"), cores=3)[1].config.loader.num_workers == 0
    assert build(config(*PICTURES, "loader.in_memory=true"), cores=3)[1].config.loader.num_workers == 0
    assert build(config("dataset=digits"), cores=3)[1].config.loader.num_workers == 0
