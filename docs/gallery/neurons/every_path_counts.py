r"""
Every path counts
=================

Where a parameter reaches the output along several paths, its gradient is the sum over all of them.

In a network of three layers a bias of the first reaches the output through each unit of the
second. We follow these paths in a net of two tanh layers with two units each and a sigmoid output,
with the cost :math:`J = \tfrac12 \sum (y - a_3)^2`, and then let the *sensitivities* :math:`s_i =
\partial J/\partial a_i` do the same in one sweep:

.. math::
   s_i^{(m)} = \sum_k s_k^{(m+1)}\, f'(z_k^{(m+1)})\, w_{ik}^{(m+1)}, \qquad
   \frac{\partial J}{\partial w_{ji}^{(m)}} = s_i^{(m)} f'(z_i^{(m)})\, a_j^{(m-1)}, \qquad
   \frac{\partial J}{\partial b_i^{(m)}} = s_i^{(m)} f'(z_i^{(m)}).

The sum runs over *all* units above: forgetting some is the classic mistake.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

net = fnn.Sequential(
    [
        fnn.Dense(2, 2, "tanh", weight=[[0.5, -0.3], [0.8, 0.6]], bias=[0.1, -0.2], name="layer1"),
        fnn.Dense(2, 2, "tanh", weight=[[0.7, -0.9], [0.4, 0.5]], bias=[0.2, 0.3], name="layer2"),
        fnn.Dense(2, 1, "sigmoid", weight=[[1.2], [-0.8]], bias=[0.1], name="layer3"),
    ],
    dtype="float64",
)
net.compile(
    loss=fnn.MeanSquaredError(reduction="half_sum"),
    optimizer=fnn.GradientDescent(learning_rate=0.5),
)
x, y = np.array([[1.0, -0.5]]), np.array([[0.0]])
trace = net.trace(x, y)

# %%
# Path by path
# ------------
# From :math:`b_i` of layer 1 two paths lead to the output, one through each unit :math:`k` of
# layer 2. Each contributes the product of all derivatives along it.

a1, a2 = trace["layer1"].A[0], trace["layer2"].A[0]
a3 = trace["layer3"].A[0, 0]
W2, W3 = net.parameters["layer2.weight"], net.parameters["layer3.weight"]

top = (a3 - y[0, 0]) * a3 * (1 - a3)  # dJ/dz3
paths = np.empty((2, 2))
for i in range(2):
    for k in range(2):
        paths[i, k] = top * W3[k, 0] * (1 - a2[k] ** 2) * W2[i, k] * (1 - a1[i] ** 2)
    print(
        f"dJ/db{i + 1} = {paths[i, 0]: .6f} through unit 1 + {paths[i, 1]: .6f} through unit 2"
        f" = {paths[i].sum(): .6f}    engine {trace['layer1'].db[i]: .6f}"
    )

# %%
# **What to see.** The network with its activations, and beside it, for each bias of layer 1, what
# its two paths contribute and their sum. The contributions may have equal or opposite signs; a
# single one is not a good approximation of the sum.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4), layout="constrained", width_ratios=(3, 2)
)
columns = [x[0], a1, a2, [a3]]
names = ["inputs $x$", "layer 1, tanh", "layer 2, tanh", "layer 3, sigmoid"]
places = [[(m, 1.0 * (len(c) - 1) / 2 - i) for i in range(len(c))] for m, c in enumerate(columns)]
for m in range(3):
    for i, start in enumerate(places[m]):
        for k, end in enumerate(places[m + 1]):
            on_path = (m == 1 and i == 0) or m == 2
            color = f"C{k if m == 1 else i}" if on_path else "0.8"
            left.plot(*zip(start, end, strict=True), color=color, lw=3 if on_path else 1, zorder=1)
for m, column in enumerate(columns):
    left.text(m, 0.95, names[m], ha="center")
    for place, activation in zip(places[m], column, strict=True):
        left.plot(*place, "o", ms=42, mfc="white", mec="k", zorder=2)
        left.text(*place, f"{activation:.3f}", ha="center", va="center", fontsize=9)
left.set(xlim=(-0.4, 3.4), ylim=(-0.9, 1.15))
left.set_title("activations, and the two paths from unit 1 of layer 1")
left.axis("off")

for i in range(2):
    for k in range(2):
        right.bar(
            i + 0.25 * (k - 1), paths[i, k], 0.23, color=f"C{k}", hatch=("", "//")[k],
            edgecolor="white", label=f"through unit {k + 1} of layer 2" if i == 0 else None,
        )  # fmt: skip
    right.bar(
        i + 0.25, paths[i].sum(), 0.23, color="0.35", label="sum: gradient" if i == 0 else None
    )
right.axhline(0, color="k", lw=0.8)
right.set_xticks([0, 1], ["$b_1$ of layer 1", "$b_2$ of layer 1"])
right.set(xlabel="parameter", ylabel=r"$\partial J/\partial b$", ylim=(-0.05, 0.3))
right.legend(fontsize=8, loc="upper right")
plt.show()

# %%
# One sweep of sensitivities
# --------------------------
# In a network with many layers the number of paths grows as a product of widths; the recursion of
# the sensitivities uses each weight once. The recursion, written out, for all parameters:

f_prime = {"layer3": a3 * (1 - a3), "layer2": 1 - a2**2, "layer1": 1 - a1**2}
s = {"layer3": np.array([a3 - y[0, 0]])}
s["layer2"] = W3 @ (s["layer3"] * f_prime["layer3"])
s["layer1"] = W2 @ (s["layer2"] * f_prime["layer2"])
below = {"layer3": a2, "layer2": a1, "layer1": x[0]}
gap = 0.0
for name in ("layer3", "layer2", "layer1"):
    dz = s[name] * f_prime[name]
    call = trace[name]
    print(f"{name}: s = {s[name].round(6)}, db = {dz.round(6)}")
    for mine, engine in (
        (s[name], call.dA[0]),
        (np.outer(below[name], dz), call.dW),
        (dz, call.db),
    ):
        gap = max(gap, np.abs(mine - engine).max())
print(f"largest difference from the engine: {gap:.1e}")

# %%
# With the mean of :math:`(y - a_3)^2` as cost instead, which for one sample and one output is the
# square itself, all gradients are twice as large; nothing else changes.

net.compile(loss="mean_squared_error", optimizer=fnn.GradientDescent(learning_rate=0.5))
doubled = net.trace(x, y)
ratios = [
    doubled.parameters[name].gradient / trace.parameters[name].gradient for name in trace.parameters
]

# %%
# Assertions of the numbers above:

assert np.allclose(paths.sum(axis=1), trace["layer1"].db, rtol=1e-13)
assert (np.abs(paths / trace["layer1"].db[:, None] - 1) > 0.1).all()  # one path is no good guess
assert gap < 1e-15
assert all(np.allclose(ratio, 2, rtol=1e-13) for ratio in ratios)
for name, parameter in trace.parameters.items():
    assert np.allclose(parameter.update, -0.5 * parameter.gradient, rtol=1e-12), name
