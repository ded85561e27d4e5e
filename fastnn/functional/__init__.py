"""Stateless operations on arrays, with checked arguments: ``import fastnn.functional as F``.

They run on the backend in use (see `fastnn.show_config`).  Rules for all of them:

- Arrays of any leading shape, in any memory layout (C, Fortran, strided, read-only);
  functions of a row act on the last axis.
- float32 and float64 keep their dtype, integers and booleans become float64, any
  other dtype is a TypeError.  Weights, gradients and state must have the dtype of
  the first argument; targets and sample weights are converted to it.
- ``out=`` receives the result: a writable C-contiguous array of the right shape and dtype,
  which is the first argument itself or shares no memory with any argument.
- Empty arrays: an elementwise function of one is empty; a row function of a
  last axis of length 0, and a loss over no samples, is a ValueError.
- nan and infinities are computed with, not refused, and nothing warns.
"""

from __future__ import annotations

from fastnn.functional._cross_entropy import cross_entropy
from fastnn.functional._dense import dense, dense_backward, dropout
from fastnn.functional._elementwise import (
    binary_step,
    binary_step_derivative,
    elu,
    elu_derivative,
    exp,
    expm1,
    gelu,
    gelu_derivative,
    gelu_tanh,
    gelu_tanh_derivative,
    hard_swish,
    hard_swish_derivative,
    identity,
    identity_derivative,
    leaky_relu,
    leaky_relu_derivative,
    log,
    log1p,
    mish,
    mish_derivative,
    relu,
    relu_derivative,
    selu,
    selu_derivative,
    sigmoid,
    sigmoid_derivative,
    softplus,
    softplus_derivative,
    swish,
    swish_derivative,
    tanh,
    tanh_derivative,
    zero_indicator,
    zero_indicator_derivative,
)
from fastnn.functional._elementwise_losses import (
    binary_cross_entropy,
    huber,
    mean_absolute_error,
    mean_squared_error,
)
from fastnn.functional._layer_norm import layer_norm
from fastnn.functional._normalizers import (
    log_softmax,
    log_softmax_backward,
    logsumexp,
    softmax,
    softmax_backward,
)
from fastnn.functional._updates import (
    adam_update,
    adamw_update,
    clip_by_norm,
    gradient_descent_update,
    l2_penalty,
    momentum_update,
    nesterov_update,
    rmsprop_update,
)

__all__ = [
    "adam_update",
    "adamw_update",
    "binary_cross_entropy",
    "binary_step",
    "binary_step_derivative",
    "clip_by_norm",
    "cross_entropy",
    "dense",
    "dense_backward",
    "dropout",
    "elu",
    "elu_derivative",
    "exp",
    "expm1",
    "gelu",
    "gelu_derivative",
    "gelu_tanh",
    "gelu_tanh_derivative",
    "gradient_descent_update",
    "hard_swish",
    "hard_swish_derivative",
    "huber",
    "identity",
    "identity_derivative",
    "l2_penalty",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_derivative",
    "log",
    "log1p",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "mean_absolute_error",
    "mean_squared_error",
    "mish",
    "mish_derivative",
    "momentum_update",
    "nesterov_update",
    "relu",
    "relu_derivative",
    "rmsprop_update",
    "selu",
    "selu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_derivative",
    "swish",
    "swish_derivative",
    "tanh",
    "tanh_derivative",
    "zero_indicator",
    "zero_indicator_derivative",
]
