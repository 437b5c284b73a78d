"""How a run takes its steps: as the loop does, or in another way that stands in its place; and how many a call."""

from trainer.build.phases import Step
from trainer.config.schema import Config
from trainer.errors import ConfigError
from trainer.loop import train_step
from trainer.state import TrainState
from trainer.steps import obstacles
from trainer.steps.compiled import CompiledStep
from trainer.steps.graphed import GraphedStep
from trainer.text import counted

# Measured on two cores with AVX-512, MLP 784-128-10, in turns: 8 steps a call are 1.11 to 1.13 times as fast as one at
# batch 64 (29 MFLOP a step), 1.04 times at batch 512 (233 MFLOP). One graph of 8 steps gains nothing beside that, and
# compiles for 52 s instead of 7 s. In long steps a signal would wait for longer, and a call gains nothing.
AUTO = 8  # steps a call
SMALL = 250e6  # FLOP of a step up to which auto takes several


def check(config: Config) -> None:
    """Raise ConfigError for keys that exclude each other."""
    if config.graph is True and config.compile == "step":
        raise ConfigError("graph=true, but with compile=step the step is a graph already", "graph=auto", "graph")


def choose(config: Config, flop: float, run: TrainState, first: int) -> Step:
    """The step of a run, whose steps_per_call it sets. flop: floating-point operations of a step; first: see
    CompiledStep. Raises ConfigError for a graph without CUDA."""
    if config.graph is True and run.device.type != "cuda":
        raise ConfigError(f"graph=true records a CUDA graph, but the device is {run.device}", "graph=auto", "graph")
    if config.compile == "step":
        step = CompiledStep(run, config.compiler.mode, config.compiler.dynamic, first)
        _set_calls(config, flop, run, step)
        return step
    if run.device.type == "cuda" and (config.compile == "none" or config.graph is True):
        return GraphedStep(run, config.graph, has_hooks=config.explain > 0)
    return train_step


def one_by_one(run: TrainState, step: object, why: str) -> None:
    """Let a run take one step a call, for a reason that the header gives."""
    if isinstance(step, CompiledStep) and run.steps_per_call > 1:
        run.steps_per_call, step.calls = 1, f"one step a call: {why}"


def _set_calls(config: Config, flop: float, run: TrainState, step: CompiledStep) -> None:
    if step.obstacle is not None:
        return
    typed, progress = config.compiler.steps, run.progress
    wanted = typed if typed != "auto" else AUTO if flop <= SMALL else 1
    most = min(progress.steps_per_epoch, progress.eval_every)
    run.steps_per_call = min(wanted, most)
    is_less = wanted > most and typed != "auto"
    if run.steps_per_call > 1 or is_less:
        why = "an epoch has no more" if most == progress.steps_per_epoch else "then an evaluation is due"
        step.calls = f"{counted(run.steps_per_call, 'step')} a call" + f": {why}" * is_less
    if (obstacle := _obstacle(run, config)) is not None:
        one_by_one(run, step, obstacle)


def _obstacle(run: TrainState, config: Config) -> str | None:
    """Why something happens between two steps of a run beside what the graph does; None if nothing does."""
    reasons = {
        "guards=strict may end the run after each": config.guards == "strict",
        "ema takes in the weights after each": config.ema is not None,
        "swa takes in weights between them": config.swa is not None,
        "unfreeze_at changes what trains between them": config.unfreeze_at is not None,
        "Python of a class of your own runs in each": bool(obstacles.own_code(run)),
        "a schedule of your own may change more than the learning rate": obstacles.own_schedule(run),
    }
    return obstacles.first(reasons)
