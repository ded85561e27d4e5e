"""Networks: compile, predict, evaluate, parameters and state, threads."""

import math
import threading

import numpy as np
import pytest
from networks import classifier, flowers, multitask, multitask_data, siamese
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss, r2_score

from fastnn import backend as backends
from fastnn.layers import (
    Activation,
    Dense,
    Input,
)
from fastnn.losses import CrossEntropy
from fastnn.network import Network, Sequential
from fastnn.optimizers import AdamW

# --------------------------------------------------------------------- compile


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"loss": "mse"}, ValueError, "unknown loss 'mse'"),
        ({"loss": None}, ValueError, "gives no output a loss"),
        ({"loss": "huber", "optimizer": "adamm"}, ValueError, "adamm"),
        ({"loss": "huber", "l2": -1}, ValueError, "l2 must be"),
        ({"loss": {"kind": "huber"}}, ValueError, "loss has 'kind', expected 'dense_2'"),
        ({"loss": "huber", "loss_weights": {"x": 1.0}}, ValueError, "loss_weights has 'x'"),
        ({"loss": "huber", "loss_weights": math.nan}, ValueError, r"loss_weights\['dense_2'\]"),
        ({"loss": CrossEntropy(class_weight=[1, 2])}, ValueError, "2 weights, expected 3"),
    ],
)
def test_wrong_arguments_of_compile_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        classifier().compile(**arguments)


def test_a_head_without_a_loss_is_named():
    x = Input(2)
    net = Network(x, {"a": Dense(2, 1)(x), "b": Dense(2, 1)(x)})
    with pytest.raises(ValueError, match="loss has nothing for output 'b'"):
        net.compile(loss={"a": "huber"})
    with pytest.raises(TypeError, match="loss must be a list of 2 or a dict with 'a', 'b'"):
        net.compile(loss="huber")


def test_an_output_may_have_no_loss_on_request(backend, rng):
    x = Input(2)
    net = Network(x, {"a": Dense(2, 1)(x), "b": Dense(2, 1)(x)})
    net.compile(loss={"a": "huber", "b": None})
    net.train_step(np.zeros((3, 2)), np.zeros(3))
    assert list(net.predict(np.zeros((3, 2)))) == ["a", "b"]


@pytest.mark.parametrize(
    ("last", "loss"), [("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")]
)
@pytest.mark.parametrize("fused", [True, False])
def test_probabilities_where_logits_are_expected_are_refused(last, loss, fused):
    tail = [Dense(4, 3, activation=last)] if fused else [Dense(4, 3), Activation(last)]
    with pytest.raises(ValueError, match=f"ends in {last}, but {loss} takes logits"):
        Sequential(tail).compile(loss)


@pytest.mark.parametrize(
    "call",
    [
        lambda net: net.train_step([[1.0] * 4], [0]),
        lambda net: net.loss_and_gradients([[1.0] * 4], [0]),
        lambda net: net.fit([[1.0] * 4], [0]),
        lambda net: net.evaluate([[1.0] * 4], [0]),
        lambda net: net.score([[1.0] * 4], [0]),
        lambda net: net.predict_proba([[1.0] * 4]),
        lambda net: net.predict_classes([[1.0] * 4]),
    ],
)
def test_what_needs_a_loss_says_so_before_compile(call):
    with pytest.raises(RuntimeError, match="call compile"):
        call(Sequential([Dense(4, 3)]))


def test_compile_starts_training_afresh_and_keeps_parameters(rng):
    net = classifier()
    net.fit(*flowers(rng), epochs=2)
    before = net.get_flat()
    net.compile("cross_entropy", "adam")
    assert net.history.epochs == 0
    np.testing.assert_array_equal(net.get_flat(), before)


# --------------------------------------------------------------------- predict


def test_probabilities_and_classes_follow_from_the_logits(backend, rng):
    X, _ = flowers(rng)
    net = classifier()
    z = net.predict(X)
    np.testing.assert_allclose(net.predict_proba(X), softmax(z, axis=1), rtol=1e-12)
    np.testing.assert_array_equal(net.predict_classes(X), z.argmax(axis=1))


def test_a_single_row_gives_a_single_row(backend, rng):
    net = classifier()
    x = rng.normal(size=4)
    for method in (net.predict, net.predict_proba, net.predict_classes):
        np.testing.assert_array_equal(method(x), method(x[None, :])[0])
        np.testing.assert_array_equal(method(list(x)), method(x[None, :])[0])


@pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
def test_blocks_do_not_change_predictions(backend, rng, batch_size):
    X, _ = flowers(rng)
    net = classifier()
    found = net.predict(X, batch_size=batch_size)
    np.testing.assert_allclose(found, net.predict(X), atol=1e-14)


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype(np.int16),
        lambda X: X.tolist(),
        lambda X: np.asfortranarray(X),
        lambda X: X.astype(">f8"),
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X.astype(np.float16),
    ],
)
def test_data_of_any_real_type_and_layout_are_taken(backend, dtype, convert):
    X = np.arange(24.0).reshape(6, 4)
    net = classifier(dtype)
    np.testing.assert_array_equal(net.predict(convert(X)), net.predict(X.astype(dtype)))


def test_data_frames_are_taken(backend):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({name: [1.0, 2.0] for name in "abcd"})
    net = classifier()
    np.testing.assert_array_equal(net.predict(frame), net.predict(frame.to_numpy()))


def test_memory_maps_are_read_in_blocks(backend, rng, tmp_path):
    X, y = flowers(rng)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    net, twin = classifier("float32"), classifier("float32")
    np.testing.assert_array_equal(net.predict(mapped, batch_size=7), net.predict(X, batch_size=7))
    net.fit(mapped, y, epochs=2)
    twin.fit(X, y, epochs=2)
    np.testing.assert_array_equal(net.get_flat(), twin.get_flat())


def test_predict_leaves_the_data_alone(backend, rng):
    X, _ = flowers(rng)
    before = X.copy()
    classifier().predict(X)
    np.testing.assert_array_equal(X, before)


def test_read_only_data_will_do(backend, rng):
    X, y = flowers(rng)
    X.flags.writeable = y.flags.writeable = False
    net = classifier()
    net.predict(X)
    net.fit(X, y, epochs=1)


def test_inputs_may_be_a_list_or_a_dict_by_name(backend, rng):
    net = siamese()
    left, right = rng.normal(size=(2, 5, 3))
    expected = net.predict([left, right])
    np.testing.assert_array_equal(net.predict({"right": right, "left": left}), expected)
    # A row alone takes another kernel of NumPy's BLAS than a matrix does.
    np.testing.assert_allclose(net.predict([left[0], right[0]]), expected[0], rtol=1e-14)


def test_several_outputs_come_as_a_list_or_as_the_dict_they_were_given_as(backend):
    x = Input(2)
    as_list = Network(x, [Dense(2, 1)(x), Dense(2, 3)(x)]).predict([[1.0, 2.0]])
    assert [out.shape for out in as_list] == [(1, 1), (1, 3)]
    named = multitask().predict(np.ones((1, 4)))
    assert {name: out.shape for name, out in named.items()} == {"kind": (1, 3), "size": (1, 1)}


def test_probabilities_of_a_regression_among_several_outputs_are_none(backend):
    proba = multitask().predict_proba(np.ones((2, 4)))
    assert proba["size"] is None
    np.testing.assert_allclose(proba["kind"].sum(axis=1), 1)


def test_probabilities_of_a_regression_are_refused():
    net = Sequential([Dense(2, 1)])
    net.compile("mean_squared_error")
    with pytest.raises(ValueError, match=r"need a classification loss, .* mean_squared_error"):
        net.predict_proba([[1.0, 2.0]])


# -------------------------------------------------------------------- evaluate


def test_evaluate_agrees_with_sklearn(backend, rng):
    X, y = flowers(rng)
    w = rng.uniform(size=len(y))
    net = classifier()
    metrics = net.evaluate(X, y, w)
    proba = softmax(net.predict(X), axis=1)
    assert metrics["loss"] == pytest.approx(log_loss(y, proba, sample_weight=w), rel=1e-10)
    expected = accuracy_score(y, proba.argmax(axis=1), sample_weight=w)
    assert metrics["accuracy"] == pytest.approx(expected)
    assert net.score(X, y, w) == metrics["accuracy"]


def test_score_of_a_regression_is_r2(backend, rng):
    net = Sequential([Dense(4, 2)], dtype="float64")
    net.compile("mean_squared_error")
    X, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    assert net.score(X, y) == pytest.approx(r2_score(y, net.predict(X)))


@pytest.mark.parametrize("batch_size", [None, 7])
def test_evaluate_is_the_cost_of_one_batch_whatever_the_blocks(backend, rng, batch_size):
    X, y = flowers(rng)
    net = classifier(l2=0.1, dropout=0.3)
    w = rng.uniform(size=len(y))
    cost = net.evaluate(X, y, w, batch_size=batch_size)["loss"]
    assert cost == pytest.approx(net.loss_and_gradients(X, y, w)[0], rel=1e-12)


def test_score_of_several_losses_is_refused(rng):
    with pytest.raises(ValueError, match="score needs a network with one loss"):
        multitask().score(*multitask_data(rng))


def test_targets_of_several_losses_may_be_a_list_or_a_dict(backend, rng):
    net = multitask()
    X, y = multitask_data(rng)
    assert net.evaluate(X, [y["kind"], y["size"]]) == net.evaluate(X, y)


def test_sample_weights_of_several_losses_may_be_shared_or_by_output(backend, rng):
    net = multitask()
    X, y = multitask_data(rng)
    w = rng.uniform(size=len(X))
    shared = net.evaluate(X, y, w)
    assert net.evaluate(X, y, {"kind": w, "size": w}) == shared
    assert net.evaluate(X, y, [w, w]) == shared
    only = net.evaluate(X, y, {"kind": w})
    assert only["kind_loss"] == shared["kind_loss"]
    assert only["size_loss"] == net.evaluate(X, y)["size_loss"]


# -------------------------------------------------------- parameters and state


def test_parameters_are_live_views(backend):
    net = classifier()
    net.parameters["dense_2.bias"][...] = [1, 2, 3]
    net.parameters["dense_2.weight"][...] = 0
    np.testing.assert_array_equal(net.predict(np.zeros((1, 4))), [[1, 2, 3]])


def test_flat_parameters_go_out_and_in():
    net = classifier()
    flat = np.arange(net.n_parameters, dtype=float)
    net.set_flat(flat)
    np.testing.assert_array_equal(net.get_flat(), flat)
    np.testing.assert_array_equal(net.parameters["dense_1.weight"].ravel(), flat[:32])


def test_gradients_are_copies_that_later_calls_leave_alone(backend, rng):
    X, y = flowers(rng)
    net = classifier()
    _, gradients = net.loss_and_gradients(X, y)
    before = gradients["dense_1.weight"].copy()
    net.loss_and_gradients(10 * X, y)
    np.testing.assert_array_equal(gradients["dense_1.weight"], before)


def test_state_goes_back_to_where_it_was_taken(backend, rng):
    X, y = flowers(rng)
    net = classifier(dropout=0.2)
    net.fit(X, y, epochs=2)
    state = net.get_state()
    net.fit(X, y, epochs=2)
    expected = net.get_flat()
    net.set_state(state)
    assert net.history.epochs == 2
    net.fit(X, y, epochs=2)
    np.testing.assert_array_equal(net.get_flat(), expected)


def changed(state, **parts):
    return {**state, **parts}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: {}, ValueError, "state has nothing, expected 'parameters', 'slots'"),
        (lambda state: 3, TypeError, "state must be a dict, got int"),
        (lambda state: changed(state, slots=None), TypeError, r"state\['slots'\] must be a dict"),
        (lambda state: changed(state, slots={}), ValueError, r"expected 'first', 'second'"),
        (lambda state: changed(state, parameters=[1.0]), ValueError,
         r"state\['parameters'\] must have shape \(67,\), got \(1,\)"),
        (lambda state: changed(state, parameters=["x"] * 67), TypeError,
         r"state\['parameters'\] must hold real numbers, got dtype <U1"),
        (lambda state: changed(state, slots={"first": [1.0], "second": [1.0]}), ValueError,
         r"state\['slots'\]\['first'\] must have shape \(67,\), got \(1,\)"),
        (lambda state: changed(state, training={}), ValueError, "not a training state"),
        (lambda state: changed(state, training={**state["training"], "step": 2**63 - 1}),
         ValueError, "step must be an integer from 0 to"),
    ],
)  # fmt: skip
def test_what_is_no_state_is_refused_and_changes_nothing(change, error, message):
    net = classifier()
    state, before = net.get_state(), net.get_flat()
    with pytest.raises(error, match=message):
        net.set_state(change(changed(state, parameters=before + 1)))
    np.testing.assert_array_equal(net.get_flat(), before)


def test_counters_as_large_as_are_taken_can_be_counted_on_from(backend, rng):
    net = classifier()
    state = net.get_state()
    net.set_state(changed(state, training={**state["training"], "step": 2**53}))
    net.fit(*flowers(rng), epochs=1, batch_size=1000)
    assert net.get_state()["training"]["step"] == 2**53 + 1


def test_state_of_another_optimizer_is_refused():
    net, other = classifier(), classifier()
    other.compile("cross_entropy", "momentum")
    with pytest.raises(ValueError, match="another network or optimizer"):
        net.set_state(other.get_state())


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((59, 1)), [[1.0]]])
def test_flat_parameters_of_another_shape_are_refused(values):
    with pytest.raises(ValueError, match=r"values must have shape \(67,\), got"):
        classifier().set_flat(values)


def test_unknown_layer_lists_the_known_ones():
    with pytest.raises(KeyError, match="no layer 'x'; the network has dense_1, dense_2"):
        classifier().layer("x")


def test_summary_shows_the_options_of_layers_and_losses():
    net = Sequential([Dense(4, 3, "swish", alpha=2.0)])
    net.compile(CrossEntropy(label_smoothing=0.1))
    assert "Dense(4, 3, activation='swish', alpha=2.0)" in net.summary()
    assert "output dense_1: cross_entropy(label_smoothing=0.1)" in net.summary()


@pytest.mark.parametrize(("function", "shown"), [("relu", False), ("swish", True)])
def test_program_shows_alpha_only_for_activations_that_have_one(function, shown):
    assert ("alpha" in str(Sequential([Dense(4, 3, function)]).program)) is shown


@pytest.mark.parametrize("layers", [Dense(2, 1), Dense, 3])
def test_layers_that_are_no_list_are_refused(layers):
    with pytest.raises(TypeError, match="layers must be a list of layers, got"):
        Sequential(layers)


def test_summary_shows_every_call_with_its_parameters():
    net = siamese()
    net.layer("out").trainable = False
    net.compile("binary_cross_entropy", AdamW(0.1), l2=0.01)
    text = net.summary()
    for part in ("left", "shared:2", "shared with shared", "5 frozen", "21 parameters, 16 of them",
                 "binary_cross_entropy", "AdamW", "l2=0.01"):  # fmt: skip
        assert part in text


def test_summary_says_what_makes_each_output_and_its_loss():
    x = Input(3, name="x")
    trunk = Dense(3, 4, name="trunk")(x)
    net = Network(x, {"kind": Dense(4, 3, name="to kind")(trunk), "code": trunk})
    assert "output kind of to kind\noutput code of trunk" in net.summary()
    net.compile({"kind": "cross_entropy", "code": None}, loss_weights={"kind": 0.5})
    lines = net.summary().splitlines()
    assert "output kind of to kind: cross_entropy times 0.5" in lines
    assert "output code of trunk: no loss" in lines


def test_summary_marks_parameters_that_no_gradient_reaches():
    layers = [Dense(2, 3, name="a"), Dense(3, 3, "binary_step", name="b"), Dense(3, 1, name="c")]
    lines = {line.split()[0]: line for line in Sequential(layers).summary().splitlines()[:6]}
    assert lines["a"].endswith("9 without gradient")
    assert lines["b"].endswith("12 without gradient")
    assert lines["c"].endswith(" 4")


# --------------------------------------------------------------------- threads


def test_threads_that_share_a_network_get_what_one_thread_gets(backend, rng):
    net = classifier()
    batches = [rng.normal(size=(n, 4)) for n in (3, 50, 200, 7)]
    expected = [net.predict(X) for X in batches]
    wrong = []

    def work(i):
        for _ in range(50):
            if not np.array_equal(net.predict(batches[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_steps_from_several_threads_are_all_done(backend, rng):
    X, y = flowers(rng)
    net = classifier()

    def work():
        for _ in range(25):
            net.train_step(X, y)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert net.get_state()["training"]["step"] == 100


def test_a_network_keeps_the_backend_it_was_built_with(rng):
    with backends.use("reference"):
        net = Sequential([Dense(4, 3)])
    net.compile("cross_entropy")
    net.train_step(*flowers(rng))
    assert net.backend == "reference"
    assert type(net.core.engine).__module__ == "fastnn.backend.reference.engine"


def test_means_are_probabilities_or_the_outputs_themselves(backend, dtype, rng):
    x = Input(3)
    outputs = {"kind": Dense(3, 2)(x), "size": Dense(3, 1)(x)}
    net = Network(x, outputs, dtype=dtype, seed=1)
    net.compile({"kind": "cross_entropy", "size": "huber"})
    X = rng.normal(size=(5, 3))
    means = net.predict_mean(X)
    np.testing.assert_array_equal(means["kind"], net.predict_proba(X)["kind"])
    np.testing.assert_array_equal(means["size"], net.predict(X)["size"])


def test_means_need_a_loss():
    with pytest.raises(RuntimeError, match="compile"):
        Sequential([Dense(2, 1)]).predict_mean(np.ones((3, 2)))
