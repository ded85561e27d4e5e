"""Pickles, copies and skops files of everything that has a state."""

from __future__ import annotations

import copy
import io
import pickle
import random
from functools import cache

import numpy as np
import pytest
import stateful
from stateful import LABELS, X, contents

import fastnn as fnn
from fastnn import backend as backends
from fastnn.tabular import TabularClassifier

pytestmark = pytest.mark.filterwarnings("ignore:.*converged:UserWarning")  # after few epochs


def by_pickle(protocol):
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


def by_joblib(value):
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


def by_cloudpickle(value):
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(value))


def by_skops(value):
    sio = pytest.importorskip("skops.io")
    data = sio.dumps(value)
    return sio.loads(data, trusted=sio.get_untrusted_types(data=data))


WAYS = {f"pickle {protocol}": by_pickle(protocol) for protocol in range(6)}
WAYS |= {"deepcopy": copy.deepcopy, "copy": copy.copy, "joblib": by_joblib}
WAYS |= {"cloudpickle": by_cloudpickle, "skops": by_skops}

KINDS = [
    stateful.networks, stateful.callbacks, stateful.models, stateful.declarations,
    stateful.single_layers, stateful.others,
]  # fmt: skip


@cache
def made(kind, backend):
    """The objects of one kind by name, on the backend in use; no test changes them."""
    return kind()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def objects(request, backend):
    """The objects of one kind by name."""
    return made(request.param, backend)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_keeps_all_bits(objects, way):
    for name, value in objects.items():
        twin = way(value)
        assert type(twin) is type(value), name
        assert contents(twin) == contents(value), name


def test_the_list_has_every_public_class_with_a_state(backend):
    """Results, such as a `Trace`, are plain dataclasses; the others have no objects."""
    names = {type(value).__name__ for kind in KINDS for value in made(kind, backend).values()}
    results = {"GradientCheck", "LayerStatistics", "PrecisionReport", "Prediction", "Trace"}
    bases = {"Callback", "CustomLayer", "Layer", "Network", "Input"}
    errors = {"BackendError", "FormatError", "SourceError", "TrainingError"}
    sources = {"Chunks", "ParquetRows"}  # paths, and what the caller gives
    classes = {name for name in fnn.__all__ if isinstance(getattr(fnn, name), type)}
    assert classes - names - results - bases - errors - sources == set()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_network_predicts_and_trains_on_alike(backend, way):
    net = stateful.trained()
    twin = way(net)
    np.testing.assert_array_equal(twin.predict(X), net.predict(X))
    assert twin.train_step(X, LABELS) == net.train_step(X, LABELS)
    np.testing.assert_array_equal(twin.get_flat(), net.get_flat())
    assert twin.backend == backend


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_predictor_and_an_estimator_predict_alike(backend, way):
    predict = stateful.trained().predictor()
    np.testing.assert_array_equal(way(predict)(X), predict(X))
    model = made(stateful.models, backend)["TabularClassifier"]
    rows = {key: stateful.TABLE[key] for key in ("x", "city")}
    np.testing.assert_array_equal(way(model).predict_proba(rows), model.predict_proba(rows))
    np.testing.assert_array_equal(way(model).held_out_predictions_, model.held_out_predictions_)


def test_attributes_of_a_subclass_are_kept():
    net = stateful.trained(stateful.chain(stateful.OwnNetwork))
    net.remark = ("of", 3)
    twin = copy.deepcopy(net)
    assert (type(twin), twin.remark) == (stateful.OwnNetwork, ("of", 3))


@pytest.mark.skipif(len(backends.available()) == 1, reason="has one backend alone")
def test_the_backend_stays_where_the_default_is_another():
    with backends.use("reference"):
        net = stateful.trained()
        state = pickle.dumps(net), pickle.dumps(net.predictor())
    with backends.use("compiled"):
        assert pickle.loads(state[0]).backend == "reference"
        np.testing.assert_array_equal(pickle.loads(state[1])(X), net.predict(X))


def test_without_its_backend_a_network_runs_on_the_default():
    state = stateful.trained().__getstate__()
    state["core"] = state["core"] | {"backend": "of another computer"}
    net = fnn.Sequential.__new__(fnn.Sequential)
    net.__setstate__(state)
    assert net.backend == backends.name()


# ------------------------------------------------------------------ types that skops is told


FEW = {
    "fresh": {"Sequential"},
    "trained": {"Sequential"},
    "several": {"Network"},
    "own rate": {"Sequential", "Adam", "inverse_root"},
    "Ensemble": {"Ensemble", "Sequential"},
    "Predictor": {"Predictor", "Program"},
    "TabularClassifier": {"TabularClassifier", "Learner", "Recipe"},
    "TabularRegressor": {"TabularRegressor", "Learner"},
    "MLPClassifier": {"MLPClassifier", "Sequential"},
    "MLPRegressor": {"MLPRegressor", "Sequential"},
    "Model": {"Model"},
    "Model of a blend": {"Model"},
    "DenseLearner": {"DenseLearner", "Sequential"},
    "EarlyStopping": {"EarlyStopping"},
    "History": {"History"},
}


def test_skops_is_told_few_types(backend):
    sio = pytest.importorskip("skops.io")
    by_name = {name: value for kind in KINDS for name, value in made(kind, backend).items()}
    for name, expected in FEW.items():
        types = sio.get_untrusted_types(data=sio.dumps(by_name[name]))
        assert {path.rpartition(".")[2] for path in types} == expected, name


def test_skops_takes_the_classes_themselves_as_trusted():
    sio = pytest.importorskip("skops.io")
    net = stateful.trained()
    twin = sio.loads(sio.dumps(net), trusted=[fnn.Sequential])
    np.testing.assert_array_equal(twin.predict(X), net.predict(X))


def test_skops_refuses_what_is_not_trusted():
    sio = pytest.importorskip("skops.io")
    with pytest.raises(TypeError, match=r"fastnn\.network\._sequential\.Sequential"):
        sio.loads(sio.dumps(stateful.trained()))


# ----------------------------------------------------------------------------- damaged states

SCALARS = [None, "x", -1, 2.5, float("nan"), [], {}, (), b"", np.zeros(3), np.array(["a"])]


def damaged(value, draw):
    """A state in which one value was replaced, removed or changed."""
    if isinstance(value, bytes) and value and draw.random() < 0.8:
        data = bytearray(value)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        return bytes(data) if draw.random() < 0.7 else value[: draw.randrange(len(value))]
    if isinstance(value, dict | list | tuple) and value and draw.random() < 0.8:
        items = dict(value) if isinstance(value, dict) else dict(enumerate(value))
        key = draw.choice(list(items))
        if draw.random() < 0.3:
            del items[key]
        else:
            items[key] = damaged(items[key], draw)
        return items if isinstance(value, dict) else type(value)(items.values())
    return draw.choice(SCALARS)


def test_a_damaged_state_is_refused_as_a_whole(objects):
    """ValueError and an empty object, or, where the damage is none, a sound object."""
    draw = random.Random(1)
    refused = 0
    for name, value in objects.items():
        state = value.__getstate__()
        checks = getattr(type(value), "__setstate__", None)
        if not state or not getattr(checks, "__module__", "").startswith("fastnn"):
            continue
        for _ in range(25):
            twin = type(value).__new__(type(value))
            try:
                twin.__setstate__(damaged(state, draw))
            except ValueError:
                refused += 1
                assert not getattr(twin, "__dict__", {}), name
            else:
                assert contents(copy.deepcopy(twin)) == contents(twin), name
    assert refused > 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"structure": {"class": 3}}, "its class is 3"),
        ({"structure": "text"}, "'structure' must be a dict"),
        ({"arrays": {"dense.weight": [1.0]}}, "the array 'dense.weight' must be ndarray"),
        ({"arrays": {"dense.weight": np.ones(3)}}, "the parameters are not those of the layers"),
        ({"backend": 3}, "'backend' must be text"),
        ({"objects": {"layers": {9: {}}}}, "damaged"),
    ],
)
def test_the_error_says_what_is_damaged(change, words):
    state = stateful.trained().__getstate__()
    state["core"] = state["core"] | change
    with pytest.raises(fnn.FormatError, match=words):
        fnn.Sequential.__new__(fnn.Sequential).__setstate__(state)


def test_a_network_of_another_class_is_refused():
    state = stateful.several().__getstate__()
    with pytest.raises(fnn.FormatError, match="its class is 'Network', expected 'Sequential'"):
        fnn.Sequential.__new__(fnn.Sequential).__setstate__(state)


def test_a_damaged_skops_file_is_refused():
    sio = pytest.importorskip("skops.io")
    data = sio.dumps(stateful.trained())
    place = data.index(b"\x93NUMPY") + 130  # behind the header of an array
    changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    with pytest.raises(Exception, match=r"CRC|damaged"):  # the archive has a checksum too
        sio.loads(changed, trusted=[fnn.Sequential])


def test_an_unfitted_estimator_goes_through():
    model = TabularClassifier("fast", columns={"x": "number"}, random_state=3)
    assert by_skops(model).get_params() == model.get_params()
