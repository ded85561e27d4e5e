"""Random networks of every layer that formats write, for the tests of formats."""

import numpy as np

import fastnn as fnn
from fastnn import activations

FUNCTIONS = (*activations.names(), "softmax", "log_softmax")
STEPS = ("binary_step", "zero_indicator")
"""Functions that jump: rounding would decide, so they read inputs that are whole numbers."""


def _activation(rng, function):
    """A layer with the function, and a parameter that is not the default."""
    row = activations.get(function) if function in activations.names() else None
    if row is None or row.parameter is None:
        return fnn.layers.Activation(function)
    return fnn.layers.Activation(function, float(rng.uniform(0.1, 1.8)))


def _of_one(rng, x, functions):
    """A random layer on one tensor, which keeps its width or changes it."""
    width = int(rng.integers(1, 12))
    scale = rng.normal(1, 0.3, x.width)
    # Rows of few columns may have next to no variance: a normalisation would show rounding alone.
    kind = rng.choice([0, 1, *([2, 3] if x.width > 4 else []), 4, 5, 6, 7])
    if kind <= 1:
        return fnn.Dense(x.width, width, use_bias=bool(kind), bias="zeros" if not kind else
                         fnn.initializers.Normal(0.3))(x)  # fmt: skip
    if kind == 2:
        return fnn.LayerNorm(x.width, epsilon=float(rng.choice([1e-5, 1e-3])), scale=scale)(x)
    if kind == 3:
        shift = rng.normal(size=x.width)
        return fnn.LayerNorm(x.width, use_scale=False, shift=shift)(x)
    if kind == 4:
        return fnn.Scale(x.width, scale=scale)(x)
    if kind == 5:
        return fnn.Dropout(0.4)(x)
    if kind == 6:
        return fnn.Swish(float(rng.uniform(0.3, 2)), trainable_beta=True)(x)
    return _activation(rng, str(rng.choice(functions)))(x)


def _merged(rng, tensors):
    """A merge of tensors, which are brought to one width."""
    if rng.integers(3) == 0:
        return fnn.Concatenate()(tensors)
    width = int(rng.integers(1, 9))
    same = [fnn.Dense(t.width, width, "tanh")(t) for t in tensors]
    several = [fnn.Add, fnn.Multiply, fnn.Average]
    two = [fnn.Subtract, fnn.AbsDifference]
    choice = [*several, *two] if len(same) == 2 else several
    return choice[rng.integers(len(choice))]()(same)


def network(seed, dtype="float32", tables=True):
    """A random network and random rows for it.

    Returns
    -------
    net : Network
    X : list of arrays, one for each input
    """
    rng = np.random.default_rng(seed)
    functions = [FUNCTIONS[(seed + i) % len(FUNCTIONS)] for i in range(4)]
    smooth = [f for f in functions if f not in STEPS] or ["tanh"]
    n = int(rng.choice([1, 2, 7, 33]))
    inputs, X, nodes = [], [], []
    for i in range(rng.integers(1, 4)):
        x, values, node = _input(rng, f"x{i}", n, tables)
        inputs.append(x)
        X.append(values)
        nodes.append(node)
    for function in set(functions) & set(STEPS):
        x = fnn.Input(3, name=f"whole_{function}")
        inputs.append(x)
        X.append(rng.integers(-2, 3, (n, 3)).astype(float))
        nodes.append(fnn.layers.Activation(function)(x))
    shared = fnn.Dense(5, 5, "sigmoid", name="shared")
    for _ in range(rng.integers(2, 7)):
        node = nodes[rng.integers(len(nodes))]
        if rng.integers(4):
            node = _of_one(rng, node, smooth)
        else:
            node = _merged(rng, [node, fnn.Dense(nodes[0].width, node.width)(nodes[0])])
        nodes.append(shared(node) if node.width == 5 else node)
    top = _merged(rng, nodes) if len(nodes) > 1 else nodes[0]
    # Biases of size 1: outputs that are small differences would show rounding alone.
    one = fnn.initializers.Constant(1.0)
    outputs = [fnn.Dense(top.width, int(rng.integers(1, 5)), smooth[0], bias=one)(top)]
    if rng.integers(2):
        outputs.append(fnn.Dropout(0.2)(fnn.Dense(top.width, 2, bias=one)(top)))
    named = {f"head {i}": output for i, output in enumerate(outputs)}
    net = fnn.Network(inputs, named, dtype=dtype, seed=seed, name=f"network {seed}")
    return net, [values.astype(dtype) for values in X]


def _input(rng, name, n, tables):
    """An input, its rows, and the first tensor behind it."""
    kind = rng.integers(3) if tables else 0
    columns = int(rng.integers(1, 6))
    x = fnn.Input(columns, name=name)
    if kind == 0:
        return x, rng.normal(size=(n, columns)), fnn.Dense(columns, 5, "tanh")(x)
    sizes = rng.integers(1, 7, columns)
    combine = str(rng.choice(["sum", "concatenate"]))
    if kind == 1:
        codes = rng.integers(0, sizes, (n, columns)).astype(float)
        return x, codes, fnn.Embedding(sizes.tolist(), 3, combine)(x)
    layer = fnn.PiecewiseLinear(sizes.tolist(), 3, combine)
    return x, rng.uniform(-0.5, 1, (n, columns)) * (sizes + 0.5), layer(x)
