"""How many of 100 random starts solve exclusive or, by the number of hidden ReLU units.

Run it: python docs/count_xor_starts.py
"""

from __future__ import annotations

import numpy as np

import fastnn as fnn

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([0, 1, 1, 0], np.float32)
STARTS = 100


def solves(hidden: int, seed: int) -> bool:
    """Whether 2000 steps of gradient descent bring all four outputs within 0.1."""
    layers = [fnn.Dense(2, hidden, activation="relu"), fnn.Dense(hidden, 1)]
    net = fnn.Sequential(layers, seed=seed)
    net.compile("mean_squared_error", fnn.GradientDescent(0.1))
    net.fit(X, Y, epochs=2000, batch_size=4, shuffle=False)
    return bool(np.abs(net.predict(X)[:, 0] - Y).max() < 0.1)


def main() -> None:
    """Print the table."""
    print(f"hidden units  solved, of {STARTS}")
    for hidden in (2, 3, 4, 8, 16):
        solved = sum(solves(hidden, seed) for seed in range(STARTS))
        print(f"{hidden:12}  {solved:{len(f'solved, of {STARTS}')}}")


if __name__ == "__main__":
    main()
