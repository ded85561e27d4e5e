r"""
Shortcuts
=========

Connections that skip a layer, or every layer: what they change in a fit, and why deep networks
have them.

The output layer of a network may also see the input directly:

.. math:: Z_2 = A_1 W_2 + X W_{2,1} + b_2.

The shortcut :math:`W_{2,1}` carries what is linear in the data, and the hidden layer only has to
learn the rest. Its gradient is that of a linear model, :math:`\partial J/\partial W_{2,1} = X^\top
\partial J/\partial Z_2`; the hidden layer's is what it would be without the shortcut, except that
:math:`\partial J/\partial Z_2` is another one.

In a graph, the sum of two branches is the layer ``Add``. Then we do the same in every layer of a
deep network.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (200, 1))
y = 2 * X[:, 0] + 0.5 * np.sin(6 * X[:, 0]) + rng.normal(0, 0.05, 200)


def regressor(shortcut, seed=0):
    """One hidden layer, with or without the shortcut."""
    x = fnn.Input(1)
    hidden = fnn.Dense(1, 8, activation="tanh", name="hidden")(x)
    out = fnn.Dense(8, 1, name="out")(hidden)
    if shortcut:
        out = fnn.Add()([out, fnn.Dense(1, 1, use_bias=False, name="shortcut")(x)])
    net = fnn.Network(x, out, dtype="float64", seed=seed)
    net.compile(loss="mean_squared_error", optimizer=fnn.Adam(learning_rate=0.01))
    return net


net = regressor(shortcut=True)
print(net.summary())

# %%
# The gradient of the shortcut, by the formula and by the engine:

dZ = 2 * (net.predict(X) - y[:, None]) / len(y)
_, gradients = net.loss_and_gradients(X, y)
print("by the formula", (X.T @ dZ).item())
print("in the engine ", gradients["shortcut.weight"].item())

# %%
# We train a network with the shortcut and one without. Both are seen from :math:`-3` to :math:`3`,
# although all data lie between :math:`-1` and :math:`1`.

nets = {"with shortcut": net, "without": regressor(shortcut=False)}
grid = np.linspace(-3, 3, 301)[:, None]
ends_at = [model.fit(X, y, epochs=400)["loss"][-1] for model in nets.values()]
for name, cost in zip(nets, ends_at, strict=True):
    print(f"{name:<14} cost {cost:.4f}")
curves = {name: model.predict(grid)[:, 0] for name, model in nets.items()}
slope = net.parameters["shortcut.weight"].item()

# %%
# **What to see.** Where there are data, the network with the shortcut fits better: all its hidden
# units are free for the wave. Beyond the data the units of both hidden layers saturate, so the
# network without shortcut bends towards a constant, while the other one goes on along its line. The
# right panel shows the two parts of its prediction: a line from the shortcut, the rest from the
# hidden layer. (Neither extrapolation is *known* to be right. A shortcut assumes a linear function
# outside the data.)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
left.plot(X, y, ".", color="C2", label="data")
left.plot(grid, curves["with shortcut"], "C0", lw=2, label="with shortcut")
left.plot(grid, curves["without"], "C1--", lw=2, label="without")
right.plot(grid, curves["with shortcut"], "C0", lw=2, label="with shortcut, the sum of")
right.plot(grid, slope * grid, "k--", label="the shortcut $X W_{2,1}$ and")
right.plot(
    grid,
    curves["with shortcut"] - slope * grid[:, 0],
    "C5:",
    lw=2.5,
    label="the hidden layer $A_1 W_2 + b_2$",
)
for ax in (left, right):
    ax.axvspan(-1, 1, color="0.5", alpha=0.12)
    ax.set(xlabel="$x$ (data in the grey part)", xlim=(-3, 3))
    ax.legend(loc="upper left", fontsize=8)
    ax.grid(alpha=0.3)
left.set_ylabel("$y$")
plt.show()

# %%
# Shortcuts around every layer
# ----------------------------
# In a *residual* network every layer adds its output to its input, :math:`A_m = A_{m-1} + f(A_{m-1}
# W_m + b_m)`; in a *cascade* every layer reads the input of the network and the layer below. In
# both the gradient reaches the first layers through few derivatives. We train all three at growing
# depth, with tanh units.


def deep(kind, depth, width=16, seed=0):
    """A network of `depth` hidden layers: a plain chain, residual or a cascade."""
    x = fnn.Input(8)
    a = fnn.Dense(8, width, activation="tanh", name="first")(x)
    for _ in range(depth - 1):
        if kind == "cascade":
            a = fnn.Dense(width + 8, width, activation="tanh")(fnn.Concatenate()([a, x]))
        else:
            step = fnn.Dense(width, width, activation="tanh")(a)
            a = fnn.Add()([a, step]) if kind == "residual" else step
    if kind == "cascade":
        a = fnn.Concatenate()([a, x])
    net = fnn.Network(x, fnn.Dense(a.width, 1, name="out")(a), dtype="float64", seed=seed)
    net.compile(loss="mean_squared_error")
    return net


def final_cost(kind, depth, X, y):
    """Training cost after 30 epochs."""
    net = deep(kind, depth)
    net.compile(loss="mean_squared_error", optimizer=fnn.Adam(learning_rate=3e-3))
    return net.fit(X, y, epochs=30)["loss"][-1]


X8 = rng.normal(size=(256, 8))
y8 = X8[:, 0] * X8[:, 1] + np.sin(2 * X8[:, 2])
depths = (2, 5, 10, 20)
costs = {
    kind: [final_cost(kind, depth, X8, y8) for depth in depths]
    for kind in ("plain", "residual", "cascade")
}
for kind, values in costs.items():
    print(
        f"{kind:<9}",
        *(f"{depth} layers: {c:.3f}  " for depth, c in zip(depths, values, strict=True)),
    )

# %%
# **What to see.** Some depth helps all three. Then it begins to hurt the plain chain, while with
# shortcuts twenty layers are no harder to train than five.

figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for (kind, values), style in zip(costs.items(), ("C0s-", "C1o-", "C3^-"), strict=True):
    ax.plot(depths, values, style, label=kind)
ax.set(xlabel="hidden layers", ylabel="training cost after 30 epochs", xticks=depths, ylim=0)
ax.legend()
ax.grid(alpha=0.3)
plt.show()

# %%
# Assertions of the numbers above:

assert np.isclose((X.T @ dZ).item(), gradients["shortcut.weight"].item(), rtol=1e-12)
assert ends_at[0] < ends_at[1]
ends = [0, -1]
assert (np.abs(curves["with shortcut"] - 2 * grid[:, 0])[ends] < 1.5).all()
assert (np.abs(curves["without"] - 2 * grid[:, 0])[ends] > 3).all()
assert costs["residual"][-1] < costs["plain"][-1] / 2 > costs["cascade"][-1]
assert costs["plain"][-1] > 2 * costs["plain"][1]
