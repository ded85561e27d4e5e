"""Losses that are Python functions: value and gradient once per batch, in both engines."""

from __future__ import annotations

import copy
import math
import pickle
import threading

import numpy as np
import pytest
from networks import gradient_error

import fastnn as fnn
from fastnn.losses import CustomLoss, MeanSquaredError


def squared(output, target):
    difference = output - target
    return np.mean(difference**2), 2 * difference / difference.size


def pinball(output, target, quantile=0.8):
    """The quantile loss: its minimiser has the share `quantile` of the targets below it."""
    difference = target - output
    above = difference >= 0
    value = np.where(above, quantile * difference, (quantile - 1) * difference)
    return value.mean(), np.where(above, -quantile, 1 - quantile) / difference.size


def focal(logits, labels, gamma=2.0):
    """-(1 - p)^gamma log p of the label's probability p (Lin et al. 2017)."""
    rows = np.arange(len(labels))
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    q = p[rows, labels]
    slope = gamma * (1 - q) ** (gamma - 1) * np.log(q) - (1 - q) ** gamma / q
    one_hot = np.zeros_like(p)
    one_hot[rows, labels] = 1
    gradient = (slope * q)[:, None] * (one_hot - p) / len(labels)
    return -((1 - q) ** gamma * np.log(q)).mean(), gradient


def weighted_squared(output, target, weight):
    difference = output - target
    norm = weight.sum() * output.shape[1]
    return (weight[:, None] * difference**2).sum() / norm, 2 * weight[:, None] * difference / norm


def network(loss, n_out=3, dtype="float64", optimizer="adam", **options):
    layers = [fnn.Dense(4, 8, activation="tanh"), fnn.Dense(8, n_out)]
    net = fnn.Sequential(layers, dtype=dtype)
    net.compile(loss=loss, optimizer=optimizer, **options)
    return net


@pytest.fixture
def data(rng):
    return rng.normal(size=(40, 4)), rng.normal(size=(40, 3))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# ------------------------------------------------------------------- mathematics


def test_gradients_of_the_pinball_loss_are_difference_quotients(backend, data):
    assert gradient_error(network(pinball), *data) < 1e-7


def test_gradients_of_the_focal_loss_are_difference_quotients(backend, rng, data):
    net = network(CustomLoss(focal, "labels"))
    assert gradient_error(net, data[0], rng.integers(0, 3, 40)) < 1e-7


def test_focal_loss_of_gamma_0_is_cross_entropy(backend, rng, data):
    labels = rng.integers(0, 3, 40)
    net, plain = (
        network(CustomLoss(lambda z, y: focal(z, y, 0.0), "labels")),
        network("cross_entropy"),
    )
    value, gradients = net.loss_and_gradients(data[0], labels)
    expected, others = plain.loss_and_gradients(data[0], labels)
    assert value == pytest.approx(expected, rel=1e-13)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, others[name], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("optimizer", [fnn.Adam(0.01), fnn.Momentum(0.05, clip_norm=0.1)])
def test_training_equals_that_with_the_built_in_loss(backend, data, optimizer):
    nets = [network(loss, optimizer=optimizer, l2=0.01) for loss in (squared, "mean_squared_error")]
    histories = [
        net.fit(*data, epochs=4, batch_size=7, validation_split=0.25, early_stopping=3)
        for net in nets
    ]
    np.testing.assert_allclose(nets[0].get_flat(), nets[1].get_flat(), rtol=1e-9, atol=1e-12)
    for key in ("loss", "val_loss"):
        np.testing.assert_allclose(histories[0][key], histories[1][key], rtol=1e-10)


def test_single_steps_follow_a_schedule(backend, data):
    rate = fnn.Step(0.1, 0.5, every=2)
    nets = [network(loss, optimizer=fnn.Momentum(rate)) for loss in (squared, "mean_squared_error")]
    for _ in range(5):
        costs = [net.train_step(*data) for net in nets]
        assert costs[0] == pytest.approx(costs[1], rel=1e-12)


def test_custom_and_built_in_heads_add_with_their_weights(backend, rng, data):
    x = fnn.Input(4)
    trunk = fnn.Dense(4, 6, activation="tanh")(x)
    outputs = {"kind": fnn.Dense(6, 3)(trunk), "size": fnn.Dense(6, 3)(trunk)}
    net = fnn.Network(x, outputs, dtype="float64")
    y = {"kind": rng.integers(0, 3, 40), "size": data[1]}
    net.compile({"kind": "cross_entropy", "size": pinball}, loss_weights={"size": 0.3}, l2=0.1)
    assert gradient_error(net, data[0], y) < 1e-7
    found = net.evaluate(data[0], y)
    penalty = 0.05 * sum(np.sum(net.parameters[k] ** 2) for k in net.parameters if "weight" in k)
    whole = found["kind_loss"] + 0.3 * found["size_loss"] + penalty
    assert found["loss"] == pytest.approx(whole, rel=1e-12)
    assert net.loss_and_gradients(data[0], y)[0] == pytest.approx(whole, rel=1e-12)


def test_sample_weights_reach_the_function(backend, rng, data):
    weights = rng.uniform(size=40)
    net = network(CustomLoss(weighted_squared, weighted=True))
    plain = network(MeanSquaredError())
    for options in ({}, {"sample_weight": weights}):
        assert net.evaluate(*data, **options)["loss"] == pytest.approx(
            plain.evaluate(*data, **options)["loss"], rel=1e-12
        )
        found = [
            n.fit(*data, batch_size=9, epochs=2, weights_mean="batch", **options)["loss"]
            for n in (net, plain)
        ]
        np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


def test_both_engines_agree(data, dtype):
    results = []
    for name in fnn.backend.available():
        with fnn.backend.use(name):
            net = network(pinball, dtype=dtype)
            net.fit(*data, epochs=3, batch_size=8)
            results.append(net.get_flat())
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, atol=2e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_do_not_depend_on_threads(rng, threads):
    X, y = rng.normal(size=(300, 256)), rng.normal(size=(300, 3))
    flats = []
    before = fnn.get_num_threads()
    try:
        for n in (1, threads):
            fnn.set_num_threads(n)
            net = fnn.Sequential([fnn.Dense(256, 256, activation="tanh"), fnn.Dense(256, 3)])
            net.compile(squared)
            net.fit(X, y, epochs=2, batch_size=150)
            flats.append(net.get_flat())
    finally:
        fnn.set_num_threads(before)
    np.testing.assert_array_equal(*flats)


def test_a_batch_beyond_the_workspace_comes_in_one_piece(backend, rng):
    rows = []

    def watched(output, target):
        rows.append(len(output))
        return squared(output, target)

    X, y = rng.normal(size=(1000, 2)), np.zeros((1000, 6000), np.float32)
    flats = []
    for loss in (watched, "mean_squared_error"):
        net = fnn.Sequential([fnn.Dense(2, 6000)])
        net.compile(loss, optimizer=fnn.GradientDescent(1.0))
        net.train_step(X, y)
        flats.append(net.get_flat())
    assert rows == [1000]
    np.testing.assert_allclose(flats[0], flats[1], atol=1e-6)


def test_training_resumed_from_a_state_has_the_same_bits(backend, data):
    net, other = network(pinball), network(pinball)
    net.fit(*data, epochs=4, batch_size=8)
    other.fit(*data, epochs=2, batch_size=8)
    state = other.get_state()
    third = network(pinball)
    third.set_state(state)
    third.fit(*data, epochs=2, batch_size=8)
    np.testing.assert_array_equal(net.get_flat(), third.get_flat())


# ------------------------------------------------------------------ the contract


CALLS = ["fit", "train_step", "loss_and_gradients", "evaluate"]


@pytest.mark.parametrize("call", CALLS)
def test_the_function_gets_read_only_arrays(backend, data, call):
    calls = []

    def spy(output, target):
        calls.append(output.flags.writeable or target.flags.writeable)
        with pytest.raises(ValueError, match="read-only"):
            output[0, 0] = 1
        return squared(output, target)

    getattr(network(spy), call)(*data)
    assert calls
    assert not any(calls)


@pytest.mark.parametrize("call", CALLS)
def test_the_function_gets_rows_of_the_network_s_dtype(backend, dtype, data, call):
    seen = []

    def spy(output, target):
        seen.append((output.shape[1], target.shape[1], output.dtype, target.dtype))
        return squared(output, target)

    getattr(network(spy, dtype=dtype), call)(*data)
    assert set(seen) == {(3, 3, np.dtype(dtype), np.dtype(dtype))}


def test_targets_of_another_width_and_labels_of_any_value_pass_through(backend, rng, data):
    def last_column(output, target):
        assert target.shape == (len(output), 5)
        return squared(output, target[:, 2:])

    def from_labels(output, labels):
        assert labels.dtype == np.int64
        assert labels.tolist() == [-7, 10**12]
        return 0.0, np.zeros_like(output)

    net = network(CustomLoss(last_column, 5))
    assert gradient_error(net, data[0], rng.normal(size=(40, 5))) < 1e-7
    network(CustomLoss(from_labels, "labels")).train_step(data[0][:2], [-7, 10**12])


def test_each_batch_gets_the_targets_of_its_rows(backend, data):
    def paired(output, target):
        pairs.extend(zip(output[:, 0].tolist(), target[:, 0].tolist(), strict=True))
        return 0.0, np.zeros_like(output)

    pairs = []
    net = network(paired, n_out=1)
    net.fit(data[0], net.predict(data[0]), batch_size=7, epochs=2)
    assert len(pairs) == 80
    assert all(a == pytest.approx(b, rel=1e-12) for a, b in pairs)


def test_the_caller_s_arrays_are_not_changed(backend, data):
    X, y = (array.copy() for array in data)
    network(squared).fit(X, y, epochs=1)
    np.testing.assert_array_equal(X, data[0])
    np.testing.assert_array_equal(y, data[1])


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda a: 1.0, TypeError, r"must return \(value, gradient\), got float"),
        (lambda a: (np.ones(2), a * 1), TypeError, r"must be one real number, got shape \(2,\)"),
        (lambda a: (None, a * 1), TypeError, "must be one real number, got NoneType"),
        (lambda a: (1j, a * 1), TypeError, "must be one real number, got complex"),
        (lambda a: (1.0, 2.0), TypeError, "must be an array of real numbers, got float"),
        (lambda a: (1.0, a * 1j), TypeError, "must be an array of real numbers, got complex"),
        (lambda a: (1.0, a[1:] * 1), ValueError, r"must have .* shape \(40, 3\), got \(39, 3\)"),
    ],
)
def test_what_is_no_value_or_gradient_is_refused_by_name(backend, data, returned, error, message):
    def strange(output, target):
        return returned(output)

    with pytest.raises(error, match=message) as caught:
        network(strange).train_step(*data)
    assert "strange" in str(caught.value)


@pytest.mark.parametrize("call", ["fit", "train_step", "loss_and_gradients", "evaluate"])
def test_an_exception_passes_on_with_a_note_and_changes_nothing(backend, data, call):
    def failing(output, target):
        raise LookupError("no such thing")

    net = network(failing)
    before = net.get_state()
    with pytest.raises(LookupError, match="no such thing") as caught:
        getattr(net, call)(*data)
    assert caught.value.__notes__ == ["in the custom loss 'failing'"]
    np.testing.assert_array_equal(net.get_flat(), before["parameters"])
    assert net.get_state()["training"] == before["training"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_steps_before_an_exception_stay_taken_and_counted(backend, data, error):
    def failing(output, target):
        calls.append(len(output))
        if len(calls) == 6:
            raise error
        return squared(output, target)

    calls = []
    net, other = network(failing), network(squared)
    try:
        net.fit(*data, epochs=1, batch_size=5, shuffle=False)
    except ValueError:
        assert error is ValueError
    else:
        assert net.history.interrupted
    assert net.get_state()["training"]["step"] == 5
    other.fit(data[0][:25], data[1][:25], epochs=1, batch_size=5, shuffle=False)
    np.testing.assert_array_equal(net.get_flat(), other.get_flat())
    net.train_step(*data)  # and it can be trained on


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_ends_training_before_the_step(backend, data, value):
    net = network(lambda output, target: (value, np.zeros_like(output)))
    before = net.get_flat()
    for call in (net.train_step, net.fit):
        with pytest.raises(fnn.TrainingError, match="optimizer step 1"):
            call(*data)
    np.testing.assert_array_equal(net.get_flat(), before)


def test_the_function_may_not_call_its_network(backend, data):
    def greedy(output, target):
        net.predict(data[0])
        return squared(output, target)

    net = network(greedy)
    with pytest.raises(RuntimeError, match=r"call|thread"):
        net.train_step(*data)
    net.compile(squared)
    net.train_step(*data)


def test_subnormal_numbers_are_not_flushed_in_the_function(backend, data):
    def small(output, target):
        halves.append(float(np.float64(2e-308) / np.float64(4)))
        return squared(output, target)

    halves = []
    network(small).fit(*data, epochs=1)
    assert all(half > 0 for half in halves)


def test_networks_with_custom_losses_train_in_several_threads(backend, data):
    nets = [network(squared) for _ in range(3)]
    threads = [threading.Thread(target=net.fit, args=data) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for net in nets[1:]:
        np.testing.assert_array_equal(net.get_flat(), nets[0].get_flat())


# ------------------------------------------------------------------- descriptions


def test_a_function_becomes_a_custom_loss():
    net = network(pinball)
    assert net.losses == {"dense_2": CustomLoss(pinball)}
    assert "pinball" in net.summary()
    assert "pinball" in str(net.program)


def test_options_show():
    loss = CustomLoss(focal, "labels", activation="softmax", name="focal_2")
    assert repr(loss) == "CustomLoss(focal_2, target='labels', activation='softmax')"
    assert str(loss) == "focal_2"
    assert loss != CustomLoss(focal)


def test_an_activation_gives_probabilities_classes_and_accuracy(backend, rng, data):
    net = network(CustomLoss(focal, "labels", activation="softmax"))
    plain = network("cross_entropy")
    y = rng.integers(0, 3, 40)
    np.testing.assert_array_equal(net.predict_proba(data[0]), plain.predict_proba(data[0]))
    np.testing.assert_array_equal(net.predict_classes(data[0]), plain.predict_classes(data[0]))
    assert net.score(data[0], y) == plain.score(data[0], y)
    assert len(net.fit(data[0], y, epochs=2, validation_split=0.5)["val_accuracy"]) == 2


def test_without_an_activation_there_is_the_loss_alone(backend, data):
    net = network(squared)
    assert set(net.evaluate(*data)) == {"loss"}
    with pytest.raises(ValueError, match="loss squared has no score"):
        net.score(*data)
    with pytest.raises(ValueError, match="need a classification loss"):
        net.predict_proba(data[0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CustomLoss(3), TypeError, "function must be callable, got 3"),
        (lambda: CustomLoss(dict), TypeError, "function must be callable"),
        (lambda: CustomLoss(squared, "columns"), ValueError, "target"),
        (lambda: CustomLoss(squared, 0), ValueError, "target"),
        (lambda: CustomLoss(squared, weighted=1), TypeError, "weighted"),
        (lambda: CustomLoss(squared, activation="tanh"), ValueError, "activation"),
        (lambda: network(MeanSquaredError), TypeError, "loss must be a name, a Loss or a function"),
        (
            lambda: network(CustomLoss(squared, 5, activation="softmax")),
            ValueError,
            "needs targets in rows of width 3 or labels, but loss squared has target=5",
        ),
    ],
)
def test_what_describes_no_loss_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (
            squared,
            np.zeros((40, 2)),
            r"y must have shape \((40|N), 3\), got \(40, 2\)",
        ),
        (squared, np.full((40, 3), np.nan), r"y must be finite, got y\[0, 0\] = nan"),
        (
            CustomLoss(focal, "labels"),
            np.full(40, 0.5),
            r"y must be integer labels, got y\[0\] = 0.5",
        ),
        (
            CustomLoss(focal, "labels"),
            np.zeros((40, 3)),
            r"must have shape \(N,\) for labels, got \(40, 3\)",
        ),
        (squared, np.zeros((39, 3)), "y must have 40 rows as X has, got 39"),
    ],
)
@pytest.mark.parametrize("call", ["fit", "train_step", "loss_and_gradients", "evaluate"])
def test_targets_that_do_not_fit_are_named(backend, data, loss, y, message, call):
    with pytest.raises(ValueError, match=message):
        getattr(network(loss), call)(data[0], y)


def test_sample_weights_are_refused_by_a_function_that_takes_none(backend, data):
    for call in ("fit", "train_step", "evaluate"):
        with pytest.raises(ValueError, match="loss squared takes no sample weights"):
            getattr(network(squared), call)(*data, sample_weight=np.ones(40))


# ---------------------------------------------------------------- files and pickles


def test_copies_and_pickles_keep_a_function_of_a_module(backend, data):
    net = network(pinball)
    net.fit(*data, epochs=1)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert other.train_step(*data) == copy.deepcopy(net).train_step(*data)


def test_a_saved_network_gets_its_function_back_at_load(backend, data, tmp_path):
    net = network(CustomLoss(weighted_squared, weighted=True, name="mine"))
    net.fit(*data, epochs=1)
    net.save(tmp_path / "net")
    with pytest.raises(fnn.FormatError, match=r"custom loss 'mine': give its function"):
        fnn.load(tmp_path / "net")
    with pytest.raises(fnn.FormatError, match="custom loss 'mine'"):
        fnn.load(tmp_path / "net", custom=[squared])
    loss = CustomLoss(weighted_squared, weighted=True, name="mine")
    for custom in ({"mine": weighted_squared}, [loss]):
        other = fnn.load(tmp_path / "net", custom=custom)
        assert other.losses == net.losses
        assert other.train_step(*data) == copy.deepcopy(net).train_step(*data)


def test_load_refuses_what_is_no_function(tmp_path):
    with pytest.raises(TypeError, match="custom must hold classes of layers, functions"):
        fnn.load(tmp_path / "net", custom=[3])
