"""Training steps of graphs beside chains of the same products: what merging and sharing cost.

`python -m benchmarks.bench_graphs` prints the arithmetic of each in GFLOP/s on one thread.
"""

from __future__ import annotations

import time

import fastnn as fnn

from .common import BACKENDS, OnBackend, normal

ROWS, STEPS = 256, 10


def _relu(width):
    return fnn.Dense(width, width, activation="relu")


def chain(width, depth):
    x = tensor = fnn.Input(width)
    for _ in range(depth - 1):
        tensor = _relu(width)(tensor)
    return x, fnn.Dense(width, width)(tensor)


def shortcut(width):
    x = fnn.Input(width)
    direct = fnn.Dense(width, width, use_bias=False)(x)
    return x, fnn.Add()([fnn.Dense(width, width)(_relu(width)(x)), direct])


def residual(width, blocks):
    x = tensor = fnn.Input(width)
    for _ in range(blocks):
        tensor = fnn.Add()([tensor, _relu(width)(tensor)])
    return x, fnn.Dense(width, width)(tensor)


def cascade(width, stages):
    x = fnn.Input(width)
    tensor = _relu(width)(x)
    for _ in range(stages):
        both = fnn.Concatenate()([x, tensor])
        tensor = fnn.Dense(2 * width, width, activation="relu")(both)
    return x, fnn.Dense(width, width)(tensor)


def siamese(width):
    left, right = fnn.Input(width, name="left"), fnn.Input(width, name="right")
    shared = _relu(width)
    difference = fnn.Subtract()([shared(left), shared(right)])
    return [left, right], fnn.Dense(width, width)(difference)


def three_heads(width):
    x = fnn.Input(width)
    trunk = _relu(width)(_relu(width)(x))
    shares = width // 2, width // 4, width // 4
    return x, [fnn.Dense(width, share)(trunk) for share in shares]


GRAPHS = {
    "chain of 3": lambda width: chain(width, 3),
    "shortcut": shortcut,
    "siamese": siamese,
    "three heads": three_heads,
    "chain of 21": lambda width: chain(width, 21),
    "residual of 20": lambda width: residual(width, 20),
    "cascade of 6": lambda width: cascade(width, 6),
}


def network(graph, width):
    """A compiled network, its weights so small that deep stacks stay tame."""
    net = fnn.Network(*GRAPHS[graph](width))
    names = net.output_names
    net.compile(dict.fromkeys(names, "mean_squared_error"), fnn.GradientDescent(1e-4))
    net.set_flat(0.05 * net.get_flat())
    return net


def data(net):
    """STEPS batches of ROWS rows for each input and output."""
    buffers = net.program.buffers
    inputs = {n: normal(STEPS * ROWS, buffers[i].width)
              for n, i in zip(net.input_names, net.program.inputs, strict=True)}  # fmt: skip
    targets = {n: normal(STEPS * ROWS, buffers[i].width, seed=1)
               for n, i in zip(net.output_names, net.program.outputs, strict=True)}  # fmt: skip
    return inputs, targets


def flops_of_a_step(net):
    """Two for each multiply-add of Z = X W, dW = X' dZ and, above the inputs, dX = dZ W'."""
    program = net.program
    total = 0
    for operation in program.operations:
        if operation.kind == "dense":
            products = 2 if operation.inputs[0] in program.inputs else 3
            total += 2 * ROWS * products * program.parameters[operation.parameters[0]].size
    return total


class GraphSteps(OnBackend):
    """Ten steps on batches of 256 rows."""

    param_names = ("backend", "graph", "width")
    params = (BACKENDS, tuple(GRAPHS), (64, 256))

    def prepare(self, graph, width):
        self.net = network(graph, width)
        self.x, self.y = data(self.net)

    def time_steps(self, *parameters):
        self.net.fit(self.x, self.y, epochs=1, batch_size=ROWS, shuffle=False, check_finite=False)


def main():
    """Print GFLOP/s, the best of a third of a second of epochs."""
    print(f"{'graph':16}{'width':>8}{'step, us':>12}{'GFLOP/s':>10}")
    for width in (64, 256):
        for graph in GRAPHS:
            suite = GraphSteps()
            suite.setup("compiled", graph, width)
            best, end = float("inf"), time.perf_counter() + 0.33
            while time.perf_counter() < end:
                start = time.perf_counter()
                suite.time_steps()
                best = min(best, (time.perf_counter() - start) / STEPS)
            gflops = flops_of_a_step(suite.net) / best / 1e9
            suite.teardown("compiled")
            print(f"{graph:16}{width:8}{best * 1e6:12.1f}{gflops:10.1f}")


if __name__ == "__main__":
    main()
