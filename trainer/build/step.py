"""The step of a run: eager or compiled, and how many of these one call takes."""

from trainer.build.phases import Step
from trainer.compiled_step import CompiledStep
from trainer.config.schema import Config
from trainer.errors import ConfigError
from trainer.loop import train_step
from trainer.state import TrainState
from trainer.step_graph import has_python_state

# Measured on two shared EPYC cores, MLP 784-128-10, one thread, batch 64: 8 steps a call gain some 3% of CPU time,
# less than two runs differ, and nothing at batch 512. One graph of 8 steps gains nothing beside that, and compiles for
# 52 s instead of 7 s. No GPU has been measured; there each step of a call is waited for, see all_finite.
AUTO = 1  # steps a call


def check(config: Config) -> None:
    """Raise ConfigError for steps of a call without a compiled step."""
    steps = config.compiler.steps
    if steps != "auto" and config.compile != "step":
        text = f"compiler.steps={steps} is for a compiled step, and compile={config.compile}"
        raise ConfigError(text, f"compile=step compiler.steps={steps}", "compiler.steps")


def make(config: Config, run: TrainState, first: int) -> Step:
    """The step of a run, whose steps_per_call it sets. first: see CompiledStep."""
    if config.compile != "step":
        return train_step
    step = CompiledStep(run, config.compiler.mode, config.compiler.dynamic, first)
    wanted, most = config.compiler.steps, run.progress.steps_per_epoch
    wanted = AUTO if wanted == "auto" else wanted
    if step.obstacle is None and wanted > 1:
        run.steps_per_call = min(wanted, most)
        step.calls = f"{run.steps_per_call} steps a call" + f", as an epoch has no {wanted}" * (wanted > most)
        if why := _obstacle(run, config):
            one_by_one(run, step, why)
    return step


def one_by_one(run: TrainState, step: object, why: str) -> None:
    """Let a run take one step a call, for a reason that the header gives."""
    if isinstance(step, CompiledStep) and run.steps_per_call > 1:
        run.steps_per_call, step.calls = 1, f"one step a call: {why}"


def _obstacle(run: TrainState, config: Config) -> str | None:
    """Why nothing may happen between two steps of a run but what the graph does; None if that is so."""
    reasons = {
        "guards=strict may end the run after each": config.guards == "strict",
        "ema takes in the weights after each": config.ema is not None,
        "swa takes in weights between them": config.swa is not None,
        "unfreeze_at changes what trains between them": config.unfreeze_at is not None,
        "Python of a class of your own runs in each": has_python_state(run),
    }
    return next((reason for reason, applies in reasons.items() if applies), None)
