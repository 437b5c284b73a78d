"""What may be imported from the current folder: what the user's own config names there, and nothing for a stranger."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli

from trainer.cli import main
from trainer.config import files, user_modules
from trainer.config.compose import compose
from trainer.config.source import Source
from trainer.disk import layout, sweep_plan
from trainer.disk.sweep_plan import Job

FILES = ("one.py", "pack/__init__.py", "pack/part.py", "open/part.py", "open/deep/end.py", "torch.py", "data/rows.csv")
LIES = {
    "one.Net": True, "one.Net.make": True, "pack.Net": True, "pack.part.Net": True, "pack.gone.Net": True,
    "open.part.Net": True, "open.deep.end.Net": True, "open.Net": False, "open.gone.Net": False, "data.rows.Net": False,
    "torch.nn.Linear": False, "trainer.models.mlp.MLP": False, "gone.Net": False, "one": False, "auto": False,
    "": False, "..one.Net": False, "one/x.Net": False, "../one.Net": False, "Ōne.Net": False,
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
MARK = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"
QUICK = ["dataset=iris", "epochs=1", "report=false", "threads=1", "device=cpu"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(MARK)
    return tmp_path


def test_nothing_is_imported_to_find_out_what_lies_here(folder: Path) -> None:
    before = set(sys.modules)
    assert {name: user_modules.lies_in(str(folder), name) for name in LIES} == LIES
    assert set(sys.modules) == before
    assert not list(folder.rglob("*.ran"))


@pytest.mark.parametrize("name", [name for name in LIES if name != "one"])
def test_the_current_folder_comes_first_only_for_what_lies_there(name: str, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", ["/usr/lib/elsewhere"])
    user_modules.allow_user_modules({"model": {"x": [{"_target_": name}]}}, [folder / "open"])
    expected = [str(folder)] if LIES[name] else []
    assert sys.path[:-2] == [*expected, "/usr/lib/elsewhere"]  # beside a config stays last
    assert set(sys.path[-2:]) == {str(folder / "open"), str(folder / "open/deep")}


NEIGHBOURS = {
    "my_rows.py": "import torch\nimport mlflow as neighbour\n"
    "class Rows(torch.utils.data.Dataset):\n"
    "    classes = ('a', 'b')\n"
    "    def __len__(self): return 40\n"
    "    def __getitem__(self, i):\n"
    "        import worker_only\n"
    "        return torch.full((3,), float(i)), neighbour.label(i) + worker_only.NOTHING\n",
    "mlflow.py": "def label(i): return i % 2\n",
    "worker_only.py": "NOTHING = 0\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("more", [["loader.num_workers=2"], ["nproc=2"], ["-m", "seed=0,1"]])
def test_a_module_here_finds_its_neighbours_in_workers_ranks_and_jobs(more: list[str], cli: Cli, tmp_path) -> None:
    for name, text in NEIGHBOURS.items():
        (tmp_path / name).write_text(text)
    words = ["dataset=own", "dataset._target_=my_rows.Rows", *QUICK[1:], *more]
    done = cli("train", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "plotille.py").write_text(MARK)
    done = cli("train", *QUICK, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.glob("*.ran"))  # nothing here is named


def strangers_sweep(folder: Path, **changes: object) -> Path:
    """A sweep of two jobs that have not begun, as somebody else's archive would hold it."""
    data = compose(Source([*QUICK, "sweep.jobs=1"], files.roots())).data | changes
    folder.mkdir(parents=True)
    jobs = [Job(number, [f"seed={number}"], {**data, "seed": number}) for number in (0, 1)]
    sweep_plan.write_plan(folder, ["seed=0,1"], jobs, {})
    (folder / "config.sig").unlink()
    return folder


def statuses(sweep: Path) -> list[str]:
    return [json.loads((job / layout.SUMMARY).read_text())["status"] for job in layout.jobs(sweep)]


def written(root: Path) -> set[str]:
    """The files and folders directly in the current folder and the one that a stranger wants to fill."""
    return {path.relative_to(root).as_posix() for path in [*root.glob("*"), *root.glob("elsewhere/*")]}


@pytest.mark.slow
def test_a_file_beside_a_strangers_sweep_is_not_a_library(cli: Cli, tmp_path: Path) -> None:
    """Its jobs want MLflow, and the folder that it came in holds one. Other names lie there too."""
    names = (
        "mlflow",
        "numpy",
        "torch",
        "yaml",
        "rich",
        "multiprocessing",
        "tempfile",
        "matplotlib",
        "xxhash",
        "my_net",
    )
    sweep = strangers_sweep(tmp_path / "theirs/sweep", mlflow=True, output_dir=str(tmp_path / "elsewhere"))
    for name in names:
        (tmp_path / f"{name}.py").write_text(MARK)
    before = written(tmp_path)
    done = cli("resume", str(sweep))
    assert done.returncode == 0, done.stdout + done.stderr
    assert statuses(sweep) == ["ok", "ok"]
    assert written(tmp_path) - before <= {"outputs", "__pycache__"}
    assert not list(tmp_path.glob("*.ran"))
    assert done.stderr.count("mlflow is off") == 1
    assert "--trust" in done.stderr


def test_without_a_name_that_lies_there_trust_does_not_open_the_folder(tmp_path: Path, monkeypatch) -> None:
    from trainer.verbs.open_run import open_run

    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["train", *QUICK]) == 0
    run = Path("outputs/latest").resolve()
    (run / "config.sig").unlink()
    (tmp_path / "mlflow.py").write_text(MARK)
    here = str(tmp_path)
    for trust_it in (False, True):
        assert open_run(str(run), trust_it=trust_it).data.trusted is trust_it
        assert here not in sys.path
    text = (run / layout.CONFIG).read_text().replace("trainer.models.mlp.MLP", "my_net.Net")
    (run / layout.CONFIG).write_text(text)
    (tmp_path / "my_net.py").write_text(MARK)
    open_run(str(run), trust_it=True)
    assert sys.path[0] == here
    assert not list(tmp_path.glob("*.ran"))


@pytest.mark.slow
def test_a_strangers_sweep_has_no_listeners_of_theirs(cli: Cli, tmp_path: Path) -> None:
    sweep = strangers_sweep(tmp_path / "theirs/sweep", listeners=[{"_target_": "my_net.Net"}])
    (tmp_path / "my_net.py").write_text(MARK)
    before = written(tmp_path)
    done = cli("resume", str(sweep))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "listeners.0._target_=my_net.Net" in done.stderr
    assert written(tmp_path) == before


@pytest.mark.slow
def test_a_strangers_sweep_downloads_nothing(cli: Cli, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    node = {"_target_": "trainer.data.vision.MNIST", "root": str(elsewhere), "val_fraction": 0.1, "split_seed": 0}
    sweep = strangers_sweep(tmp_path / "theirs/sweep", dataset=node)
    before = written(tmp_path)
    done = cli("resume", str(sweep))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("nothing is downloaded") == 2  # beforehand, and as the reason
    assert "--trust" in done.stderr
    assert written(tmp_path) == before
    assert not elsewhere.exists()


@pytest.mark.slow
def test_git_is_not_asked_beside_a_strangers_folder(cli: Cli, tmp_path: Path) -> None:
    """Its settings come in the same archive, and git runs what they name."""
    sweep = strangers_sweep(tmp_path / "theirs/sweep")
    run = tmp_path / "theirs/run"
    assert cli("train", *QUICK, f"output_dir={tmp_path}/mine").returncode == 0
    (tmp_path / "mine/latest").resolve().rename(run)
    (run / "config.sig").unlink()
    commit = ["-c", "user.name=a", "-c", "user.email=a", "commit", "-q", "--allow-empty", "-m", "x"]
    monitor = ["config", "core.fsmonitor", f"touch {tmp_path}/pwned; false"]
    for words in (["init", "-q"], monitor, ["add", "theirs"], commit):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "pwned").unlink()  # so git runs it
    for words in (["resume", str(run), "epochs=2"], ["resume", str(sweep)]):
        done = cli(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not (tmp_path / "pwned").exists(), words
    assert json.loads((run / layout.SUMMARY).read_text())["git"] is None


@pytest.mark.slow
@pytest.mark.parametrize("words", [["resume", "sweep"], ["resume", "run", "epochs=2"]])
def test_the_console_script_finds_no_library_in_the_current_folder(words: list[str], tmp_path: Path) -> None:
    """Nor do the processes that it starts: for a stranger's sweep, and for their run in two processes."""
    strangers_sweep(tmp_path / "sweep")
    assert main(["train", *QUICK, "nproc=2", f"output_dir={tmp_path}/mine"]) == 0
    (tmp_path / "mine/latest").resolve().rename(tmp_path / "run")
    (tmp_path / "run/config.sig").unlink()
    for name in ("numpy", "torch", "json", "yaml", "mlflow", "trainer"):
        (tmp_path / f"{name}.py").write_text(MARK)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/trainer").write_text("from trainer.__main__ import entry\nif __name__ == '__main__': entry()\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    command = [sys.executable, "bin/trainer", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.glob("*.ran"))
