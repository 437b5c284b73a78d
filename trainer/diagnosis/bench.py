"""Measure one config's training steps in a separate process: throughput, parts of a step, memory, compile time."""

import gc
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from trainer.config import user_modules
from trainer.errors import TrainerError, described


def main(data: Mapping[str, Any], seconds: float, answer: Connection) -> None:
    """Run one measurement in this process. Sends a Measured, or an error message."""
    from trainer.diagnosis.step_times import measure
    from trainer.processes import environment, parent_death, signals
    from trainer.terminal import warnings

    environment.forget_safe_path()
    signals.install_in_child()
    parent_death.die_with_it()
    signals.release()
    user_modules.allow_user_modules(data)
    try:
        with warnings.captured(lambda texts, where: None):  # a run prints them; here they would repeat for each line
            answer.send(measure(data, seconds))
        gc.collect()  # ends the DataLoader's workers while this process can still wait for them
    except TrainerError as error:
        answer.send(error.message)
    except Exception as error:  # a variant that fails is a line in the table
        answer.send(described(error))
