"""Draw the pictures of docs/graphs.md.

Run it: python docs/draw_graphs.py
"""

from __future__ import annotations

from pathlib import Path

import fastnn as fnn
from fastnn import plot

IMAGES = Path(__file__).parent / "images"


def shortcut() -> fnn.Network:
    """The output layer sees the input beside the hidden layer."""
    x = fnn.Input(4, name="x")
    hidden = fnn.Dense(4, 8, activation="tanh", name="hidden")(x)
    direct = fnn.Dense(4, 2, use_bias=False, name="direct")(x)
    y = fnn.Add(name="sum")([fnn.Dense(8, 2, name="out")(hidden), direct])
    net = fnn.Network(x, y)
    net.compile("mean_squared_error")
    return net


def siamese() -> fnn.Network:
    """Two inputs through one layer."""
    left, right = fnn.Input(3, name="left"), fnn.Input(3, name="right")
    shared = fnn.Dense(3, 5, activation="relu", name="shared")
    difference = fnn.Subtract(name="difference")([shared(left), shared(right)])
    net = fnn.Network([left, right], fnn.Dense(5, 1, name="out")(difference))
    net.compile("binary_cross_entropy")
    return net


if __name__ == "__main__":
    for build in (shortcut, siamese):
        plot.graph(build(), IMAGES / f"{build.__name__}.png")
