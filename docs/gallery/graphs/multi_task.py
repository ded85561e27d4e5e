r"""
Several tasks, one trunk
========================

One network says which digit it sees, whether the digit has a loop, and how heavy the writing is,
with labels missing here and there.

A network with several outputs, *heads*, learns several things at once. Each head has a loss
:math:`J_k` of its own kind and a weight :math:`\lambda_k`; the cost is the weighted sum, and the
shared trunk receives the sum of the gradients:

.. math:: J = \sum_k \lambda_k J_k, \qquad
          \frac{\partial J}{\partial W_\text{trunk}}
          = \sum_k \lambda_k \frac{\partial J_k}{\partial W_\text{trunk}}.

Here one network looks at a handwritten digit and says which digit it is (one of ten classes),
whether the digit has a closed loop (yes or no), and how heavy and how tall the writing is (two
numbers). Not every image has every label: for a sample without a label, a head's term is missing,
and so is its gradient.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastnn as fnn
from fastnn import plot

plt.style.use("tableau-colorblind10")

digits = load_digits()
X, digit = digits.data / 16, digits.target
loop = np.isin(digit, [0, 6, 8, 9]).astype(float)
ink = X.sum(axis=1)
height = (digits.images.max(axis=2) > 8).sum(axis=1)
shape = np.column_stack([ink, height]).astype(float)
shape = (shape - shape.mean(axis=0)) / shape.std(axis=0)


def network(dtype="float32", width=64, seed=0):
    """A trunk and three heads."""
    x = fnn.Input(64, name="image")
    trunk = fnn.Dense(64, width, activation="relu", name="trunk")(x)
    heads = {
        "digit": fnn.Dense(width, 10, name="to_digit")(trunk),
        "loop": fnn.Dense(width, 1, name="to_loop")(trunk),
        "shape": fnn.Dense(width, 2, name="to_shape")(trunk),
    }
    return fnn.Network(x, heads, dtype=dtype, seed=seed)


LOSSES = {
    "digit": fnn.CrossEntropy(ignore_index=-1),
    "loop": fnn.BinaryCrossEntropy(ignore_value=np.nan),
    "shape": fnn.MeanSquaredError(ignore_value=np.nan),
}
net = network()
net.compile(loss=LOSSES, loss_weights={"shape": 0.5})
print(net.summary())

# %%
# **What to see.** The same as a picture: one trunk, three heads, each with its loss.

drawing = plot.graph(net)

# %%
# The gradients of the heads add
# ------------------------------
# In float64: the gradient of the trunk's weight under all three losses, and the sum of those under
# one loss at a time.

WEIGHTS = {"digit": 1.0, "loop": 2.0, "shape": 0.5}
targets = {"digit": digit, "loop": loop, "shape": shape}
net = network("float64")
net.compile(loss=LOSSES, loss_weights=WEIGHTS)
cost, gradients = net.loss_and_gradients(X, targets)
together = gradients["trunk.weight"]
total = np.zeros_like(together)
for head in LOSSES:
    net.compile(
        loss={name: loss if name == head else None for name, loss in LOSSES.items()},
        loss_weights={head: WEIGHTS[head]},
    )
    part, gradients = net.loss_and_gradients(X, {head: targets[head]})
    total += gradients["trunk.weight"]
    norm = np.linalg.norm(gradients["trunk.weight"])
    print(f"{head:<6} gives {part:.4f} of the cost, gradient norm {norm:.4f}")
print(f"all    {cost:.4f}, gradient norm {np.linalg.norm(together):.4f}")
gap = np.abs(total - together).max() / np.abs(together).max()
print(f"largest relative difference from the sum: {gap:.1e}")

# %%
# Missing targets
# ---------------
# The loss of a head is the mean over the samples that have its target. A batch without any target
# for a head contributes nothing to it.

few = {"digit": digit[:50].copy(), "loop": loop[:50].copy(), "shape": shape[:50]}
few["digit"][10:] = -1
few["loop"][:] = np.nan
net.compile(loss=LOSSES)
_, gradients = net.loss_and_gradients(X[:50], few)
unobserved = np.abs(gradients["to_loop.weight"]).max()
net.compile(loss={"digit": "cross_entropy", "loop": None, "shape": None})
_, only_ten = net.loss_and_gradients(X[:10], {"digit": digit[:10]})
same = np.abs(gradients["to_digit.weight"] - only_ten["to_digit.weight"]).max()
print(f"gradient of a head with no target at all: {unobserved}")
print(f"head with 10 targets of 50, beside the 10 samples alone: differ by {same:.1e}")

# %%
# Does it help to learn together?
# -------------------------------
# Suppose that only 60 of 1200 training images have a digit label, but all have the cheap ones:
# loop, ink and height. We compare a network that learns the digits alone, from the 60, with the one
# that learns everything. A trunk trained on 1200 images should be the better basis for the digits,
# too. Five random selections distinguish chance from effect.


def test_accuracy(losses, seed):
    """Accuracy for digits on 597 test images, after training on 1200 of which 60 are labelled."""
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = order[:1200], order[1200:]
    labels = np.where(np.arange(1200) < 60, digit[train], -1)
    known = {"digit": labels, "loop": loop[train], "shape": shape[train]}
    net = network(seed=seed)
    net.compile(loss=losses, optimizer=fnn.Adam(learning_rate=3e-3))
    used = {name: known[name] for name, loss in losses.items() if loss is not None}
    net.fit(X[train], used, epochs=40, batch_size=100)
    return np.mean(net.predict_classes(X[test])["digit"] == digit[test])


alone = LOSSES | {"loop": None, "shape": None}
scores = {
    "digits alone": [test_accuracy(alone, seed) for seed in range(5)],
    "all three tasks": [test_accuracy(LOSSES, seed) for seed in range(5)],
}
for name, values in scores.items():
    print(
        f"{name:<16}", " ".join(f"{value:.1%}" for value in values), f"  mean {np.mean(values):.1%}"
    )

# %%
# **What to see.** Each line joins the two networks for one selection of labels. All five rise, by
# about two percentage points: the labels of the other tasks improved the features of the trunk. The
# effect is reproducible and moderate.

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for seed, pair in enumerate(zip(*scores.values(), strict=True)):
    ax.plot([0, 1], pair, "o-", color="C0", alpha=0.5, label="one selection" if seed == 0 else None)
means = [np.mean(values) for values in scores.values()]
ax.plot([0, 1], means, "ks--", lw=2, label="mean of five")
ax.set(xlabel="what is learnt", xlim=(-0.3, 1.3), ylabel="share of test digits that are right")
ax.set_xticks([0, 1], [f"{name}\n(60 digit labels)" for name in scores])
ax.legend(loc="upper left")
ax.grid(alpha=0.3, axis="y")
plt.show()

# %%
# Assertions of the numbers above:

assert gap < 1e-13
assert unobserved == 0
assert same < 1e-15
assert all(together > alone for alone, together in zip(*scores.values(), strict=True))
assert means[1] > means[0] + 0.01
