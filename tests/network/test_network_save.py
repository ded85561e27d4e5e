"""Files, pickles and copies of networks."""

import copy
import io
import json
import math
import pickle

import numpy as np
import pytest
from networks import classifier, flowers

from fastnn import optimizers
from fastnn.layers import (
    AbsDifference,
    Activation,
    Average,
    Concatenate,
    Dense,
    Dropout,
    Input,
    LayerNorm,
    Multiply,
    ReLU,
    Softmax,
    Subtract,
)
from fastnn.losses import BinaryCrossEntropy, CrossEntropy
from fastnn.network import Network, Sequential, load
from fastnn.optimizers import Adam, GradientDescent, Momentum
from fastnn.program import Program
from fastnn.schedules import Step
from fastnn.serialization import FormatError

OPTIMIZERS = [
    GradientDescent(0.1),
    Momentum(0.1, momentum=0.8, nesterov=True),
    Adam(Step(0.01, 0.5, 10), clip_norm=0.1),
    *(optimizers.get(name) for name in optimizers.names()),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
def test_training_goes_on_from_a_file_as_if_not_interrupted(
    backend, dtype, rng, tmp_path, optimizer
):
    X, y = flowers(rng)
    net = classifier(dtype, dropout=0.2)
    net.compile(CrossEntropy(label_smoothing=0.1), optimizer, l2=0.01)
    net.fit(X, y, epochs=2)
    net.save(tmp_path / "net.fastnn")
    loaded = load(tmp_path / "net.fastnn")
    for one in (net, loaded):
        one.fit(X, y, epochs=2)
        one.train_step(X, y)
    np.testing.assert_array_equal(loaded.get_flat(), net.get_flat())
    columns = [name for name in net.history if name != "seconds"]
    assert {c: loaded.history[c] for c in columns} == {c: net.history[c] for c in columns}


def everything():
    """A network with every kind of layer, shared, frozen and named ones among them."""
    a, b = Input(3), Input(3, name="b")
    shared = Dense(3, 3, activation="swish", alpha=1.5, trainable=False)
    h = Concatenate()([shared(a), shared(b), Subtract()([a, b]), AbsDifference(name="gap")([a, b])])
    h = LayerNorm(12, epsilon=1e-3, use_shift=False)(h)
    h = Dropout(0.3, seed=4)(Activation("leaky_relu", 0.2)(h))
    h = Dense(12, 6, activation="gelu", weight="lecun_normal", bias=np.arange(6.0))(h)
    h = Multiply()([h, Average()([h, Softmax()(h)])])
    net = Network([a, b], {"y": Dense(6, 2, use_bias=False)(h), "h": h}, seed=7, name="all")
    net.compile({"y": BinaryCrossEntropy(ignore_value=math.nan), "h": None}, l2=0.5)
    return net


def test_a_file_holds_every_kind_of_layer_and_option(backend, rng, tmp_path):
    net = everything()
    inputs = list(rng.normal(size=(2, 5, 3)))
    net.fit(inputs, rng.integers(0, 2, (5, 2)), epochs=1)
    net.save(tmp_path / "net.fastnn")
    loaded = load(tmp_path / "net.fastnn")
    assert loaded.summary() == net.summary()
    assert str(loaded.program) == str(net.program)
    assert loaded.program == net.program
    assert [layer.config for layer in loaded.layers] == [layer.config for layer in net.layers]
    for key, value in net.predict(inputs).items():
        np.testing.assert_array_equal(loaded.predict(inputs)[key], value)


def test_a_network_without_a_loss_is_saved_too(backend, tmp_path):
    net = Sequential([Dense(2, 3)], name="plain", dtype="float64")
    net.save(tmp_path / "net.fastnn")
    loaded = load(tmp_path / "net.fastnn")
    assert type(loaded) is Sequential
    assert loaded.optimizer is None
    np.testing.assert_array_equal(loaded.get_flat(), net.get_flat())


@pytest.mark.parametrize("to_file", [False, True])
def test_networks_go_through_file_objects(tmp_path, to_file):
    net = Sequential([Dense(2, 3)])
    with open(tmp_path / "net.fastnn", "w+b") if to_file else io.BytesIO() as file:
        net.save(file)
        file.seek(0)
        loaded = load(file)
    np.testing.assert_array_equal(loaded.get_flat(), net.get_flat())


def test_running_out_of_memory_is_no_format_error(tmp_path, monkeypatch):
    Sequential([Dense(2, 3)]).save(tmp_path / "net.fastnn")

    def allocate(self):
        raise MemoryError

    monkeypatch.setattr(Program, "allocate", allocate)
    with pytest.raises(MemoryError):
        load(tmp_path / "net.fastnn")


def test_a_learning_rate_function_cannot_be_saved(tmp_path):
    net = classifier()
    net.compile("cross_entropy", Adam(lambda step: 0.1))
    with pytest.raises(ValueError, match="use a class of fastnn"):
        net.save(tmp_path / "net.fastnn")


def test_a_layer_class_of_ones_own_cannot_be_saved(tmp_path):
    class Mine(ReLU):
        pass

    net = Sequential([Dense(2, 2), Mine()])
    with pytest.raises(ValueError, match="layer 'relu_1' is a Mine"):
        net.save(tmp_path / "net.fastnn")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_pickles_and_deep_copies_train_on_independently(backend, rng, duplicate):
    X, y = flowers(rng)
    net = classifier(dropout=0.1)
    net.fit(X, y, epochs=1)
    twin = duplicate(net)
    assert twin.backend == backend
    assert twin.train_step(X, y) == net.train_step(X, y)
    before = net.get_flat()
    np.testing.assert_array_equal(twin.get_flat(), before)
    twin.train_step(X, y)
    np.testing.assert_array_equal(net.get_flat(), before)


def test_a_deep_copy_may_have_a_learning_rate_function(backend, rng):
    net = classifier()
    net.compile("cross_entropy", Adam(lambda step: 0.1 / step))
    X, y = flowers(rng)
    assert copy.deepcopy(net).train_step(X, y) == net.train_step(X, y)


def test_saving_a_network_leaves_json_that_is_standard(tmp_path):
    from fastnn import serialization

    everything().save(tmp_path / "net.fastnn")
    structure, _ = serialization.load(tmp_path / "net.fastnn")
    json.dumps(structure, allow_nan=False)


def test_error_of_a_missing_folder_names_the_path(tmp_path):
    path = str(tmp_path / "none" / "x.fastnn")
    with pytest.raises(FileNotFoundError) as caught:
        classifier().save(path)
    assert (caught.value.filename, caught.value.filename2) == (path, None)


def test_error_of_a_folder_as_path_names_it(tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        classifier().save(tmp_path)
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("use", [load, lambda path: classifier().save(path)])
def test_what_is_no_path_is_refused_by_name(use):
    with pytest.raises(TypeError, match="path must be a str or path-like, got int"):
        use(3)


def test_a_file_with_counters_too_large_to_count_on_is_refused(tmp_path):
    net = classifier()
    net.core.state.step = 2**63 - 1
    net.save(tmp_path / "x.fastnn")
    with pytest.raises(FormatError, match="step must be an integer from 0 to"):
        load(tmp_path / "x.fastnn")


METADATA = {"data": "iris", "columns": ["a", "b"], "split": {"seed": 3, "share": 0.2}, "note": None}


@pytest.mark.parametrize("given", [True, False])
def test_metadata_go_with_a_network(tmp_path, given):
    net = classifier()
    if given:
        net.save(tmp_path / "net.fastnn", metadata=METADATA)
        assert net.metadata == {}
    else:
        net.metadata |= METADATA
        net.save(tmp_path / "net.fastnn")
        assert copy.deepcopy(net).metadata == METADATA
    assert load(tmp_path / "net.fastnn").metadata == METADATA


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ([1], TypeError, "metadata must be a dict, got list"),
        ({"a": [0.0, math.nan]}, ValueError, r"metadata\['a'\]\[1\] is nan"),
        ({"a": {3: 4}}, TypeError, r"metadata\['a'\] has the key 3"),
        (
            {"a": np.zeros(2)},
            TypeError,
            r"metadata\['a'\] is .* of type ndarray, which JSON",
        ),
    ],
)
def test_metadata_that_no_file_can_hold_are_named(tmp_path, metadata, error, message):
    with pytest.raises(error, match=message):
        classifier().save(tmp_path / "net.fastnn", metadata)
    assert not list(tmp_path.iterdir())
