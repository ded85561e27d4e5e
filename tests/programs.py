"""Programs and data for the engine tests: every operation alone, and random graphs."""

from __future__ import annotations

import numpy as np

from fastnn.facts.activations import ROWS
from fastnn.facts.losses import LOSSES
from fastnn.facts.operations import COMBINATIONS
from fastnn.facts.updates import UPDATES
from fastnn.program import ACTIVATIONS, MERGES, Head, Program, ProgramBuilder


def dense(builder: ProgramBuilder, x: int, n_out: int, name: str, trainable: bool = True) -> int:
    """A dense operation with its parameters."""
    n_in = builder.buffers[x].width
    weight = builder.parameter(f"{name}.weight", (n_in, n_out), trainable=trainable)
    bias = builder.parameter(f"{name}.bias", (n_out,), trainable=trainable, penalized=False)
    return builder.add("dense", [x], f"{name}.Z", [weight, bias])


def chain(sizes, activation="tanh", loss="cross_entropy", dtype="float32", l2=0.0, dropout=0.0):
    """Dense layers with one activation between them."""
    builder = ProgramBuilder(dtype)
    x = builder.input("x", sizes[0])
    for i, width in enumerate(sizes[1:], start=1):
        x = dense(builder, x, width, f"dense_{i}")
        if i < len(sizes) - 1:
            x = builder.add("activation", [x], f"dense_{i}.A", function=activation, alpha=0.5)
            if dropout:
                x = builder.add("dropout", [x], f"dropout_{i}.A", rate=dropout, key=1000 + i)
    return builder.build([x]).with_heads([Head(x, loss)], l2)


def single_operation(kind: str, dtype: str, **attributes) -> Program:
    """Two inputs through dense layers, the operation, and a dense layer after it."""
    builder = ProgramBuilder(dtype)
    inputs = [builder.input(name, width) for name, width in (("p", 3), ("q", 5))]
    count = 2 if kind in MERGES else 1
    hidden = [dense(builder, x, 7, f"in_{i}") for i, x in enumerate(inputs)]
    if count == 1:
        hidden = [builder.add("add", hidden, "sum.A")]
    parameters = [
        builder.parameter(f"operation.{key}", (7,), penalized=False)
        for key in ("scale", "shift")
        if kind == "layer_norm" and attributes[key]
    ]
    if kind == "trained_swish":
        kind, attributes = "activation", {"function": "swish"}
        parameters = [builder.parameter("operation.beta", (1,), penalized=False)]
    if kind == "scale":
        parameters = [builder.parameter("operation.scale", (7,), penalized=False)]
    if kind in ("embedding", "piecewise_linear"):
        parameters = [builder.parameter("operation.weight", (sum(attributes["sizes"]), 9))]
    middle = builder.add(kind, hidden, "operation.A", parameters, **attributes)
    output = dense(builder, middle, 4, "out")
    return builder.build([output]).with_heads([Head(output, "mean_squared_error")])


STEPS = tuple(row.name for row in ROWS if row.is_step)
OPERATIONS = (
    [("activation", {"function": name, "alpha": 0.7}) for name in ACTIVATIONS]
    + [(kind, {}) for kind in (*MERGES, "softmax", "log_softmax")]
    + [("trained_swish", {}), ("scale", {})]
    + [("dropout", {"rate": 0.4, "key": 77})]
    + [
        ("layer_norm", {"epsilon": 1e-3, "scale": scale, "shift": shift})
        for scale in (True, False)
        for shift in (True, False)
    ]
    + [
        (kind, {"sizes": (3, 1, 2, 6, 1, 2, 4), "combine": combine})
        for kind in ("embedding", "piecewise_linear")
        for combine in COMBINATIONS
    ]
)


def random_graph(seed: int, dtype: str) -> Program:
    """A random graph: merges, shared weights, buffers used twice, several heads."""
    rng = np.random.default_rng(seed)
    builder = ProgramBuilder(dtype)
    width = int(rng.integers(1, 20))
    buffers = [builder.input(f"x{i}", width) for i in range(rng.integers(1, 4))]
    shared = [
        builder.parameter("shared.weight", (width, width)),
        builder.parameter("shared.bias", (width,), penalized=False),
    ]
    beta = [builder.parameter("beta", (1,), penalized=False)]
    norm = [builder.parameter(f"norm.{key}", (width,), penalized=False) for key in "ab"]
    for i in range(int(rng.integers(3, 12))):
        name = f"op{i}.A"
        choice = rng.integers(8)
        pick = [int(rng.choice(buffers)) for _ in range(2)]
        if choice == 0:
            buffers.append(builder.add("dense", pick[:1], name, shared))
        elif choice == 1:
            buffers.append(dense(builder, pick[0], width, f"op{i}", bool(rng.integers(4))))
        elif choice == 2:
            function = str(rng.choice([a for a in ACTIVATIONS if a not in STEPS]))
            buffers.append(builder.add("activation", pick[:1], name, function=function, alpha=0.7))
        elif choice == 3:
            kind = str(rng.choice([kind for kind in MERGES if kind != "concatenate"]))
            buffers.append(builder.add(kind, pick, name))
        elif choice == 4:
            joined = builder.add("concatenate", pick, f"op{i}.joined")
            buffers.append(dense(builder, joined, width, f"op{i}"))
        elif choice == 5:
            options = {"epsilon": 0.1, "scale": True, "shift": True}
            buffers.append(builder.add("layer_norm", pick[:1], name, norm, **options))
        elif choice == 6:
            buffers.append(builder.add("activation", pick[:1], name, beta, function="swish"))
        else:
            function = str(rng.choice(["softmax", "log_softmax"]))
            buffers.append(builder.add(function, pick[:1], name))
    last = [dense(builder, buffers[-1], 5, "head_a"), dense(builder, buffers[-2], 3, "head_b")]
    program = builder.build(last)
    # Outputs may be large: exp of them, which the log link takes, overflows.
    finite = [name for name, row in LOSSES.items() if row.link != "log"]
    losses = [str(loss) for loss in rng.choice(finite, 2)]
    heads = [
        Head(y, loss, weight) for y, loss, weight in zip(last, losses, (1.0, 0.3), strict=True)
    ]
    return program.with_heads(heads, l2=float(rng.choice([0.0, 0.01])))


def initial_storage(program: Program, seed: int = 0, scale: float = 0.5) -> np.ndarray:
    """Random parameters, the same for both dtypes up to rounding."""
    flat = np.random.default_rng(seed).normal(scale=scale, size=program.n_parameters)
    storage = program.allocate()
    program.unflatten(flat.astype(program.dtype), storage)
    return storage


def data_for(program: Program, n_rows: int, seed: int = 0, rng=None):
    """Inputs and targets that fit the program's inputs and heads."""
    rng = rng or np.random.default_rng(seed)
    dtype = program.dtype
    inputs = [
        rng.normal(size=(n_rows, program.buffers[i].width)).astype(dtype) for i in program.inputs
    ]
    targets = []
    for head in program.heads:
        width = program.buffers[head.output].width
        targets.append((targets_for(LOSSES[head.loss], rng, n_rows, width, dtype), None))
    return inputs, targets


def targets_for(row, rng, n_rows: int, width: int, dtype) -> np.ndarray:
    """Targets that a row of `fastnn.facts.losses` takes: labels, shares, or numbers in range."""
    if row.takes_labels:
        return rng.integers(0, width, n_rows)
    if row.has_classes:
        return rng.integers(0, 2, (n_rows, width)).astype(dtype)
    target = rng.normal(size=(n_rows, width)).astype(dtype)
    return np.abs(target) if row.targets.low == 0 else target


OPTIMIZERS = {
    **{row.name: (row.name, {}) for row in UPDATES.values()},
    "nesterov": ("momentum", {"nesterov": 1.0}),
    "dampened": ("momentum", {"dampening": 0.3}),
    **{f"{row.name} with decay": (row.name, {"weight_decay": 0.1})
       for row in UPDATES.values() if row.decays},
}  # fmt: skip
"""Every update with its default numbers, and what changes its course: its kind, and numbers."""


def set_optimizer(engine, name: str, clip_norm: float = 0.0):
    """Give an engine one of OPTIMIZERS with fresh slots; returns the slots."""
    kind, numbers = OPTIMIZERS[name]
    row = UPDATES[kind]
    slots = [engine.program.allocate() for _ in row.slots]
    engine.set_optimizer(kind, {**row.defaults, **numbers, "clip_norm": clip_norm}, slots)
    return slots
