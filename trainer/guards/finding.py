"""A guard's finding, and the list of all checks."""

from dataclasses import dataclass

from trainer.text import first_few

CHECKS = {  # in the order of doctor's table
    "unregistered": "parameters, tensors and modules that the model has not registered",
    "frozen": "parameters with requires_grad=False",
    "optimizer": "parameters that the optimizer does not hold",
    "device": "parameters, buffers and batch on one device",
    "broadcast": "prediction and target of one shape",
    "activation": "the outputs that the loss expects: logits, or log-probabilities",
    "class axis": "classes along the axis that the loss reads",
    "teacher": "modules in the loss that are frozen",
    "target": "targets that the loss reads as intended",
    "padding": "padded positions that the loss leaves out",
    "scale": "inputs of about unit scale",
    "eval": "the model in training mode while it trains",
    "first loss": "a first loss of about ln(classes)",
    "gradient": "a gradient for every parameter",
    "vanishing": "gradients of about one size in all layers",
    "nothing moved": "weights that move",
    "mirrored": "digits that are not mirrored",
    "shared rows": "rows that training and validation share",
}


@dataclass(frozen=True)
class Finding:
    """One likely mistake: the part that has it, the mistake, its effect, and what to type or change.

    check: a key of CHECKS, or the name of a check during training. note: only worth knowing, never an error.
    """

    check: str
    where: str
    what: str
    why: str
    remedy: str
    note: bool = False

    @property
    def texts(self) -> list[str]:
        """The finding as paragraphs for the screen."""
        return [f"{self.where}: {self.what}", self.why, f"try: {self.remedy}"]

    @property
    def message(self) -> str:
        """The finding as an error message; the remedy is its hint."""
        return f"{self.where}: {self.what}; {self.why}"


def names(items: list[str]) -> str:
    """The first three of a list: 'a, b, c and 4 more'."""
    return first_few(items, 3)
