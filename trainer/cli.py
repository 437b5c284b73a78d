"""argv in, exit code out: find the verb, import it, and turn every error into one message. No torch, no hydra."""

import importlib
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

from trainer import __version__
from trainer.config import data_files
from trainer.errors import ConfigError, Interrupted, StorageError, TrainerError, complain, failed, show_traceback
from trainer.processes import environment, signals
from trainer.terminal import output
from trainer.terminal.spelling import closest
from trainer.verbs import OTHER_NAMES, VERBS, WORK_FIRST

STARTED = time.perf_counter()

WELCOME = """\
trainer {version}: train PyTorch models from configs

  trainer train                        an MLP on the bundled digits, about 5 s
  trainer train model=cnn epochs=50    change anything with key=value
  trainer train -m seed=0,1,2          a sweep
  trainer chapter                      the tutorial chapter's examples, checked
  trainer ls                           the options: datasets, models, …

more
{verbs}

  trainer VERB --help    the words and flags of a verb    trainer --version"""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line. Returns its exit code: 0 done; 1 the run failed; 2 the command, the config or the
    data is wrong; 3 the loss or a weight became NaN or infinite; 4 the disk; 128 plus the number of a signal.

    Every error becomes one message on stderr, with its traceback above it if --debug was typed.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    started = STARTED if argv is None else time.perf_counter()  # of the process, or of this call within one
    try:
        code = _dispatch(words, started)
        sys.stdout.flush()
    except Exception as error:
        if "--debug" in words:
            show_traceback()
        return _report(failed(error))
    out = output.of(sys.stdout)
    if out.exit_code and (text := out.trouble()):
        complain(f"warning: {text}")
    return code or out.exit_code


def entry() -> None:
    """Run the console script."""
    signals.install()
    output.install()
    if environment.number() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - only the first rank prints
    sys.exit(main())


def _dispatch(words: list[str], started: float) -> int:
    if not words or words in (["-h"], ["--help"], ["help"]):
        lines = (f"  {verb:<10} {text}" for verb, text in VERBS.items())
        print(WELCOME.format(version=__version__, verbs="\n".join(lines)))
        return 0
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"trainer {__version__} · torch {version('torch')} · hydra {version('hydra-core')}")
        return 0
    flags = list(takewhile(lambda word: word.startswith("-"), words))
    verb, *rest = [*words[len(flags) :], *flags] if len(flags) < len(words) else words
    if verb == "help":
        verb, *rest = [*rest, "--help"]
    if verb not in VERBS:
        raise _no_verb(verb, rest, words)
    module = importlib.import_module(f"trainer.verbs.{verb.replace('-', '_')}")
    parser = module.parser()
    args = parser.read(["--help"] if rest == ["help"] else rest)
    if args.help:
        print(parser.help_text(args))
        return 0
    args.started = started
    output.of(sys.stdout).work_first = verb in WORK_FIRST
    code: int = module.run(args)
    return code


def _no_verb(verb: str, rest: list[str], words: list[str]) -> ConfigError:
    """The error for a first word that is no verb: mostly a setting, a file, or what another tool calls the verb."""
    if "=" in verb:
        return ConfigError(f"'{verb}' is a setting; the verb comes first", shlex.join(["trainer", "train", *words]))
    if opened := data_files.settings(verb):
        return ConfigError(f"'{verb}' is a file or folder of data; the verb comes first", f"trainer train {opened}")
    name = verb.lower().lstrip("-").removesuffix(".py").replace("_", "-")
    meant = OTHER_NAMES.get(name) or closest(verb, VERBS)
    if meant is None and words[0].startswith("--") and words[0] != verb:
        setting = f"{words[0].lstrip('-')}={words[1]}"
        text = f"'{words[0]}' is a setting; the verb comes first, and settings are written without dashes"
        return ConfigError(text, shlex.join(["trainer", "train", setting, *words[2:]]))
    if meant is None:
        return ConfigError(f"no verb '{verb}': there are {', '.join(VERBS)}", "trainer --help")
    return ConfigError(f"no verb '{verb}'. Did you mean {meant}?", shlex.join(["trainer", *meant.split(), *rest]))


def _report(error: TrainerError) -> int:
    with suppress(StorageError):  # the output fails as well
        sys.stdout.flush()
    if environment.number() == 0 or not isinstance(error, ConfigError):  # the other ranks would repeat a ConfigError
        complain(error.message if isinstance(error, Interrupted) else f"error: {error.message}")
        if error.hint:
            complain(f"  try: {error.hint}")
    return error.exit_code
