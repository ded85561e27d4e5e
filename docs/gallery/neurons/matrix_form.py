r"""
A whole batch at once: the matrix form
======================================

Forward and backward pass of a whole batch are a few matrix products. They are checked against the
engine and against central differences.

With samples as the rows of :math:`X`, a network with one hidden layer and no biases is two matrix
products,

.. math:: H = r(X V), \qquad Z = H W, \qquad J = \tfrac12 \lVert Y - Z \rVert^2,

and its gradients are matrix products as well. Each has the shape of what it belongs to, which
alone almost determines the formulas:

.. math::
   \frac{\partial J}{\partial Z} &= Z - Y, \\
   \frac{\partial J}{\partial W} &= H^\top (Z - Y), \\
   \frac{\partial J}{\partial V} &= X^\top \bigl( (Z - Y) W^\top \odot r'(X V) \bigr).

:math:`\odot` multiplies element by element. This page writes the formulas out in NumPy and holds
them against the engine and against central differences.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 3))
Y = np.column_stack([np.abs(X[:, 0]), X[:, 1] * X[:, 2]])

net = fnn.Sequential(
    [
        fnn.Dense(3, 8, activation="relu", use_bias=False, name="first"),
        fnn.Dense(8, 2, use_bias=False, name="second"),
    ],
    dtype="float64",
    seed=1,
)
net.compile(loss=fnn.MeanSquaredError(reduction="half_sum"))
V, W = net.parameters["first.weight"], net.parameters["second.weight"]


def matrix_form(V, W):
    """J, dJ/dV and dJ/dW."""
    U = X @ V
    H = np.maximum(U, 0)
    Z = H @ W
    dZ = Z - Y
    return 0.5 * (dZ**2).sum(), X.T @ (dZ @ W.T * (U > 0)), H.T @ dZ


J, dV, dW = matrix_form(V, W)
cost, gradients = net.loss_and_gradients(X, Y)
print(f"J in matrix form {J:.12f}, in the engine {cost:.12f}")
for name, by_formula in (("first.weight", dV), ("second.weight", dW)):
    gap = np.abs(gradients[name] - by_formula).max() / np.abs(by_formula).max()
    print(f"{name:<14} shape {gradients[name].shape}, relative difference {gap:.1e}")

# %%
# Central differences need neither the formulas nor the engine's backward pass: they displace one
# parameter at a time and compute the cost. In general their error is of the order of :math:`h^2`.
# Here it is not: as a function of a single weight, :math:`J` is made of pieces of parabolas, on
# which a central difference is exact. What remains is rounding, of the order of :math:`\varepsilon
# / h`, and the kinks of the ReLU between the pieces, where a large step crosses one.


def largest_gap(h):
    """Of central differences with step h from the engine's gradient of V, relative."""
    differences = np.empty_like(V)
    for index in np.ndindex(V.shape):
        saved = V[index]
        costs = []
        for value in (saved + h, saved - h):
            V[index] = value
            costs.append(net.evaluate(X, Y)["loss"])
        V[index] = saved
        differences[index] = (costs[0] - costs[1]) / (2 * h)
    return np.abs(differences - gradients["first.weight"]).max() / np.abs(dV).max()


steps = 10.0 ** np.arange(-12, 0)
gaps = np.array([largest_gap(h) for h in steps])

# %%
# **What to see.** From right to left: a step of 0.1 carries some unit across a kink, and the
# difference is useless. At 0.01 none is crossed, and the engine's gradient is confirmed to
# thirteen digits. Smaller steps lose one digit with each power of ten, because the two costs agree
# in more and more of theirs.

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.loglog(steps, gaps, "o-", color="C0", label="largest difference from the engine's gradient")
ax.loglog(steps, 2e-16 / steps, "k:", label=r"rounding, of the order of $\varepsilon / h$")
ax.set(xlabel="step $h$", ylabel="relative difference", ylim=(1e-15, 10))
ax.legend(loc="upper center")
ax.grid(alpha=0.3)
plt.show()

# %%
# The two formulas and a learning rate are enough to train by hand; the engine computes the same
# steps.

V, W = V.copy(), W.copy()
net.compile(
    loss=fnn.MeanSquaredError(reduction="half_sum"),
    optimizer=fnn.GradientDescent(learning_rate=2e-3),
)
by_hand, by_engine = [], []
for _ in range(300):
    J, dV, dW = matrix_form(V, W)
    V -= 2e-3 * dV
    W -= 2e-3 * dW
    by_hand.append(J)
    by_engine.append(net.train_step(X, Y))
print(f"after 300 steps: {by_hand[-1]:.12f} by hand, {by_engine[-1]:.12f} in the engine")

# %%
# Assertions of the numbers above:

assert np.isclose(cost, by_hand[0], rtol=1e-14)
assert gaps.min() < 1e-12
assert gaps[0] > 10 * gaps.min() < gaps[-1]
assert np.allclose(by_hand, by_engine, rtol=1e-9)
assert by_hand[-1] < by_hand[0] / 10
