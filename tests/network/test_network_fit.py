"""Training of networks: data, weights, validation, stopping."""

import numpy as np
import pytest
from networks import classifier, flowers, multitask, multitask_data

from fastnn.losses import CrossEntropy
from fastnn.optimizers import Adam, GradientDescent
from fastnn.schedules import Step
from fastnn.training import TrainingError
from fastnn.training.callbacks import EarlyStopping


def test_fit_learns(backend, dtype, rng):
    X, y = flowers(rng, 200)
    net = classifier(dtype)
    history = net.fit(X, y, epochs=40)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert net.score(X, y) > 0.9


def test_one_seed_gives_the_same_bits(backend, dtype, rng):
    X, y = flowers(rng)
    nets = [classifier(dtype, seed=5, dropout=0.2) for _ in range(2)]
    for net in nets:
        net.fit(X, y, epochs=3)
    np.testing.assert_array_equal(nets[0].get_flat(), nets[1].get_flat())


def test_full_batch_without_shuffling_is_a_train_step(backend, rng):
    X, y = flowers(rng)
    net, twin = classifier(), classifier()
    history = net.fit(X, y, epochs=1, batch_size=len(y), shuffle=False)
    assert history["loss"] == [twin.train_step(X, y)]
    np.testing.assert_array_equal(net.get_flat(), twin.get_flat())


def test_class_weights_multiply_sample_weights(backend, rng):
    X, y = flowers(rng)
    w = rng.uniform(size=len(y))
    net, twin = classifier(), classifier()
    net.fit(X, y, epochs=2, class_weight={1: 3.0}, sample_weight=w)
    twin.fit(X, y, epochs=2, sample_weight=np.where(y == 1, 3.0, 1.0) * w)
    np.testing.assert_array_equal(net.get_flat(), twin.get_flat())


def test_class_weights_in_fit_are_those_of_the_loss(backend, rng):
    X, y = flowers(rng)
    net, twin = classifier(), classifier()
    twin.compile(CrossEntropy(class_weight=[1, 2, 3]), Adam(0.01))
    net.fit(X, y, epochs=2, class_weight=[1, 2, 3])
    twin.fit(X, y, epochs=2)
    np.testing.assert_allclose(net.get_flat(), twin.get_flat(), rtol=1e-10)


def test_class_weights_of_several_losses_are_a_dict_by_output(backend, rng):
    X, y = multitask_data(rng)
    net, twin = multitask(), multitask()
    net.fit(X, y, epochs=1, class_weight={"kind": {0: 2.0}})
    twin.fit(X, y, epochs=1, sample_weight={"kind": np.where(y["kind"] == 0, 2.0, 1.0)})
    np.testing.assert_array_equal(net.get_flat(), twin.get_flat())


def test_validation_data_are_evaluated_each_epoch(backend, rng):
    X, y = flowers(rng)
    net = classifier()
    history = net.fit(X, y, epochs=2, validation_data=(X[:20], y[:20]))
    metrics = net.evaluate(X[:20], y[:20])
    assert history["val_loss"][-1] == metrics["loss"]
    assert history["val_accuracy"][-1] == metrics["accuracy"]


def test_validation_data_may_have_weights(backend, rng):
    X, y = flowers(rng)
    w = rng.uniform(size=20)
    net = classifier()
    history = net.fit(X, y, epochs=1, validation_data=(X[:20], y[:20], w))
    assert history["val_loss"] == [net.evaluate(X[:20], y[:20], w)["loss"]]


def test_validation_split_without_shuffling_holds_out_the_last_rows(backend, rng):
    X, y = flowers(rng)
    net, twin = classifier(), classifier()
    history = net.fit(X, y, epochs=2, validation_split=0.25, shuffle=False)
    expected = twin.fit(X[:45], y[:45], epochs=2, validation_data=(X[45:], y[45:]), shuffle=False)
    assert history["val_loss"] == expected["val_loss"]
    np.testing.assert_array_equal(net.get_flat(), twin.get_flat())


def test_validation_split_draws_the_same_rows_every_time(backend, rng):
    X, y = flowers(rng)
    first, second = (
        classifier().fit(X, y, epochs=1, validation_split=0.25)["val_loss"] for _ in range(2)
    )
    assert first == second


def test_validation_split_of_sorted_data_has_every_class(backend, rng):
    X = np.repeat(np.eye(4)[:3], 40, axis=0)
    y = np.repeat([0, 1, 2], 40)
    history = classifier().fit(X, y, epochs=30, validation_split=0.25)
    assert history["val_accuracy"][-1] == 1


def test_early_stopping_puts_the_best_parameters_back(backend, rng):
    X, y = flowers(rng)
    net = classifier()
    net.compile("cross_entropy", Adam(0.5))
    noise = rng.integers(0, 3, 30)
    history = net.fit(X[:30], y[:30], epochs=200, validation_data=(X[30:], noise), early_stopping=3)
    assert history.stopped_early
    assert net.evaluate(X[30:], noise)["loss"] == min(history["val_loss"])


def test_early_stopping_may_watch_the_training_loss(backend, rng):
    X, y = flowers(rng)
    stopping = EarlyStopping("loss", patience=2)
    assert classifier().fit(X, y, epochs=3, early_stopping=stopping).epochs == 3


def test_callbacks_see_the_network(backend, rng):
    seen = []
    net = classifier()
    net.fit(*flowers(rng), epochs=2, callbacks=lambda context: seen.append(context.network))
    assert seen == [net, net]


def test_callbacks_may_predict_and_evaluate(backend, rng):
    X, y = flowers(rng)
    net, twin = classifier(), classifier()
    scores = []
    net.fit(X, y, epochs=3, callbacks=lambda context: scores.append(net.score(X, y)))
    twin.fit(X, y, epochs=3)
    assert len(scores) == 3
    np.testing.assert_array_equal(net.get_flat(), twin.get_flat())


def test_schedules_set_the_learning_rate_of_single_steps(backend, rng):
    X, y = flowers(rng)
    net = classifier()
    net.compile("cross_entropy", GradientDescent(Step(0.5, 0.0, 1)))
    net.train_step(X, y)
    after_one = net.get_flat()
    net.train_step(X, y)
    np.testing.assert_array_equal(net.get_flat(), after_one)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_loss_that_is_not_finite_stops_with_the_parameters_before(backend, rng):
    X, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
    net = classifier("float32")
    net.compile("mean_squared_error", GradientDescent(1e30))
    net.train_step(X, y)
    before = net.get_flat()
    with pytest.raises(TrainingError, match="optimizer step 2"):
        net.train_step(X, y)
    np.testing.assert_array_equal(net.get_flat(), before)


@pytest.mark.parametrize(
    "arguments",
    [
        {"validation_split": 0.2, "validation_data": (np.ones((1, 4)), [0])},
        {"early_stopping": 3},
        {"validation_data": (np.ones((1, 4)),)},
        {"validation_split": 1.5},
        {"validation_split": 0.0},
        {"epochs": -1},
        {"batch_size": 0},
        {"verbose": 7},
    ],
)
def test_wrong_arguments_of_fit_are_named(rng, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        classifier().fit(*flowers(rng), **arguments)


@pytest.mark.parametrize("name", ["shuffle", "check_finite"])
def test_flags_of_fit_must_be_flags(rng, name):
    with pytest.raises(TypeError, match=f"{name} must be True or False, got 'no'"):
        classifier().fit(*flowers(rng), **{name: "no"})
