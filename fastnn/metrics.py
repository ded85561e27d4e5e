"""Calibration of a classifier: the agreement of its probabilities with observed frequencies.

`Network.evaluate` computes scores such as the accuracy.  scikit-learn's ``sklearn.metrics`` has
many more, such as ``brier_score_loss`` and ``log_loss``, and accepts the arrays that
`predict_proba` returns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastnn._shared.arrays import as_real, check_finite, check_range
from fastnn._shared.numbers import check_integer

__all__ = ["ReliabilityCurve", "expected_calibration_error", "reliability_curve"]

_SUM_TOLERANCE = 1e-3
"""Absolute tolerance for the sum of a row of probabilities; in float32 its error is about 1e-6."""


class ReliabilityCurve(NamedTuple):
    """The statistics of each bin of `reliability_curve`, empty bins included.

    Attributes
    ----------
    confidence : (bins,) array
        Mean predicted probability; nan for an empty bin.
    accuracy : (bins,) array
        Share of the samples whose prediction is true; nan for an empty bin.
    counts : (bins,) array of int
        Number of samples.
    edges : (bins + 1,) array
        Limits of the bins: bin i has the probabilities in (edges[i], edges[i + 1]], and bin 0
        has the probability 0 as well.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray
    edges: np.ndarray


def reliability_curve(probabilities: object, labels: object, bins: int = 15) -> ReliabilityCurve:
    """The relative frequency of true predictions against their probability, in equal bins.

    Parameters
    ----------
    probabilities : (N, K) array_like, or (N,) or (N, 1) for a binary classifier
        As `predict_proba` returns them.  For K classes, the largest probability of each row is
        used: the confidence of the predicted class.  For a binary classifier, the probability
        of label 1 is used, whether it is the predicted label or not.
    labels : (N,) array_like
        Integers from 0 to K - 1; 0 and 1 for a binary classifier.
    bins : int, default 15
        Number of bins of equal width in [0, 1].

    Returns
    -------
    ReliabilityCurve
        A named tuple of arrays.

    Raises
    ------
    TypeError, ValueError
        If `probabilities` or `labels` have wrong values, dtypes or shapes, or `bins` is not a
        positive integer.

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
    confidence, occurred = _events(probabilities, labels)
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_of_sample = np.searchsorted(edges[1:-1], confidence)
    counts = np.bincount(bin_of_sample, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(bin_of_sample, confidence, bins) / counts
        accuracy = np.bincount(bin_of_sample, occurred, bins) / counts
    return ReliabilityCurve(mean, accuracy, counts, edges)


def expected_calibration_error(probabilities: object, labels: object, bins: int = 15) -> float:
    """The mean absolute difference of confidence and accuracy over the bins of `reliability_curve`.

    ``sum_b n_b / N |accuracy_b - confidence_b|``, where n_b is the number of samples of bin b.  It
    is 0 if, for example, 70 of 100 predictions with the probability 70 % are true.

    Parameters
    ----------
    probabilities, labels, bins
        As in `reliability_curve`.

    Returns
    -------
    float
        In [0, 1].  It depends on the number of bins, and has a positive bias for few samples.

    References
    ----------
    Naeini, Cooper & Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian
    binning"; Guo, Pleiss, Sun & Weinberger (2017), eq. 3.
    """
    curve = reliability_curve(probabilities, labels, bins)
    gaps = np.abs(curve.accuracy - curve.confidence)[curve.counts > 0]
    return float(np.average(gaps, weights=curve.counts[curve.counts > 0]))


def _events(probabilities: object, labels: object) -> tuple[np.ndarray, np.ndarray]:
    """The probability of an event for each sample, and whether the event occurred."""
    p = as_real(probabilities, "probabilities")
    if p.ndim not in (1, 2) or p.size == 0:
        raise ValueError(f"probabilities must have shape (N, K) or (N,) with N > 0, got {p.shape}")
    check_finite(p, "probabilities")
    check_range(p, "probabilities", (p < 0) | (p > 1 + _SUM_TOLERANCE), "within [0, 1]")
    p = np.minimum(p.astype(np.float64), 1.0)
    is_binary = p.ndim == 1 or p.shape[1] == 1
    truth = _labels(labels, len(p), 2 if is_binary else p.shape[1])
    if is_binary:
        return p.reshape(-1), truth
    sums = p.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
    if len(wrong):
        raise ValueError(
            f"row {wrong[0]} of probabilities sums to {sums[wrong[0]]:g}, expected 1: "
            "use predict_proba, not predict"
        )
    return p.max(axis=1), p.argmax(axis=1) == truth


def _labels(labels: object, n: int, n_classes: int) -> np.ndarray:
    """The labels as (n,) int64, checked to be integers in [0, n_classes)."""
    truth = as_real(labels, "labels")
    if truth.ndim == 2 and truth.shape[1] == 1:
        truth = truth[:, 0]
    if truth.shape != (n,):
        raise ValueError(f"labels must have shape ({n},) as probabilities has, got {truth.shape}")
    is_wrong = (truth < 0) | (truth >= n_classes) | (truth != np.floor(truth))
    check_range(truth, "labels", is_wrong, f"integers from 0 to {n_classes - 1}")
    return truth.astype(np.int64)
