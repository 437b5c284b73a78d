"""Why a step cannot be a graph, whether it is compiled or recorded: a graph does the same in every step."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from trainer.optim.several import parts
from trainer.state import TrainState

OPTIMIZERS = (SGD, Adam, AdamW)
CHANGING = ("params", "lr", "initial_lr")  # in a group; all else is fixed
PACKAGES = {"torch", "torchvision", "trainer"}  # whose modules do the same in every step


def of_any_graph(run: TrainState) -> dict[str, bool]:
    """The reasons that hold for every graph of a step, each with whether it applies to this run."""
    strange = next((type(part).__name__ for part in parts(run.optimizer) if type(part) not in OPTIMIZERS), "")
    return {
        f"{strange} is not supported, use SGD, Adam or AdamW": bool(strange),
        "several processes average their gradients between backward and step": run.ranks.size > 1,
        "autocast=fp16 may skip a step, which a graph cannot; bf16 does not": run.scaler.is_enabled(),
        "augment.transforms draws its numbers outside of a graph": getattr(run.train_batches.loader, "draws", False),
        "the schedule changes the momentum, which a graph fixes (scheduler.cycle_momentum=false)": any(
            getattr(scheduler, "cycle_momentum", False) for scheduler in schedulers(run)
        ),
    }


def first(reasons: Mapping[str, bool]) -> str | None:
    """The first reason that applies; None if none does."""
    return next((reason for reason, applies in reasons.items() if applies), None)


def schedulers(run: TrainState) -> Iterator[Any]:
    """The schedulers of a run, with those that they consist of."""
    waiting = [getattr(run.scheduler, "scheduler", run.scheduler)]
    while waiting:
        yield (scheduler := waiting.pop())
        waiting += getattr(scheduler, "_schedulers", ())


def own_schedule(run: TrainState) -> bool:
    """Whether a scheduler is of somebody else, so that it may change more than the learning rate."""
    return any(type(scheduler).__module__.partition(".")[0] not in PACKAGES for scheduler in schedulers(run))


def settings(optimizer: Optimizer) -> list[tuple[Any, ...]]:
    """What a graph fixes of each group: its settings but the learning rate."""
    return [tuple(value for key, value in group.items() if key not in CHANGING) for group in optimizer.param_groups]


def own_code(run: TrainState) -> str:
    """The class of a module of somebody else, or of one that has hooks; '' if there is none. A graph runs its Python
    once."""
    for module in (module for part in (run.model, run.loss_fn) for module in part.modules()):
        is_known = type(module).__module__.partition(".")[0] in PACKAGES
        if not is_known or module._forward_hooks or module._forward_pre_hooks:
            return type(module).__name__
    return ""
