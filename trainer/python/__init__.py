"""trainer from Python: the verbs train, resume, predict and eval for scripts and notebooks."""

from trainer.python.loading import load as load
from trainer.python.result import Result as Result
from trainer.python.training import resume as resume
from trainer.python.training import train as train
