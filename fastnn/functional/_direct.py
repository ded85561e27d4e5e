"""The short way to the compiled kernels, for arrays that need no conversion."""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from fastnn import backend
from fastnn._shared.numbers import FLOAT32, FLOAT64

_override = backend.override
_pairs: dict[str | None, tuple[Any, Any]] = {}
"""The kernels for float32 and for the rest, by the backend that is asked for."""


def direct(function: str, x: Any, alpha: float, out: Any) -> ndarray | None:
    """A function of `x`, or None where `x` or `out` is no plain array or nothing is compiled.

    Parameters
    ----------
    function : str
        A function of one array in `fastnn.functional`.
    alpha : float
        Its parameter, where it has one.
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
    """`cross_entropy` without weights, smoothing and ignored labels, or None as in `direct`."""
    if type(logits) is not ndarray or type(reduction) is not str:
        return None
    single, other = _pairs.get(_override()) or _find_pair()
    kernels = single if logits.dtype is FLOAT32 else other
    return kernels.direct_cross_entropy(logits, labels, reduction, gradient, out)


class _NothingCompiled:
    """Stands for the kernels of a backend that has no short way."""

    @staticmethod
    def direct(*arguments: Any) -> None:
        """Decline."""

    direct_cross_entropy = direct


def _find_pair() -> tuple[Any, Any]:
    """Settle the kernels for the backend that is asked for."""
    pair: tuple[Any, Any] = _NothingCompiled, _NothingCompiled
    if backend.instruction_set() is not None:
        pair = backend.kernels(FLOAT32), backend.kernels(FLOAT64)
    return _pairs.setdefault(_override(), pair)
