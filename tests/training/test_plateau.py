"""The reduction of the learning rate on a plateau: when, by how much, and what remembers it."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.training.callbacks import Callback

RATE = 0.01
X = np.linspace(-1, 1, 12).reshape(6, 2)
Y = X[:, :1] - 0.5 * X[:, 1:]


class Measured(Callback):
    """Gives each epoch the next value of a list as the measure `test_error`."""

    def __init__(self, values):
        self.values = list(values)

    def on_epoch_end(self, context):
        context.logs["test_error"] = self.values[len(context.history["loss"]) - 1]


def network(optimizer=None):
    net = fnn.Sequential([fnn.Dense(2, 1)], seed=0, dtype="float64")
    net.compile("mean_squared_error", optimizer or fnn.GradientDescent(RATE))
    return net


def rates(values, optimizer=None, **options):
    """The learning rate of each epoch in which the monitored measure has these values."""
    plateau = fnn.ReduceOnPlateau("test_error", **options)
    callbacks = [Measured(values), plateau]
    history = network(optimizer).fit(X, Y, epochs=len(values), callbacks=callbacks)
    return np.array(history["learning_rate"])


def expected(*exponents, factor=0.5, rate=RATE):
    return rate * factor ** np.array(exponents, float)


def test_rate_falls_after_patience_epochs_without_improvement():
    found = rates([3, 2, 2, 2, 1, 1, 1, 1, 1], factor=0.5, patience=2)
    np.testing.assert_allclose(found, expected(0, 0, 0, 0, 1, 1, 1, 2, 2))


def test_epochs_of_the_cooldown_do_not_count():
    found = rates([1] * 9, factor=0.5, patience=1, cooldown=2)
    np.testing.assert_allclose(found, expected(0, 0, 1, 1, 1, 2, 2, 2, 3))


def test_changes_up_to_min_delta_are_no_improvement():
    found = rates([1, 0.95, 0.9, 0.8], factor=0.5, patience=1, min_delta=0.15)
    np.testing.assert_allclose(found, expected(0, 0, 1, 2))


def test_nan_is_no_improvement():
    found = rates([1, np.nan, np.nan, 0.5], factor=0.5, patience=1)
    np.testing.assert_allclose(found, expected(0, 0, 1, 2))


def test_mode_max_waits_for_larger_values():
    found = rates([1, 2, 2, 3], factor=0.5, patience=1, mode="max")
    np.testing.assert_allclose(found, expected(0, 0, 0, 1))


def test_rate_does_not_fall_below_its_minimum():
    found = rates([1] * 6, factor=0.1, patience=1, min_learning_rate=0.003)
    np.testing.assert_allclose(found, [0.01, 0.01, 0.003, 0.003, 0.003, 0.003])


def test_factor_multiplies_a_schedule():
    schedule = fnn.Exponential(0.1, 0.5, 1)
    found = rates([1] * 4, fnn.Adam(schedule), factor=0.1, patience=1)
    np.testing.assert_allclose(found, schedule(np.arange(1, 5)) * [1, 1, 0.1, 0.01])


@pytest.mark.parametrize("name", fnn.optimizers.names())
def test_steps_after_a_reduction_are_those_of_the_smaller_rate(name, backend):
    optimizer = fnn.optimizers.get(name)
    smaller = type(optimizer)(optimizer.learning_rate * 0.25)
    one, other = network(optimizer), network(smaller)
    one.core.state.scale_learning_rate(0.25)
    for net in (one, other):
        net.fit(X, Y, epochs=2, batch_size=2)
        net.train_step(X, Y)
    np.testing.assert_array_equal(one.get_flat(), other.get_flat())


def test_reduced_rate_is_saved_and_training_continues_to_the_same_bits(tmp_path, backend):
    def plateau():
        return fnn.ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=10)

    net = network(fnn.Adam(0.1))
    net.fit(X, Y, epochs=4, callbacks=plateau())
    net.save(tmp_path / "net.fastnn")
    loaded = fnn.load(tmp_path / "net.fastnn")
    assert loaded.core.state.rate_factor == 0.125
    for one in (net, loaded):
        one.fit(X, Y, epochs=2)
    np.testing.assert_array_equal(net.get_flat(), loaded.get_flat())
    assert loaded.history["learning_rate"][-1] == 0.1 * 0.125


def test_compile_sets_the_factor_back():
    net = network()
    net.core.state.scale_learning_rate(0.5)
    net.compile("mean_squared_error", fnn.GradientDescent(RATE))
    assert net.core.state.rate_factor == 1


def test_checkpoint_state_continues_the_counters():
    plateau = fnn.ReduceOnPlateau("test_error", factor=0.5, patience=3, cooldown=2)
    network().fit(X, Y, epochs=3, callbacks=[Measured([2, 1, 1]), plateau])
    other = fnn.ReduceOnPlateau("test_error", factor=0.5, patience=3, cooldown=2)
    other.set_state(plateau.get_state())
    assert vars(other) == vars(plateau)


def test_reductions_are_counted_in_each_training():
    plateau = fnn.ReduceOnPlateau("loss", patience=1, min_delta=10)
    net = network()
    net.fit(X, Y, epochs=4, callbacks=plateau)
    assert plateau.reductions == 3
    net.fit(X, Y, epochs=1, callbacks=plateau)
    assert plateau.reductions == 0


def test_solver_has_no_learning_rate():
    net = network(fnn.LBFGS())
    with pytest.raises(ValueError, match="needs a learning rate, which solvers do not have"):
        net.fit(X, Y, callbacks=fnn.ReduceOnPlateau("loss"))


def test_missing_measure_is_named():
    with pytest.raises(ValueError, match=r"ReduceOnPlateau monitors 'val_loss'.*pass validation"):
        network().fit(X, Y, callbacks=fnn.ReduceOnPlateau())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"factor": 1}, ValueError),
        ({"factor": 0}, ValueError),
        ({"patience": 0}, ValueError),
        ({"cooldown": -1}, ValueError),
        ({"min_learning_rate": -1}, ValueError),
        ({"min_delta": np.nan}, ValueError),
        ({"monitor": 1}, TypeError),
        ({"monitor": "val_precision"}, ValueError),
        ({"mode": "best"}, ValueError),
    ],
)
def test_wrong_arguments_are_refused(options, error):
    with pytest.raises(error, match=next(iter(options)).replace("monitor", "m")):
        fnn.ReduceOnPlateau(**options)
