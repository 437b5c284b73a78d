"""argv in, exit code out: finds the verb, imports it, and turns errors into one message. No torch, no hydra."""

import importlib
import os
import sys
import time
from collections.abc import Sequence

from trainer.errors import ConfigError, Interrupted, TrainerError
from trainer.processes import environment, signals
from trainer.terminal.spelling import did_you_mean

STARTED = time.perf_counter()

VERBS = {
    "train": "train a model; with -m, a sweep over several values",
    "resume": "go on with a run from its last checkpoint, or with a sweep",
    "eval": "measure a run's best weights on the test or validation split",
    "predict": "what a run's best weights say of new rows: the input's columns and a prediction",
    "report": "results.png and report.html of a run or a sweep, made anew",
    "compare": "rank runs, or the jobs of a sweep, by a metric",
    "bench": "what pays here for a config: compile, autocast, threads, loaders",
    "verify": "prove on your own config that a killed run resumes to the same bits",
    "doctor": "check this config for the known traps, with one batch; --overfit learns it",
    "lr-find": "try learning rates from 1e-7 to 10 and suggest one",
    "runs": "list the runs below outputs/",
    "chapter": "the tutorial chapter's examples, expected beside got",
    "ls": "what can be picked: datasets, models, optimizers, …",
    "plan": "layers, steps, memory and time of a run; nothing trained",
    "config": "the resolved config, with what each key means; nothing is run",
    "export": "a run's model as ONNX, torch.export or safetensors, checked",
    "init": "a small project of your own: model, config, experiment, test",
    "completion": "code that makes bash or zsh complete all of these words",
}

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
    """Carry out one command line. Returns the exit code; see DESIGN's table: 0, 1, 2, 3, 4, 130, 143."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        return _dispatch(words)
    except TrainerError as error:
        if debug:
            import traceback

            traceback.print_exc()
        _complain(error)
        return error.exit_code
    except BrokenPipeError:  # the reader went away, as in `trainer ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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
    code: int = importlib.import_module(f"trainer.verbs.{verb.replace('-', '_')}").run(rest)
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
