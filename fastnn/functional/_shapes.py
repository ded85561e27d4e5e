"""Arrays of any leading shape as the matrices that kernels take."""

from __future__ import annotations

import numpy as np


def as_rows(array: np.ndarray) -> np.ndarray:
    """The array as a matrix, whose rows are its last axis."""
    return array if array.ndim == 2 else array.reshape(-1, array.shape[-1])
