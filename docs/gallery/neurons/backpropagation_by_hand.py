r"""
Backpropagation by hand
=======================

One training step of a small network, small enough to do with a pocket calculator: two inputs, two
hidden sigmoid units, one sigmoid output, binary cross-entropy, learning rate 0.1. We go through it
by hand, and let the engine show every intermediate number of the same step.

.. math::
   x &= (0.5,\ 1), \quad y = 1, \quad \eta = 0.1, \\[1ex]
   W_1 &= \begin{pmatrix} 1 & -1 \\ 1 & -1 \end{pmatrix}, \quad b_1 = (1,\ 0.5), \quad
   W_2 = \begin{pmatrix} 0.8 \\ -1 \end{pmatrix}, \quad b_2 = -1.

A weight's row is the unit it comes from, its column the unit it leads to.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

net = fnn.Sequential(
    [
        fnn.Dense(2, 2, "sigmoid", weight=[[1, -1], [1, -1]], bias=[1, 0.5], name="hidden"),
        fnn.Dense(2, 1, weight=[[0.8], [-1]], bias=[-1], name="output"),
    ],
    dtype="float64",
)
net.compile(loss="binary_cross_entropy", optimizer=fnn.GradientDescent(learning_rate=0.1))
trace = net.trace([[0.5, 1.0]], [1.0])
print(trace)

# %%
# Forward
# -------
# Every unit computes the weighted sum of its inputs plus its bias; the sigmoid maps it to a number
# between 0 and 1.


def sigmoid(z):
    """1 / (1 + exp(-z))."""
    return 1 / (1 + math.exp(-z))


z11 = 0.5 * 1 + 1 * 1 + 1
z12 = 0.5 * -1 + 1 * -1 + 0.5
a11, a12 = sigmoid(z11), sigmoid(z12)
z2 = 0.8 * a11 - 1 * a12 - 1
y_hat = sigmoid(z2)
loss = -math.log(y_hat)
print(f"z1 = ({z11}, {z12})    a1 = ({a11:.6f}, {a12:.6f})")
print(f"z2 = {z2:.6f}    probability of class 1 = {y_hat:.6f}    loss = -log of it = {loss:.6f}")

# %%
# Backward
# --------
# For the sigmoid with cross-entropy, :math:`\partial J/\partial z_2 = \hat y - y`. Every other
# gradient is a known gradient times one factor of the chain rule. The gradient of a weight is its
# input times the gradient of its target unit. The sensitivity :math:`\partial J/\partial a` of a
# unit is the gradient above times the weight between them. The derivative of the sigmoid is
# :math:`a(1 - a)`.

dz2 = y_hat - 1
dW2 = a11 * dz2, a12 * dz2
da1 = 0.8 * dz2, -1 * dz2
dz1 = da1[0] * a11 * (1 - a11), da1[1] * a12 * (1 - a12)
dW1 = (0.5 * dz1[0], 0.5 * dz1[1]), (1 * dz1[0], 1 * dz1[1])

# %%
# The update
# ----------
# Each parameter moves against its gradient: :math:`p \leftarrow p - \eta\, \partial J/\partial p`.

by_hand = {
    "output.weight": [[0.8 - 0.1 * dW2[0]], [-1 - 0.1 * dW2[1]]],
    "output.bias": [-1 - 0.1 * dz2],
    "hidden.weight": [
        [1 - 0.1 * dW1[0][0], -1 - 0.1 * dW1[0][1]],
        [1 - 0.1 * dW1[1][0], -1 - 0.1 * dW1[1][1]],
    ],
    "hidden.bias": [1 - 0.1 * dz1[0], 0.5 - 0.1 * dz1[1]],
}

# %%
# Beside the engine
# -----------------

table = [
    ("z1", (z11, z12), trace["hidden"].Z),
    ("a1", (a11, a12), trace["hidden"].A),
    ("z2", z2, trace["output"].Z),
    ("loss", loss, trace.loss),
    ("dz2", dz2, trace["output"].dZ),
    ("dW2", dW2, trace["output"].dW),
    ("db2", dz2, trace["output"].db),
    ("da1", da1, trace["hidden"].dA),
    ("dz1", dz1, trace["hidden"].dZ),
    ("dW1", dW1, trace["hidden"].dW),
    ("db1", dz1, trace["hidden"].db),
]
for name, values in by_hand.items():
    table.append((f"new {name}", values, trace.parameters[name].after))
print(f"{'quantity':<18} {'by hand':<46} largest difference from the engine")
gaps = {}
for name, mine, engine in table:
    numbers = np.ravel(mine)
    gaps[name] = np.abs(numbers - np.ravel(engine)).max()
    print(f"{name:<18} {' '.join(f'{v: .6f}' for v in numbers):<46} {gaps[name]:.1e}")

# %%
# For a document, ``trace.to_latex()`` writes all of it in LaTeX; it begins

print("\n".join(trace.to_latex().splitlines()[:6]))

# %%
# Did it help?
# ------------
# The step should lower the loss. After this step and many more, the probability of the right class
# approaches 1. **What to see.** The loss falls in every step, fast while the network is wrong, and
# more slowly as :math:`\hat y - y` becomes small, because all other gradients are proportional to
# it.

losses = [net.train_step([[0.5, 1.0]], [1.0]) for _ in range(200)]
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
ax.plot(losses, "C0", label="loss, $-\\log\\hat y$")
ax.plot(np.exp(-np.array(losses)), "C1--", label="probability of the right class, $\\hat y$")
ax.set(xlabel="steps taken", ylabel="loss and probability", xlim=(0, 200), ylim=(0, 1.05))
ax.legend()
ax.grid(alpha=0.3)
plt.show()

# %%
# Assertions of the numbers above:

assert max(gaps.values()) < 1e-12
assert np.allclose((a11, a12, z2, y_hat), (0.924142, 0.268941, -0.529628, 0.370604), atol=5e-7)
assert losses[0] == trace.loss
assert (np.diff(losses) < 0).all()
