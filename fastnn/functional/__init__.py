"""Stateless operations on arrays, with checked arguments: ``import fastnn.functional as F``.

They run on the backend in use (see `fastnn.show_config`).  Rules for all of them:

- Arrays of any shape, in any memory layout (C, Fortran, strided, read-only).  Functions of
  a row act on the last axis; log-sum-exp and softmax take others by ``axis=``.
- Scalars and arrays without dimensions give scalars, as NumPy's functions do.
- float32 and float64 keep their dtype, integers and booleans become float64, any
  other dtype is a TypeError.  Weights, gradients and state must have the dtype of
  the first argument; targets and sample weights are converted to it.
- ``out=`` receives the result: a writable C-contiguous array of the right shape and dtype,
  which is the first argument itself or shares no memory with any argument.
- Empty arrays: an elementwise function of one is empty, the log-sum-exp of nothing is -inf,
  and a loss over no samples is 0 as a sum and nan as a mean.  Softmax, layers and
  cross-entropy over an axis of length 0 are a ValueError.
- nan and infinities are computed with, not refused, and nothing warns.
"""

from __future__ import annotations

from fastnn.functional import _elementwise, _elementwise_losses, _updates
from fastnn.functional._cross_entropy import cross_entropy
from fastnn.functional._dense import dense, dense_backward, dropout
from fastnn.functional._elementwise import *
from fastnn.functional._elementwise_losses import *
from fastnn.functional._layer_norm import layer_norm
from fastnn.functional._normalizers import (
    log_softmax,
    log_softmax_backward,
    logsumexp,
    softmax,
    softmax_backward,
)
from fastnn.functional._updates import *

__all__ = [
    "cross_entropy",
    "dense",
    "dense_backward",
    "dropout",
    "layer_norm",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "softmax",
    "softmax_backward",
]
__all__ += _elementwise.__all__ + _elementwise_losses.__all__ + _updates.__all__
