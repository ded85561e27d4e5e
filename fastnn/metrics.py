"""How far probabilities can be trusted: calibration of a classifier.

Scores such as accuracy are those of `Network.evaluate`; scikit-learn's ``sklearn.metrics`` has
many more, ``brier_score_loss`` and ``log_loss`` among them, and takes what `predict_proba` returns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn._shared.arrays import check_finite, check_range, real_array
from fastnn._shared.numbers import check_integer

__all__ = ["ReliabilityCurve", "expected_calibration_error", "reliability_curve"]

_SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from a sum of 1, which float32 misses by 1e-6."""


class ReliabilityCurve(NamedTuple):
    """What `reliability_curve` found in each bin, empty ones included.

    Attributes
    ----------
    confidence : (bins,) array
        Mean probability that was predicted; nan in an empty bin.
    accuracy : (bins,) array
        Share of samples for which it came true; nan in an empty bin.
    counts : (bins,) array of int
        Samples.
    edges : (bins + 1,) array
        Where the bins end: bin i has the probabilities in (edges[i], edges[i + 1]],
        and the first one 0 as well.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray
    edges: np.ndarray


def reliability_curve(probabilities: Any, labels: Any, bins: int = 15) -> ReliabilityCurve:
    """How often predictions of a certain probability came true, in bins of equal width.

    Parameters
    ----------
    probabilities : (N, K) array_like, or (N,) or (N, 1) for a binary classifier
        As `predict_proba` returns them.  Of K classes, a row's largest counts: the
        confidence of the predicted class.  Of a binary classifier the probability
        of label 1 counts, whatever is predicted.
    labels : (N,) array_like
        Integers from 0 to K - 1; 0 and 1 for a binary classifier.
    bins : int, default 15

    Returns
    -------
    ReliabilityCurve
        A named tuple of arrays.

    Raises
    ------
    TypeError, ValueError
        If these are no probabilities, no labels, or of different lengths.

    References
    ----------
    Murphy & Winkler (1977), "Reliability of subjective probability forecasts of precipitation
    and temperature"; Guo, Pleiss, Sun & Weinberger (2017), "On calibration of modern neural
    networks", section 2.

    Examples
    --------
    >>> from fastnn.metrics import reliability_curve
    >>> curve = reliability_curve([0.9, 0.8, 0.2, 0.1], [1, 0, 0, 0], bins=2)
    >>> curve.confidence.round(3).tolist(), curve.accuracy.tolist(), curve.counts.tolist()
    ([0.15, 0.85], [0.0, 0.5], [2, 2])
    """
    bins = check_integer(bins, "bins", 1)
    confidence, right = _events(probabilities, labels)
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.searchsorted(edges[1:-1], confidence)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(places, confidence, bins) / counts
        accuracy = np.bincount(places, right, bins) / counts
    return ReliabilityCurve(mean, accuracy, counts, edges)


def expected_calibration_error(probabilities: Any, labels: Any, bins: int = 15) -> float:
    """The mean distance between confidence and accuracy over the bins, weighted by samples.

    ``sum_b n_b / N |accuracy_b - confidence_b|``: 0 for a classifier that is right in 70
    of 100 cases in which it says 70 %.

    Parameters
    ----------
    probabilities, labels, bins
        As in `reliability_curve`.

    Returns
    -------
    float
        In [0, 1].  It depends on the number of bins, and is biased upwards for few samples.

    References
    ----------
    Naeini, Cooper & Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian
    binning"; Guo, Pleiss, Sun & Weinberger (2017), eq. 3.
    """
    curve = reliability_curve(probabilities, labels, bins)
    gaps = np.abs(curve.accuracy - curve.confidence)[curve.counts > 0]
    return float(np.average(gaps, weights=curve.counts[curve.counts > 0]))


def _events(probabilities: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """The probability of an event for each sample, and whether it came true."""
    p = real_array(probabilities, "probabilities")
    if p.ndim not in (1, 2) or p.size == 0:
        raise ValueError(f"probabilities has shape {p.shape}, expected (N, K) or (N,) with N > 0")
    check_finite(p, "probabilities", "probabilities must be finite")
    check_range(p, (p < 0) | (p > 1 + _SUM_TOLERANCE), "probabilities", "a number in [0, 1]")
    p = np.minimum(p.astype(np.float64), 1.0)
    is_binary = p.ndim == 1 or p.shape[1] == 1
    truth = _labels(labels, len(p), 2 if is_binary else p.shape[1])
    if is_binary:
        return p.reshape(-1), truth
    sums = p.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
    if len(off):
        raise ValueError(
            f"row {off[0]} of probabilities sums to {sums[off[0]]:g}, expected 1: "
            "use predict_proba, not predict"
        )
    return p.max(axis=1), p.argmax(axis=1) == truth


def _labels(labels: Any, n: int, n_classes: int) -> np.ndarray:
    truth = real_array(labels, "labels")
    if truth.ndim == 2 and truth.shape[1] == 1:
        truth = truth[:, 0]
    if truth.shape != (n,):
        raise ValueError(f"labels has shape {truth.shape}, expected ({n},) as probabilities has")
    wrong = (truth < 0) | (truth >= n_classes) | (truth != np.floor(truth))
    check_range(truth, wrong, "labels", f"an integer 0 <= label < {n_classes}")
    return truth.astype(np.int64)
