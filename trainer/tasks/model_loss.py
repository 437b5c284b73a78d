"""The loss that a model returns itself, as Hugging Face's models do when they are given the target."""

from torch import Tensor, nn

from trainer.data import tree
from trainer.data.tree import Tree

LOSS = "loss"  # the output that holds it; of a tuple, the first one


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
        """prediction: a tree with the loss in it."""
        found: Tensor = prediction[LOSS] if isinstance(prediction, dict) else prediction[0]
        return found if found.ndim == 0 else found.mean()

    def denominator(self, y: Tree) -> Tensor:
        """What the model's mean divides by: the targets that count, or the rows."""
        first = tree.leaves(y)[0]
        if self.ignored is None:
            return first.new_tensor(len(first))
        return (first[:, self.shift :] != self.ignored).sum() if first.ndim > 1 else (first != self.ignored).sum()


def without(prediction: Tree) -> Tree:
    """A prediction without the loss."""
    if not isinstance(prediction, dict):
        return prediction
    return {name: value for name, value in prediction.items() if name != LOSS}
