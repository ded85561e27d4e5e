"""Sparse X in the estimators: it stays sparse, and gives the numbers of dense X."""

import numpy as np
import pytest
from scipy import sparse

from fastnn.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = sparse.csr_array(np.where(RNG.random((90, 30)) < 0.2, RNG.random((90, 30)), 0))
DENSE = X.toarray()
TARGETS = {MLPClassifier: RNG.integers(0, 3, 90), MLPRegressor: X.sum(axis=1)}
each_estimator = pytest.mark.parametrize("Estimator", TARGETS)


@pytest.fixture
def never_dense(monkeypatch):
    """Fail where a matrix is made dense."""

    def refuse(self, *arguments, **options):
        raise AssertionError("a sparse matrix was made dense")

    monkeypatch.setattr(sparse.csr_array, "toarray", refuse)
    monkeypatch.setattr(sparse.csr_matrix, "toarray", refuse)


@each_estimator
@pytest.mark.parametrize(
    "options",
    [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"dtype": "float32"}, {"dropout": 0.2}],
    ids=str,
)
def test_sparse_rows_give_the_numbers_of_dense_ones(Estimator, options, never_dense, backend):
    y = TARGETS[Estimator]
    options = {"max_iter": 5, "batch_size": 16, "random_state": 0} | options
    one, other = (Estimator(**options).fit(data, y) for data in (DENSE, X))
    close = {"rtol": 1e-4, "atol": 1e-5} if "dtype" in options else {"rtol": 1e-6}
    np.testing.assert_allclose(other.network_.get_flat(), one.network_.get_flat(), **close)
    np.testing.assert_allclose(other.predict(X), one.predict(DENSE), **close)
    if Estimator is MLPClassifier:
        np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(DENSE), **close)


@each_estimator
def test_parts_may_be_sparse_or_dense(Estimator, never_dense):
    y = TARGETS[Estimator]
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    one, other = (Estimator(random_state=0) for _ in "ab")
    for rows in (slice(0, 40), slice(40, 90)):
        one.partial_fit(DENSE[rows], y[rows], **classes)
        other.partial_fit(X[rows] if rows.start else DENSE[rows], y[rows], **classes)
    np.testing.assert_allclose(other.network_.get_flat(), one.network_.get_flat(), rtol=1e-12)


@each_estimator
def test_validation_data_may_be_sparse(Estimator, never_dense):
    y = TARGETS[Estimator]
    model = Estimator(early_stopping=True, max_iter=2).fit(X, y, X_val=X[:9], y_val=y[:9])
    assert len(model.validation_scores_) == 2


@pytest.mark.parametrize("form", ["csc", "coo", "lil", "dok", "bsr"])
def test_other_formats_are_converted(form, never_dense):
    y = TARGETS[MLPRegressor]
    model = MLPRegressor(max_iter=2, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.predict(X.asformat(form)), model.predict(X), rtol=1e-12)
    again = MLPRegressor(max_iter=2, random_state=0).fit(X.asformat(form), y)
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-12)


def test_numbers_that_are_not_finite_are_refused():
    bad = X.copy()
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor().fit(bad, TARGETS[MLPRegressor])


def test_labels_may_be_a_sparse_indicator():
    labels = RNG.random((90, 4)) > 0.5
    options = {"max_iter": 3, "random_state": 0}
    one = MLPClassifier(**options).fit(X, labels)
    other = MLPClassifier(**options).fit(X, sparse.csr_array(labels))
    np.testing.assert_array_equal(other.predict_proba(X), one.predict_proba(X))
