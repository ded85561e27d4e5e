"""Every kind of object that pickles, copies and skops files keep, and their contents as data."""

from __future__ import annotations

import numpy as np
from custom_layers import Centering, RadialBasis
from networks import siamese

import fastnn as fnn
from fastnn import initializers, layers, losses, optimizers, schedules, solvers
from fastnn.ensemble import Ensemble
from fastnn.estimators import MLPClassifier, MLPRegressor
from fastnn.tabular import Recipe, TabularClassifier, TabularRegressor, fit

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = np.arange(60) % 3
TABLE = {"x": X[:, 0], "city": np.where(X[:, 1] > 0, "Rom", "Ulm"), "y": X[:, 2].astype(float)}


def half_squares(output, target):
    """A loss of the caller's."""
    difference = output - target
    return float((difference**2).mean() / 2), difference / difference.size


def inverse_root(step):
    """A learning rate of the caller's."""
    return 0.01 / step**0.5


class OwnAdam(fnn.Adam):
    """A class of the caller's."""


class OwnNetwork(fnn.Sequential):
    """Another one."""


def trained(network=None, loss="cross_entropy", optimizer="adam", y=LABELS):
    """A network after two epochs."""
    if network is None:
        network = chain()
    network.compile(loss, optimizer)
    network.metadata["source"] = {"rows": (60, 4), "name": "flowers"}
    network.fit(X, y, epochs=2, verbose=0)
    return network


def chain(cls=fnn.Sequential, **options):
    """4-5-3, with every common kind of layer."""
    parts = [fnn.Dense(4, 5, activation="tanh"), fnn.LayerNorm(5), fnn.Dropout(0.2)]
    return cls([*parts, fnn.Swish(beta=1.5), fnn.Dense(5, 3)], **options)


def eight_bits():
    """A predictor that multiplies whole numbers, and has a report."""
    network = fnn.Sequential([fnn.Dense(4, 64), fnn.Dense(64, 64), fnn.Dense(64, 3)])
    network.compile("cross_entropy")
    return network.predictor("int8", calibrate=X, y=LABELS)


def several():
    """Two inputs, two named outputs, one of them without a loss."""
    a, b = fnn.Input(2, name="a"), fnn.Input(2, name="b")
    joint = fnn.Concatenate()([a, b])
    network = fnn.Network([a, b], {"y": fnn.Dense(4, 1)(joint), "z": fnn.Dense(4, 2)(joint)})
    network.compile({"y": "huber", "z": None}, fnn.Momentum(fnn.WarmUp(3, 0.1)))
    network.train_step({"a": X[:, :2], "b": X[:, 2:]}, {"y": X[:, :1]})
    return network


def networks():
    """Networks in every situation, by name."""
    custom = [fnn.Dense(4, 3), Centering(), RadialBasis(3, 2, np.ones((2, 3)))]
    return {
        "fresh": chain(seed=3, name="mine"),
        "float64": trained(chain(dtype="float64"), optimizer=fnn.RMSprop(clip_norm=1.0)),
        "trained": trained(),
        "solved": trained(fnn.Sequential([fnn.Dense(4, 3)]), optimizer=fnn.LBFGS(3)),
        "several": several(),
        "shared": siamese(),
        "custom": trained(fnn.Sequential(custom), half_squares, y=X[:, :2]),
        "own rate": trained(optimizer=fnn.Adam(inverse_root)),
        "own classes": trained(chain(OwnNetwork), optimizer=OwnAdam(0.02)),
    }


def ensemble():
    """Two trained members."""
    members = Ensemble(trained(), 2, bootstrap=True)
    members.fit(X, LABELS, epochs=1, verbose=0)
    return members


def callbacks():
    """Callbacks that have seen a training, by name."""
    stopping, plateau = fnn.EarlyStopping("loss", 3, baseline=9.0), fnn.ReduceOnPlateau("loss")
    monitor = fnn.LayerMonitor(X, LABELS)
    trained().fit(X, LABELS, epochs=2, callbacks=[stopping, plateau, monitor], verbose=0)
    return {"EarlyStopping": stopping, "ReduceOnPlateau": plateau, "LayerMonitor": monitor}


def models():
    """Models for tables and their estimators, by name."""
    rows = {key: TABLE[key] for key in ("x", "city")}
    small = Recipe(hidden=(8,), epochs=2, folds=2)
    classifier = TabularClassifier(small, random_state=0).fit(rows, LABELS)
    regressor = TabularRegressor("fast", loss="huber", random_state=0).fit(rows, TABLE["y"])
    perceptron = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, LABELS)
    early = MLPRegressor(solver="sgd", early_stopping=True, max_iter=3, learning_rate="adaptive")
    dense = fit(TABLE, "y", preset="network", verbose=0)
    blend = fit(TABLE, "y", preset="fast", verbose=0)
    return {
        "TabularClassifier": classifier,
        "TabularRegressor": regressor,
        "MLPClassifier": perceptron,
        "MLPRegressor": early.fit(X, TABLE["y"]),
        "Learner": classifier.learner_,
        "Model": dense,
        "DenseLearner": dense.learner,
        "Model of a blend": blend,
    }


def declarations():
    """Optimizers, solvers, losses, schedules and initializers, by name."""
    made = [optimizers.get(name) for name in optimizers.names()]
    made += [cls() for cls in solvers.CLASSES.values()]
    made += [getattr(losses, name)() for name in OWN_LOSSES]
    made += [fnn.CrossEntropy(label_smoothing=0.1, class_weight={0: 2.0}), fnn.Adam(inverse_root)]
    made += [fnn.BinaryCrossEntropy(pos_weight=[1.0, 2.0]), fnn.CustomLoss(half_squares)]
    made += [fnn.MeanSquaredError(ignore_value=float("nan")), OwnAdam(fnn.Cosine(0.1, 9))]
    made += [schedules.Constant(0.1), fnn.Step(0.1, 0.5, 3), fnn.Exponential(0.1, 0.9)]
    made += [fnn.Cosine(0.1, 9), fnn.FlatCosine(0.1, 9), fnn.CosineLog(0.1, 9)]
    made += [fnn.BiasCorrection(0.1, 0.9, 0.99)]
    made += [fnn.WarmUp(4, fnn.Cosine(0.1, 9)), initializers.HeNormal(0.1), initializers.Zeros()]
    made += [initializers.Explicit(np.ones(3))]
    return {f"{type(x).__name__} {i}": x for i, x in enumerate(made)}


OWN_LOSSES = [name for name in losses.__all__ if name in fnn.__all__ and name != "CustomLoss"]


def single_layers():
    """Layers outside a network, with and without values, by name."""
    options = {"Dense": (4, 3), "Dropout": (0.5,), "LayerNorm": (4,), "Scale": (4,)}
    options |= {"Embedding": ([3, 2], 2), "PiecewiseLinear": ([2, 3], 4)}
    options |= {"Activation": ("elu", 0.5), "LeakyReLU": (0.2,)}
    made = {name: cls(*options.get(name, ())) for name, cls in layers.CLASSES.items()}
    given = layers.Dense(4, 3, weight=np.full((4, 3), 0.5), name="given", seed=4, dtype="float64")
    called = layers.Dense(4, 3, seed=2)
    called(X)
    return made | {"given": given, "called": called, "custom": RadialBasis(4, 2)}


def others():
    """A history, a program and predictors, by name."""
    network = trained()
    history = network.history.copy()
    history.append({"loss": float("inf"), "val_loss": 0.5})
    return {
        "History": history,
        "Program": network.program,
        "Predictor": network.predictor(),
        "Predictor of several": several().predictor(),
        "Predictor in int8": eight_bits(),
        "Ensemble": ensemble(),
    }


def contents(value):
    """An object as data that compare equal if and only if all bits of its state are equal."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return ("array", value.shape, contents(value.tolist()))
        return ("array", value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return ("dict", [(key, contents(item)) for key, item in value.items()])
    if isinstance(value, list | tuple):
        return (type(value).__name__, [contents(item) for item in value])
    if isinstance(value, float):
        return float(value).hex()
    if type(value).__module__.startswith(("fastnn", __name__, "custom_layers")):
        return (type(value), contents(value.__getstate__()))
    return value
