"""Log-sum-exp, softmax, log-softmax and layer normalisation of rows, in plain NumPy.

Limits of the first three: a row of -inf has log-sum-exp -inf and softmax nan (0 / 0); a row with m
entries +inf has log-sum-exp +inf, softmax 1/m at those entries and 0 elsewhere;
nan anywhere in a row makes the whole row nan.

References
----------
Blanchard, Higham & Higham (2021), "Accurately computing the log-sum-exp and softmax
functions", IMA Journal of Numerical Analysis 41.

Ba, Kiros & Hinton (2016), "Layer normalization", arXiv:1607.06450.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Shifted(NamedTuple):
    """A matrix of logits, shifted so that exp cannot overflow."""

    top: np.ndarray
    """(N, 1): the largest logit of each row."""
    z: np.ndarray
    """(N, K): the logits less the largest one; 0 at logits of +inf."""
    e: np.ndarray
    """(N, K): exp(z)."""
    rest: np.ndarray
    """(N, 1): the sum of e without the entry of the largest logit."""

    @property
    def log_total(self) -> np.ndarray:
        """(N, 1): log(sum(e)), with full relative accuracy where one entry dominates."""
        return np.log1p(self.rest)

    @property
    def probabilities(self) -> np.ndarray:
        """(N, K): softmax of the logits."""
        return self.e / (1 + self.rest)


def shift(logits: np.ndarray) -> Shifted:
    """Shift each row by its largest entry; call under `np.errstate(all="ignore")`."""
    rows = np.arange(len(logits))
    largest = logits.argmax(axis=1)
    top = logits[rows, largest][:, np.newaxis]
    # In a row of -inf, -inf - 0 gives exp 0; -inf - -inf would give nan.
    z = logits - np.where(top == -np.inf, 0, top)
    infinite = top[:, 0] == np.inf
    if infinite.any():
        z[logits == np.inf] = 0
    e = np.exp(z)
    # The largest entry contributes 1 (0 in a row of -inf, which makes rest -1).
    e[rows, largest] -= 1
    rest = e.sum(axis=1, keepdims=True)
    e[rows, largest] += 1
    return Shifted(top, z, e, rest)


def logsumexp(z: np.ndarray, out: np.ndarray) -> None:
    """Write log(sum(exp(z))) of each row into out."""
    with np.errstate(all="ignore"):
        shifted = shift(z)
        np.add(shifted.top[:, 0], shifted.log_total[:, 0], out=out)


def signed_logsumexp(z: np.ndarray, b: np.ndarray, out: np.ndarray, sign: np.ndarray) -> None:
    """Write log(abs(sum(b exp(z)))) of each row into out, and the sign of the sum into sign.

    Elements with b = 0 are ignored, whatever z is there.  Largest terms that cancel exactly are
    left out, and the next ones take their place.
    """
    with np.errstate(all="ignore"):
        z = np.where(b == 0, -np.inf, z)
        while True:
            top = z.max(axis=1, keepdims=True)
            largest = z == top
            ties = np.where(largest, b, 0).sum(axis=1)
            others = np.where(largest, 0, b * np.exp(z - top)).sum(axis=1)
            cancelled = (ties == 0) & np.isfinite(top[:, 0]) & ~np.isnan(others)
            if not cancelled.any():
                break
            z[cancelled[:, np.newaxis] & largest] = -np.inf
        total = ties + others
        dominated = np.abs(others) < np.abs(ties)
        out[...] = top[:, 0] + np.where(
            dominated, np.log1p(others / ties) + np.log(np.abs(ties)), np.log(np.abs(total))
        )
        # Infinities and nan follow the rules of plain sums.
        plain = ~np.isfinite(out) & ((total != 0) | ~np.isfinite(top[:, 0]))
        counted = np.where(b[plain] == 0, 0, b[plain] * np.exp(z[plain], dtype=np.float64))
        total[plain] = counted.sum(axis=1)
        out[plain] = np.log(np.abs(counted.sum(axis=1)))
        sign[...] = np.sign(total)


def softmax(z: np.ndarray, out: np.ndarray) -> None:
    """Write exp(z) / sum(exp(z)) of each row into out."""
    with np.errstate(all="ignore"):
        shifted = shift(z)
        np.divide(shifted.e, 1 + shifted.rest, out=out)


def log_softmax(z: np.ndarray, out: np.ndarray) -> None:
    """Write z - log(sum(exp(z))) of each row into out."""
    with np.errstate(all="ignore"):
        shifted = shift(z)
        np.subtract(shifted.z, shifted.log_total, out=out)


def softmax_backward(p: np.ndarray, dp: np.ndarray, out: np.ndarray) -> None:
    """Write p (dp - sum(dp p)) into out: the gradient of the logits, given p = softmax(z)."""
    with np.errstate(all="ignore"):
        inner = np.sum(dp * p, axis=1, keepdims=True)
        np.multiply(p, dp - inner, out=out)


def log_softmax_backward(logp: np.ndarray, dlogp: np.ndarray, out: np.ndarray) -> None:
    """Write dlogp - exp(logp) sum(dlogp) into out: that gradient, given logp = log_softmax(z)."""
    with np.errstate(all="ignore"):
        total = np.sum(dlogp, axis=1, keepdims=True)
        np.subtract(dlogp, np.exp(logp) * total, out=out)


class Normalized(NamedTuple):
    """The rows of a matrix with mean 0 and variance 1, but for epsilon."""

    rows: np.ndarray
    """(N, K): (x - mean) / sqrt(variance + epsilon)."""
    inverse: np.ndarray
    """(N, 1): 1 / sqrt(variance + epsilon)."""


def normalize(x: np.ndarray, epsilon: float) -> Normalized:
    """Normalise each row; call under `np.errstate(all="ignore")`.

    The mean of a row far from 0 is summed as deviations from its first element, and what it
    is still off by is the mean of the deviations from it, which are nearly exact.
    """
    normalized = _normalize(x, epsilon)
    overflows = ~np.isfinite(normalized.inverse[:, 0]) | (normalized.inverse[:, 0] == 0)
    overflows &= np.isfinite(x).all(axis=1)
    if overflows.any():
        normalized.rows[overflows], normalized.inverse[overflows] = _normalize_scaled(
            x[overflows], epsilon
        )
    return normalized


def _normalize(x: np.ndarray, epsilon: ArrayLike) -> Normalized:
    """`normalize` for rows whose sums and squares do not overflow; others become nan."""
    first = x[:, :1]
    deviations = x - (first + np.mean(x - first, axis=1, keepdims=True))
    deviations -= deviations.mean(axis=1, keepdims=True)
    variance = np.mean(np.square(deviations), axis=1, keepdims=True)
    variance += variance - variance  # nan where the squares overflow
    inverse = 1 / np.sqrt(variance + epsilon)
    return Normalized(deviations * inverse, inverse)


def _normalize_scaled(x: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows scaled to numbers below 1 first; nan where the reciprocal is no normal number."""
    _, exponents = np.frexp(np.abs(x).max(axis=1, keepdims=True))
    scaled = _normalize(np.ldexp(x, -exponents), epsilon * np.ldexp(1.0, -2 * exponents))
    inverse = np.ldexp(scaled.inverse.astype(np.float64), -exponents)
    inverse[inverse < np.finfo(x.dtype).tiny] = np.nan
    return np.where(np.isnan(inverse), np.nan, scaled.rows), inverse


def layer_norm(
    x: np.ndarray,
    scale: np.ndarray | None,
    shift: np.ndarray | None,
    epsilon: float,
    out: np.ndarray,
) -> None:
    """Write (x - mean) / sqrt(variance + epsilon) scale + shift of each row into out."""
    with np.errstate(all="ignore"):
        np.copyto(out, normalize(x, epsilon).rows)
        if scale is not None:
            out *= scale
        if shift is not None:
            out += shift


def normalize_backward(normalized: Normalized, dy: np.ndarray) -> np.ndarray:
    """The gradient with respect to x, given that with respect to the normalised rows.

    It is 1 / sqrt(variance + epsilon) times what is left of dy without its component along
    the ones (mean) and along the normalised row.
    """
    along = np.mean(dy * normalized.rows, axis=1, keepdims=True)
    return normalized.inverse * (dy - dy.mean(axis=1, keepdims=True) - normalized.rows * along)
