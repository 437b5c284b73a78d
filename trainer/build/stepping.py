"""How a run takes its steps: as the loop does, or in another way that stands in its place."""

from trainer.build.phases import Step
from trainer.config.schema import Config
from trainer.errors import ConfigError
from trainer.loop import train_step
from trainer.state import TrainState
from trainer.steps.compiled import CompiledStep
from trainer.steps.graphed import GraphedStep


def choose(config: Config, run: TrainState, first: int) -> Step:
    """The step of a run, see CompiledStep for `first`. Raises ConfigError for a graph that cannot be."""
    if config.graph is True and run.device.type != "cuda":
        raise ConfigError(f"graph=true records a CUDA graph, but the device is {run.device}", "graph=auto", "graph")
    if config.graph is True and config.compile == "step":
        raise ConfigError("graph=true, but with compile=step the step is a graph already", "graph=auto", "graph")
    if config.compile == "step":
        return CompiledStep(run, config.compiler.mode, config.compiler.dynamic, first)
    if run.device.type == "cuda" and (config.compile == "none" or config.graph is True):
        return GraphedStep(run, config.graph, has_hooks=config.explain > 0)
    return train_step
