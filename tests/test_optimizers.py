"""Optimizers: specifications, and the updates against mathematics and PyTorch."""

import json
import math

import numpy as np
import pytest

from fastnn import backend as backends
from fastnn import optimizers
from fastnn.optimizers import (
    Adam,
    AdamW,
    AMSGrad,
    CenteredRMSprop,
    GradientDescent,
    Lion,
    Momentum,
    Nesterov,
    RMSprop,
    minimize,
)
from fastnn.schedules import Cosine, Step, WarmUp

EVERY = [
    *(optimizers.get(name) for name in optimizers.names()),
    GradientDescent(0.05),
    GradientDescent(0.05, clip_norm=0.3),
    Momentum(0.02, momentum=0.8),
    Momentum(0.02, momentum=0.8, nesterov=True),
    Momentum(0.02, momentum=0.8, dampening=0.5),
    Nesterov(0.02, momentum=0.8, clip_norm=1.0),
    AMSGrad(0.01, beta2=0.9, weight_decay=0.1),
    RMSprop(0.01, rho=0.8, epsilon=1e-6),
    Adam(0.01, beta1=0.8, beta2=0.95, epsilon=1e-6),
    Adam(0.01, bias_correction=False),
    AdamW(0.01, weight_decay=0.1),
    Adam(WarmUp(5, Cosine(0.1, steps=20, final=0.01))),
]
each_optimizer = pytest.mark.parametrize("optimizer", EVERY, ids=repr)


@pytest.fixture(params=backends.available())
def backend(request):
    with backends.use(request.param):
        yield request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


CURVATURES = np.array([1.0, 9.0])


def bowl(x):
    """The quadratic (x1^2 + 9 x2^2) / 2 of the contour plots."""
    return 0.5 * float(CURVATURES @ (x * x)), CURVATURES * x


def rosenbrock(x):
    a, b = float(x[0]), float(x[1])
    value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    return value, [-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)]


def tolerance(dtype):
    return 2e-5 if dtype == np.float32 else 1e-12


# ------------------------------------------------------- updates against mathematics


def test_gradient_descent_contracts_a_quadratic_by_its_eigenvalues(backend, dtype):
    path = minimize(bowl, np.array([4, 1], dtype), GradientDescent(0.05), steps=30)
    t = np.arange(31)[:, None]
    expected = (1 - 0.05 * CURVATURES) ** t * [4, 1]
    np.testing.assert_allclose(path, expected, rtol=tolerance(dtype), atol=tolerance(dtype))


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_on_a_quadratic_is_a_linear_recurrence(backend, dtype, nesterov):
    """(p, v) moves by the powers of a 2 x 2 matrix along each axis."""
    lr, mu, steps = 0.03, 0.7, 25
    path = minimize(bowl, np.array([4, 1], dtype), Momentum(lr, mu, nesterov=nesterov), steps)
    for axis, curvature in enumerate(CURVATURES):
        a = lr * curvature
        jump = [1 - a * (1 + mu), mu * mu] if nesterov else [1 - a, mu]
        matrix = np.array([jump, [-a, mu]])
        start = np.array([path[0, axis], 0], float)
        expected = [(np.linalg.matrix_power(matrix, t) @ start)[0] for t in range(steps + 1)]
        np.testing.assert_allclose(path[:, axis], expected, atol=4 * tolerance(dtype))


def test_nesterov_is_the_published_method_seen_from_the_look_ahead_point(backend):
    """Sutskever et al. (2013): v = mu v - lr grad(theta + mu v), theta = theta + v."""
    lr, mu = 0.0005, 0.9
    path = minimize(rosenbrock, [-1.0, 1.0], Nesterov(lr, momentum=mu), steps=50)
    theta, v = np.array([-1.0, 1.0]), np.zeros(2)
    for point in path[1:]:
        v = mu * v - lr * np.array(rosenbrock(theta + mu * v)[1])
        theta = theta + v
        np.testing.assert_allclose(point, theta + mu * v, rtol=1e-10)


def test_nesterov_is_momentum_with_nesterov(backend):
    a = minimize(bowl, [4.0, 1.0], Nesterov(0.02, momentum=0.8), 20)
    b = minimize(bowl, [4.0, 1.0], Momentum(0.02, momentum=0.8, nesterov=True), 20)
    np.testing.assert_array_equal(a, b)


def test_first_adam_step_is_the_learning_rate_along_the_sign(backend, dtype):
    path = minimize(bowl, np.array([4, -1], dtype), Adam(0.1), steps=1)
    np.testing.assert_allclose(path[1], [3.9, -0.9], rtol=1e-6)


def test_first_rmsprop_step_follows_the_signs(backend, dtype):
    path = minimize(bowl, np.array([4, -1], dtype), RMSprop(0.1, rho=0.75), steps=1)
    np.testing.assert_allclose(path[1], [3.8, -0.8], rtol=1e-6)


def test_adam_without_correction_starts_shorter_by_the_known_factor(backend):
    path = minimize(bowl, [4.0, 1.0], Adam(0.1, bias_correction=False), steps=1)
    factor = (1 - 0.9) / math.sqrt(1 - 0.999)
    np.testing.assert_allclose(path[0] - path[1], [0.1 * factor] * 2, rtol=1e-6)


def test_weight_decay_alone_shrinks_geometrically(backend):
    def flat(x):
        return 0.0, np.zeros(1)

    path = minimize(flat, [2.0], AdamW(0.1, weight_decay=0.5), steps=10)
    np.testing.assert_allclose(path[:, 0], 2 * (1 - 0.05) ** np.arange(11), rtol=1e-13)


def lion_path(x0, steps, lr, beta1, beta2, decay):
    """Chen et al. (2023), algorithm 2, in float64."""
    p, m, path = np.array(x0, float), 0.0, []
    for _ in range(steps):
        g = bowl(p)[1]
        p = p - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * p)
        m = beta2 * m + (1 - beta2) * g
        path.append(p)
    return path


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_lion_is_the_published_method(backend, dtype, decay):
    optimizer = Lion(0.03, beta1=0.8, beta2=0.95, weight_decay=decay)
    path = minimize(bowl, np.array([4, 1], dtype), optimizer, steps=25)
    expected = lion_path([4, 1], 25, 0.03, 0.8, 0.95, decay)
    np.testing.assert_allclose(path[1:], expected, atol=tolerance(dtype))


def test_lion_moves_every_parameter_by_the_learning_rate(backend, dtype):
    path = minimize(bowl, np.array([4, -1], dtype), Lion(0.125), steps=3)
    np.testing.assert_array_equal(np.abs(np.diff(path, axis=0)), 0.125)


def test_lion_rests_where_the_gradient_is_zero(backend, dtype):
    path = minimize(lambda x: (0.0, np.zeros(2)), np.array([4, -1], dtype), Lion(0.1), steps=3)
    np.testing.assert_array_equal(path, [[4, -1]] * 4)


def test_clipped_steps_are_no_longer_than_learning_rate_times_clip_norm(backend, dtype):
    path = minimize(bowl, np.array([40, 10], dtype), GradientDescent(0.1, clip_norm=2.0), 20)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert lengths.max() <= 0.2 * (1 + 1e-4)
    np.testing.assert_allclose(lengths[0], 0.2, rtol=1e-4)


def test_clipping_keeps_the_direction(backend):
    path = minimize(bowl, [4.0, 1.0], GradientDescent(0.1, clip_norm=1.0), 1)
    np.testing.assert_allclose(
        path[0] - path[1], 0.1 * np.array([4, 9]) / math.sqrt(97), rtol=1e-12
    )


def test_schedule_sets_the_length_of_each_step(backend):
    def slope(x):
        return float(x[0]), np.ones(1)

    path = minimize(slope, [0.0], GradientDescent(Step(1.0, 0.5, every=2)), 6)
    np.testing.assert_allclose(-np.diff(path[:, 0]), [1, 1, 0.5, 0.5, 0.25, 0.25])


@pytest.mark.parametrize(
    "optimizer",
    [
        GradientDescent(0.0005),
        Momentum(0.0005, momentum=0.9),
        Nesterov(0.0005, momentum=0.9),
        RMSprop(0.01, rho=0.9),
        CenteredRMSprop(0.001, rho=0.9),
        Adam(0.02),
        AMSGrad(0.02, weight_decay=0.1),
        AdamW(0.02, weight_decay=0.1),
    ],
    ids=repr,
)
def test_trajectory_agrees_with_pytorch(backend, optimizer):
    torch = pytest.importorskip("torch")
    x = torch.tensor([-1.0, 1.0], dtype=torch.float64, requires_grad=True)
    lr = optimizer.learning_rate
    peer = {
        GradientDescent: lambda: torch.optim.SGD([x], lr),
        Momentum: lambda: torch.optim.SGD([x], lr, momentum=0.9),
        Nesterov: lambda: torch.optim.SGD([x], lr, momentum=0.9, nesterov=True),
        RMSprop: lambda: torch.optim.RMSprop([x], lr, alpha=0.9, eps=1e-8),
        CenteredRMSprop: lambda: torch.optim.RMSprop([x], lr, alpha=0.9, centered=True),
        AMSGrad: lambda: torch.optim.AdamW([x], lr, weight_decay=0.1, amsgrad=True),
        Adam: lambda: torch.optim.Adam([x], lr),
        AdamW: lambda: torch.optim.AdamW([x], lr, weight_decay=0.1),
    }[type(optimizer)]()
    path = minimize(rosenbrock, [-1.0, 1.0], optimizer, steps=100)
    for point in path[1:]:
        peer.zero_grad()
        ((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2).backward()
        peer.step()
        np.testing.assert_allclose(point, x.detach().numpy(), rtol=1e-8, atol=1e-10)


@each_optimizer
def test_every_optimizer_descends(backend, optimizer):
    path = minimize(bowl, [0.4, 0.1], optimizer, steps=60)
    assert bowl(path[-1])[0] < bowl(path[0])[0]


@each_optimizer
def test_backends_agree(optimizer):
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    paths = []
    for name in backends.BACKENDS:
        with backends.use(name):
            paths.append(minimize(rosenbrock, [-1.0, 1.0], optimizer, steps=5))
    np.testing.assert_allclose(*paths, rtol=1e-12)


# ------------------------------------------------------------------------- minimize


def test_trajectory_starts_at_x0_and_has_one_row_for_each_step():
    path = minimize(bowl, [4, 1], "adam", steps=7)
    assert path.shape == (8, 2)
    np.testing.assert_array_equal(path[0], [4, 1])


def test_no_steps_give_the_start():
    np.testing.assert_array_equal(minimize(bowl, [4, 1], "sgd", steps=0), [[4, 1]])


def test_float32_is_kept_and_integers_become_float64():
    assert minimize(bowl, np.ones(2, np.float32), "sgd", 1).dtype == np.float32
    assert minimize(bowl, [1, 2], "sgd", 1).dtype == np.float64


def test_x0_and_the_gradient_are_not_altered():
    x0, gradient = np.array([4.0, 1.0]), np.array([30.0, 40.0])
    minimize(lambda x: (0.0, gradient), x0, GradientDescent(0.1, clip_norm=1.0), 3)
    np.testing.assert_array_equal(x0, [4, 1])
    np.testing.assert_array_equal(gradient, [30, 40])


def test_function_cannot_alter_the_trajectory():
    def vandal(x):
        x[:] = 7
        return 0.0, np.zeros(2)

    np.testing.assert_array_equal(minimize(vandal, [4.0, 1.0], "sgd", 2), [[4, 1]] * 3)


@pytest.mark.parametrize("x0", [[], [[1.0]], 3.0, [math.nan], [math.inf]])
def test_bad_start_is_refused(x0):
    with pytest.raises(ValueError, match="x0"):
        minimize(bowl, x0, "sgd", 1)


@pytest.mark.parametrize("x0", [["a"], [1j], [None]])
def test_start_that_is_not_real_is_refused(x0):
    with pytest.raises(TypeError, match="x0"):
        minimize(bowl, x0, "sgd", 1)


def test_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape of x0, \(2,\), got \(3,\)"):
        minimize(lambda x: (0.0, np.ones(3)), [1.0, 2.0], "sgd", 1)


def test_gradient_that_is_not_finite_is_reported_with_its_step():
    def cliff(x):
        return 0.0, [math.nan if x[0] < 0.85 else 1.0]

    with pytest.raises(FloatingPointError, match="gradient at step 3"):
        minimize(cliff, [1.0], GradientDescent(0.1), 10)


@pytest.mark.parametrize("steps", [-1, 1.5, "3", True])
def test_bad_number_of_steps_is_refused(steps):
    with pytest.raises((TypeError, ValueError), match="steps"):
        minimize(bowl, [1.0, 1.0], "sgd", steps)


# ------------------------------------------------------------------- specifications


@each_optimizer
def test_config_survives_json(optimizer):
    assert optimizers.get(json.loads(json.dumps(optimizer.config))) == optimizer


@each_optimizer
def test_optimizers_are_immutable(optimizer):
    with pytest.raises(AttributeError):
        optimizer.learning_rate = 1.0


@each_optimizer
def test_hyper_holds_floats_only(optimizer):
    assert {type(value) for value in optimizer.hyper.values()} == {float}


@pytest.mark.parametrize(
    ("name", "kind", "slots", "hyper"),
    [
        ("gradient_descent", "gradient_descent", (), set()),
        ("momentum", "momentum", ("velocity",), {"momentum", "nesterov", "dampening"}),
        ("nesterov", "momentum", ("velocity",), {"momentum", "nesterov", "dampening"}),
        ("rmsprop", "rmsprop", ("square",), {"rho", "epsilon"}),
        ("centered_rmsprop", "centered_rmsprop", ("square", "mean"), {"rho", "epsilon"}),
        ("amsgrad", "amsgrad", ("first", "second", "largest"),
         {"beta1", "beta2", "epsilon", "weight_decay", "bias_correction"}),
        ("lion", "lion", ("mean",), {"beta1", "beta2", "weight_decay"}),
        *(
            (name, "adam", ("first", "second"),
             {"beta1", "beta2", "epsilon", "weight_decay", "bias_correction"})
            for name in ("adam", "adamw")
        ),
    ],
)  # fmt: skip
def test_what_engines_are_told(name, kind, slots, hyper):
    optimizer = optimizers.get(name)
    assert (optimizer.kind, optimizer.slot_names) == (kind, slots)
    assert set(optimizer.hyper) == hyper | {"clip_norm"}


def test_defaults_are_the_published_ones():
    assert Adam() == Adam(1e-3, 0.9, 0.999, 1e-8, True, clip_norm=None)
    assert AdamW().weight_decay == 0.01
    assert RMSprop() == RMSprop(1e-3, 0.9, 1e-8)
    assert Lion() == Lion(1e-4, 0.9, 0.99, 0.0)
    assert Momentum().momentum == Nesterov().momentum == 0.9


def test_no_clipping_is_told_as_zero():
    assert Adam().hyper["clip_norm"] == 0
    assert Adam(clip_norm=2).hyper["clip_norm"] == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sgd", GradientDescent()), ("Adam", Adam()), ("nesterov", Nesterov()), ("adamw", AdamW())],
)
def test_get_by_name(name, expected):
    assert optimizers.get(name) == expected


def test_get_returns_an_instance_itself():
    optimizer = Adam()
    assert optimizers.get(optimizer) is optimizer


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown optimizer 'adm'.*adamw.*gradient_descent"):
        optimizers.get("adm")


def test_class_instead_of_instance_says_so():
    with pytest.raises(TypeError, match="class Adam, expected an instance"):
        optimizers.get(Adam)


@pytest.mark.parametrize("thing", [None, 3, ["adam"]])
def test_other_things_are_no_optimizer(thing):
    with pytest.raises(TypeError, match="optimizer must be"):
        optimizers.get(thing)


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: Adam(-0.1), ValueError, "learning_rate"),
        (lambda: Adam(math.nan), ValueError, "learning_rate"),
        (lambda: Adam("0.1"), TypeError, "learning_rate"),
        (lambda: Adam(None), TypeError, "learning_rate"),
        (lambda: Adam(Cosine), TypeError, "learning_rate"),
        (lambda: Adam(beta1=1.0), ValueError, "beta1"),
        (lambda: Adam(beta2=-0.1), ValueError, "beta2"),
        (lambda: Adam(epsilon=0), ValueError, "epsilon"),
        (lambda: Adam(bias_correction=1), TypeError, "bias_correction"),
        (lambda: Adam(clip_norm=0), ValueError, "clip_norm"),
        (lambda: Adam(clip_norm=math.inf), ValueError, "clip_norm"),
        (lambda: AdamW(weight_decay=-1), ValueError, "weight_decay"),
        (lambda: Momentum(momentum=1), ValueError, "momentum"),
        (lambda: Momentum(nesterov="yes"), TypeError, "nesterov"),
        (lambda: Nesterov(momentum=math.nan), ValueError, "momentum"),
        (lambda: RMSprop(rho=2), ValueError, "rho"),
        (lambda: RMSprop(epsilon=True), TypeError, "epsilon"),
    ],
)
def test_bad_argument_is_named(make, error, name):
    with pytest.raises(error, match=name):
        make()


@pytest.mark.parametrize(
    "config",
    [{}, {"name": "x"}, {"name": None}, {"name": "adam", "x": 1}, {"name": "adam", "beta1": "a"},
     {"name": "adam", "learning_rate": {"name": "adam"}}, {"name": "adam", "learning_rate": None}],
    ids=str,
)  # fmt: skip
def test_hostile_config_raises_only_value_or_type_error(config):
    with pytest.raises((TypeError, ValueError)):
        optimizers.get(config)


def test_function_as_learning_rate_trains_but_has_no_config():
    optimizer = GradientDescent(lambda step: 1.0 / step)
    path = minimize(lambda x: (0.0, np.ones(1)), [0.0], optimizer, 3)
    np.testing.assert_allclose(-np.diff(path[:, 0]), [1, 1 / 2, 1 / 3])
    with pytest.raises(ValueError, match="cannot be written as data"):
        _ = optimizer.config
