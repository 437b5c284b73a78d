"""Tensors as the bytes of a safetensors file."""

from collections.abc import Mapping

import safetensors.torch
from torch import Tensor


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file of the tensors, as contiguous copies on the CPU; tied tensors appear under each name."""
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(copies)
