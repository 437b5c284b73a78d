"""argv in, exit code out: finds the verb, imports it, and turns every error into one message. No torch, no hydra."""

import importlib
import os
import sys
import time
import traceback
from collections.abc import Sequence

from trainer.errors import ConfigError, Interrupted, TrainerError, failed
from trainer.processes import environment, signals
from trainer.terminal.spelling import did_you_mean
from trainer.verbs import VERBS

STARTED = time.perf_counter()

WELCOME = """\
trainer {version}: train PyTorch models from configs

  trainer train                                   an MLP on the bundled digits, some 5 s on a CPU
  trainer train model=mlp device=cuda epochs=50   change anything with key=value
  trainer train -m optimizer.lr=1e-3,1e-2 seed=0,1,2    a sweep
  trainer chapter                                 the tutorial chapter's examples, checked
  trainer ls                                      what can be picked

more
{verbs}

  trainer VERB --help    what a verb takes            trainer --version"""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line. Returns its exit code: 0 done; 1 the run failed; 2 the command, the config or the
    data is wrong; 3 the loss or a weight became NaN or infinite; 4 the disk; 128 and the signal's number.

    Every error ends here as one message on stderr; with --debug a traceback stands above it.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except BrokenPipeError:  # the reader went away, as in `trainer ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        known = failed(error)
        _complain(known)
        return known.exit_code


def entry() -> None:
    """The console script."""
    signals.install()
    if environment.number() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the first rank's lines are everybody's
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(WELCOME.format(version=_version(), verbs=_verb_lines()))
        return 0
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"trainer {_version()} · torch {version('torch')} · hydra {version('hydra-core')}")
        return 0
    verb, *rest = words
    if verb not in VERBS:
        if "=" in verb:
            raise ConfigError(f"'{verb}' is a setting; the verb comes first", f"trainer train {' '.join(words)}")
        raise ConfigError(f"no verb '{verb}'.{did_you_mean(verb, VERBS)}", f"trainer {'|'.join(VERBS)}")
    module = importlib.import_module(f"trainer.verbs.{verb.replace('-', '_')}")
    parser = module.parser()
    args = parser.read(rest)
    if args.help:
        print(parser.help_text(args))
        return 0
    args.started = STARTED
    code: int = module.run(args)
    return code


def _complain(error: TrainerError) -> None:
    if environment.number() > 0 and isinstance(error, ConfigError):
        return  # the first rank says the same
    sys.stdout.flush()
    print(error.message if isinstance(error, Interrupted) else f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)


def _verb_lines() -> str:
    return "\n".join(f"  {verb:<10} {text}" for verb, text in VERBS.items())


def _version() -> str:
    from trainer import __version__

    return __version__
