"""The task that a target sets, and the split of the rows."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastnn.tabular.frames import as_column
from fastnn.tabular.splitting import choose_task, guess_task, split_rows
from fastnn.tabular.table import DataError


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.array(["a", "b"]), "classification"),
        (np.array([True, False]), "classification"),
        (np.repeat([0, 1, 2], 10), "classification"),
        (np.repeat([1.0, 2.0], 5), "classification"),
        (np.arange(30), "regression"),
        (np.repeat(np.arange(21), 50), "regression"),
        (np.repeat([0.5, 1.0], 10), "regression"),
    ],
)
def test_task_is_guessed(y, task):
    assert guess_task(as_column(y, "y")) == task


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_task_that_is_named_is_not_guessed(task):
    assert choose_task(as_column(np.arange(30), "y"), task) == task


def test_auto_guesses_the_task():
    column = as_column(np.arange(30), "y")
    assert choose_task(column) == guess_task(column)


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(3, 200),
    validation=st.floats(0, 0.4),
    test=st.floats(0, 0.4),
    seed=st.integers(0, 2**32),
)
def test_split_has_every_row_once(n, validation, test, seed):
    parts = split_rows(n, validation, test, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    sizes = [max(1, round(share * n)) if share else 0 for share in (validation, test)]
    if sum(sizes) == n:  # one row is left to train on
        assert len(parts[0]) == 1
    else:
        assert [len(part) for part in parts[1:]] == sizes


@settings(max_examples=100, deadline=None)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_stratified_split_has_each_class_in_proportion(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    n = len(labels)
    assume(n >= 4)
    rows = split_rows(n, 0.25, 0.25, seed, labels)
    for part in rows[1:]:
        # Each end of a stretch of the spread order rounds a class by less than a row, and lies
        # where it does because the other classes are rounded as well.
        shares = np.array(counts) / n
        expected = len(part) * shares
        difference = np.bincount(labels[part], minlength=len(counts)) - expected
        assert (abs(difference) <= 2 + len(counts) * shares).all()


def test_stratified_split_trains_on_a_class_of_one():
    labels = np.array([0] * 20 + [1])
    for seed in range(20):
        assert 20 in split_rows(21, 0.2, 0.2, seed, labels)[0]


def test_split_depends_on_the_seed_alone():
    first, again, other = (split_rows(50, 0.2, 0.2, seed)[2] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_split_that_leaves_nothing_is_refused():
    with pytest.raises(DataError, match="leave none to train on"):
        split_rows(10, 0.5, 0.5)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="validation must be"):
        split_rows(10, share, 0.1)
