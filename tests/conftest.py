"""What the tests share: a folder of their own each, runs built from overrides, and the real command line."""

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from watch import Watch

from trainer.config import files
from trainer.config.compose import compose
from trainer.config.schema import Config
from trainer.config.source import Source

for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):  # a shell ignores them in the background
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

WITHOUT_TORCH = importlib.util.find_spec("torch") is None
needs_torch = pytest.mark.skipif(WITHOUT_TORCH, reason="needs torch")

Cli = Callable[..., subprocess.CompletedProcess[str]]

settings.register_profile("steady", deadline=None, derandomize=True)  # the same tries each time, on a busy machine too
settings.load_profile("steady")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without torch only the files that hold a no_torch test are imported."""
    if WITHOUT_TORCH and collection_path.suffix == ".py":
        return "mark.no_torch" not in collection_path.read_text(encoding="utf-8") or None
    return None


@pytest.fixture(scope="session", autouse=True)
def _no_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads the user's cache, and none measures the machine: a file lies where trainer's folder would be."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "trainer").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in a folder of its own; nothing is written elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))


@pytest.fixture(autouse=True)
def _denormals_again() -> Iterator[None]:
    """A build flushes denormals for the whole process; other tests want their floats whole."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def watch() -> Watch:
    """One audit hook for all tests: hooks cannot be removed."""
    return Watch()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the real command line in a process of its own, its output in pipes."""

    def run(*words: str, cwd: Path = tmp_path, timeout: float = 180, **env: str) -> subprocess.CompletedProcess[str]:
        import os

        root = str(Path(__file__).resolve().parent.parent)
        environment = {**os.environ, "PYTHONPATH": root, "PYTHONIOENCODING": "utf-8", **env}
        command = [sys.executable, "-m", "trainer", *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=environment)

    return run


def config(*overrides: str) -> Config:
    """A checked config, composed as the command line composes it."""
    return compose(Source(list(overrides), files.roots())).check()
