"""Direct calls: the short way from a caller's arrays into compiled code.

Most calls bring arrays that need no preparation: plain NumPy arrays of the right shape, in native
byte order and aligned.  For a small network, the checks in Python would then cost more than
the computation.  A direct call takes the very objects that the caller passed.

The contract of all direct calls, on every backend:

- It returns its result, or None: the call *declines*.
- It declines whenever an argument has to be converted, does not fit, or (where `check` is True) has
  values that are not allowed.  It raises no error about arguments: the caller of the direct call
  then prepares the arguments, which words the error, and makes the ordinary call.
- A call that declines has changed no parameter, no state and no output.
- Exceptions of the user's own code, in a custom loss or layer, pass on: this code is not run
  a second time.
- The reference backend always declines.

The direct calls are `Engine.direct_predict`, `Engine.direct_step`, `Engine.direct_counting_step`
and `Engine.direct_gradients`, which `fastnn.network` uses, and the kernels `direct` and
`direct_cross_entropy`, which `fastnn.functional` uses through the functions below.
"""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from fastnn._shared.arrays import FLOAT32, FLOAT64
from fastnn.backend import choice

_override = choice.override
_pairs: dict[str | None, tuple[Any, Any]] = {}
"""The kernels for float32 and for all other dtypes, by the name of the backend in use."""


def direct(function: str, x: Any, alpha: float, out: Any) -> ndarray | None:
    """A function of `x`, or None: see above.

    Parameters
    ----------
    function : str
        A function of one array in `fastnn.functional`.
    x : ndarray
        The argument; an object of any other type declines.
    alpha : float
        The function's parameter, where it has one.
    out : ndarray or None
        Receives the result.
    """
    if type(x) is not ndarray:
        return None
    single, other = _pairs.get(_override()) or _find_pair()
    return (single if x.dtype is FLOAT32 else other).direct(function, x, alpha, out)


def direct_cross_entropy(
    logits: Any, labels: Any, reduction: Any, gradient: Any, out: Any
) -> float | tuple[float, ndarray] | None:
    """`cross_entropy` without weights, smoothing and ignored labels, or None: see above.

    Parameters
    ----------
    logits, labels, reduction, gradient, out
        As in `fastnn.functional.cross_entropy`.
    """
    if type(logits) is not ndarray or type(reduction) is not str:
        return None
    single, other = _pairs.get(_override()) or _find_pair()
    kernels = single if logits.dtype is FLOAT32 else other
    return kernels.direct_cross_entropy(logits, labels, reduction, gradient, out)


def _find_pair() -> tuple[Any, Any]:
    """The kernels of the backend in use, which stay the same for each override."""
    pair = choice.kernels(FLOAT32), choice.kernels(FLOAT64)
    return _pairs.setdefault(_override(), pair)
