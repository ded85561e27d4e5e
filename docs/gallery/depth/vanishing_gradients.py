r"""
Deep networks and vanishing gradients
=====================================

Why twelve layers of sigmoid units learn nothing, and the same network of tanh or ReLU units does:
gradients, layer by layer.

The gradient at layer :math:`m` is a product: one weight matrix and one diagonal matrix of
derivatives for every layer above,

.. math:: \frac{\partial J}{\partial z_m} = \frac{\partial J}{\partial z_M}\,
          W_M^\top D_{M-1}\, W_{M-1}^\top D_{M-2} \cdots W_{m+1}^\top D_m, \qquad
          D_k = \mathrm{diag}\, f'(z_k).

If the factors typically shrink a vector, gradients *vanish* towards the first layers, which then
do not learn; if they stretch it, gradients *explode*. Which of the two happens is decided by the
activation and by the scale of the initial weights. Training steps can be watched: ``net.trace``
returns every intermediate of a step.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastnn as fnn
from fastnn import initializers

plt.style.use("tableau-colorblind10")

digits = load_digits()
X, y = (digits.data - 8) / 8, digits.target
order = np.random.default_rng(0).permutation(len(X))
train, test = order[:1400], order[1400:]

DEPTH, WIDTH = 12, 64


@dataclass(frozen=True)
class Normal(initializers.Initializer):
    """Weights with mean 0 and variance gain / n_in."""

    gain: float = 1.0

    def __call__(self, shape, rng):
        return rng.normal(0, np.sqrt(self.gain / shape[0]), shape)


def deep(activation, gain, dtype="float32"):
    """A network of DEPTH hidden layers, compiled for the digits."""
    layers = [
        fnn.Dense(64, WIDTH, activation, weight=Normal(gain), name=f"hidden {m}")
        for m in range(1, DEPTH + 1)
    ]
    net = fnn.Sequential([*layers, fnn.Dense(WIDTH, 10, name="out")], dtype=dtype)
    net.compile(loss="cross_entropy", optimizer=fnn.GradientDescent(learning_rate=0.03))
    return net


# %%
# Signals and gradients, layer by layer
# -------------------------------------
# ReLU passes half of its inputs, which halves the mean square of the signal; a variance of
# :math:`2/n` compensates for this (He). Near 0 tanh is the identity, and needs the variance
# :math:`1/n` (Glorot, LeCun). The derivative of the sigmoid is at most 1/4, so no common scale
# prevents vanishing gradients.

CASES = {
    "sigmoid, 1/n": ("sigmoid", 1.0, "C1s--"),
    "tanh, 1/n": ("tanh", 1.0, "C0o-"),
    "tanh, 9/n": ("tanh", 9.0, "C2v:"),
    "ReLU, 1/n": ("relu", 1.0, "C5D--"),
    "ReLU, 2/n": ("relu", 2.0, "C3^-"),
    "ReLU, 6/n": ("relu", 6.0, "C4P:"),
}


def root_mean_square(values):
    """Of all elements."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


signals, gradients = {}, {}
for name, (activation, gain, _) in CASES.items():
    trace = deep(activation, gain, "float64").trace(X[train], y[train])
    calls = [trace[f"hidden {m}"] for m in range(1, DEPTH + 1)]
    signals[name] = [root_mean_square(call.A - call.A.mean(axis=0)) for call in calls]
    gradients[name] = [root_mean_square(call.dZ) for call in calls]
    ratio = gradients[name][0] / gradients[name][-1]
    print(f"{name:<13} gradient at layer 1 / at layer {DEPTH}: {ratio:.1e}")

# %%
# **What to see.** The left panel shows the remaining differences between samples after each layer;
# the right panel shows the gradient, which is propagated from right to left. Only the two cases
# with a suitable variance, tanh with :math:`1/n` and ReLU with :math:`2/n`, stay within a factor of
# some ten over twelve layers. The gradient of the sigmoid loses a factor of more than a million:
# its first layers receive almost none. With too large weights the gradient explodes, more slowly if
# tanh saturates.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for name, (_, _, style) in CASES.items():
    layers = np.arange(1, DEPTH + 1)
    left.semilogy(layers, signals[name], style, label=name)
    right.semilogy(layers, gradients[name], style, label=name)
left.set(xlabel="layer", ylabel="spread of activations over samples (r.m.s.)", xticks=layers)
right.set(xlabel="layer", ylabel=r"gradient $\partial J/\partial z$ (r.m.s.)", xticks=layers)
figure.legend(
    *left.get_legend_handles_labels(),
    loc="outside lower center",
    ncols=6,
    title="activation, variance of weights",
)
for ax in (left, right):
    ax.grid(alpha=0.3)
plt.show()

# %%
# What it means for training
# --------------------------
# Ten epochs each, with the same optimizer and the same rate:

accuracies = {}
for name in ("sigmoid, 1/n", "tanh, 1/n", "ReLU, 1/n", "ReLU, 2/n"):
    activation, gain, _ = CASES[name]
    net = deep(activation, gain)
    history = net.fit(X[train], y[train], epochs=10, validation_data=(X[test], y[test]))
    accuracies[name] = history["val_accuracy"]
    print(f"{name:<13} {accuracies[name][-1]:.1%} of the test digits right")

figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for name, values in accuracies.items():
    ax.plot(np.arange(1, 11), values, CASES[name][2], label=name)
ax.axhline(0.1, color="0.5", lw=1, label="guessing")
ax.set(
    xlabel="epoch", ylabel="share of test digits that are right", ylim=(0, 1), xticks=range(1, 11)
)
figure.legend(loc="outside right center")
ax.grid(alpha=0.3)
plt.show()

# %%
# **What to see.** Twelve sigmoid layers learn nothing at all, while the same network of tanh or
# ReLU units, with initial weights of the right scale, classifies digits after one or two epochs. By
# default ``Dense`` chooses this scale for the activation.

# %%
# The properties of activations, measured
# ---------------------------------------
# What ``fastnn.activations.table()`` says of an activation, beside what becomes of it in a
# training: twelve layers, each started at the scale that ``Dense`` chooses, after two epochs. Of
# the hidden layers: the mean of the outputs (a zero-centred activation keeps it near 0), the share
# of outputs at which the unit is saturated, units dead for all samples, and the sensitivity at
# layer 1, relative to that at layer 12.

measured = {}
print(
    f"{'':<11} {'zero-centred':<13} {'saturated where':<22}"
    f"{'mean':>6} {'saturated':>10} {'dead':>5} {'1 / 12':>8} {'accuracy':>9}"
)
for activation in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "swish", "hard_swish"):
    facts = fnn.activations.get(activation)
    layers = [fnn.Dense(64, WIDTH, activation) for _ in range(DEPTH)]
    net = fnn.Sequential([*layers, fnn.Dense(WIDTH, 10)])
    net.compile(loss="cross_entropy", optimizer=fnn.Adam())
    net.fit(X[train], y[train], epochs=2)
    statistics = net.layer_statistics(X[train], y[train])
    hidden = [call for call in statistics.values() if call.function == activation]
    measured[activation] = row = {
        "mean": np.mean([call.A.mean for call in hidden]),
        "saturated": np.mean([call.saturated for call in hidden]),
        "dead": sum(call.dead for call in hidden),
        "ratio": hidden[0].dA.rms / hidden[-1].dA.rms,
        "accuracy": net.score(X[test], y[test]),
    }
    bounds = zip(("z <= ", "z >= "), fnn.activations.flat_range(activation), strict=True)
    where = [f"{side}{bound:.2f}" for side, bound in bounds if np.isfinite(bound)]
    print(
        f"{activation:<11} {'yes' if facts.zero_centred else 'no':<13} "
        f"{', '.join(where) or 'nowhere':<22}{row['mean']:6.2f} {row['saturated']:10.1%} "
        f"{row['dead']:5d} {row['ratio']:8.1e} {row['accuracy']:9.1%}"
    )

# %%
# Almost no sensitivity passes through the twelve sigmoid layers, although no output is saturated:
# the cause is not saturation but a derivative of at most 1/4 everywhere. ReLU units pass the
# sensitivity, except units below 0, some of which are dead for all samples. Every unit of a leaky
# ReLU has a gradient.

# %%
# Assertions of the numbers above:


def ratio(name):
    """Of the gradients at the first and at the last hidden layer."""
    return gradients[name][0] / gradients[name][-1]


assert ratio("sigmoid, 1/n") < 1e-6
assert 0.1 < ratio("tanh, 1/n") < 10
assert 0.1 < ratio("ReLU, 2/n") < 10
assert ratio("ReLU, 1/n") < 0.1
assert ratio("ReLU, 6/n") > 100
assert accuracies["sigmoid, 1/n"][-1] < 0.2
assert min(max(accuracies["tanh, 1/n"]), max(accuracies["ReLU, 2/n"])) > 0.85
assert measured["sigmoid"]["ratio"] < 1e-5
assert measured["sigmoid"]["saturated"] < 0.01
assert abs(measured["tanh"]["mean"]) < 0.1 < measured["sigmoid"]["mean"]
assert measured["relu"]["dead"] > measured["leaky_relu"]["dead"] == 0
