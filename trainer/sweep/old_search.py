"""A search that version 0.1.0 stored: it kept the words that were typed, so no job can be proposed without composing
them. Its jobs, which are plain data, can be finished."""

import re
import shlex
from pathlib import Path

from trainer.disk import layout
from trainer.disk.sweep_plan import Plan
from trainer.errors import ConfigError

STUDY = "optuna.log"  # where 0.1.0 kept the study
DEFAULT = 20  # trials
KEY, VALUE = r"(?!hydra\b)[a-z]\w*([./][a-z]\w*)*", r"[\w.,()\[\] -]*"
PLAIN = re.compile(rf"hydra/sweeper=optuna|hydra\.sweeper\.n_trials=\d+|{KEY}={VALUE}")


def wanted(folder: Path, plan: Plan) -> bool | None:
    """Whether a search of 0.1.0 would have proposed more jobs; None for any other sweep."""
    if plan.search is not None or not (folder / STUDY).exists():
        return None
    typed = [int(n) for word in plan.typed for n in re.findall(r"hydra\.sweeper\.n_trials=(\d{1,9})$", word)]
    return len(plan.jobs) < (typed[-1] if typed else DEFAULT)


def command(plan: Plan) -> str:
    """The command that starts a new search with the same words; of a plan that this user did not sign, those that set
    plain values, since others may name code."""
    words = plan.typed if plan.signed else [word for word in plan.typed if PLAIN.fullmatch(word)]
    return shlex.join(["trainer", "train", "-m", *words])


def refusal(folder: Path, plan: Plan) -> ConfigError:
    """The error for a job that such a search would have to propose."""
    text = f"{layout.relative(folder)} is a search of version 0.1.0, which cannot propose other jobs"
    return ConfigError(text, command(plan))
