"""Scores by columns and blocks: the share of a deviance that predictions explain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import xlogy
from sklearn.metrics import d2_tweedie_score, r2_score

from fastnn.losses._tallies import ByColumn, ExplainedDeviance, RSquared


def poisson_deviance(np, z, y):
    return 2 * (xlogy(y, y) - y * z - y + np.exp(z))


def squared_deviance(np, a, y):
    return (a - y) ** 2


def score(deviance, link, *blocks):
    scorer = ByColumn(lambda y: ~np.isnan(y), lambda: ExplainedDeviance(deviance, link))
    for output, target, weights in blocks:
        scorer.add(output, target, weights)
    return scorer.value


@pytest.fixture
def counts(rng):
    z = rng.normal(size=(60, 1))
    return z, rng.poisson(np.exp(z)).astype(float), rng.uniform(size=60)


def test_share_of_a_poisson_deviance_is_sklearns(counts):
    z, y, w = counts
    expected = d2_tweedie_score(y[:, 0], np.exp(z[:, 0]), sample_weight=w, power=1)
    assert score(poisson_deviance, math.log, (z, y, w)) == pytest.approx(expected, rel=1e-12)


def test_share_of_squared_deviations_is_r2(rng):
    a, y = rng.normal(size=(2, 40, 3))
    assert score(squared_deviance, float, (a, y, None)) == pytest.approx(r2_score(y, a), rel=1e-12)


def test_blocks_give_the_score_of_all_rows(counts):
    z, y, w = counts
    blocks = [(z[rows], y[rows], w[rows]) for rows in (np.s_[:1], np.s_[1:20], np.s_[20:])]
    whole = score(poisson_deviance, math.log, counts)
    assert score(poisson_deviance, math.log, *blocks) == pytest.approx(whole, rel=1e-12)


def test_first_block_without_a_count_does_no_harm(counts):
    z, y, w = counts
    blocks = (np.zeros((5, 1)), np.zeros((5, 1)), np.ones(5)), counts
    expected = d2_tweedie_score(
        np.append(np.zeros(5), y[:, 0]),
        np.append(np.ones(5), np.exp(z[:, 0])),
        sample_weight=np.append(np.ones(5), w),
        power=1,
    )
    assert score(poisson_deviance, math.log, *blocks) == pytest.approx(expected, rel=1e-12)


def test_missing_targets_are_left_out(counts):
    z, y, _ = counts
    gaps = y.copy()
    gaps[::3] = math.nan
    seen = ~np.isnan(gaps[:, 0])
    expected = d2_tweedie_score(y[seen, 0], np.exp(z[seen, 0]), power=1)
    assert score(poisson_deviance, math.log, (z, gaps, None)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("output", "expected"), [(math.log(2), 1.0), (1.0, 0.0)])
def test_equal_targets_count_one_or_nothing(output, expected):
    y, z = np.full((8, 1), 2.0), np.full((8, 1), output)
    assert score(squared_deviance, float, (y if expected else z, y, None)) == expected


def test_one_sample_has_no_score():
    one = np.ones((1, 1))
    assert math.isnan(score(squared_deviance, float, (one, one, None)))


@pytest.mark.parametrize("factor", [5e-324 * 2**60, 2.0**-600, 2.0**600, 2.0**1020])
@pytest.mark.parametrize("blocks", [1, 3])
def test_share_of_squared_deviations_has_no_unit(rng, factor, blocks):
    y, error = rng.normal(size=30), 0.5 * rng.normal(size=30)
    y = np.round(y, 3)
    a = np.round(y + error, 3)
    tally = RSquared()
    for i in range(blocks):
        rows = slice(i * 30 // blocks, (i + 1) * 30 // blocks)
        tally.add(factor * a[rows], factor * y[rows], np.ones(30 // blocks))
    assert tally.score() == pytest.approx(r2_score(y, a), rel=1e-9)


def test_block_that_is_predicted_exactly_does_not_fix_the_unit():
    tally = RSquared()
    tally.add(np.full(2, 1e-200), np.full(2, 1e-200), np.ones(2))
    tally.add(np.array([1e-200, 3e-200]), np.array([2e-200, 4e-200]), np.ones(2))
    assert tally.score() == pytest.approx(r2_score([1, 1, 2, 4], [1, 1, 1, 3]))
