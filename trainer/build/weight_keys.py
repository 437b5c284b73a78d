"""Names in files of weights that a library's own loading changes, since its models have others now."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

# Of torchvision's DenseNets: denselayer1.norm.1 is denselayer1.norm1 since version 0.2, and the files kept their names.
DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")


def as_built(tensors: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a file under the names that this model's library gives them today."""
    if type(model).__module__ != "torchvision.models.densenet":
        return dict(tensors)
    return {DENSENET.sub(r"\1", name): tensor for name, tensor in tensors.items()}
