"""trainer.train() and trainer.resume(), for scripts and notebooks. They leave the Python session as it was."""

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from trainer.config import given, user_modules
from trainer.config.check import check
from trainer.config.compose import compose
from trainer.config.files import roots
from trainer.config.given import Given
from trainer.config.run_config import read_plain
from trainer.config.source import Source
from trainer.disk import layout
from trainer.errors import ConfigError, TrainerError
from trainer.events import Event
from trainer.python import in_place, objects, settings
from trainer.python.loading import result_of
from trainer.python.result import Result
from trainer.python.session import finishing_step_on_ctrl_c, restoring, with_hints
from trainer.run import launch
from trainer.run.session import Session
from trainer.terminal import output
from trainer.terminal.screen import Screen
from trainer.verbs.open_run import open_run
from trainer.verbs.resume import CHANGEABLE

Listening = Callable[[Event], object]


def train(
    overrides: Sequence[str] = (),
    *,
    model: Any = None,
    data: Any = None,
    loss: Any = None,
    metrics: Any = None,
    listeners: Iterable[Listening] | Listening | None = (),
    config_dir: str | None = None,
    **others: Any,
) -> Result:
    """Train as `trainer train key=value …` does: the same lines, the same run folder in outputs/, the same bits.

    overrides: words such as "epochs=3"; they win over what is given by name.
    model: an nn.Module, which is trained in place and ends with the best weights, in eval mode, on its device; or the
    name of an option, or a dict of its keys.
    data: (x, y), each an array, a tensor, or a tuple or dict of them with N rows; a map-style Dataset; a DataFrame,
    with dataset__target="COLUMN"; or {'train': …, 'val': …, 'test': …} of one of these.
    loss: an nn.Module or a function (prediction, target) of tensors that returns one number or a dict of terms.
    metrics: a list of names, dicts and torchmetrics.Metrics, or a dict of these by column.
    listeners: callables that get each event, see trainer/events.py; one with a method `close` is closed at the end.
    config_dir: a folder of your own configs, instead of ./conf.
    others: keys of the config by name: epochs=3, optimizer="sgd", optimizer__lr=0.1, optimizer=dict(lr=0.1).

    Raises ConfigError, Diverged, StorageError and other TrainerErrors. Ctrl-C finishes the step, saves and raises
    KeyboardInterrupt, with the newest checkpoint's weights in the model; a second Ctrl-C raises it at once.
    """
    started = time.perf_counter()
    with with_hints():
        if isinstance(overrides, str):
            raise ConfigError("train takes a list of settings", f'train(["{overrides}"])')
        typed = [*settings.words(others.items(), ()), *overrides]
        objs, theirs = objects.read(model, data, loss, metrics, typed)
        words = [*settings.words([*theirs.items(), *others.items()], overrides), *overrides]
        objects.check_target(theirs, words)
        source = Source(words, roots([config_dir] if config_dir else []))
        return new_run(source, objs, listeners, started)


def new_run(
    source: Source,
    objs: Given,
    listeners: Iterable[Listening] | Listening | None,
    started: float,
    *,
    screen: TextIO | None = None,
    sign: bool = True,
) -> Result:
    """Train a new run. screen: where its lines go; None is stdout. sign: with the user's key, which is made if there is
    none."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # a rank that imports its parent's script
        sys.exit("error: nproc imports this script again in each process, and so it would train again there")
    composed = None if {"-m", "--multirun"} & set(source.overrides) else compose(source)
    if composed is None or composed.multirun:
        raise ConfigError("a sweep starts its own processes, so it needs the command line", "trainer train -m …")
    config = composed.check()
    layout.check_writable(config.output_dir)
    user_modules.allow_user_modules(composed.data, source.folders)
    with _around(objs, listeners, started, screen) as (session, at), composed.locating():
        make_folder = lambda label: at(layout.create(config.output_dir, label))  # noqa: E731
        launch.start(config, composed.overrides, make_folder, session, sign=sign)
    return _of_own(at.folder, objs)


def resume(
    run: str | Path = layout.LATEST,
    *,
    model: Any = None,
    data: Any = None,
    loss: Any = None,
    metrics: Any = None,
    listeners: Iterable[Listening] = (),
    data_changed: bool = False,
    trust: bool = False,
    **changes: Any,
) -> Result:
    """Continue a run from its last checkpoint, as `trainer resume RUN` does. A finished one is only opened.

    run: a run folder, the end of its name, or latest. model, data, loss, metrics: the objects that trainer.train was
    given, if it was given any; the model gets the weights of the checkpoint. listeners: as in train. data_changed:
    whether data that has changed is trained on, as with data=changed. trust: import what the config of another author
    names. changes: epochs=80 to train longer, and the other keys that `trainer resume` takes.
    Raises ConfigError for objects unlike those of the start and for data that has changed, and what train raises.
    """
    started = time.perf_counter()
    with with_hints():
        objs, theirs = objects.read(model, data, loss, metrics, ())
        words = settings.words(changes.items(), ())
        changed = CHANGEABLE.read(words)
        if (sweep := layout.find_sweep(str(run))) is not None:
            raise ConfigError(f"{sweep} is a sweep, and needs the command line", f"trainer resume {sweep}")
        opened = open_run(str(run), changed, words, trust_it=trust)
        objects.check_same(objs, theirs, opened.data)
        if layout.read_summary(opened.folder).get("status") == "ok" and not changed:
            return result_of(opened.folder, opened.config, objs)
        with _around(objs, listeners, started, None) as (session, at):
            at(opened.folder)
            stored, if_changed = opened.data, "continue" if data_changed else "refuse"
            how: Any = {"sign": stored.signed, "download": stored.trusted, "if_changed": if_changed}
            launch.resume(opened.folder, opened.config, session, **how)
        return _of_own(opened.folder, objs)


def _of_own(folder: Path, objs: Given) -> Result:
    """The result of a run that has ended well."""
    with given.using(objs):
        return result_of(folder, check(read_plain(folder)), objs)


class _Place:
    """Where a run writes, once it has a folder."""

    folder: Path = Path()

    def __call__(self, folder: Path) -> Path:
        self.folder = folder
        return folder


@contextmanager
def _around(
    objs: Given, listeners: Iterable[Listening] | Listening | None, started: float, lines: TextIO | None
) -> Iterator[tuple[Session, _Place]]:
    """Within: a run may take over the session and the objects. Yields the Session of the run, and what is told its
    folder."""
    at, all_listeners = _Place(), [listeners] if callable(listeners) else list(listeners or ())
    for listener in all_listeners:
        if not callable(listener):
            text = f"listeners holds a {type(listener).__name__}, which cannot be called"
            raise ConfigError(text, "a function of an event")
    with ExitStack() as stack:
        stack.enter_context(output.installed())
        screen = stack.enter_context(Screen(lines))
        modules = in_place.kept(objs.model, objs.loss)
        for around in (restoring(), finishing_step_on_ctrl_c(), given.using(objs), modules):
            stack.enter_context(around)
        try:
            yield Session(screen, started, listeners=all_listeners), at
        except (TrainerError, KeyboardInterrupt) as error:
            if at.folder != Path() and objs.model is not None and not isinstance(error, ConfigError):
                in_place.load_newest(at.folder, objs.model)
            raise
