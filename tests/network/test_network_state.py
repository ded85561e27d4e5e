"""The state of a network: what keeps it whole in files, in callbacks and among threads."""

import copy
import threading

import numpy as np
import pytest
from networks import classifier, flowers

from fastnn import serialization
from fastnn.layers import Dense
from fastnn.network import Sequential, load
from fastnn.optimizers import GradientDescent


def line(dtype="float32"):
    """A compiled network of one weight and one bias."""
    net = Sequential([Dense(1, 1)], dtype=dtype)
    net.compile("mean_squared_error", GradientDescent(0.1))
    return net


# ------------------------------------------------------------------ save, load


def test_layer_may_be_called_optimizer(tmp_path):
    net = Sequential([Dense(4, 3, name="optimizer")])
    net.compile("cross_entropy", "adam")
    net.save(tmp_path / "net.fastnn")
    for twin in (load(tmp_path / "net.fastnn"), copy.deepcopy(net)):
        np.testing.assert_array_equal(twin.get_flat(), net.get_flat())


@pytest.mark.parametrize("frozen_at_compile", [True, False])
def test_change_of_trainable_waits_for_compile_after_loading_too(
    backend, rng, tmp_path, frozen_at_compile
):
    X, y = flowers(rng)
    net = Sequential([Dense(4, 8, "tanh", trainable=not frozen_at_compile), Dense(8, 3)])
    net.compile("cross_entropy", "adam")
    net.layers[0].trainable = frozen_at_compile
    net.save(tmp_path / "net.fastnn")
    loaded = load(tmp_path / "net.fastnn")
    assert loaded.layers[0].trainable is frozen_at_compile
    for one in (net, loaded):
        one.fit(X, y, epochs=1)
    np.testing.assert_array_equal(loaded.get_flat(), net.get_flat())


@pytest.mark.parametrize("flags", [[True], [True] * 5, [1, 1, 1, 1], None])
def test_file_without_a_flag_for_each_parameter_is_refused(tmp_path, flags):
    classifier().save(tmp_path / "net.fastnn")
    described, arrays = serialization.load(tmp_path / "net.fastnn")
    serialization.save(tmp_path / "bad.fastnn", {**described, "trainable": flags}, arrays)
    with pytest.raises(serialization.FormatError, match="does not describe a network"):
        load(tmp_path / "bad.fastnn")


# ------------------------------------------------------------------- callbacks


def test_set_state_in_a_callback_puts_the_training_back(backend, rng):
    X, y = flowers(rng)
    net = classifier()
    start = net.get_state()

    def rewind(context):
        if context.network is net and len(seen) < 2:
            net.set_state(start)
        seen.append(context.epoch)

    seen = []
    net.fit(X, y, epochs=4, callbacks=rewind)
    straight = classifier()
    straight.fit(X, y, epochs=2)
    assert seen == [1, 1, 1, 2]
    assert net.history["loss"] == straight.history["loss"]
    np.testing.assert_array_equal(net.get_flat(), straight.get_flat())


def test_compile_in_a_callback_is_refused(rng):
    net = classifier()
    with pytest.raises(RuntimeError, match="compile cannot be called while fit runs"):
        net.fit(*flowers(rng), callbacks=lambda context: net.compile("cross_entropy"))


def test_compile_is_fine_after_a_fit_that_failed(rng):
    net = classifier()
    with pytest.raises(ValueError, match="batch_size"):
        net.fit(*flowers(rng), batch_size=0)
    net.compile("cross_entropy")


# ------------------------------------------------------------------- set_state


def damaged(state, key):
    """A state of which one part does not fit."""
    wrong = {
        "parameters": np.zeros(3),
        "slots": {**state["slots"], "second": np.zeros(3)},
        "training": {"epoch": -1, "step": 0, "history": {}},
    }
    return {**state, key: wrong[key]}


@pytest.mark.parametrize("key", ["parameters", "slots", "training"])
def test_damaged_state_changes_nothing(rng, key):
    net = classifier()
    start = net.get_state()
    net.fit(*flowers(rng), epochs=1)
    before = net.get_state()
    with pytest.raises(ValueError):  # noqa: PT011 - each part complains in its own way
        net.set_state(damaged(start, key))
    after = net.get_state()
    np.testing.assert_array_equal(after["parameters"], before["parameters"])
    np.testing.assert_array_equal(after["slots"]["first"], before["slots"]["first"])
    assert after["training"] == before["training"]


# --------------------------------------------------------------------- threads


@pytest.mark.parametrize(
    "read", [lambda net: net.get_flat(), lambda net: net.gradients], ids=["get_flat", "gradients"]
)
def test_other_threads_read_after_fit_has_ended(rng, read):
    net = classifier()
    events = []

    def read_elsewhere():
        read(net)
        events.append("read")

    reader = threading.Thread(target=read_elsewhere)

    def start_reader(context):
        reader.start()
        reader.join(0.05)
        events.append("epoch")

    net.fit(*flowers(rng), epochs=1, callbacks=start_reader)
    reader.join()
    assert events == ["epoch", "read"]


# --------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (1e300, r"at least 1.18e-38 times the largest .* float32 .* got sample_weight\[0\] = 1.0"),
        (1e-300, r"at least 1.18e-38 times the largest .* got sample_weight\[1\] = 1e-300"),
    ],
)
def test_sample_weights_beyond_the_dtype_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        line().evaluate([[1.0], [2.0]], [1.0, 2.0], sample_weight=[1.0, weight])


def test_sample_weights_far_from_1_are_fine_in_double_precision():
    X, y = [[1.0], [2.0]], [1.0, 2.0]
    for weight in (1e300, 1e-300):
        found = line("float64").evaluate(X, y, sample_weight=[weight, 0.0])["loss"]
        assert found == pytest.approx(line("float64").evaluate(X[:1], y[:1])["loss"])


def test_weights_of_class_and_sample_together_beyond_the_dtype_are_refused(rng):
    X, y = flowers(rng)
    with pytest.raises(ValueError, match=r"class_weight \* sample_weight must be 0 or at least"):
        classifier("float32").fit(
            X, y, sample_weight=np.geomspace(1e-30, 1, len(X)), class_weight=[1, 1e-15, 1e-15]
        )


@pytest.mark.filterwarnings("error")
def test_parameters_beyond_the_dtype_are_refused():
    net = line()
    before = net.get_flat()
    with pytest.raises(
        ValueError, match=r"values must be within the range of float32, got values\[0\] = 1e\+300"
    ):
        net.set_flat(np.full(2, 1e300))
    np.testing.assert_array_equal(net.get_flat(), before)


def test_infinite_parameters_are_taken():
    net = line()
    net.set_flat([np.inf, np.nan])
    np.testing.assert_array_equal(net.get_flat(), [np.inf, np.nan])


# ------------------------------------------------------------------- arguments


def test_number_in_place_of_samples_is_refused():
    with pytest.raises(ValueError, match=r"X must have shape \(N, 1\), got \(\)"):
        line().predict(np.array(1.0, np.float32))


@pytest.mark.parametrize("batch_size", [2**31, 2**63, 2**80])
def test_batch_beyond_all_rows_takes_all_rows(backend, rng, batch_size):
    X, y = flowers(rng)
    net, expected = classifier(), classifier()
    net.fit(X, y, epochs=2, batch_size=batch_size)
    expected.fit(X, y, epochs=2, batch_size=len(X))
    np.testing.assert_array_equal(net.get_flat(), expected.get_flat())
