"""Mistakes in graphs and in what is given for their heads: errors that name the layers."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import fastnn as fnn
from fastnn import serialization
from fastnn.graph import from_structure, to_structure

X = np.ones((3, 4))
KIND, SIZE = np.array([0, 1, 2]), np.ones(3)
LOSSES = {"kind": "cross_entropy", "size": "huber"}


def two_heads():
    x = fnn.Input(4, name="x")
    trunk = fnn.Dense(4, 6, name="trunk")(x)
    outputs = {"kind": fnn.Dense(6, 3, name="a")(trunk), "size": fnn.Dense(6, 1, name="b")(trunk)}
    return fnn.Network(x, outputs)


def compiled(loss=LOSSES):
    net = two_heads()
    net.compile(loss)
    return net


# ------------------------------------------------------------------- while building

x = fnn.Input(2, name="x")
narrow, wide = fnn.Dense(2, 2, name="narrow")(x), fnn.Dense(2, 3, name="wide")(x)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: fnn.Dense(3, 1, name="d")(narrow), ValueError,
         "'d' takes inputs of width 3, but 'narrow' has width 2"),
        (lambda: fnn.Add(name="sum")([narrow, wide]), ValueError,
         "'sum' takes inputs of equal width, got 2 from 'narrow', 3 from 'wide'"),
        (lambda: fnn.Subtract(name="minus")([narrow] * 3), ValueError,
         "'minus' takes exactly two inputs, got 3"),
        (lambda: fnn.Concatenate(name="both")([narrow]), ValueError,
         "'both' takes at least two inputs, got 1"),
        (lambda: fnn.Add(name="sum")(narrow), TypeError, "takes a list of inputs, got Tensor"),
        (lambda: fnn.Add(name="sum")([narrow, np.ones(2)]), TypeError,
         "'sum' takes tensors or arrays, got tensors and ndarray in one list"),
        (lambda: fnn.Dense(2, 1, name="d")([narrow, wide]), TypeError,
         "'d' takes one tensor, got a list of 2; merge them first"),
        (lambda: fnn.Dense(2, 1, name="d")(fnn.ReLU(name="r")), TypeError,
         "'d' is called on the layer 'r'"),
        (lambda: fnn.Add(name="sum")([fnn.ReLU(name="r"), np.ones(2)]), TypeError,
         "'sum' is called on the layer 'r'"),
        (lambda: fnn.Network([x, fnn.Input(5, name="spare")], narrow), ValueError,
         "input 'spare' is not used by any output"),
        (lambda: fnn.Network(fnn.Input(2, name="other"), narrow), ValueError,
         "the outputs depend on 'x', which is not among the network's inputs"),
        (lambda: fnn.Network(x, [narrow, fnn.Dense(2, 2, name="narrow")(x)]), ValueError,
         "two inputs or layers are called 'narrow'"),
        (lambda: fnn.Network(x, fnn.Dense(2, 2, name="x")(x)), ValueError,
         "two inputs or layers are called 'x'"),
        (lambda: fnn.Network(x, {"": narrow}), ValueError, "name is ''"),
    ],
)  # fmt: skip
def test_a_graph_that_makes_no_sense_is_refused_by_name(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_layers_of_another_network_are_refused_by_name():
    layer = fnn.Dense(2, 2, name="taken")
    fnn.Sequential([layer], name="first")
    with pytest.raises(ValueError, match="layer 'taken' belongs to network 'first' and cannot"):
        layer(fnn.Input(2))


# ---------------------------------------------------------------------------- cycles


@pytest.mark.parametrize("attribute", ["inputs", "layer", "width", "order"])
def test_tensors_cannot_be_changed_so_no_graph_gets_a_cycle(attribute):
    first = fnn.Dense(2, 2, name="first")(x)
    second = fnn.Dense(2, 2, name="second")(first)
    with pytest.raises(AttributeError, match=f"cannot set {attribute} of the tensor from 'first'"):
        setattr(first, attribute, (second,))


def test_a_layer_called_on_what_it_returned_is_no_cycle_but_a_second_use(backend):
    layer = fnn.Dense(2, 2, weight=2 * np.eye(2))
    start = fnn.Input(2)
    net = fnn.Network(start, layer(layer(start)))
    np.testing.assert_array_equal(net.predict([[1, 2]]), [[4, 8]])


def broken(change):
    """The structure of a small network after `change`."""
    structure = copy.deepcopy(to_structure(two_heads().graph))
    change(structure)
    return structure


def feed_back(structure):
    """The first layer reads the tensor of the second."""
    structure["calls"][0]["inputs"] = [2]


def read_itself(structure):
    structure["calls"][1]["inputs"] = [2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (feed_back, "layer 'trunk' reads tensor 2, but only 1 come before it: the graph has a"),
        (read_itself, "layer 'a' reads tensor 2, but only 2 come before it: the graph has a"),
        (lambda s: s["calls"][1].update(inputs=[-1]), "-1 is not an index below 2"),
        (lambda s: s["layers"][1]["config"].update(name="trunk"), "are called 'trunk'"),
        (lambda s: s["layers"][1]["config"].update(n_in=5),
         "'a' takes inputs of width 5, but 'trunk' has width 6"),
    ],
)  # fmt: skip
def test_the_graph_of_a_damaged_file_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        from_structure(broken(change))


def test_a_file_with_a_cycle_is_no_network(tmp_path):
    path = tmp_path / "net.fnn"
    two_heads().save(path)
    structure, arrays = serialization.load(path)
    feed_back(structure["graph"])
    serialization.save(path, structure, arrays)
    with pytest.raises(fnn.FormatError, match=r"layer .trunk. reads tensor 2.*has a cycle"):
        fnn.load(path)


# ----------------------------------------------------------------- losses of the heads


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ({"kind": "cross_entropy"}, ValueError, "loss has nothing for output 'size'; give None"),
        ({}, ValueError, "loss has nothing for output 'kind', 'size'"),
        (["cross_entropy"], ValueError, "loss has 1 entries, expected 2: kind, size"),
        ("huber", TypeError, "loss must be a list of 2 or a dict with 'kind', 'size', got str"),
        (LOSSES | {"colour": "huber"}, ValueError, "loss has 'colour', expected 'kind', 'size'"),
        ({"kind": None, "size": None}, ValueError, "loss gives no output a loss"),
        ({"kind": "huber", "size": "cross_entropy"}, ValueError, "at least 2 columns, got 1"),
    ],
)
def test_a_head_without_its_loss_is_refused_by_name(loss, error, message):
    with pytest.raises(error, match=message):
        two_heads().compile(loss)


@pytest.mark.parametrize(
    ("weights", "loss", "message"),
    [
        ({"colour": 2}, LOSSES, "loss_weights has 'colour', expected 'kind', 'size'"),
        ({"size": -1}, LOSSES, r"loss_weights\['size'\]"),
        ({"size": 2}, LOSSES | {"size": None}, "has 'size', but that output has no loss"),
    ],
)
def test_weights_of_losses_that_do_not_fit_are_refused_by_name(weights, loss, message):
    with pytest.raises(ValueError, match=message):
        two_heads().compile(loss, loss_weights=weights)


# ---------------------------------------------------------------- targets of the heads

TARGETS = [
    ({"kind": KIND, "colour": SIZE}, ValueError, "y has 'colour', expected 'kind', 'size'"),
    ({"kind": KIND}, ValueError, "y has nothing for 'size'"),
    ([KIND], ValueError, "y has 1 entries, expected 2: kind, size"),
    (KIND, TypeError, "y must be a list of 2 or a dict with 'kind', 'size', got ndarray"),
    ({"kind": KIND, "size": SIZE[:2]}, ValueError, r"y\['size'\] must have 3 rows as X has, got 2"),
    (
        {"kind": KIND, "size": np.ones((3, 2))},
        ValueError,
        r"y\['size'\] must have shape .*, got \(3, 2\)",
    ),
    ({"kind": KIND + 1, "size": SIZE}, ValueError, r"y\['kind'\].* 3"),
]


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_step", "loss_and_gradients"])
@pytest.mark.parametrize(("y", "error", "message"), TARGETS)
def test_targets_that_do_not_fit_the_heads_are_refused_by_name(backend, call, y, error, message):
    with pytest.raises(error, match=message):
        getattr(compiled(), call)(X, y)


def test_targets_for_an_output_without_a_loss_are_refused_by_name(backend):
    net = compiled(LOSSES | {"size": None})
    with pytest.raises(ValueError, match="y has 'size', expected 'kind'"):
        net.fit(X, {"kind": KIND, "size": SIZE})


def test_inputs_that_do_not_fit_are_refused_by_name(backend):
    net = compiled()
    with pytest.raises(ValueError, match="X has 'z', expected 'x'"):
        net.predict({"x": X, "z": X})
    with pytest.raises(ValueError, match="X has nothing for 'x'"):
        net.predict({})
