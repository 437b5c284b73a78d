"""Whose Python runs in a step. A graph runs it once, so it has to do the same in every step."""

from trainer.state import TrainState

PACKAGES = {"torch", "torchvision", "trainer"}  # their modules do


def own_code(run: TrainState) -> str:
    """The class of a module of somebody else, or of one that has hooks; '' if there is none."""
    for module in (module for part in (run.model, run.loss_fn) for module in part.modules()):
        is_known = type(module).__module__.partition(".")[0] in PACKAGES
        if not is_known or module._forward_hooks or module._forward_pre_hooks:
            return type(module).__name__
    return ""
