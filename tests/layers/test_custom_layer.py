"""Layers whose passes are Python functions, run by both engines."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from custom_layers import Bilinear, Centering, RadialBasis
from networks import gradient_error

import fastnn as fnn
from fastnn.losses import CustomLoss
from fastnn.program import CUSTOM_LOSS, Head


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def data(rng):
    return rng.normal(size=(30, 4)), rng.normal(size=(30, 3))


def chain(dtype="float64", **options):
    layers = [
        fnn.Dense(4, 5, activation="tanh"),
        Centering(),
        RadialBasis(5, 6, name="basis"),
        fnn.Dense(6, 3),
    ]
    net = fnn.Sequential(layers, dtype=dtype)
    net.compile("mean_squared_error", **options)
    return net


def graph():
    """A shared custom layer, first and in the middle; one of two inputs; used twice on one."""
    a, b = fnn.Input(4), fnn.Input(4)
    shared = RadialBasis(4, 5)
    hidden = fnn.Dense(4, 4, activation="tanh")(b)
    x = Bilinear(5)([shared(a), shared(hidden)])
    y = Bilinear(5)([x, x])
    net = fnn.Network([a, b], fnn.Dense(5, 3)(y), dtype="float64")
    net.compile("mean_squared_error", l2=0.1)
    return net


def one_layer(layer, width=4):
    net = fnn.Sequential([fnn.Dense(width, width), layer], dtype="float64")
    net.compile("mean_squared_error")
    return net


# ------------------------------------------------------------------- mathematics


def test_gradients_in_a_chain_are_difference_quotients(backend, data):
    assert gradient_error(chain(), *data) < 1e-7


def test_gradients_in_a_graph_are_difference_quotients(backend, rng, data):
    assert gradient_error(graph(), [data[0], rng.normal(size=(30, 4))], data[1]) < 1e-7


@pytest.mark.parametrize("n_rows", [1, 3, 30])
def test_gradients_with_a_custom_loss_are_difference_quotients(backend, data, n_rows):
    def squared(output, target):
        difference = output - target
        return np.mean(difference**2), 2 * difference / difference.size

    net = chain()
    net.compile(squared)
    assert gradient_error(net, data[0][:n_rows], data[1][:n_rows]) < 1e-7


@pytest.mark.parametrize("clip_norm", [None, 0.01])
@pytest.mark.parametrize("batch_size", [2, 8])
def test_training_equals_that_with_the_layer_s_own_operations(backend, data, clip_norm, batch_size):
    class Product(fnn.CustomLayer):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.n_out = n_out
            self.add_parameter("weight", (n_in, n_out), "glorot_uniform", penalized=True)
            self.add_parameter("bias", (n_out,))

        def output_width(self, widths, labels):
            return self.n_out

        def forward_pass(self, x, parameters, training):
            return x @ parameters["weight"] + parameters["bias"]

        def backward_pass(self, dy, x, y, parameters):
            return dy @ parameters["weight"].T, {"weight": x.T @ dy, "bias": dy.sum(axis=0)}

    flats = []
    for middle in (Product(50, 40), fnn.Dense(50, 40)):
        layers = [fnn.Dense(4, 50, activation="tanh"), middle, fnn.Dense(40, 3)]
        net = fnn.Sequential(layers, dtype="float64")
        net.compile("mean_squared_error", optimizer=fnn.Adam(0.01, clip_norm=clip_norm), l2=0.01)
        net.fit(*data, epochs=3, batch_size=batch_size)
        flats.append(net.get_flat())
    np.testing.assert_allclose(*flats, rtol=1e-8, atol=1e-10)


def test_both_engines_agree(data, dtype):
    results = []
    for name in fnn.backend.available():
        with fnn.backend.use(name):
            net = chain(dtype)
            net.fit(*data, epochs=3, batch_size=8)
            results.append(net.predict(data[0]))
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, atol=2e-5 if dtype == "float32" else 1e-12)


def test_bits_do_not_depend_on_threads(backend, rng):
    X, y = rng.normal(size=(300, 256)), rng.normal(size=(300, 8))
    flats = []
    before = fnn.get_num_threads()
    try:
        for n in (1, 2):
            fnn.set_num_threads(n)
            layers = [fnn.Dense(256, 256, activation="tanh"), Centering(), fnn.Dense(256, 8)]
            net = fnn.Sequential(layers)
            net.compile("mean_squared_error")
            net.fit(X, y, epochs=2, batch_size=150)
            flats.append(np.append(net.get_flat(), net.predict(X)))
    finally:
        fnn.set_num_threads(before)
    np.testing.assert_array_equal(*flats)


def test_heads_on_one_buffer_add_their_gradients(backend, rng, data):
    def squared(output, target):
        difference = output - target
        return np.mean(difference**2), 2 * difference / difference.size

    net = chain()
    program, (y,) = net.program, net.program.outputs
    own, custom = Head(y, "mean_squared_error", 0.5), Head(y, CUSTOM_LOSS, 2.0, {
        "loss": CustomLoss(squared)
    })  # fmt: skip
    found = []
    for heads in ([own, custom], [custom, own], [Head(y, "mean_squared_error", 2.5)]):
        engine = fnn.backend.new_engine(program.with_heads(heads), net.core.storage)
        targets = [(data[1], None)] * len(heads)
        cost = engine.loss_and_gradients([data[0]], targets)
        evaluated, losses = engine.evaluate([data[0]], targets)
        assert evaluated == pytest.approx(cost, rel=1e-12)
        assert losses == pytest.approx([losses[0]] * len(heads), rel=1e-12)
        found.append(np.append(engine.gradients, cost))
    np.testing.assert_allclose(found[0], found[2], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-10, atol=1e-15)


# -------------------------------------------------------------------- prediction


def test_predictions_in_blocks_equal_those_of_single_rows(backend, rng):
    X = rng.normal(size=(9001, 4))
    net = chain()
    y = net.predict(X)
    np.testing.assert_allclose(y[[0, 4096, 9000]], [net.predict(X[i]) for i in (0, 4096, 9000)])
    np.testing.assert_allclose(net.predict(X, batch_size=1000), y, rtol=1e-12)


def test_a_predictor_calls_the_layer_too(backend, rng, data):
    net = chain()
    predict = net.predictor()
    expected = net.predict(data[0])
    np.testing.assert_array_equal(predict(data[0]), expected)
    net.fit(*data, epochs=1)
    out = np.empty_like(expected)
    np.testing.assert_array_equal(predict(data[0], out), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predict))(data[0]), expected)


def test_a_predictor_calls_the_layer_from_several_threads(backend, rng):
    X = rng.normal(size=(500, 4))
    net = chain()
    predict, expected = net.predictor(), net.predict(X)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: predict(X[i : i + 100]), range(0, 400, 10)))
    for i, y in zip(range(0, 400, 10), found, strict=True):
        np.testing.assert_allclose(y, expected[i : i + 100], rtol=1e-12)


def test_training_is_true_in_steps_alone(backend, data):
    class Watch(fnn.CustomLayer):
        def forward_pass(self, x, parameters, training):
            seen.append(training)
            return x + 0

        def backward_pass(self, dy, x, y, parameters):
            return dy + 0, {}

    seen = []
    net = one_layer(Watch())
    for call, expected in (
        (lambda: net.train_step(data[0], data[0]), True),
        (lambda: net.loss_and_gradients(data[0], data[0]), False),
        (lambda: net.loss_and_gradients(data[0], data[0], training=True), True),
        (lambda: net.predict(data[0]), False),
        (lambda: net.evaluate(data[0], data[0]), False),
    ):
        seen.clear()
        call()
        assert set(seen) == {expected}


def test_a_whole_batch_comes_in_one_call_of_read_only_arrays(backend, dtype, rng):
    class Watch(fnn.CustomLayer):
        def __init__(self):
            super().__init__()
            self.add_parameter("scale", (2, 3))

        def forward_pass(self, x, parameters, training):
            check(x, parameters["scale"])
            return np.ones(x.shape)

        def backward_pass(self, dy, x, y, parameters):
            check(dy, x, y, parameters["scale"])
            return np.zeros(x.shape), {"scale": np.zeros((2, 3))}

    def check(*arrays):
        assert all(not array.flags.writeable and array.dtype == dtype for array in arrays)
        rows.append(len(arrays[0]))

    rows = []
    net = fnn.Sequential([fnn.Dense(2, 6000), Watch()], dtype=dtype)
    net.compile("mean_squared_error")
    net.train_step(rng.normal(size=(450, 2)), np.zeros((450, 6000), dtype))
    assert rows == [450, 450]


# ---------------------------------------------------------------- calls on arrays


def test_a_call_on_an_array_and_its_backward(backend, rng):
    layer = RadialBasis(4, 6, dtype="float64", seed=1)
    x, dy = rng.normal(size=(5, 4)), rng.normal(size=(5, 6))
    y = layer(x)
    parameters = dict(layer.parameters)
    np.testing.assert_allclose(y, layer.forward_pass(x, parameters, True), rtol=1e-12)
    dx = layer.backward(dy)
    expected, gradients = layer.backward_pass(dy, x, y, parameters)
    np.testing.assert_allclose(dx, expected, rtol=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(layer.gradients[name], gradient, rtol=1e-12)


def test_a_layer_of_several_inputs_takes_a_list(backend):
    layer = Bilinear(2)
    np.testing.assert_array_equal(layer([[[1.0, 2.0]], [[3.0, 5.0]]]), [[3.0, 10.0]])
    left, right = layer.backward([[1.0, 1.0]])
    np.testing.assert_array_equal([left[0], right[0]], [[3.0, 5.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="takes 2 inputs, got 1"):
        layer([[1.0, 2.0]])


def test_frozen_parameters_stay_and_have_no_gradient(backend, data):
    net = chain()
    net.layer("basis").trainable = False
    net.compile("mean_squared_error")
    before = np.array(net.parameters["basis.centres"])
    net.fit(*data, epochs=2)
    np.testing.assert_array_equal(net.parameters["basis.centres"], before)
    _, gradients = net.loss_and_gradients(*data)
    assert not gradients["basis.centres"].any()


def test_intermediates_are_found_by_name(backend, data):
    net = chain()
    net.loss_and_gradients(*data)
    hidden = net.core.engine.value("centering_1.A")
    np.testing.assert_allclose(hidden.mean(axis=1), 0, atol=1e-15)
    assert net.core.engine.gradient("basis.A").any()


# ------------------------------------------------------------------------- errors


class Broken(fnn.CustomLayer):
    """Returns what it is told to."""

    def __init__(self, forward=None, backward=None):
        super().__init__(name="odd")
        self.forward, self.backward_result = forward, backward
        self.add_parameter("scale", (4,))

    def forward_pass(self, x, parameters, training):
        return x + 0 if self.forward is None else self.forward(x)

    def backward_pass(self, dy, x, y, parameters):
        return self.backward_result(dy)


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (Broken(lambda x: x[:, 1:]), ValueError, r"layer 'odd' .* shape \(30, 4\), got \(30, 3\)"),
        (Broken(lambda x: x[1:]), ValueError, r"shape \(30, 4\), got \(29, 4\)"),
        (Broken(lambda x: None), TypeError, "'odd' .* an array of real numbers, got NoneType"),
        (Broken(lambda x: x * 1j), TypeError, "'odd' .* got an array of complex128"),
        (Broken(None, lambda dy: dy), TypeError, r"'odd' must return \(dx, gradients\)"),
        (Broken(None, lambda dy: (dy, {})), ValueError, r"gradients of \[\], expected .*'scale'"),
        (
            Broken(None, lambda dy: (dy[1:], {"scale": dy[0]})),
            ValueError,
            r"dx that backward_pass of layer 'odd' returned must have shape .*, got \(29, 4\)",
        ),
        (
            Broken(None, lambda dy: (dy, {"scale": dy})),
            ValueError,
            r"the gradient of 'scale' .* must have shape \(4,\), got \(30, 4\)",
        ),
    ],
)
def test_what_is_no_result_is_refused_by_the_layer_s_name(backend, data, broken, error, message):
    net = one_layer(broken.copy("odd"))
    before = net.get_state()
    with pytest.raises(error, match=message):
        net.train_step(data[0], data[0])
    np.testing.assert_array_equal(net.get_flat(), before["parameters"])
    assert net.get_state()["training"] == before["training"]


@pytest.mark.parametrize("call", ["train_step", "fit", "loss_and_gradients", "evaluate"])
@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, TypeError])
def test_an_exception_passes_on_with_a_note(backend, data, call, error):
    def fail(x):
        raise error("mine")

    net = one_layer(Broken(fail))
    before = net.get_flat()
    with pytest.raises(error, match="mine") as caught:
        getattr(net, call)(data[0], data[0])
    assert caught.value.__notes__ == ["in forward_pass of layer 'odd'"]
    for predict in (net.predict, net.predictor()):
        with pytest.raises(error, match="mine"):
            predict(data[0])
    np.testing.assert_array_equal(net.get_flat(), before)


def test_an_exception_of_the_backward_pass_leaves_the_network_usable(backend, data):
    def fail(dy):
        raise LookupError("mine")

    net = one_layer(Broken(None, fail))
    before = net.get_flat()
    with pytest.raises(LookupError) as caught:
        net.train_step(data[0], data[0])
    assert caught.value.__notes__ == ["in backward_pass of layer 'odd'"]
    np.testing.assert_array_equal(net.get_flat(), before)
    np.testing.assert_array_equal(net.predict(data[0]), net.predict(data[0]))


def test_bad_numbers_never_reach_the_layer(backend, data):
    net = one_layer(Broken(lambda x: pytest.fail("called")))
    X = data[0].copy()
    X[3, 1] = np.nan
    for call in (net.predict, lambda X: net.train_step(X, data[0])):
        with pytest.raises(ValueError, match=r"X must be finite, got X\[3, 1\] = nan"):
            call(X)


def test_a_layer_without_its_passes_is_abstract():
    class Empty(fnn.CustomLayer):
        pass

    with pytest.raises(TypeError, match=r"abstract class Empty .*backward_pass.*forward_pass"):
        Empty()


def test_a_declared_parameter_has_its_initial_values():
    layer = Centering()
    layer.add_parameter("a", (2,), [1.0, 2.0])
    np.testing.assert_array_equal(layer.parameters["a"], [1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", (2,)), "parameter 'a' of Centering needs a name that is not in use"),
        (("b", (1, 2, 3)), r"1 or 2 dimensions, got \(1, 2, 3\)"),
        (("b", (2,), [1.0]), r"b must have shape \(2,\), got \(1,\)"),
    ],
    ids=["name", "dimensions", "values"],
)
def test_unfit_declarations_are_refused(arguments, message):
    layer = Centering()
    layer.add_parameter("a", (2,), [1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        layer.add_parameter(*arguments)


def test_a_constructor_takes_its_arguments_by_name():
    with pytest.raises(TypeError, match=r"constructor of Odd takes \*sizes by position only"):

        class Odd(fnn.CustomLayer):
            def __init__(self, *sizes):
                super().__init__()


# -------------------------------------------------------------- copies and files


def test_a_chain_asks_for_the_input_s_width_where_a_custom_layer_changes_it():
    with pytest.raises(ValueError, match=r"no layer says how wide the input is; put an Input"):
        fnn.Sequential([RadialBasis(4, 5), fnn.Dense(5, 3)])
    net = fnn.Sequential([Centering(), fnn.Dense(4, 3)])
    assert net.predict(np.zeros(4)).shape == (3,)


def test_layers_are_named_after_their_class():
    names = [layer.name for layer in chain().layers]
    assert names == ["dense_1", "centering_1", "basis", "dense_2"]
    assert RadialBasis.kind == "radial_basis"


def test_copies_keep_arguments_and_values():
    layer = RadialBasis(2, 3, centres="he_normal", seed=4, trainable=False, dtype="float64")
    layer([[1.0, 2.0]])
    for other in (layer.copy(), pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert repr(other) == repr(layer)
        assert other.options == {"n_in": 2, "n_centres": 3, "centres": "he_normal"}
        assert not other.trainable
        np.testing.assert_array_equal(other.parameters["centres"], layer.parameters["centres"])


def test_networks_are_pickled_and_go_on(backend, data):
    net = chain()
    net.fit(*data, epochs=1)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert other.train_step(*data) == copy.deepcopy(net).train_step(*data)


def test_a_saved_network_gets_its_classes_back_at_load(backend, data, tmp_path):
    net = chain(l2=0.1)
    net.fit(*data, epochs=1)
    net.save(tmp_path / "net")
    with pytest.raises(fnn.FormatError, match=r"custom layer Centering: give its class"):
        fnn.load(tmp_path / "net", custom=[RadialBasis])
    other = fnn.load(tmp_path / "net", custom=[RadialBasis, Centering])
    np.testing.assert_array_equal(other.predict(data[0]), net.predict(data[0]))
    net.fit(*data, epochs=1)
    other.fit(*data, epochs=1)
    np.testing.assert_array_equal(other.get_flat(), net.get_flat())


def test_arguments_that_no_file_can_hold_are_named_at_save(tmp_path):
    net = fnn.Sequential([fnn.Input(1), RadialBasis(1, 2, np.zeros((2, 1)), name="basis")])
    with pytest.raises(ValueError, match="layer 'basis' was made from arguments"):
        net.save(tmp_path / "net")
