"""The role of a row: for training, validation or testing, or none."""

from typing import Any

import numpy as np

Roles = np.ndarray[Any, np.dtype[np.int8]]

TRAIN, VAL, TEST, LEFT_OUT = 0, 1, 2, -1
ROLES = {"train": TRAIN, "val": VAL, "test": TEST}
