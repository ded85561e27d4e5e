r"""
Watching a network learn
========================

How to see what goes wrong inside a network: dead and saturated units, gradients that are checked,
and what an output looks at.

A network that does not learn rarely says why. Three instruments look inside:

- ``net.layer_statistics``: how large activations and sensitivities are in each layer, how many
  units are *saturated* (their derivative is nearly 0 for this sample) or *dead* (it is 0 for every
  sample); a ``LayerMonitor`` records them in training;
- ``fastnn.check_gradients``: whether gradients are what central differences say;
- ``net.input_gradients``: what an output depends on.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastnn as fnn

plt.style.use("tableau-colorblind10")

digits = load_digits()
X, y = digits.data / 16, digits.target
order = np.random.default_rng(0).permutation(len(X))
train, test = order[:1400], order[1400:]


def network(activation, optimizer, depth=4):
    """Some hidden layers of 32 units."""
    widths = [64] + depth * [32]
    layers = [
        fnn.Dense(n_in, n_out, activation, name=f"hidden {m}")
        for m, (n_in, n_out) in enumerate(pairwise(widths), start=1)
    ]
    net = fnn.Sequential([*layers, fnn.Dense(32, 10, name="out")], seed=0)
    net.compile(loss="cross_entropy", optimizer=optimizer)
    return net


# %%
# One look
# --------
# At its start, a network of four sigmoid layers: the sensitivities, column ``rms dA``, fall
# fourfold with each layer on their way down, as the derivative of the sigmoid, at most 1/4,
# commands.

print(network("sigmoid", fnn.Adam()).layer_statistics(X[train[:200]], y[train[:200]]))

# %%
# Three trainings
# ---------------
# A ReLU network with a sensible learning rate, the same with one that is twenty times too high,
# and tanh units with inputs of up to 16 instead of 1, as the data come. Their monitors look at 200
# samples after each epoch.

cases = {
    "ReLU": ("relu", 0.1, 1.0),
    "ReLU, rate too high": ("relu", 2.0, 1.0),
    "tanh, inputs not scaled": ("tanh", 0.1, 16.0),
}
monitors, scores, nets = {}, {}, {}
for name, (activation, rate, scale) in cases.items():
    net = network(activation, fnn.GradientDescent(learning_rate=rate, clip_norm=1.0))
    monitor = fnn.LayerMonitor(scale * X[train[:200]], y[train[:200]])
    net.fit(scale * X[train], y[train], epochs=12, callbacks=monitor)
    monitors[name], nets[name] = monitor, net
    scores[name] = net.score(scale * X[test], y[test])
    print(f"{name:<24} {scores[name]:.1%} of the test digits right")


def share(record, kind):
    """Of the units of each hidden layer that are dead, or of their outputs that are saturated."""
    calls = [record[f"hidden {m}"] for m in range(1, 5)]
    return [c.dead / c.n_units if kind == "dead" else c.saturated for c in calls]


# %%
# **What to see.** Left and middle: the share of dead units. With the high rate, violent steps push
# most units below zero for every sample; a unit whose gradient is 0 cannot return by itself, only
# when a layer below it changes. Right: with inputs of 16, tanh units of the first layer are
# saturated from the start. This network learns nevertheless, from the small remaining gradient:
# saturation is a warning, not a proof of failure.

figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), layout="constrained", sharey=True)
kinds = ("dead", "dead", "saturated")
for ax, name, kind in zip(axes, cases, kinds, strict=True):
    values = np.array([share(record, kind) for record in monitors[name].records])
    for m, style in enumerate(("C0o-", "C1s--", "C3^-.", "C5D:")):
        ax.plot(monitors[name].epochs, values[:, m], style, ms=5, label=f"layer {m + 1}")
    ax.set(title=f"{name}: {scores[name]:.0%} right", xlabel="epoch", ylim=(-0.03, 1.03))
    ax.set_ylabel("dead units (share)" if kind == "dead" else "saturated outputs (share)")
    ax.grid(alpha=0.3)
handles = axes[0].get_legend_handles_labels()
figure.legend(*handles, loc="outside lower center", ncols=4, title="hidden layer")
plt.show()

# %%
# Are the gradients right?
# ------------------------
# For the layers of fastnn they are, and its tests check this. For custom losses and layers:

check = fnn.check_gradients(nets["ReLU"], X[test[:20]], y[test[:20]], max_numbers=400)
print(check)

# %%
# What does an output look at?
# ----------------------------
# The derivatives of the logit of a digit by the pixels, averaged over the test images of that
# digit. **What to see.** Ink on orange pixels speaks for the digit, ink on purple ones against it:
# the middle of a zero has to be empty.

slopes = nets["ReLU"].input_gradients(X[test])
rows = np.arange(len(test))
of_true_class = slopes[rows, y[test]]
maps = np.array([of_true_class[y[test] == k].mean(axis=0).reshape(8, 8) for k in range(10)])
largest = np.abs(maps).max()
figure, axes = plt.subplots(2, 5, figsize=(9, 4), layout="constrained")
for k, ax in enumerate(axes.flat):
    image = ax.imshow(maps[k], cmap="PuOr_r", vmin=-largest, vmax=largest)
    ax.set_title(f"digit {k}", fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
figure.supxlabel("pixels")
figure.colorbar(image, ax=axes, label="d logit / d ink, mean over images")
plt.show()

# %%
# Assertions of the numbers above:

sick = monitors["ReLU, rate too high"].records[-1]
well = monitors["ReLU"].records[-1]
assert max(share(sick, "dead")) > 0.5 > max(share(well, "dead"))
assert scores["ReLU"] > 0.9 > scores["ReLU, rate too high"]
assert share(monitors["tanh, inputs not scaled"].records[0], "saturated")[0] > 0.3
assert check.ok
assert maps[0][2:5, 3:5].mean() < 0
step = 1e-2
i, pixel = 3, 27
moved = X[test[[i]]] + step * (np.arange(64) == pixel)
difference = (nets["ReLU"].predict(moved) - nets["ReLU"].predict(X[test[[i]]]))[0] / step
assert np.allclose(difference, slopes[i, :, pixel], atol=1e-2)
