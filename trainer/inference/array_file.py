"""Writes predictions as arrays: an .npz or .safetensors file, which holds any shape. All rows are in memory until the
end."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from trainer.disk import storage

ENDINGS = (".npz", ".safetensors")


def write(path: Path, tensors: Mapping[str, Tensor], files: Sequence[str] = ()) -> None:
    """Write the file; it appears only when it is complete. files: the picture of each row, as the array `file`, or in
    the metadata of safetensors, which hold no text."""
    with storage.new_file(path) as stream:
        if path.suffix == ".safetensors":
            metadata = {"file": json.dumps(list(files))} if files else None
            stream.write(safetensors.torch.save({name: leaf.contiguous() for name, leaf in tensors.items()}, metadata))
            return
        arrays: dict[str, Any] = {"file": np.array(files)} if files else {}
        arrays |= {name: _array(leaf) for name, leaf in tensors.items()}
        with zipfile.ZipFile(cast(BinaryIO, stream), "w") as archive:  # numpy.savez takes no array of the name file
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)


def _array(tensor: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    """numpy does not have bfloat16."""
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
