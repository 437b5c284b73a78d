"""What Python's warnings become: one entry on the screen and in train.log, and none where filters say so."""

import os
import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
from conftest import Cli

import trainer
from trainer import kernels
from trainer.cli import main
from trainer.device import quiet_compiler
from trainer.terminal import warnings as notices

MODEL = """
import warnings
import torch
from torch import nn

class Noisy(nn.Linear):
    def __init__(self, in_features, num_classes):
        super().__init__(in_features, num_classes)
    def forward(self, x):
        warnings.warn("the inputs are in metres, and have been since the first of these layers was made of them")
        return super().forward(x)

class Putting(Noisy):
    modes = set()
    def forward(self, x):
        self.modes.add((torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark))
        x = x.detach().clone()
        return super(Noisy, self).forward(x.put_(torch.zeros(1, dtype=torch.long), torch.ones(1)))
"""
QUICK = ["dataset=iris", "epochs=2", "threads=1", "device=cpu", "report=false", "model=own"]
NOISY, PUTTING = ([*QUICK, "dataset.val_fraction=0", f"model._target_=noisy.{name}"] for name in ("Noisy", "Putting"))
ENTRY = re.compile(r"^warning  .+\n(?:         .+\n)*", flags=re.MULTILINE)
TF32 = "TensorFloat32 tensor cores for float32 matrix multiplication available but not enabled."


@pytest.fixture(autouse=True)
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "noisy", raising=False)
    (tmp_path / "noisy.py").write_text(MODEL)


def test_a_models_warning_is_one_entry_on_the_screen_and_in_the_log(cli: Cli) -> None:
    done = cli("train", *NOISY, PYTHONWARNINGS="always")
    assert (done.returncode, done.stderr) == (0, "")
    (entry,) = ENTRY.findall(done.stdout)
    assert " ".join(entry.split()).startswith(
        "warning the inputs are in metres, and have been since the first of these"
    )
    assert len(entry.splitlines()) == 2
    assert max(map(len, entry.splitlines())) <= 78
    (log,) = Path("outputs").glob("2*/*/train.log")
    said = log.read_text()
    (where,) = re.findall(r"^         at .*noisy\.py:10, UserWarning\n", said, flags=re.MULTILINE)
    assert said.replace(where, "") == done.stdout


def test_filters_decide_as_python_says(capsys: pytest.CaptureFixture[str]) -> None:
    for action, code in (("error", 2), ("ignore", 0)):
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            assert main(["train", *NOISY]) == code
        said = capsys.readouterr()
        assert "warning" not in said.out
        assert ("the inputs are in metres" in said.err) == (action == "error")


@pytest.mark.parametrize("wanted", [True, False])
def test_an_operation_without_deterministic_form_is_named_once_and_the_session_kept(
    wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """put_ has none even on the CPU, which here passes for CUDA."""
    choose = kernels.choose
    on_cuda = lambda _, **how: choose(torch.device("cuda"), **how)  # noqa: E731
    monkeypatch.setattr(kernels, "choose", on_cuda)
    monkeypatch.delenv(kernels.WORKSPACE, raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)  # not what Python 3.12 says of a fork beside threads
        result = trainer.train([*PUTTING, f"deterministic={str(wanted).lower()}"])
    during = type(result.model).modes - {(0, True)}  # after the run, the model is loaded in the session's own mode
    assert during == ({(1, False)} if wanted else set())
    assert (torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark) == (0, True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert kernels.WORKSPACE not in os.environ
    entry = (
        "warning  put_ has no deterministic form here: a resumed run may differ in its\n"
        "         last bits\n"
        "         try: deterministic=false, which is just as exact and perhaps faster\n"
    )
    assert ENTRY.findall(capsys.readouterr().out) == [entry] * wanted


def test_attention_and_other_texts_of_torch() -> None:
    flash = "Flash Attention defaults to a non-deterministic algorithm. To explicitly enable determinism call torch."
    assert notices.paragraphs(flash)[0].startswith("Flash Attention has no deterministic form here: ")
    assert notices.paragraphs("Empty.\n  Why? (Triggered internally at /a/b(1)/c.cpp:7.)") == ("Empty.", "Why?")


def test_the_compilers_advice_to_use_tf32_is_not_told_and_the_filter_ends_with_the_run() -> None:
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)  # not what Python 3.12 says of a fork beside threads
        before = [*warnings.filters, warnings.showwarning]
        with notices.captured(lambda texts, where: said.extend(texts)):
            warnings.warn(TF32, stacklevel=1)
            quiet_compiler()
            warnings.warn(TF32 + " Again.", stacklevel=1)
        assert [*warnings.filters, warnings.showwarning] == before
    assert said == [TF32]


def test_a_forked_process_warns_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest: (tmp_path / "said").write_text(str(message)))
    with notices.captured(lambda texts, where: said.extend(texts)):
        warnings.simplefilter("always", UserWarning)  # not what Python 3.12 says of a fork beside threads
        child = os.fork()
        if child == 0:
            warnings.warn("from the worker", stacklevel=1)
            os._exit(0)
        os.waitpid(child, 0)
    assert (said, (tmp_path / "said").read_text()) == ([], "from the worker")


@pytest.mark.slow
def test_a_sweeps_jobs_keep_their_warnings_in_their_logs_also_where_one_is_never_built(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "picky.py").write_text(
        "import warnings\nfrom noisy import Noisy\n"
        "class Picky(Noisy):\n"
        "    def __init__(self, in_features, num_classes, width):\n"
        "        warnings.warn('a width is not looked at')\n"
        "        if width > 1: raise ValueError('too wide')\n"
        "        super().__init__(in_features, num_classes)\n"
    )
    words = [*QUICK, "dataset.val_fraction=0", "model._target_=picky.Picky", "+model.width=1,2", "sweep.jobs=1"]
    done = cli("train", "-m", *words)
    assert done.returncode == 1
    assert done.stderr == ""
    (sweep,) = Path("outputs/sweeps").glob("2*/*")
    first, second = ((sweep / name / "train.log").read_text() for name in ("000", "001"))
    assert [len(ENTRY.findall(log)) for log in (first, second)] == [2, 1]
    assert "warning  a width is not looked at\n" in second
