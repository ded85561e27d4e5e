"""Loss specifications: targets, class weights, scores, and what they become in a program."""

import math

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score

from fastnn import backend as backends
from fastnn import losses
from fastnn.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Quantile,
    expand_class_weight,
)

DOUBLE = np.dtype(np.float64)
SPECIFICATIONS = [
    CrossEntropy(),
    CrossEntropy(0.1, {1: 2.0}, -1, reduction="sum"),
    CrossEntropy(class_weight=[1, 2, 3]),
    BinaryCrossEntropy(0.2, (1.0, 3.0), ignore_value=-1.0),
    MeanSquaredError(reduction="half_sum"),
    MeanAbsoluteError(ignore_value=9.0),
    Huber(2.5),
    Quantile((0.1, 0.9)),
]


@pytest.mark.parametrize("loss", SPECIFICATIONS, ids=repr)
def test_config_gives_the_loss_back(loss):
    assert losses.get(loss.config) == loss


def test_config_of_a_nan_that_is_ignored_is_fit_for_json():
    config = MeanSquaredError(ignore_value=math.nan).config
    assert config["ignore_value"] == "nan"
    assert math.isnan(losses.get(config).ignore_value)


@pytest.mark.parametrize("loss", SPECIFICATIONS, ids=repr)
def test_losses_are_hashable_so_that_they_can_be_shared_and_compared(loss):
    assert hash(loss) == hash(losses.get(loss.config))


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown loss 'mse'; known are .*mean_squared_error"):
        losses.get("mse")


def test_head_carries_what_the_engines_need():
    head = CrossEntropy(0.1, {2: 4.0}, ignore_index=-1).head(5, 3, 0.5)
    assert (head.output, head.loss, head.weight) == (5, "cross_entropy", 0.5)
    assert dict(head.attributes) == {
        "reduction": "mean",
        "label_smoothing": 0.1,
        "ignore_index": -1,
        "class_weights": (1.0, 1.0, 4.0),
    }


@pytest.mark.parametrize("loss", [CrossEntropy(), BinaryCrossEntropy(), MeanSquaredError()])
def test_head_leaves_out_what_is_not_in_use(loss):
    assert dict(loss.head(0, 3).attributes) == {"reduction": "mean"}


@pytest.mark.parametrize(
    ("loss", "name"),
    [(CrossEntropy(ignore_index=0), "ignore_index"), (Huber(ignore_value=0.0), "ignore_value")],
)
def test_head_carries_a_zero_that_is_to_be_ignored(loss, name):
    assert loss.head(0, 3).attributes[name] == 0


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (CrossEntropy(), "cross_entropy"),
        (CrossEntropy(0.1, {2: 4.0}), "cross_entropy(label_smoothing=0.1, class_weight={2: 4.0})"),
        (CrossEntropy(class_weight=[1, 2]), "cross_entropy(class_weight=(1.0, 2.0))"),
        (Huber(2.0, ignore_value=math.nan), "huber(ignore_value=nan, delta=2.0)"),
        (MeanSquaredError(reduction="sum"), "mean_squared_error(reduction='sum')"),
    ],
)
def test_losses_print_with_the_options_that_are_not_the_defaults(loss, text):
    assert sorted(str(loss).rstrip(")").replace("(", ", ").split(", ")) == sorted(
        text.rstrip(")").replace("(", ", ").split(", ")
    )


@pytest.mark.parametrize("weights", [{0: 1.0, 2: 3.0}, [1.0, 1.0, 3.0], np.array([1, 1, 3])])
def test_class_weights_are_one_number_per_class(weights):
    assert expand_class_weight(weights, 3) == (1.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CrossEntropy(label_smoothing=1.0), ValueError, "label_smoothing"),
        (lambda: CrossEntropy(reduction="max"), ValueError, "reduction must be one of mean"),
        (lambda: CrossEntropy(class_weight=[]), ValueError, "class_weight is empty"),
        (lambda: CrossEntropy(class_weight=[1, -1]), ValueError, "class_weight"),
        (lambda: CrossEntropy(class_weight={"a": 1}), TypeError, "class must be an integer"),
        (lambda: CrossEntropy(ignore_index=1.5), TypeError, "ignore_index"),
        (
            lambda: CrossEntropy(class_weight=[1, 2]).attributes(3),
            ValueError,
            "2 weights, expected 3",
        ),
        (lambda: CrossEntropy(class_weight={3: 1}).attributes(3), ValueError, "0 <= class < 3"),
        (lambda: CrossEntropy().attributes(1), ValueError, "use binary_cross_entropy"),
        (lambda: BinaryCrossEntropy(class_weight=[1, 2, 3]), ValueError, "3 weights, expected 2"),
        (lambda: Huber(0.0), ValueError, "delta"),
        (lambda: MeanSquaredError(ignore_value=math.inf), ValueError, "ignore_value"),
        (lambda: losses.get(3), TypeError, "loss must be a name, a Loss or a function, got int"),
    ],
)
def test_wrong_options_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ------------------------------------------------------------------ targets


@pytest.mark.parametrize(
    "y", [[0, 2, 1], np.array([0.0, 2.0, 1.0]), np.array([[0], [2], [1]], np.uint8)]
)
def test_whole_numbers_of_any_type_are_labels(y):
    target = CrossEntropy().target(y, 3, DOUBLE)
    assert target.dtype.kind in "iu"
    np.testing.assert_array_equal(target, [0, 2, 1])


def test_rows_of_targets_are_left_to_the_engine_to_convert():
    y = np.array([[1, 0, 0], [0, 0, 2]])
    assert np.shares_memory(CrossEntropy().target(y, 3, np.dtype(np.float32)), y)


def test_rows_of_targets_that_engines_cannot_read_become_the_networks_dtype():
    y = np.array([[1, 0, 0], [0, 0, 2]], ">f8")
    target = CrossEntropy().target(y, 3, np.dtype(np.float32))
    assert target.dtype == np.dtype(np.float32)
    np.testing.assert_array_equal(target, y)


def test_ignored_labels_may_lie_outside_the_classes():
    np.testing.assert_array_equal(CrossEntropy(ignore_index=-1).target([0, -1], 3, DOUBLE), [0, -1])


@pytest.mark.parametrize(
    "loss", [BinaryCrossEntropy(), MeanSquaredError(), MeanAbsoluteError(), Huber()]
)
def test_a_vector_of_targets_is_a_column(loss):
    np.testing.assert_array_equal(loss.target([0, 1, 1], 1, DOUBLE), [[0], [1], [1]])


def test_missing_targets_may_be_nan_where_nan_is_ignored():
    target = MeanSquaredError(ignore_value=math.nan).target([1.0, math.nan], 1, DOUBLE)
    np.testing.assert_array_equal(target, [[1.0], [math.nan]])


@pytest.mark.parametrize(
    ("loss", "y", "width", "error", "message"),
    [
        (CrossEntropy(), [0, 3], 3, ValueError, r"y must be integers from 0 to 2, got y\[1\] = 3"),
        (
            CrossEntropy(),
            [0, -1],
            3,
            ValueError,
            r"y must be integers from 0 to 2, got y\[1\] = -1",
        ),
        (
            CrossEntropy(),
            [0.0, 0.5],
            3,
            ValueError,
            r"y must be integer labels or rows \(N, 3\), got y\[1\] = 0.5",
        ),
        (CrossEntropy(), [0.0, math.nan], 3, ValueError, r"y must be finite, got y\[1\] = nan"),
        (
            CrossEntropy(),
            [[1, 0]],
            3,
            ValueError,
            r"shape \(N,\) for labels or \(N, 3\) for rows, got \(1, 2\)",
        ),
        (CrossEntropy(), [[1, 0, -1]], 3, ValueError, r"y must be >= 0, got y\[0, 2\] = -1"),
        (
            CrossEntropy(),
            [[1, 0, math.inf]],
            3,
            ValueError,
            r"y must be finite, got y\[0, 2\] = inf",
        ),
        (CrossEntropy(), ["a", "b"], 3, TypeError, "y must hold real numbers"),
        (CrossEntropy(), [1j, 2j], 3, TypeError, "y must hold real numbers, got dtype complex"),
        (
            BinaryCrossEntropy(),
            [0, -1],
            1,
            ValueError,
            r"y must be within \[0, 1\], got y\[1, 0\] = -1",
        ),
        (BinaryCrossEntropy(), [0, 1], 2, ValueError, r"y must have shape \(N, 2\), got \(2,\)"),
        (
            MeanSquaredError(),
            [1, math.nan],
            1,
            ValueError,
            r"y must be finite, got y\[1, 0\] = nan",
        ),
        (
            MeanSquaredError(),
            [[1, 2]],
            1,
            ValueError,
            r"shape \(N,\) or \(N, 1\), got \(1, 2\)",
        ),
        (MeanSquaredError(), 3.0, 1, ValueError, r"y must have shape .*, got \(\)"),
        (
            MeanSquaredError(),
            [[1], [2, 3]],
            1,
            ValueError,
            "y must be a rectangular array of numbers",
        ),
    ],
)
def test_targets_that_do_not_fit_are_refused(loss, y, width, error, message):
    with pytest.raises(error, match=message):
        loss.target(y, width, DOUBLE)


def test_targets_beyond_float32_are_refused():
    with pytest.raises(ValueError, match=r"y must be finite in float32, got y\[0, 0\] = 1e\+300"):
        MeanSquaredError().target([1e300], 1, np.dtype(np.float32))


# ------------------------------------------- values, scores and probabilities


def test_cross_entropy_is_sklearns_log_loss(backend, rng):
    z, y, w = rng.normal(size=(40, 3)), rng.integers(0, 3, 40), rng.uniform(size=40)
    value = CrossEntropy().value(z, y, w, backends.kernels(np.float64))
    expected = log_loss(y, softmax(z, axis=1), sample_weight=w, labels=[0, 1, 2])
    assert value == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_of_one_hot_rows_is_that_of_labels(backend, rng):
    kernels = backends.kernels(np.float64)
    z, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    rows = CrossEntropy().value(z, np.eye(3)[y], None, kernels)
    assert rows == pytest.approx(CrossEntropy().value(z, y, None, kernels), rel=1e-12)


def test_binary_cross_entropy_is_sklearns_log_loss(backend, rng):
    z, y = rng.normal(size=(40, 1)), rng.integers(0, 2, (40, 1)).astype(float)
    value = BinaryCrossEntropy().value(z, y, None, backends.kernels(np.float64))
    assert value == pytest.approx(log_loss(y.ravel(), expit(z).ravel()), rel=1e-12)


def test_mean_squared_error_is_sklearns(backend, rng):
    a, y, w = rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), rng.uniform(size=40)
    value = MeanSquaredError().value(a, y, w, backends.kernels(np.float64))
    assert value == pytest.approx(mean_squared_error(y, a, sample_weight=w), rel=1e-12)


def test_accuracy_is_sklearns(rng):
    z, y, w = rng.normal(size=(40, 3)), rng.integers(0, 3, 40), rng.uniform(size=40)
    expected = accuracy_score(y, z.argmax(1), sample_weight=w)
    assert CrossEntropy().score(z, y, w) == pytest.approx(expected)
    assert CrossEntropy().score(z, np.eye(3)[y], w) == pytest.approx(expected)


def test_ignored_labels_do_not_count_in_the_accuracy():
    z = np.eye(3)
    assert CrossEntropy(ignore_index=-1).score(z, np.array([0, -1, 0])) == 0.5


def test_binary_accuracy_counts_every_element():
    z = np.array([[-1.0, 2.0], [3.0, -4.0]])
    y = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert BinaryCrossEntropy().score(z, y) == 0.75


def test_r2_is_sklearns(rng):
    a, y, w = rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), rng.uniform(size=40)
    expected = r2_score(y, a, sample_weight=w)
    assert MeanSquaredError().score(a, y, w) == pytest.approx(expected)


def test_r2_leaves_missing_targets_out(rng):
    a, y = rng.normal(size=(40, 1)), rng.normal(size=(40, 1))
    y[::4] = math.nan
    seen = ~np.isnan(y[:, 0])
    score = MeanSquaredError(ignore_value=math.nan).score(a, y)
    assert score == pytest.approx(r2_score(y[seen], a[seen]))


@pytest.mark.parametrize(("prediction", "expected"), [(2.0, 1.0), (3.0, 0.0)])
def test_r2_of_constant_targets_is_one_or_zero(prediction, expected):
    y = np.full((5, 1), 2.0)
    assert MeanSquaredError().score(np.full((5, 1), prediction), y) == expected


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (CrossEntropy(ignore_index=-1), np.array([-1, -1])),
        (BinaryCrossEntropy(ignore_value=-1), np.full((2, 2), -1.0)),
        (MeanSquaredError(ignore_value=math.nan), np.full((2, 2), math.nan)),
    ],
)
def test_score_of_nothing_is_nan(loss, y):
    assert math.isnan(loss.score(np.zeros((2, 2)), y))


def test_probabilities_of_cross_entropy_are_the_softmax(backend, rng):
    z = rng.normal(size=(5, 4))
    found = CrossEntropy().probabilities(z, backends.kernels(np.float64))
    np.testing.assert_allclose(found, softmax(z, axis=1), rtol=1e-13)


def test_probabilities_of_binary_cross_entropy_are_the_sigmoid(backend, rng):
    z = rng.normal(size=(5, 2))
    found = BinaryCrossEntropy().probabilities(z, backends.kernels(np.float64))
    np.testing.assert_allclose(found, expit(z), rtol=1e-13)


def test_regression_losses_know_no_probabilities_and_no_classes():
    assert MeanSquaredError().probabilities(np.zeros((2, 2)), None) is None
    assert MeanSquaredError().classes(np.zeros((2, 2))) is None


def test_classes_of_one_binary_column_are_a_vector():
    np.testing.assert_array_equal(BinaryCrossEntropy().classes(np.array([[-1.0], [0.0]])), [0, 1])


def test_sample_weights_follow_the_class_of_labels_and_of_rows():
    loss, weights = CrossEntropy(), {0: 2.0, 2: 5.0}
    labels = np.array([0, 1, 2])
    np.testing.assert_array_equal(loss.sample_weights(labels, weights, 3), [2, 1, 5])
    np.testing.assert_array_equal(loss.sample_weights(np.eye(3)[labels], weights, 3), [2, 1, 5])


def test_sample_weights_follow_a_binary_target():
    y = np.array([[0.0], [1.0]])
    np.testing.assert_array_equal(BinaryCrossEntropy().sample_weights(y, [2, 3], 1), [2, 3])


def test_class_weights_need_a_classification():
    with pytest.raises(ValueError, match="needs a classification loss"):
        MeanSquaredError().sample_weights(np.zeros((2, 1)), [1, 2], 1)
