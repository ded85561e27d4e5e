"""Training gives the same bits for any number of threads, on v3 and v4, and row by row.

One program has everything whose order of computation could differ: dropout, layer
normalisation, a trained beta, shared weights, merges, two heads, the L2 penalty, Adam,
clipping by norm.  Another one has tables, which codes and positions read.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from programs import data_for, dense, initial_storage, set_optimizer
from teams import TASKS, n_tasks, team

from fastnn import backend as backends
from fastnn.backend import compiled
from fastnn.program import Head, ProgramBuilder

STEPS, ROWS, BATCH = 50, 300, 117
FUSED = [isa for isa in ("v3", "v4") if isa in compiled.built() and compiled.runs_here(isa)]

pytestmark = pytest.mark.skipif(
    "compiled" not in backends.available(), reason="a promise of the compiled engine"
)


def program_with_everything(dtype, width=211):
    """Wide enough that eight threads get work; no width is a multiple of a vector."""
    builder = ProgramBuilder(dtype)
    x = builder.input("x", 37)
    shared = [
        builder.parameter("shared.weight", (width, width)),
        builder.parameter("shared.bias", (width,), penalized=False),
    ]
    norm = [builder.parameter(f"norm.{key}", (width,), penalized=False) for key in ("a", "b")]
    beta = [builder.parameter("swish.beta", (1,), penalized=False)]
    scaled = {"epsilon": 1e-5, "scale": True, "shift": True}
    h = dense(builder, x, width, "in")
    for i in range(3):
        z = builder.add("dense", [h], f"shared_{i}.Z", shared)
        n = builder.add("layer_norm", [z], f"norm_{i}.A", norm, **scaled)
        a = builder.add("activation", [n], f"gelu_{i}.A", function="gelu")
        a = builder.add("activation", [a], f"swish_{i}.A", beta, function="swish")
        d = builder.add("dropout", [a], f"dropout_{i}.A", rate=0.3, key=100 + i)
        h = builder.add("add", [h, d], f"sum_{i}.A")
    heads = [dense(builder, h, 10, "classes"), dense(builder, h, 3, "values")]
    losses = [Head(heads[0], "cross_entropy"), Head(heads[1], "huber", 0.3)]
    return builder.build(heads).with_heads(losses, l2=1e-3)


def program_with_tables(dtype, width=411):
    """Codes and positions, side by side and summed; columns of few rows and of many."""
    builder = ProgramBuilder(dtype)
    sizes = (5, 1, 3, 300, 17, 60)
    x = builder.input("x", len(sizes))
    spread = builder.add("multiply", [x, x, x, x], "spread.A")
    values = []
    for kind in ("embedding", "piecewise_linear"):
        weight = builder.parameter(f"{kind}.weight", (sum(sizes), width))
        for combine in ("sum", "concatenate"):
            options = {"sizes": sizes, "combine": combine}
            values.append(builder.add(kind, [spread], f"{kind}.{combine}", [weight], **options))
    h = builder.add("concatenate", values, "h.A")
    heads = [dense(builder, h, 10, "classes"), dense(builder, values[2], 3, "values")]
    losses = [Head(heads[0], "cross_entropy"), Head(heads[1], "huber", 0.3)]
    return builder.build(heads).with_heads(losses, l2=1e-3)


PROGRAMS = {"everything": program_with_everything, "tables": program_with_tables}
EACH_PROGRAM = pytest.mark.parametrize("program", PROGRAMS)


def train(engine_class, program):
    """The engine after STEPS steps of shuffled batches, some of them short, and its losses."""
    engine = engine_class(program, initial_storage(program, scale=0.1))
    set_optimizer(engine, "adam", clip_norm=0.5)
    inputs, targets = data_for(program, ROWS)
    rng = np.random.default_rng(0)
    losses = []
    while len(losses) < STEPS:
        rates = np.full(min(STEPS - len(losses), -(-ROWS // BATCH)), 1e-3)
        epoch = np.zeros(len(rates))
        order = rng.permutation(ROWS)
        assert engine.train(inputs, targets, order, BATCH, rates, len(losses) + 1, epoch) == len(
            rates
        )
        losses += epoch.tolist()
    return engine, losses


def digest(engine, losses):
    """A hash of parameters, losses and predictions."""
    inputs, targets = data_for(engine.program, ROWS, seed=1)
    outputs = engine.forward(inputs)
    engine.loss_and_gradients(inputs, targets, True, 7)
    arrays = [engine.storage, engine.gradients, np.array(losses), *outputs]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def engine_class(dtype):
    with backends.use("compiled"):
        return backends.load(backends.instruction_set(), dtype).Engine


@pytest.fixture(scope="module")
def digests():
    """Those of one thread, by program and dtype."""
    found = {}
    for dtype in ("float32", "float64"):
        for name, program in PROGRAMS.items():
            with team(1):
                engine, losses = train(engine_class(dtype), program(dtype))
                assert losses[-1] < losses[0]
                found[name, dtype] = digest(engine, losses)
    return found


@EACH_PROGRAM
@pytest.mark.parametrize("threads", [2, 3, 4, 8])
def test_training_has_the_same_hash_on_any_number_of_threads(dtype, program, threads, digests):
    with team(threads):
        engine, losses = train(engine_class(dtype), PROGRAMS[program](dtype))
        assert n_tasks() >= threads or not TASKS.exists(), "there was no such team"
        assert digest(engine, losses) == digests[program, dtype]


@pytest.mark.skipif(len(FUSED) < 2, reason="needs x86-64-v3 and v4 builds and processor")
@EACH_PROGRAM
def test_training_has_the_same_hash_on_v3_and_v4(dtype, program):
    program = PROGRAMS[program](dtype)
    found = {digest(*train(backends.load(isa, dtype).Engine, program)) for isa in FUSED}
    assert len(found) == 1


@EACH_PROGRAM
@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_a_row_has_the_same_bits_in_any_batch(dtype, program, batch):
    program = PROGRAMS[program](dtype)
    engine = engine_class(dtype)(program, initial_storage(program))
    (x,), _ = data_for(program, 131)
    together = engine.forward([x])
    for first in range(0, len(x), batch):
        rows = slice(first, first + batch)
        for found, expected in zip(engine.forward([x[rows]]), together, strict=True):
            np.testing.assert_array_equal(found, expected[rows])
