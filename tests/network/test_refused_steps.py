"""Steps that would make a parameter nan or infinite: refused, whatever way the network trains."""

import numpy as np
import pytest

import fastnn as fnn

BAD = [np.inf, -np.inf, np.nan]


def data(dtype, bad=None, rows=40):
    """Numbers whose row 25 has a bad one, and labels."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, 4)).astype(dtype)
    if bad is not None:
        X[25, 1] = bad
    return X, rng.integers(0, 2, rows)


def network(dtype, optimizer="adam", loss="cross_entropy", width=2):
    """Sigmoids hide an infinite input from the loss; layers that average hide none."""
    layers = [fnn.Dense(4, 8, activation="tanh", name="hidden"), fnn.Dense(8, width)]
    net = fnn.Sequential(layers, dtype=dtype, seed=1)
    net.compile(loss, optimizer)
    return net


def state(net):
    """All that a step changes."""
    core = net.core
    return [core.storage.copy(), *(slot.copy() for slot in core.slots.values()), core.state.step]


def assert_equal_states(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


CALLS = {
    "train_step": lambda net, X, y: net.train_step(X, y, check_finite=False),
    "train_step of a list": lambda net, X, y: net.train_step(X.tolist(), y, check_finite=False),
    "weighed": lambda net, X, y: net.train_step(X, y, np.ones(len(y)), check_finite=False),
    "fit": lambda net, X, y: net.fit(X, y, batch_size=len(y), check_finite=False),
    "trace": lambda net, X, y: net.trace(X, y, apply=True, check_finite=False),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("bad", BAD)
def test_a_number_that_is_not_finite_in_the_data_changes_nothing(
    backend, dtype, call, clip_norm, bad
):
    net = network(dtype, fnn.Adam(clip_norm=clip_norm))
    net.train_step(*data(dtype))
    before = state(net)
    with pytest.raises(fnn.TrainingError, match="step 2"):
        call(net, *data(dtype, bad))
    assert_equal_states(state(net), before)
    net.train_step(*data(dtype))
    assert net.core.state.step == 2


def test_the_error_names_the_gradient_and_the_batch(backend, dtype):
    X, y = data(dtype, np.inf)
    net = network(dtype)
    with pytest.raises(fnn.TrainingError, match=r"gradient of 'hidden.weight' is nan at \[1, 0\]"):
        net.fit(X, y, batch_size=10, shuffle=False, check_finite=False)
    twin = network(dtype)
    twin.fit(X[:20], y[:20], batch_size=10, shuffle=False, epochs=1)
    assert_equal_states(state(net), state(twin))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_steps_before_are_taken_whatever_the_threads(backend, threads):
    X, y = data("float32", np.inf, rows=4000)
    X[:, 1] = np.roll(X[:, 1], 3000)
    previous = fnn.get_num_threads()
    fnn.set_num_threads(threads)
    try:
        net = fnn.Sequential([fnn.Dense(4, 300, activation="tanh"), fnn.Dense(300, 2)], seed=1)
        net.compile("cross_entropy", "adam")
        twin = fnn.Sequential([fnn.Dense(4, 300, activation="tanh"), fnn.Dense(300, 2)], seed=1)
        twin.compile("cross_entropy", "adam")
        with pytest.raises(fnn.TrainingError) as error:
            net.fit(X, y, batch_size=1000, shuffle=False, check_finite=False)
        twin.fit(X[:3000], y[:3000], batch_size=1000, shuffle=False, epochs=1)
    finally:
        fnn.set_num_threads(previous)
    assert (error.value.batch, error.value.step) == (4, 4)
    assert_equal_states(state(net), state(twin))


def test_a_custom_loss_does_not_hide_an_infinite_input(backend, dtype):
    def squared(output, target):
        difference = output - target
        return float(np.mean(difference**2)), 2 * difference / difference.size

    net = network(dtype, loss=fnn.CustomLoss(squared), width=1)
    X, y = data(dtype, np.inf)
    before = state(net)
    with pytest.raises(fnn.TrainingError, match=r"the gradient of 'hidden.weight' is nan"):
        net.train_step(X, y[:, None].astype(dtype), check_finite=False)
    assert_equal_states(state(net), before)


@pytest.mark.parametrize("solver", [fnn.LBFGS(), fnn.LevenbergMarquardt()], ids=["lbfgs", "lm"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_solver_does_not_start(backend, dtype, solver):
    net = network(dtype, solver, "mean_squared_error", width=1)
    X, y = data(dtype, np.inf, rows=80)
    before = state(net)
    with pytest.raises(fnn.TrainingError, match="is not finite"):
        net.fit(X, y[:, None].astype(dtype), check_finite=False)
    assert_equal_states(state(net), before)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_no_member_of_an_ensemble_becomes_nan(backend, dtype, n_jobs):
    ensemble = fnn.Ensemble(network(dtype), n=2)
    X, y = data(dtype, np.inf)
    with pytest.raises(fnn.TrainingError, match=r"the gradient of 'hidden.weight'"):
        ensemble.fit(X, y, batch_size=40, check_finite=False, n_jobs=n_jobs)
    for member in ensemble.members:
        assert np.isfinite(member.get_flat()).all()


# ---------------------------------------------------------------- finite data that overflow

HUGE = {"float32": (1e30, 1e9), "float64": (1e250, 1e100)}


def linear(dtype, optimizer):
    """One output that is 0 at first, whatever the input is."""
    net = fnn.Sequential([fnn.Dense(2, 1, weight="zeros")], dtype=dtype)
    net.compile("mean_squared_error", optimizer)
    return net


def test_a_product_that_overflows_is_refused(backend, dtype):
    x, y = HUGE[dtype]
    net = linear(dtype, fnn.GradientDescent(0.1))
    X, target = np.array([[x, 1.0]], dtype), np.array([[y]], dtype)
    before = state(net)
    with pytest.raises(
        fnn.TrainingError, match=r"the gradient of '\w+.weight' is -inf at \[0, 0\]"
    ):
        net.train_step(X, target)
    assert_equal_states(state(net), before)


def test_a_step_that_overflows_is_refused(backend, dtype):
    net = linear(dtype, fnn.GradientDescent(float(np.finfo(dtype).max) / 2))
    before = state(net)
    with pytest.raises(fnn.TrainingError, match=r"the update of parameter '\w+.weight' is inf"):
        net.train_step(np.ones((3, 2), dtype), np.full((3, 1), 100, dtype))
    assert_equal_states(state(net), before)


def test_state_that_overflows_is_refused_and_clipping_prevents_it(backend, dtype):
    y = {"float32": 1e19, "float64": 1e152}[dtype]
    X = np.array([[y / 1e3, 1.0]], dtype)
    target = np.array([[y / 1e3]], dtype)
    net = linear(dtype, "adam")
    before = state(net)
    with pytest.raises(fnn.TrainingError, match="the update of 'second' of the optimizer"):
        net.train_step(X, target)
    assert_equal_states(state(net), before)
    clipped = linear(dtype, fnn.Adam(clip_norm=1.0))
    clipped.train_step(X, target)
    assert np.isfinite(clipped.get_flat()).all()


def test_nan_of_a_bounded_unit_in_a_row_without_weight_is_noticed(backend, dtype):
    """The row has no part in the loss, but 0 times nan is a part of the gradient."""
    net = fnn.Sequential([fnn.Dense(2, 4, activation="tanh"), fnn.Dense(4, 1)], dtype=dtype)
    net.compile("mean_squared_error")
    net.layers[0].weight[:, 0] = np.inf, -np.inf
    X, y = np.array([[1, 1], [1, -1], [0.5, -0.5]], dtype), np.zeros((3, 1), dtype)
    before = net.get_flat()
    with pytest.raises(fnn.TrainingError, match=r"gradient of 'dense_1\.weight' is nan"):
        net.train_step(X, y, sample_weight=np.array([0, 1, 1], dtype))
    np.testing.assert_array_equal(net.get_flat(), before)
