"""The loss that a model returns itself, as Hugging Face's models do when they are given the target."""

from typing import Any

from torch import Tensor, nn

from trainer.data.facts import Facts
from trainer.data.meaning import INDEXED
from trainer.data.tree import Tree
from trainer.tasks.calls import LOSS, Call, plain

PATH = f"{__name__}.OfModel"


class OfModel(nn.Module):
    """Picks the loss out of what the model returned. argument: of the model's forward, which gets the target; null is
    the name that the target has in the data.

    shift: how many first positions of each sequence the model leaves out of its mean: 1 for a causal language model
    that shifts its labels itself. ignored: the label that does not count; None where rows count instead.
    """

    def __init__(self, argument: str | None = None) -> None:
        super().__init__()
        self.argument = argument
        self.shift = 0
        self.ignored: int | None = None

    def forward(self, prediction: Tree, y: Tree) -> Tensor:
        """prediction: a dict with the loss in it, see plain_named."""
        found: Tensor = prediction[LOSS]
        return found if found.ndim == 0 else found.mean()

    def know(self, facts: Facts, shift: int) -> None:
        """Take what is known about the data, and what a stored run found out."""
        self.ignored, self.shift = facts.ignored if facts.task in INDEXED else None, shift

    def denominator(self, y: Tree) -> Tensor:
        """What the model's mean divides by where it counts targets: those that are not ignored."""
        targets: Tensor = y[:, self.shift :] if self.shift else y
        return targets.ne(self.ignored).sum()  # type: ignore[arg-type]  # asked for only with such a label

    @property
    def counts(self) -> str:
        """What its mean is over, in a word."""
        return "rows" if self.ignored is None else "targets"

    def words(self, verdict: str | None) -> list[str]:
        """Lines for the header. verdict: of a comparison of a batch with its parts, see build/batch_mean.py."""
        texts = {
            "fits": f"a mean over {self.counts}",
            "differs": f"not a mean over {self.counts}, so only with accumulate=1 and nproc=1",
        }
        lines = ["the model's own, " + texts.get(verdict or "", f"taken for a mean over {self.counts} (not checked)")]
        if self.shift:
            lines.append("the model shifts its targets by one: metrics and predictions are of the next position")
        return lines


def plain_named(output: Any) -> Tree:
    """An output as a dict of its tensors, see calls.plain: of a tuple, the number is the loss, and the other parts have
    their positions as names."""
    output = plain(output)
    if isinstance(output, dict):
        return output
    parts = [part for part in (output if isinstance(output, tuple) else (output,)) if part is not None]
    is_loss = [isinstance(part, Tensor) and part.ndim == 0 for part in parts]
    others = [part for part, is_number in zip(parts, is_loss, strict=True) if not is_number]
    found = {str(place): part for place, part in enumerate(others)}
    return found | {LOSS: parts[is_loss.index(True)]} if any(is_loss) else found


def of_outputs(call: Call) -> Call:
    """The same call, whose outputs are dicts."""
    return lambda x: plain_named(call(x))
