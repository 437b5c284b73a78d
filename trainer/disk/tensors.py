"""Tensors as the bytes of a safetensors file."""

from collections.abc import Mapping

import safetensors.torch
from torch import Tensor


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """safetensors of contiguous copies, tied tensors under each of their names."""
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(copies)
