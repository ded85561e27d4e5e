"""Optimizer updates against their formulas in float64 and against PyTorch; clipping."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import fastnn.functional as F

TOLERANCE = {"float32": 3e-7, "float64": 1e-15}


def three_steps(update, state, dtype, n=37):
    """Parameters after each of three updates, and what they started from."""
    rng = np.random.default_rng(1)
    p = rng.standard_normal(n).astype(dtype)
    gradients = rng.standard_normal((3, n)).astype(dtype)
    arrays = [np.zeros(n, dtype) for _ in range(state)]
    history = [p.copy()]
    for step, g in enumerate(gradients, start=1):
        update(p, g, arrays, step)
        history.append(p.copy())
    return history, gradients


def check(history, expected, dtype):
    for got, wanted in zip(history[1:], expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=8 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_gradient_descent(backend, dtype, l2):
    history, gradients = three_steps(
        lambda p, g, s, t: F.gradient_descent_update(p, g, learning_rate=0.1, l2=l2), 0, dtype
    )
    p, expected = history[0].astype(float), []
    for g in gradients:
        p = p - 0.1 * (g + l2 * p)
        expected.append(p)
    check(history, expected, dtype)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_momentum(backend, dtype, l2):
    history, gradients = three_steps(
        lambda p, g, s, t: F.momentum_update(p, g, *s, learning_rate=0.1, momentum=0.8, l2=l2),
        1,
        dtype,
    )
    p, v, expected = history[0].astype(float), 0.0, []
    for g in gradients:
        v = 0.8 * v - 0.1 * (g + l2 * p)
        p = p + v
        expected.append(p)
    check(history, expected, dtype)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_nesterov_momentum(backend, dtype, l2):
    history, gradients = three_steps(
        lambda p, g, s, t: F.nesterov_update(p, g, *s, learning_rate=0.1, momentum=0.8, l2=l2),
        1,
        dtype,
    )
    p, v, expected = history[0].astype(float), 0.0, []
    for g in gradients:
        step = 0.1 * (g + l2 * p)
        v = 0.8 * v - step
        p = p + 0.8 * v - step
        expected.append(p)
    check(history, expected, dtype)


def test_nesterov_gradient_is_taken_where_momentum_leads(backend):
    # In the original form, with theta the point before looking ahead: v' = mu v - lr
    # grad(theta + mu v), theta' = theta + v'.  The update works on p = theta + mu v.
    def gradient_at(x):
        return np.array([1.0, 20.0]) * x

    theta, v = np.array([1.0, 1.0]), np.zeros(2)
    p, velocity = theta.copy(), np.zeros(2)
    for _ in range(20):
        v = 0.9 * v - 0.03 * gradient_at(theta + 0.9 * v)
        theta = theta + v
        F.nesterov_update(p, gradient_at(p), velocity, learning_rate=0.03, momentum=0.9)
        np.testing.assert_allclose(p, theta + 0.9 * v, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_rmsprop(backend, dtype, l2):
    history, gradients = three_steps(
        lambda p, g, s, t: F.rmsprop_update(
            p, g, *s, learning_rate=0.01, rho=0.8, epsilon=1e-6, l2=l2
        ),
        1,
        dtype,
    )
    p, square, expected = history[0].astype(float), 0.0, []
    for g in gradients:
        g = g + l2 * p
        square = 0.8 * square + 0.2 * g * g
        p = p - 0.01 * g / (np.sqrt(square) + 1e-6)
        expected.append(p)
    check(history, expected, dtype)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("corrected", [True, False])
def test_adam(backend, dtype, l2, corrected):
    history, gradients = three_steps(
        lambda p, g, s, t: F.adam_update(
            p, g, *s, step=t, learning_rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-6,
            bias_correction=corrected, l2=l2,
        ),
        2,
        dtype,
    )  # fmt: skip
    p, m, v, expected = history[0].astype(float), 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        g = g + l2 * p
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g * g
        c1, c2 = (1 - 0.8**t, 1 - 0.95**t) if corrected else (1, 1)
        p = p - 0.01 * (m / c1) / (np.sqrt(v / c2) + 1e-6)
        expected.append(p)
    check(history, expected, dtype)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lion(backend, dtype, l2, decay):
    history, gradients = three_steps(
        lambda p, g, s, t: F.lion_update(
            p, g, *s, learning_rate=0.01, beta1=0.8, beta2=0.95, weight_decay=decay, l2=l2
        ),
        1,
        dtype,
    )
    p, m, expected = history[0].astype(float), 0.0, []
    for g in gradients:
        g = g + l2 * p
        c = 0.8 * m + 0.2 * g
        p = p - 0.01 * (np.sign(c) + decay * p)
        m = 0.95 * m + 0.05 * g
        expected.append(p)
    check(history, expected, dtype)


def test_lion_takes_the_sign_of_zero_for_zero_and_keeps_nan(backend, dtype):
    p, mean = np.ones(20, dtype), np.zeros(20, dtype)
    g = np.tile(np.array([0, -0.0, math.nan, 1e-30], dtype), 5)
    F.lion_update(p, g, mean, learning_rate=0.5)
    np.testing.assert_array_equal(p, np.tile(np.array([1, 1, math.nan, 0.5], dtype), 5))


def test_first_step_of_adam_has_the_length_of_the_learning_rate(backend):
    p = np.zeros(3)
    F.adam_update(p, [1e-3, -5.0, 1e4], np.zeros(3), np.zeros(3), step=1, learning_rate=0.01)
    np.testing.assert_allclose(p, [-0.01, 0.01, -0.01], rtol=1e-4)


def test_adamw_decays_the_weights_apart_from_the_gradient(backend):
    p = np.array([2.0, -4.0])
    F.adamw_update(
        p, np.zeros(2), np.zeros(2), np.zeros(2), step=1, learning_rate=0.1, weight_decay=0.5
    )
    np.testing.assert_allclose(p, [1.9, -3.8], rtol=1e-15)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_dampened_momentum(backend, dtype, l2):
    history, gradients = three_steps(
        lambda p, g, s, t: F.momentum_update(
            p, g, *s, learning_rate=0.1, momentum=0.8, dampening=0.25, step=t, l2=l2
        ),
        1,
        dtype,
    )
    p, v, expected = history[0].astype(float), 0.0, []
    for t, g in enumerate(gradients, start=1):
        v = 0.8 * v - 0.1 * (0.75 if t > 1 else 1.0) * (g + l2 * p)
        p = p + v
        expected.append(p)
    check(history, expected, dtype)


def test_dampened_momentum_equals_pytorch(backend, rng):
    torch = pytest.importorskip("torch")
    p, velocity = rng.standard_normal(5), np.zeros(5)
    tensor = torch.tensor(p.copy(), requires_grad=True)
    optimizer = torch.optim.SGD([tensor], lr=0.1, momentum=0.9, dampening=0.3)
    for step in range(1, 8):
        g = rng.standard_normal(5)
        tensor.grad = torch.tensor(g)
        optimizer.step()
        F.momentum_update(p, g, velocity, learning_rate=0.1, dampening=0.3, step=step)
        np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-12)


def test_dampening_asks_for_the_step(backend):
    with pytest.raises(ValueError, match="dampening needs the number of the step"):
        F.momentum_update(np.ones(2), np.ones(2), np.zeros(2), learning_rate=1, dampening=0.5)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_centered_rmsprop(backend, dtype, l2):
    history, gradients = three_steps(
        lambda p, g, s, t: F.centered_rmsprop_update(
            p, g, *s, learning_rate=0.01, rho=0.8, epsilon=1e-3, l2=l2
        ),
        2,
        dtype,
    )
    p, square, mean, expected = history[0].astype(float), 0.0, 0.0, []
    for g in gradients:
        g = g + l2 * p
        square = 0.8 * square + 0.2 * g * g
        mean = 0.8 * mean + 0.2 * g
        p = p - 0.01 * g / (np.sqrt(square - mean**2) + 1e-3)
        expected.append(p)
    check(history, expected, dtype)


def test_centered_rmsprop_of_a_constant_gradient_stays_finite(backend, dtype):
    # The variance tends to 0, and rounding makes the difference of the averages negative.
    p, g = np.zeros(64, dtype), np.linspace(0.1, 7, 64).astype(dtype)
    square, mean = np.zeros_like(p), np.zeros_like(p)
    for _ in range(400):
        F.centered_rmsprop_update(p, g, square, mean, rho=0.7, epsilon=0.1)
    assert np.isfinite(p).all()
    assert (square < mean * mean).any()


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("corrected", [True, False])
def test_amsgrad(backend, dtype, decay, corrected):
    history, gradients = three_steps(
        lambda p, g, s, t: F.amsgrad_update(
            p, g, *s, step=t, learning_rate=0.01, beta1=0.8, beta2=0.6, epsilon=1e-6,
            bias_correction=corrected, weight_decay=decay, l2=0.1,
        ),
        3,
        dtype,
    )  # fmt: skip
    p, m, v, w, expected = history[0].astype(float), 0.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        g = g + 0.1 * p
        m = 0.8 * m + 0.2 * g
        v = 0.6 * v + 0.4 * g * g
        w = np.maximum(w, v)
        c1, c2 = (1 - 0.8**t, 1 - 0.6**t) if corrected else (1, 1)
        p = p - 0.01 * decay * p - 0.01 * (m / c1) / (np.sqrt(w / c2) + 1e-6)
        expected.append(p)
    check(history, expected, dtype)


def test_amsgrad_remembers_the_largest_mean_square(backend, dtype):
    p, first, second, largest = (np.zeros(1, dtype) for _ in range(4))
    for step, g in enumerate([5.0, 0.0, 0.0, 0.0], start=1):
        F.amsgrad_update(p, np.array([g], dtype), first, second, largest, step=step, beta2=0.5)
    np.testing.assert_allclose([second[0], largest[0]], [12.5 / 8, 12.5])


def test_updates_equal_pytorch(backend, rng):
    torch = pytest.importorskip("torch")
    pairs = {
        "gradient_descent": (torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.1}, 0),
        "rmsprop": (torch.optim.RMSprop, {"lr": 0.05, "alpha": 0.9, "weight_decay": 0.1}, 1),
        "adam": (torch.optim.Adam, {"lr": 0.05, "weight_decay": 0.1}, 2),
        "adamw": (torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.1}, 2),
    }
    for name, (optimizer_class, options, n_state) in pairs.items():
        p = rng.standard_normal(9)
        tensor = torch.tensor(p.copy(), requires_grad=True)
        optimizer = optimizer_class([tensor], **options)
        state = [np.zeros(9) for _ in range(n_state)]
        for step in range(1, 8):
            g = rng.standard_normal(9)
            tensor.grad = torch.tensor(g)
            optimizer.step()
            more = {"step": step} if n_state == 2 else {}
            more["weight_decay" if name == "adamw" else "l2"] = 0.1
            getattr(F, f"{name}_update")(p, g, *state, learning_rate=0.05, **more)
            np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-10, err_msg=name)


def test_momentum_equals_pytorch_at_a_constant_rate(backend, rng):
    # PyTorch keeps v / -lr; with the rate constant the parameters are the same.
    torch = pytest.importorskip("torch")
    for nesterov, update in ((False, F.momentum_update), (True, F.nesterov_update)):
        p, velocity = rng.standard_normal(5), np.zeros(5)
        tensor = torch.tensor(p.copy(), requires_grad=True)
        optimizer = torch.optim.SGD([tensor], lr=0.1, momentum=0.9, nesterov=nesterov)
        for _ in range(6):
            g = rng.standard_normal(5)
            tensor.grad = torch.tensor(g)
            optimizer.step()
            update(p, g, velocity, learning_rate=0.1)
            np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=1e-12)


def test_gradient_is_not_changed(backend, dtype):
    g = np.arange(5, dtype=dtype)
    F.adam_update(np.ones(5, dtype), g, np.zeros(5, dtype), np.zeros(5, dtype), step=1, l2=0.1)
    np.testing.assert_array_equal(g, np.arange(5))


def test_learning_rate_zero_changes_nothing(backend, dtype):
    p = np.ones(5, dtype)
    F.gradient_descent_update(p, np.ones(5, dtype), learning_rate=0)
    np.testing.assert_array_equal(p, 1)


@pytest.mark.parametrize("layout", ["rows of a padded matrix", "Fortran", "every other element"])
def test_parameters_in_any_layout_are_changed_in_place(backend, dtype, layout):
    whole = np.zeros((6, 8), dtype)
    p = {
        "rows of a padded matrix": whole[:, :5],
        "Fortran": np.zeros((6, 5), dtype, order="F"),
        "every other element": whole[::2, ::2],
    }[layout]
    g = np.arange(p.size, dtype=dtype).reshape(p.shape)
    F.gradient_descent_update(p, g, learning_rate=1)
    np.testing.assert_array_equal(p, -g)
    assert whole.sum() == (p.sum() if p.base is whole else 0)


def test_empty_parameter_is_fine(backend):
    F.gradient_descent_update(np.empty((0, 3)), np.empty((0, 3)), learning_rate=1)  # no error


# Clipping


def test_clipping_scales_to_the_norm(backend, dtype):
    g = np.array([[3, 4], [0, 12]], dtype)
    assert F.clip_by_norm(g, 6.5) == pytest.approx(13, rel=1e-6)
    np.testing.assert_allclose(g, np.array([[1.5, 2], [0, 6]]), rtol=1e-6)


def test_clipping_leaves_a_short_gradient_alone(backend, dtype):
    g = np.array([3, 4], dtype)
    assert F.clip_by_norm(g, 5.5) == 5
    np.testing.assert_array_equal(g, [3, 4])


def test_clipping_a_strided_gradient(backend, dtype):
    whole = np.ones((4, 4), dtype)
    assert F.clip_by_norm(whole[::2, ::2], 1.0) == 2
    np.testing.assert_allclose(whole[::2, ::2], 0.5)
    assert whole.sum() == 12 + 2


def test_norm_is_summed_in_double(backend):
    g = np.full(200_000, 0.1, np.float32)
    assert F.clip_by_norm(g, 1e9) == pytest.approx(math.sqrt(200_000) * float(g[0]), rel=1e-9)


def test_clipping_a_gradient_of_zeros(backend, dtype):
    g = np.zeros(4, dtype)
    assert F.clip_by_norm(g, 1.0) == 0
    np.testing.assert_array_equal(g, 0)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_clipping_leaves_a_gradient_without_finite_norm_alone(backend, dtype, value):
    g = np.array([value, 1, 2], dtype)
    np.testing.assert_equal(F.clip_by_norm(g, 1.0), value)
    np.testing.assert_array_equal(g, np.array([value, 1, 2]))


def test_clipping_nothing_returns_zero(backend):
    assert F.clip_by_norm(np.empty(0), 1.0) == 0


# Refusals

P, G, S = np.ones(3), np.ones(3), np.zeros(3)
READ_ONLY = np.ones(3)
READ_ONLY.flags.writeable = False
OPTIONS = {"learning_rate": 0.1}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.gradient_descent_update([1.0], [1.0], **OPTIONS),
            TypeError,
            "parameter is written to, so it must be a numpy.ndarray, got list",
        ),
        (
            lambda: F.gradient_descent_update(np.ones(3, int), G, **OPTIONS),
            TypeError,
            "parameter must be float32 or float64, got int64",
        ),
        (
            lambda: F.gradient_descent_update(P.astype(">f8"), G, **OPTIONS),
            TypeError,
            "parameter must be float32 or float64, got >f8",
        ),
        (
            lambda: F.gradient_descent_update(READ_ONLY, G, **OPTIONS),
            ValueError,
            "parameter must be writable, got a read-only array",
        ),
        (
            lambda: F.gradient_descent_update(P, np.ones(4), **OPTIONS),
            ValueError,
            r"gradient must have shape \(3,\), got \(4,\)",
        ),
        (
            lambda: F.gradient_descent_update(P, G.astype("f4"), **OPTIONS),
            TypeError,
            "gradient must be float64 as parameter is, got float32",
        ),
        (
            lambda: F.gradient_descent_update(P, P, **OPTIONS),
            ValueError,
            "parameter must share no memory with gradient",
        ),
        (
            lambda: F.momentum_update(P, G, P, **OPTIONS),
            ValueError,
            "velocity must share no memory with parameter",
        ),
        (
            lambda: F.momentum_update(P, G, S.astype("f4"), **OPTIONS),
            TypeError,
            "velocity must be float64 as parameter is, got float32",
        ),
        (
            lambda: F.rmsprop_update(P, G, np.zeros(2)),
            ValueError,
            r"square must have shape \(3,\), got \(2,\)",
        ),
        (
            lambda: F.gradient_descent_update(P, G, learning_rate=-1),
            ValueError,
            "learning_rate must be a finite number >= 0, got -1.0",
        ),
        (
            lambda: F.gradient_descent_update(P, G, learning_rate=math.inf),
            ValueError,
            "learning_rate must be a finite number >= 0, got inf",
        ),
        (
            lambda: F.gradient_descent_update(P, G, learning_rate=True),
            TypeError,
            "learning_rate must be a real number, got bool",
        ),
        (
            lambda: F.momentum_update(P, G, S, learning_rate=1, momentum=1),
            ValueError,
            "momentum must be a finite number >= 0 and < 1, got 1.0",
        ),
        (lambda: F.rmsprop_update(P, G, S, rho=1), ValueError, "rho must be .* got 1.0"),
        (
            lambda: F.rmsprop_update(P, G, S, epsilon=0),
            ValueError,
            "epsilon must be .* > 0, got 0.0",
        ),
        (
            lambda: F.adam_update(P, G, S, S.copy(), step=0),
            ValueError,
            "step must be an integer >= 1, got 0",
        ),
        (
            lambda: F.adam_update(P, G, S, S.copy(), step=1.0),
            TypeError,
            "step must be an integer, got float",
        ),
        (
            lambda: F.adam_update(P, G, S, S, step=1),
            ValueError,
            "second must share no memory with first",
        ),
        (
            lambda: F.adamw_update(P, G, S, S.copy(), step=1, weight_decay=-1),
            ValueError,
            "weight_decay must be a finite number >= 0, got -1.0",
        ),
        (lambda: F.clip_by_norm(G, 0), ValueError, "max_norm must be a finite number > 0, got 0.0"),
        (lambda: F.clip_by_norm([1.0], 1), TypeError, "must be a numpy.ndarray, got list"),
    ],
)
def test_refused(backend, call, error, message):
    with pytest.raises(error, match=message):
        call()
    np.testing.assert_array_equal(P, 1)


@pytest.mark.parametrize("name", [n for n in F.__all__ if n.endswith("_update")] + ["clip_by_norm"])
def test_docstring_says_what_is_raised(name):
    assert "Raises\n------\nTypeError" in inspect.getdoc(getattr(F, name))


def test_bias_correction_must_be_a_flag():
    p, m, v = np.zeros((3, 2))
    with pytest.raises(TypeError, match="bias_correction must be True or False, got 'no'"):
        F.adam_update(p, np.ones(2), m, v, step=1, bias_correction="no")
