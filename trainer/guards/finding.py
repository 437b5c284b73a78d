"""What a guard has found, and the list of all that are looked for."""

from dataclasses import dataclass

CHECKS = {  # in the order in which doctor shows them
    "unregistered": "parameters, tensors and modules that the model does not know of",
    "frozen": "parameters with requires_grad=False",
    "optimizer": "parameters that the optimizer does not hold",
    "device": "parameters, buffers and batch on one device",
    "detached": "a path from the prediction back to the parameters",
    "broadcast": "prediction and target of one shape",
    "activation": "what the loss wants: logits, or log-probabilities",
    "target": "targets that the loss reads as they are meant",
    "scale": "inputs of about unit scale",
    "eval": "the model in training mode while it trains",
    "first loss": "a first loss of about ln(classes)",
    "gradient": "a gradient for every parameter",
    "vanishing": "gradients of about one size in all layers",
    "nothing moved": "weights that move",
    "shared rows": "rows that training and validation share",
}


@dataclass(frozen=True)
class Finding:
    """check: a key of CHECKS, or what went wrong while a run was going on. remedy: what to type, or to change.

    note: worth knowing, and often meant so: never an error.
    """

    check: str
    where: str
    what: str
    why: str
    remedy: str
    note: bool = False

    @property
    def texts(self) -> list[str]:
        """For a screen, as paragraphs."""
        return [f"{self.where}: {self.what}", self.why, f"try: {self.remedy}"]

    @property
    def message(self) -> str:
        """As one error message; the remedy is its hint."""
        return f"{self.where}: {self.what}; {self.why}"


def names(found: list[str], most: int = 3) -> str:
    """'a, b, c and 4 more'."""
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
