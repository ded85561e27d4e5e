"""The systems that networks must be able to be, each beside its formulas in plain NumPy.

A formula takes the parameters by name in float64, the inputs and the targets, and returns
the outputs, the cost and the gradient of every parameter, each written out by hand.  Samples
are rows; dZ is the gradient of the cost with respect to Z.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, log_softmax, logsumexp, softmax

import fastnn as fnn
import fastnn.functional as F


class System(NamedTuple):
    """A network, data for it, and its formulas."""

    build: Callable[[str], Any]
    data: Callable[[np.random.Generator], tuple[Any, Any]]
    formula: Callable[[dict, Any, Any], tuple[Any, float, dict]]
    training: bool = False


def compiled(inputs, outputs, dtype, loss, **options):
    net = fnn.Network(inputs, outputs, dtype=dtype, seed=3)
    net.compile(loss, fnn.GradientDescent(0.1), **options)
    rng = np.random.default_rng(7)
    for view in net.parameters.values():  # biases start at 0, where ReLU has its kink
        view[...] += 0.2 * rng.normal(size=view.shape)
    return net


def gaussian(*shape):
    return lambda rng: rng.normal(size=shape)


def dense_gradients(name, x, dz):
    return {f"{name}.weight": x.T @ dz, f"{name}.bias": dz.sum(axis=0)}


def affine(p, name, x):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def binary_cross_entropy(z, y):
    """Of logits: log(1 + exp(z)) - y z, and its derivative."""
    return np.logaddexp(0, z) - y * z, expit(z) - y


# ------------------------------------------------------------------- A: deep nets

DERIVATIVES = {  # value, derivative from z
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (expit, lambda z: expit(z) * (1 - expit(z))),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "softplus": (lambda z: np.logaddexp(0, z), expit),
    "swish": (
        lambda z: z * expit(z),
        lambda z: expit(z) + z * expit(z) * (1 - expit(z)),
    ),
    "hard_swish": (
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z: np.where(z <= -3, 0, np.where(z >= 3, 1, (2 * z + 3) / 6)),
    ),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(z)),
        lambda z: np.where(z > 0, 1, np.exp(z)),
    ),
}
DEEP = ("tanh", "softplus", "elu", "hard_swish", "swish", "leaky_relu", "sigmoid")


def build_deep(dtype):
    x = tensor = fnn.Input(3)
    widths = (3, 5, 4, 6, 3, 5, 4, 2)
    for i, function in enumerate(DEEP):
        tensor = fnn.Dense(widths[i], widths[i + 1], function, name=f"layer{i + 1}")(tensor)
    return compiled(x, tensor, dtype, fnn.MeanSquaredError(reduction="half_sum"))


def deep(p, X, y):
    """s[m] = (s[m+1] f'(z[m+1])) W[m+1]', dW = a[m-1]' (s f'(z)), db = the sum of s f'(z)."""
    a, z = [X], []
    for i, function in enumerate(DEEP, 1):
        z.append(affine(p, f"layer{i}", a[-1]))
        a.append(DERIVATIVES[function][0](z[-1]))
    sensitivity = a[-1] - y
    gradients = {}
    for i in range(len(DEEP), 0, -1):
        dz = sensitivity * DERIVATIVES[DEEP[i - 1]][1](z[i - 1])
        gradients |= dense_gradients(f"layer{i}", a[i - 1], dz)
        sensitivity = dz @ p[f"layer{i}.weight"].T
    return a[-1], 0.5 * np.sum((a[-1] - y) ** 2), gradients


def build_two_paths(dtype, reduction="half_sum"):
    x = fnn.Input(2)
    h = fnn.Dense(2, 2, "tanh", name="layer1")(x)
    h = fnn.Dense(2, 2, "tanh", name="layer2")(h)
    y = fnn.Dense(2, 1, "sigmoid", name="layer3")(h)
    return compiled(x, y, dtype, fnn.MeanSquaredError(reduction=reduction))


def two_paths(p, X, y, reduction="half_sum"):
    """Unit by unit: what lies below the output has a path through both units of layer 2."""
    w2, w3 = (p[f"layer{i}.weight"] for i in (2, 3))
    a1 = np.tanh(affine(p, "layer1", X))
    a2 = np.tanh(affine(p, "layer2", a1))
    a3 = expit(affine(p, "layer3", a2))
    scale = 1.0 if reduction == "half_sum" else 2 / len(X)
    cost = np.sum((y - a3) ** 2) * scale / 2
    s3 = scale * (a3 - y)[:, 0]
    d3 = s3 * a3[:, 0] * (1 - a3[:, 0])
    s2 = [d3 * w3[i, 0] for i in (0, 1)]
    d2 = [s2[i] * (1 - a2[:, i] ** 2) for i in (0, 1)]
    s1 = [d2[0] * w2[j, 0] + d2[1] * w2[j, 1] for j in (0, 1)]
    d1 = [s1[j] * (1 - a1[:, j] ** 2) for j in (0, 1)]
    gradients = {}
    for m, below, d in ((1, X, d1), (2, a1, d2), (3, a2, [d3])):
        gradients[f"layer{m}.weight"] = np.array([[b @ di for di in d] for b in below.T])
        gradients[f"layer{m}.bias"] = np.array([di.sum() for di in d])
    return a3, cost, gradients


def build_shortcut(dtype):
    x = fnn.Input(4)
    h = fnn.Dense(4, 6, "tanh", name="hidden")(x)
    direct = fnn.Dense(4, 2, use_bias=False, name="direct")(x)
    y = fnn.Add()([fnn.Dense(6, 2, name="out")(h), direct])
    return compiled(x, y, dtype, "mean_squared_error")


def shortcut(p, X, y):
    """Z2 = A1 W2 + X W21 + b2."""
    a1 = np.tanh(affine(p, "hidden", X))
    z2 = affine(p, "out", a1) + X @ p["direct.weight"]
    dz2 = 2 * (z2 - y) / y.size
    dz1 = dz2 @ p["out.weight"].T * (1 - a1**2)
    gradients = dense_gradients("hidden", X, dz1) | dense_gradients("out", a1, dz2)
    return z2, np.mean((z2 - y) ** 2), gradients | {"direct.weight": X.T @ dz2}


BLOCKS = 20


def build_residual(dtype):
    x = h = fnn.Input(5)
    for i in range(BLOCKS):
        h = fnn.Add()([h, fnn.Dense(5, 5, "tanh", name=f"block{i}")(h)])
    return compiled(x, fnn.Dense(5, 1, name="out")(h), dtype, "mean_squared_error")


def residual(p, X, y):
    """h[l+1] = h[l] + tanh(h[l] W + b): the gradient passes each block and goes around it."""
    h, a = [X], []
    for i in range(BLOCKS):
        a.append(np.tanh(affine(p, f"block{i}", h[-1])))
        h.append(h[-1] + a[-1])
    out = affine(p, "out", h[-1])
    dout = 2 * (out - y) / y.size
    gradients = dense_gradients("out", h[-1], dout)
    dh = dout @ p["out.weight"].T
    for i in range(BLOCKS - 1, -1, -1):
        dz = dh * (1 - a[i] ** 2)
        gradients |= dense_gradients(f"block{i}", h[i], dz)
        dh = dh + dz @ p[f"block{i}.weight"].T
    return out, np.mean((out - y) ** 2), gradients


CASCADE = 5


def build_cascade(dtype):
    x = fnn.Input(3)
    h = fnn.Dense(3, 4, "tanh", name="stage0")(x)
    for i in range(1, CASCADE):
        h = fnn.Dense(7, 4, "tanh", name=f"stage{i}")(fnn.Concatenate()([x, h]))
    return compiled(x, h, dtype, "mean_squared_error")


def cascade(p, X, y):
    """Every stage sees the input beside the stage below it."""
    seen, a = [X], [np.tanh(affine(p, "stage0", X))]
    for i in range(1, CASCADE):
        seen.append(np.hstack([X, a[-1]]))
        a.append(np.tanh(affine(p, f"stage{i}", seen[-1])))
    da = 2 * (a[-1] - y) / y.size
    gradients = {}
    for i in range(CASCADE - 1, -1, -1):
        dz = da * (1 - a[i] ** 2)
        gradients |= dense_gradients(f"stage{i}", seen[i], dz)
        da = (dz @ p[f"stage{i}.weight"].T)[:, 3:]
    return a[-1], np.mean((a[-1] - y) ** 2), gradients


# ------------------------------------------------- B and D: two layers, squared error


def build_relu_regressor(dtype):
    x = fnn.Input(3)
    y = fnn.Dense(5, 1, name="v")(fnn.Dense(3, 5, "relu", name="W")(x))
    return compiled(x, y, dtype, "mean_squared_error")


def relu_regressor(p, X, y):
    """f(u) = v' max(0, W'u + c) + b: one sample after the other, as the sum is written."""
    z = affine(p, "W", X)
    f = affine(p, "v", np.maximum(0, z))
    g = 2 * (f - y)[:, 0] / len(X)  # dJ/df
    v = p["v.weight"][:, 0]
    dc = sum(g[n] * (z[n] > 0) * v for n in range(len(X)))
    dw = sum(g[n] * np.outer(X[n], (z[n] > 0) * v) for n in range(len(X)))
    dv = sum(g[n] * np.maximum(0, z[n]) for n in range(len(X)))
    gradients = {"W.weight": dw, "W.bias": dc, "v.weight": dv[:, None], "v.bias": [g.sum()]}
    return f, np.mean((f - y) ** 2), gradients


def build_matrix_form(dtype):
    x = fnn.Input(4)
    h = fnn.Dense(4, 6, "tanh", use_bias=False, name="V")(x)
    z = fnn.Dense(6, 3, use_bias=False, name="W")(h)
    return compiled(x, z, dtype, fnn.MeanSquaredError(reduction="half_sum"))


def matrix_form(p, X, Y):
    """J = 1/2 ||Y - Z||^2: dJ/dW = h'(Z - Y), dJ/dV = X'( (Z - Y) W' * r'(X V) )."""
    V, W = p["V.weight"], p["W.weight"]
    h = np.tanh(X @ V)
    Z = h @ W
    gradients = {"W.weight": h.T @ (Z - Y), "V.weight": X.T @ ((Z - Y) @ W.T * (1 - h**2))}
    return Z, 0.5 * np.linalg.norm(Y - Z) ** 2, gradients


# ------------------------------------------------------------ E: one layer, two inputs

MERGES = {  # value of the merge, gradients of its two inputs from that of its output
    "subtract": (lambda a, b: a - b, lambda d, a, b: (d, -d)),
    "add": (lambda a, b: a + b, lambda d, a, b: (d, d)),
    "average": (lambda a, b: (a + b) / 2, lambda d, a, b: (d / 2, d / 2)),
    "multiply": (lambda a, b: a * b, lambda d, a, b: (d * b, d * a)),
    "absolute_difference": (
        lambda a, b: np.abs(a - b),
        lambda d, a, b: (d * np.sign(a - b), -d * np.sign(a - b)),
    ),
    "concatenate": (
        lambda a, b: np.hstack([a, b]),
        lambda d, a, b: (d[:, : a.shape[1]], d[:, a.shape[1] :]),
    ),
}
MERGE_LAYERS = {
    cls.kind: cls
    for cls in (fnn.Add, fnn.Subtract, fnn.Multiply, fnn.Average, fnn.AbsDifference,
                fnn.Concatenate)
}  # fmt: skip


def build_siamese(dtype, merge, function="relu"):
    left, right = fnn.Input(3, name="left"), fnn.Input(3, name="right")
    shared = fnn.Dense(3, 5, function, name="shared")
    merged = MERGE_LAYERS[merge]()([shared(left), shared(right)])
    out = fnn.Dense(merged.width, 1, name="out")(merged)
    return compiled([left, right], out, dtype, "binary_cross_entropy")


def siamese(p, X, y, merge):
    """dW1 = X1' dZ1 + X2' dZ2: the gradients of both uses add."""
    value, gradient = MERGES[merge]
    z = [affine(p, "shared", x) for x in X]
    a1, a2 = (np.maximum(0, zi) for zi in z)
    a = value(a1, a2)
    logits = affine(p, "out", a)
    losses, dz3 = binary_cross_entropy(logits, y)
    dz3 = dz3 / len(y)
    gradients = dense_gradients("out", a, dz3)
    da = gradient(dz3 @ p["out.weight"].T, a1, a2)
    dz1, dz2 = (da[i] * (z[i] > 0) for i in (0, 1))
    gradients["shared.weight"] = X[0].T @ dz1 + X[1].T @ dz2
    gradients["shared.bias"] = dz1.sum(axis=0) + dz2.sum(axis=0)
    return logits, losses.mean(), gradients


# ---------------------------------------------------- F: softmax over a ReLU output layer


def build_softmax_over_relu(dtype):
    x = fnn.Input(3)
    z = fnn.Dense(4, 5, "relu", name="out")(fnn.Dense(3, 4, "tanh", name="hidden")(x))
    return compiled(x, z, dtype, "cross_entropy")


def softmax_over_relu(p, X, y):
    """z = relu(u), CE = sum(y) LSE(z) - y'z, dCE/dz = sum(y) softmax(z) - y, y of any sum."""
    a = np.tanh(affine(p, "hidden", X))
    u = affine(p, "out", a)
    z = np.maximum(u, 0)
    total = y.sum(axis=1, keepdims=True)
    losses = total[:, 0] * logsumexp(z, axis=1) - np.sum(y * z, axis=1)
    du = (total * softmax(z, axis=1) - y) * (u > 0) / len(y)
    dh = du @ p["out.weight"].T * (1 - a**2)
    gradients = dense_gradients("out", a, du) | dense_gradients("hidden", X, dh)
    return z, losses.mean(), gradients


def build_softmax_layer(dtype):
    x = fnn.Input(3)
    y = fnn.Softmax()(fnn.Dense(3, 4, "relu", name="out")(x))
    return compiled(x, y, dtype, fnn.MeanSquaredError(reduction="sum"))


def softmax_layer(p, X, y):
    """s = softmax(relu(u)) with a loss of its own: dz_i = s_i (ds_i - sum_j ds_j s_j)."""
    u = affine(p, "out", X)
    s = softmax(np.maximum(u, 0), axis=1)
    ds = 2 * (s - y)
    du = s * (ds - np.sum(ds * s, axis=1, keepdims=True)) * (u > 0)
    return s, np.sum((s - y) ** 2), dense_gradients("out", X, du)


# --------------------------------------------------------- H: one activation, one layer


def build_activation(dtype, function):
    x = fnn.Input(3)
    return compiled(x, fnn.Dense(3, 6, function, name="layer")(x), dtype, "mean_squared_error")


def activation(p, X, y, function):
    value, derivative = DERIVATIVES[function]
    z = affine(p, "layer", X)
    dz = 2 * (value(z) - y) / y.size * derivative(z)
    return value(z), np.mean((value(z) - y) ** 2), dense_gradients("layer", X, dz)


# ------------------------------------------------------------- J: a trunk, several heads

WEIGHTS = {"kind": 1.0, "size": 0.3, "flag": 2.0}


def build_heads(dtype):
    x = fnn.Input(4)
    trunk = fnn.Dense(4, 6, "tanh", name="trunk")(x)
    widths = {"kind": 3, "size": 2, "flag": 1}
    outputs = {
        name: fnn.Dense(6, width, name=f"to {name}")(trunk) for name, width in widths.items()
    }
    losses = {"kind": "cross_entropy", "size": "mean_squared_error", "flag": "binary_cross_entropy"}
    return compiled(x, outputs, dtype, losses, loss_weights=WEIGHTS)


def heads_data(rng):
    y = {
        "kind": rng.integers(3, size=9),
        "size": rng.normal(size=(9, 2)),
        "flag": rng.integers(2, size=(9, 1)).astype(float),
    }
    return rng.normal(size=(9, 4)), y


def heads(p, X, y):
    """The trunk receives the sum of what the heads send down, each times its weight."""
    a = np.tanh(affine(p, "trunk", X))
    z = {name: affine(p, f"to {name}", a) for name in WEIGHTS}
    rows = np.arange(len(X))
    labels = np.eye(3)[y["kind"]]
    losses, dflag = binary_cross_entropy(z["flag"], y["flag"])
    costs = {
        "kind": -log_softmax(z["kind"], axis=1)[rows, y["kind"]].mean(),
        "size": np.mean((z["size"] - y["size"]) ** 2),
        "flag": losses.mean(),
    }
    dz = {
        "kind": (softmax(z["kind"], axis=1) - labels) / len(X),
        "size": 2 * (z["size"] - y["size"]) / y["size"].size,
        "flag": dflag / len(X),
    }
    gradients, da = {}, 0
    for name, weight in WEIGHTS.items():
        gradients |= dense_gradients(f"to {name}", a, weight * dz[name])
        da = da + weight * dz[name] @ p[f"to {name}.weight"].T
    gradients |= dense_gradients("trunk", X, da * (1 - a**2))
    return z, sum(weight * costs[name] for name, weight in WEIGHTS.items()), gradients


# ----------------------------------------------------------------------- K: dropout

RATE = 0.4


def build_dropout(dtype):
    x = fnn.Input(4)
    h = fnn.Dropout(RATE, name="drop", seed=5)(fnn.Dense(4, 8, "tanh", name="hidden")(x))
    return compiled(x, fnn.Dense(8, 1, name="out")(h), dtype, "mean_squared_error")


def dropout(p, X, y):
    """The kept units times 1 / (1 - rate), forward and backward; the mask of the first step."""
    (key,) = (op.attributes["key"] for op in build_dropout("float64").program.operations
              if op.kind == "dropout")  # fmt: skip
    mask = F.dropout(np.ones((len(X), 8)), RATE, key=key, step=1)
    assert set(np.unique(mask)) == {0, 1 / (1 - RATE)}
    a = np.tanh(affine(p, "hidden", X))
    out = affine(p, "out", a * mask)
    dout = 2 * (out - y) / y.size
    dz = dout @ p["out.weight"].T * mask * (1 - a**2)
    gradients = dense_gradients("out", a * mask, dout) | dense_gradients("hidden", X, dz)
    return affine(p, "out", a), np.mean((out - y) ** 2), gradients


# ------------------------------------------------------------------------ all of them


def pair(x, y):
    return lambda rng: (x(rng), y(rng))


def two_inputs(rng):
    return [rng.normal(size=(11, 3)), rng.normal(size=(11, 3))], rng.integers(2, size=(11, 1)) * 1.0


def unit_data(rng):
    return rng.normal(size=(7, 2)), rng.uniform(size=(7, 1))


def unnormalised(rng):
    return rng.normal(size=(8, 3)), rng.uniform(0, 3, size=(8, 5))


def with_option(function, option):
    return lambda *arguments: function(*arguments, option)


SYSTEMS = {
    "A1 deep": System(build_deep, pair(gaussian(9, 3), gaussian(9, 2)), deep),
    "A2 half sum": System(build_two_paths, unit_data, two_paths),
    "A2 mean": System(
        with_option(build_two_paths, "mean"), unit_data, with_option(two_paths, "mean")
    ),
    "A3 shortcut": System(build_shortcut, pair(gaussian(9, 4), gaussian(9, 2)), shortcut),
    "A3 residual": System(build_residual, pair(gaussian(6, 5), gaussian(6, 1)), residual),
    "A3 cascade": System(build_cascade, pair(gaussian(6, 3), gaussian(6, 4)), cascade),
    "B regressor": System(build_relu_regressor, pair(gaussian(9, 3), gaussian(9, 1)),
                          relu_regressor),
    "D matrix form": System(build_matrix_form, pair(gaussian(9, 4), gaussian(9, 3)), matrix_form),
    "F softmax over relu": System(build_softmax_over_relu, unnormalised, softmax_over_relu),
    "F softmax layer": System(build_softmax_layer, pair(gaussian(9, 3), gaussian(9, 4)),
                              softmax_layer),
    "J heads": System(build_heads, heads_data, heads),
    "K dropout": System(build_dropout, pair(gaussian(9, 4), gaussian(9, 1)), dropout, True),
}  # fmt: skip
SYSTEMS |= {
    f"E {merge}": System(with_option(build_siamese, merge), two_inputs, with_option(siamese, merge))
    for merge in MERGES
}
SYSTEMS |= {
    f"H {function}": System(
        with_option(build_activation, function),
        pair(gaussian(9, 3), gaussian(9, 6)),
        with_option(activation, function),
    )
    for function in DERIVATIVES
}
