"""Damaged model files by a grammar: sound files whose structure and arrays are changed at random.

Run as a program it loads many such files within a limit of memory, and prints as JSON how many
were loaded and refused, and each file that ended in another way.
Arguments: a seed, a number of files, the limit in MB.
"""

from __future__ import annotations

import copy
import io
import json
import random
import resource
import sys
import traceback

import numpy as np

import fastnn as fnn
from fastnn import serialization
from fastnn._shared.safetensors import header_of, in_file_order

SCALARS = (
    None, True, False, 0, 1, -1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64,
    -(2**63), 10**30, 0.0, -0.0, 0.5, -1.5, 1e-320, 1e308, float("nan"), float("inf"), "", "nan",
    "inf", "dense_1", "dense_1.weight", "relu", "adam", "float32", "float64", "Network", "\0",
    "\x1b", "mean_squared_error", "a" * 300, "\ud800", [], {}, [[]], [None], [0], [1, 2],
    {"name": "dense"},
)  # fmt: skip
"""What takes the place of a value of a structure."""

DTYPES = ("float32", "float64", "float16", "int64", "uint8", "bool")


def networks():
    """Networks that use most of what a structure can say."""
    x, z = fnn.Input(3, name="x"), fnn.Input(2, name="z")
    trunk = fnn.Dense(3, 4, activation="relu", name="trunk")
    shared = trunk(x)
    merged = fnn.Concatenate()([shared, fnn.Dense(2, 4, activation=fnn.Swish())(z)])
    graph = fnn.Network(
        [x, z], {"kind": fnn.Dense(8, 3)(merged), "size": fnn.Dense(8, 1)(merged)}, dtype="float64"
    )
    graph.compile(
        loss={"kind": "cross_entropy", "size": fnn.Huber(2.0)},
        optimizer=fnn.Adam(fnn.WarmUp(3, fnn.Cosine(0.01, 9)), clip_norm=1.0),
    )
    rng = np.random.default_rng(0)
    data = [rng.random((6, 3)), rng.random((6, 2))], {"kind": [0, 1, 2] * 2, "size": rng.random(6)}
    graph.fit(*data, epochs=2)
    layers = [
        fnn.Dense(3, 5, activation="tanh"),
        fnn.LayerNorm(5),
        fnn.Dropout(0.2),
        fnn.Dense(5, 1),
    ]
    chain = fnn.Sequential(layers, seed=2)
    chain.compile(loss="poisson", optimizer="momentum")
    plain = fnn.Sequential([fnn.Dense(2, 2)])
    return [graph, chain, plain]


def contents(network):
    """The structure and the arrays of a network's file."""
    file = io.BytesIO()
    network.save(file)
    return serialization.load(io.BytesIO(file.getvalue()))


def places(value, path=()):
    """The path of each value of a structure."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def change(draw, structure):
    """Change one value of a structure in place."""
    *path, key = draw.choice(list(places(structure)))
    parent = structure
    for step in path:
        parent = parent[step]
    action = draw.randrange(8)
    value = parent[key]
    if action == 0:
        del parent[key]
    elif action == 1 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(value))  # a repeated entry
    elif action == 2 and isinstance(value, list):
        value.reverse()
    elif action == 3 and isinstance(value, dict | list):
        value.clear()
    elif action == 4:
        depth = draw.choice((1, 3, 62, 70))
        for _ in range(depth):
            value = [value]
        parent[key] = value
    elif action == 5:
        *_, other = [structure, *_values(structure, draw)]
        parent[key] = copy.deepcopy(other)  # something from another place
    elif action == 6 and isinstance(parent, dict):
        parent[draw.choice(("name", "kind", "loss", "x", ""))] = copy.deepcopy(value)
    else:
        parent[key] = copy.deepcopy(draw.choice(SCALARS))


def _values(structure, draw):
    value = structure
    for step in draw.choice(list(places(structure))):
        value = value[step]
        yield value


def change_arrays(draw, arrays):
    """Change one array of a file in place."""
    name = draw.choice(sorted(arrays))
    array = arrays[name]
    action = draw.randrange(6)
    if action == 0:
        del arrays[name]
    elif action == 1:
        arrays[name] = array.astype(draw.choice(DTYPES))
    elif action == 2:
        arrays[name] = array.reshape(draw.choice(((-1,), (1, *array.shape), array.shape[::-1])))
    elif action == 3:
        arrays[draw.choice(("dense_9.weight", ":optimizer.x.y", ":checkpoint.0.a", ""))] = array
    elif action == 4:
        arrays[name] = np.full(array.shape, draw.choice((np.nan, np.inf, 1e30))).astype(array.dtype)
    else:
        arrays[name] = array[:0]


def damaged(draw, sound):
    """The bytes of a file with some changes, whose checksum is right."""
    structure, arrays = copy.deepcopy(draw.choice(sound))
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        if structure and draw.random() < 0.8:
            change(draw, structure)
        elif arrays:
            change_arrays(draw, arrays)
    text = json.dumps(structure) if draw.random() < 0.99 else "[" * draw.choice((900, 100_000))
    return written(draw, text, arrays)


def written(draw, text, arrays):
    """A file of a text and arrays; now and then its header says something else."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    metadata = {"format": "fastnn", "version": "1", "structure": text}
    metadata["checksum"] = serialization._checksum(text, arrays)
    header = header_of(metadata, arrays)
    if draw.random() < 0.2:
        entries = json.loads(header)
        change(draw, entries)
        header = json.dumps(entries).encode()
    ordered = in_file_order(arrays).values()
    return b"".join([len(header).to_bytes(8, "little"), header, *(a.tobytes() for a in ordered)])


def used(network):
    """Whether a network that was loaded predicts, describes itself, and can be saved."""
    inputs = [np.zeros((2, tensor.width)) for tensor in network.graph.inputs]
    with np.errstate(all="ignore"):
        network.predict(inputs if len(inputs) > 1 else inputs[0])
    network.summary()
    network.save(io.BytesIO())
    return True


def outcome(data):
    """ "loaded" or "refused"; otherwise the traceback of another error."""
    try:
        used(fnn.load(io.BytesIO(data)))
    except fnn.FormatError as error:
        return "refused" if str(error) else "an error without a message"
    except BaseException:
        return traceback.format_exc()
    return "loaded"


def main(seed, files, megabytes):
    sound = [contents(network) for network in networks()]
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20,) * 2)
    counts = {"loaded": 0, "refused": 0}
    wrong = {}
    for i in range(files):
        result = outcome(damaged(random.Random(f"{seed} {i}"), sound))
        if result in counts:
            counts[result] += 1
        else:
            wrong[f"{seed} {i}"] = result
    print(json.dumps({**counts, "wrong": wrong}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
