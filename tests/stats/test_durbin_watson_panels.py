"""The Durbin-Watson test of panels and of series with gaps, against eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
from quadratic_forms import imhof

from fastnn import stats


def panel(seed):
    """Rows of unequal groups with gaps, in random order."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 6, 50)
    time = np.empty(50)
    for g in range(6):
        rows = np.flatnonzero(groups == g)
        time[rows] = rng.permutation(len(rows) + 5)[: len(rows)]
    return rng.normal(size=(50, 2)), rng.normal(size=50), groups, time


def by_eigenvalues(design, y, groups, time, lag):
    joined = (groups[:, None] == groups) & (time[:, None] - time == lag)
    later, earlier = np.nonzero(joined)
    D = np.eye(len(y))[later] - np.eye(len(y))[earlier]
    complement = np.linalg.qr(design, mode="complete")[0][:, design.shape[1] :]
    e = complement @ (complement.T @ y)
    d = e @ D.T @ D @ e / (e @ e)
    return d, np.linalg.eigvalsh(complement.T @ D.T @ D @ complement)


@pytest.mark.parametrize("effects", [False, True])
@pytest.mark.parametrize("lag", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_the_law_is_that_of_the_eigenvalues(seed, lag, effects):
    X, y, groups, time = panel(seed)
    dummies = np.eye(6)[groups] if effects else np.ones((50, 1))
    d, eigenvalues = by_eigenvalues(np.c_[dummies, X], y, groups, time, lag)
    found = stats.durbin_watson_test(
        X, y, groups=groups, time=time, lag=lag, fixed_effects=effects, alternative="positive"
    )
    assert found.statistic == pytest.approx(d, rel=1e-10)
    assert found.pvalue == pytest.approx(imhof(eigenvalues, d), abs=1e-8)


def test_times_without_gaps_give_the_plain_test():
    X, y, _, _ = panel(0)
    plain = stats.durbin_watson_test(X, y)
    found = stats.durbin_watson_test(X, y, time=3 * np.arange(50))
    assert [*found] == pytest.approx([*plain], rel=1e-9)


def test_equal_times_in_a_group_are_refused():
    X, y, groups, _ = panel(0)
    with pytest.raises(ValueError, match="equal values within a group"):
        stats.durbin_watson_test(X, y, groups=groups, time=np.zeros(50))


def test_pairs_with_fixed_effects_have_a_constant_statistic():
    X, y, _, _ = panel(0)
    with pytest.raises(ValueError, match="for every response"):
        stats.durbin_watson_test(X, y, groups=np.arange(50) // 2, fixed_effects=True)


def test_bounds_are_refused_for_panels():
    X, y, groups, time = panel(0)
    with pytest.raises(ValueError, match="one series without gaps"):
        stats.decide(stats.durbin_watson_test(X, y, groups=groups, time=time))
