r"""
XOR: what one neuron cannot do
==============================

The smallest problem that needs a hidden layer: solved by hand, exactly, and then by training from
100 random starts.

Exclusive or is 1 where exactly one of two bits is 1. No straight line separates the points (0, 1)
and (1, 0) from (0, 0) and (1, 1), so no single unit computes it. Two hidden units are enough:

.. math:: f(u; W, c, v, b) = v^\top \max(0,\, W^\top u + c) + b.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

U = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
xor = np.array([0, 1, 1, 0.0])


def network(width, dtype="float64", seed=0, **hidden):
    """Two inputs, `width` ReLU units, one linear output."""
    return fnn.Sequential(
        [fnn.Dense(2, width, activation="relu", name="hidden", **hidden), fnn.Dense(width, 1)],
        dtype=dtype,
        seed=seed,
    )


# %%
# By hand
# -------
# With all weights 1 and :math:`c = (0, -1)`, the first hidden unit counts the ones, and the second
# says by how much the count exceeds 1. Count minus twice the excess, :math:`v = (1, -2)`, is XOR.

by_hand = network(2, weight=[[1, 1], [1, 1]], bias=[0, -1])
by_hand.parameters["dense_1.weight"] = [[1], [-2]]
answers = by_hand.predict(U).ravel()
for u, h, f in zip(U, by_hand.layer("hidden")(U), answers, strict=True):
    print(f"u = {u.astype(int)}   hidden = {h.astype(int)}   f = {f:g}")

# %%
# **What to see.** The hidden layer moves the points: (0, 1) and (1, 0) become the same point, and a
# straight line separates the classes. This is the purpose of hidden layers.

figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
hidden = by_hand.layer("hidden")(U)
for ax, points, names in (
    (axes[0], U, ("$u_1$", "$u_2$")),
    (axes[1], hidden, ("$h_1$: how many ones", "$h_2$: how many more than one")),
):
    for value, marker, color in ((0, "s", "C0"), (1, "o", "C1")):
        ax.scatter(*points[xor == value].T, s=140, marker=marker, c=color, label=f"XOR = {value}")
    ax.set(xlabel=names[0], ylabel=names[1], xlim=(-0.6, 2.6), ylim=(-0.6, 1.6), aspect="equal")
    ax.grid(alpha=0.3)
    ax.legend(loc="upper right")
axes[0].set_title("inputs: no line separates the classes")
axes[1].set_title("hidden units: $h_1 - 2 h_2 = 1/2$ does")
axes[0].annotate("(0, 1)", U[1], (10, 8), textcoords="offset points")
axes[0].annotate("(1, 0)", U[2], (10, 8), textcoords="offset points")
axes[1].annotate("(0, 1) and (1, 0)", hidden[1], (-44, -24), textcoords="offset points")
axes[1].annotate("(1, 1)", hidden[3], (-50, 4), textcoords="offset points")
line = np.array([-0.6, 2.6])
axes[1].plot(line, (line - 0.5) / 2, "k--")
plt.show()

# %%
# By training
# -----------
# The cost is the mean of :math:`(f^*(u) - f(u))^2` over the four points, its gradient flows back
# to all of W, c, v and b. A start has succeeded if, after 200 steps of Adam, every output is on
# the right side of 1/2. (The four points are repeated 200 times, so that one epoch is 200 steps on
# all of them.)

SEEDS = range(100)
STEPS = 200
widths = (2, 4, 16)


def succeeds(width, seed):
    """Whether a net finds XOR from the start of this seed, and its final cost."""
    net = network(width, seed=seed)
    net.compile(loss="mean_squared_error", optimizer=fnn.Adam(learning_rate=0.1))
    net.fit(np.tile(U, (STEPS, 1)), np.tile(xor, STEPS), epochs=1, batch_size=4, shuffle=False)
    right = (net.predict(U).ravel() > 0.5) == (xor > 0.5)
    return right.all(), net.evaluate(U, xor)["loss"]


successes = {}
stuck = []
for width in widths:
    results = [succeeds(width, seed) for seed in SEEDS]
    successes[width] = sum(right for right, _ in results)
    stuck += [cost for right, cost in results if not right]
    print(f"{width:2d} hidden units: {successes[width]:3d} of 100 starts succeed")

stops = sorted({f"{cost:.2f}" for cost in stuck})
print("costs where the others stopped:", *stops)

# %%
# **What to see.** The smallest network that can compute XOR mostly fails to learn it. A hidden unit
# that is negative for all four inputs is dead: its gradient is 0, and nothing brings it back. With
# two units both are necessary. If one is dead, training ends at a worse minimum: the output 1/2
# everywhere, with the cost 1/4, or two or three points right, with the cost 1/6 or 1/8. Wider
# networks have more units than necessary and rarely fail.

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
bars = ax.bar(range(len(widths)), list(successes.values()), color="C0")
ax.bar_label(bars, padding=2)
ax.set(xlabel="hidden ReLU units", ylabel="starts that succeed, of 100", ylim=(0, 112))
ax.set_xticks(range(len(widths)), widths)
plt.show()

# %%
# Assertions of the numbers above:

assert (answers == xor).all()  # exactly, not nearly
assert (hidden[1] == hidden[2]).all()
assert 5 < successes[2] < 30 < 40 < successes[4] < 75
assert successes[16] >= 97
assert min(stuck) > 0.1  # none of them was merely slow
