"""What the loss functions refuse, and what they then say."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastnn.functional as F

INF, NAN = math.inf, math.nan
Z = np.zeros((3, 4))
REFUSED = [
    (
        lambda: F.cross_entropy(Z, [0, 1, 4]),
        ValueError,
        r"targets must be integers from 0 to 3, got targets\[2\] = 4",
    ),
    (
        lambda: F.cross_entropy(Z, [0, -1, 1]),
        ValueError,
        r"targets must be integers from 0 to 3, got targets\[1\] = -1",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1]),
        ValueError,
        r"targets must have shape \(3,\) .* got \(2,\)",
    ),
    (
        lambda: F.cross_entropy(Z, np.zeros((3, 3))),
        ValueError,
        r"or \(3, 4\) \(rows\).*got \(3, 3\)",
    ),
    (
        lambda: F.cross_entropy(Z, [0.0, 1.0, 2.0]),
        TypeError,
        "targets must be integers, got float64",
    ),
    (lambda: F.cross_entropy(Z, [True, False, True]), TypeError, "must be integers, got bool"),
    (
        lambda: F.cross_entropy(Z, np.array([0, 2**63, 1], np.uint64)),
        ValueError,
        r"targets must be below 2\*\*63, got targets\[1\] = 9223372036854775808",
    ),
    (
        lambda: F.cross_entropy(Z, np.full((3, 4), -0.5)),
        ValueError,
        r"targets must be finite and >= 0, got targets\[0, 0\] = -0.5",
    ),
    (lambda: F.cross_entropy(Z, np.full((3, 4), NAN)), ValueError, r"got targets\[0, 0\] = nan"),
    (lambda: F.cross_entropy(Z, np.full((3, 4), INF)), ValueError, r"got targets\[0, 0\] = inf"),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], sample_weight=[1, -1, 1]),
        ValueError,
        r"sample_weight must be finite and >= 0, got sample_weight\[1\] = -1",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], sample_weight=[1, 1, NAN]),
        ValueError,
        r"got sample_weight\[2\] = nan",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], sample_weight=[1, 1]),
        ValueError,
        r"sample_weight must have shape \(3,\), got \(2,\)",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], class_weight=[1, 1, 1]),
        ValueError,
        r"class_weight must have shape \(4,\), got \(3,\)",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], label_smoothing=1.5),
        ValueError,
        "label_smoothing must be a finite number >= 0 and <= 1, got 1.5",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], ignore_index=1.0),
        TypeError,
        "ignore_index must be an integer, got float",
    ),
    (
        lambda: F.cross_entropy(Z, Z, ignore_index=1),
        ValueError,
        "ignore_index must be None with target rows",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], reduction="max"),
        ValueError,
        "reduction must be one of mean, sum, half_sum, none, got 'max'",
    ),
    (
        lambda: F.cross_entropy(1.5, 0),
        ValueError,
        "logits must have at least 1 dimension, got a scalar",
    ),
    (
        lambda: F.cross_entropy(np.empty((3, 0)), [0, 0, 0]),
        ValueError,
        "logits must have at least 1 element along its last axis",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], out=Z.copy()),
        ValueError,
        "out receives the gradient: it must be None without gradient=True",
    ),
    (
        lambda: F.binary_cross_entropy(Z, Z + 1.5),
        ValueError,
        r"targets must be finite and within \[0, 1\], got targets\[0, 0\] = 1.5",
    ),
    (lambda: F.binary_cross_entropy(Z, Z * NAN), ValueError, r"got targets\[0, 0\] = nan"),
    (
        lambda: F.binary_cross_entropy(Z, Z, class_weight=[1, 2, 3]),
        ValueError,
        r"class_weight must have shape \(2,\), got \(3,\)",
    ),
    (
        lambda: F.mean_squared_error(Z, Z[:2]),
        ValueError,
        r"targets must have shape \(3, 4\), got \(2, 4\)",
    ),
    (
        lambda: F.mean_squared_error(1.0, [2.0]),
        ValueError,
        r"targets must have shape \(\), got \(1,\)",
    ),
    (
        lambda: F.huber(Z, Z, sample_weight=np.ones((4, 3))),
        ValueError,
        r"sample_weight must have shape \(3,\) or \(3, 4\), got \(4, 3\)",
    ),
    (
        lambda: F.cross_entropy(Z, [0, 1, 2], sample_weight=np.ones((3, 4))),
        ValueError,
        r"sample_weight must have shape \(3,\), got \(3, 4\)",
    ),
    (
        lambda: F.binary_cross_entropy(Z, Z, pos_weight=[1, 2]),
        ValueError,
        r"pos_weight must have shape \(4,\), got \(2,\)",
    ),
    (
        lambda: F.binary_cross_entropy(Z, Z, pos_weight=-1.0),
        ValueError,
        "pos_weight must be finite and >= 0, got pos_weight = -1.0",
    ),
    (
        lambda: F.mean_squared_error(Z, Z.astype(complex)),
        TypeError,
        "targets must hold real numbers, got dtype complex128",
    ),
    (
        lambda: F.mean_absolute_error(Z, Z, ignore_value=INF),
        ValueError,
        "ignore_value must be a finite number, got inf",
    ),
    (lambda: F.huber(Z, Z, delta=0), ValueError, "delta must be a finite number > 0, got 0.0"),
    (lambda: F.huber(Z, Z, delta="1"), TypeError, "delta must be a real number, got str"),
    (lambda: F.l2_penalty(Z, -1), ValueError, "l2 must be a finite number >= 0, got -1.0"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[r[2][:40] for r in REFUSED])
def test_refused(backend, call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_refused_labels_leave_out_untouched(backend):
    out = np.full((3, 4), 7.0)
    with pytest.raises(ValueError, match="targets"):
        F.cross_entropy(Z, [0, 1, 9], gradient=True, out=out)
    np.testing.assert_array_equal(out, 7)


def test_label_out_of_range_is_named_by_its_index_in_the_targets(backend):
    with pytest.raises(
        ValueError, match=r"targets must be integers from 0 to 2, got targets\[1, 0\] = 3"
    ):
        F.cross_entropy(np.zeros((2, 2, 3)), [[-1, 1], [3, 0]], ignore_index=-1)


def test_single_label_out_of_range_has_no_index(backend):
    with pytest.raises(ValueError, match="targets must be integers from 0 to 2, got targets = 3"):
        F.cross_entropy(np.zeros(3), 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.cross_entropy(Z, [0, 1, 2], gradient="no"),
        lambda: F.mean_squared_error(Z, Z, gradient="no"),
        lambda: F.l2_penalty(Z, 0.1, gradient="no"),
    ],
)
def test_gradient_must_be_a_flag(call):
    with pytest.raises(TypeError, match="gradient must be True or False, got 'no'"):
        call()
