"""Measures one config's training steps in a process of its own: throughput, step time by part, memory, compile time."""

import gc
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from trainer.config import user_modules
from trainer.errors import TrainerError, described


def main(data: Mapping[str, Any], seconds: float, answer: Connection) -> None:
    """The process of one measurement: sends a Measured, or the message of what went wrong."""
    from trainer.diagnosis.step_times import measure
    from trainer.processes import parent_death
    from trainer.terminal import warnings

    parent_death.die_with_it()
    user_modules.allow_user_modules()
    try:
        with warnings.captured(lambda texts, where: None):  # a run shows them; here they would come again for each line
            answer.send(measure(data, seconds))
        gc.collect()  # ends the DataLoader's workers while they can be waited for
    except TrainerError as error:
        answer.send(error.message)
    except Exception as error:  # one variant that fails is a line in the table
        answer.send(described(error))
