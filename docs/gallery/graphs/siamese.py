r"""
Siamese networks: one layer, used twice
=======================================

One layer looks at two images. Its gradient is the sum of both uses, and the way the branches merge
decides what can be learnt.

Are two images of the same digit? A *siamese* network sends both through the same layer and looks
at the difference:

.. math::
   A_1 = \mathrm{relu}(X_1 W_1 + b_1), \quad A_2 = \mathrm{relu}(X_2 W_1 + b_1), \quad
   \hat y = \sigma\bigl((A_1 - A_2)\, W_2 + b_2\bigr).

Both branches use one :math:`W_1`, so its gradient is the *sum* of what each branch contributes,

.. math:: \mathrm dW_1 = X_1^\top \mathrm dZ_1 + X_2^\top \mathrm dZ_2.

In fastnn a layer that is called twice shares its weights; nothing else needs to be said. We check
the sum, then train on pairs of handwritten digits, and ask which merge of the two branches suits
the question.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastnn as fnn
from fastnn import plot

plt.style.use("tableau-colorblind10")


def siamese(merge, width=64, dtype="float32", n_in=64):
    """A shared layer, a merge of its two outputs, one logit: the same or not."""
    x1, x2 = fnn.Input(n_in, name="first"), fnn.Input(n_in, name="second")
    shared = fnn.Dense(n_in, width, activation="relu", name="shared")
    merged = merge([shared(x1), shared(x2)])
    return fnn.Network([x1, x2], fnn.Dense(width, 1, name="out")(merged), dtype=dtype, seed=0)


# %%
# **What to see.** ``fastnn.plot.graph`` draws the network: two calls of one layer, in one colour.

drawing = plot.graph(siamese(fnn.Subtract()))

# %%
# The gradients of both uses add
# ------------------------------
# The same network on a few random numbers, in float64, beside the formulas.

rng = np.random.default_rng(0)
net = siamese(fnn.Subtract(), width=5, dtype="float64", n_in=4)
net.compile(loss="binary_cross_entropy")
X1, X2 = rng.normal(size=(2, 20, 4))
y = rng.integers(0, 2, 20)
_, gradients = net.loss_and_gradients([X1, X2], y)

W1, b1 = net.layer("shared").weight, net.layer("shared").bias
W2 = net.layer("out").weight
Z1, Z2 = X1 @ W1 + b1, X2 @ W1 + b1
dZ3 = (net.predict_proba([X1, X2]) - y[:, None]) / len(y)
dA = dZ3 @ W2.T
dZ1, dZ2 = dA * (Z1 > 0), -dA * (Z2 > 0)
by_formula = X1.T @ dZ1 + X2.T @ dZ2
print("from the first branch ", np.linalg.norm(X1.T @ dZ1).round(6))
print("from the second branch", np.linalg.norm(X2.T @ dZ2).round(6))
print(
    "largest difference of their sum from the engine",
    np.abs(by_formula - gradients["shared.weight"]).max(),
)

# %%
# Pairs of digits
# ---------------
# 1400 images make pairs to train on, the other 397 pairs to test on: half of each the same digit,
# half not.

digits = load_digits()
images, labels = digits.data / 16, digits.target


def pairs(rows, n, seed):
    """n pairs of rows, half of them with equal labels; 1 where they are."""
    rng = np.random.default_rng(seed)
    first, second = rng.choice(rows, (2, 40 * n))
    same = labels[first] == labels[second]
    chosen = np.concatenate(
        [np.flatnonzero(same & (first != second))[: n // 2], np.flatnonzero(~same)[: n // 2]]
    )
    return [images[first[chosen]], images[second[chosen]]], same[chosen].astype(int)


order = np.random.default_rng(1).permutation(len(images))
train, test = pairs(order[:1400], 12000, seed=2), pairs(order[1400:], 2000, seed=3)
merges = {
    "difference": fnn.Subtract(),
    "absolute difference": fnn.AbsDifference(),
    "product": fnn.Multiply(),
    "sum": fnn.Add(),
}
accuracy, curves = {}, {}
for name, merge in merges.items():
    net = siamese(merge)
    net.compile(loss="binary_cross_entropy", optimizer=fnn.Adam(learning_rate=2e-3))
    history = net.fit(*train, epochs=8, batch_size=64, validation_data=test)
    accuracy[name], curves[name] = history["val_accuracy"][-1], history["val_accuracy"]
    if name == "absolute difference":
        best = net
    print(f"{name:<20} {accuracy[name]:.1%} of the test pairs right")

# %%
# **What to see.** The plain difference cannot solve the task. If the two images are exchanged, its
# sign changes, so the logits of the two orders add up to twice the bias for all images; but whether
# the images show the same digit does not depend on the order. (The difference suits tasks that
# depend on the order: which of the two is larger?) A sum contains no information about the
# agreement of its parts. The absolute difference and the product do.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4), layout="constrained", width_ratios=(3, 2)
)
for (name, values), style in zip(curves.items(), ("C1s--", "C0o-", "C3^-.", "C5D:"), strict=True):
    left.plot(np.arange(1, 9), values, style, label=name)
left.axhline(0.5, color="0.5", lw=1)
left.set(xlabel="epoch", ylabel="share of test pairs that are right", ylim=(0.4, 1))
left.legend(title="merge", ncols=2, loc="lower right", bbox_to_anchor=(1, 0.22))
left.grid(alpha=0.3)

probability = best.predict_proba(test[0]).ravel()
bins = np.linspace(0, 1, 21)
same = test[1] == 1
right.hist(probability[same], bins, color="C0", alpha=0.9, label="same digit")
right.hist(probability[~same], bins, histtype="step", color="C1", lw=2, label="different digits")
right.set(xlabel="predicted probability of the same digit", ylabel="test pairs")
right.legend(title="absolute difference", loc="upper center")
plt.show()

# %%
# Some test pairs, with the network's probability that the two are the same:

figure, axes = plt.subplots(2, 6, figsize=(9, 3.4), layout="constrained")
shown = np.concatenate([np.flatnonzero(same)[:6], np.flatnonzero(~same)[:6]])
for ax, i in zip(axes.flat, shown, strict=True):
    pair = [test[0][k][i].reshape(8, 8) for k in range(2)]
    ax.imshow(np.hstack([pair[0], np.full((8, 1), 0.25), pair[1]]), cmap="gray_r")
    ax.set_title(f"{probability[i]:.2f}")
    ax.axis("off")
figure.suptitle("probability of the same digit (top row: they are; bottom row: they are not)")
plt.show()

# %%
# The absolute difference and the product do not depend on the order of the images, by construction;
# and two copies of an image have an absolute difference of exactly 0, so that the logit of such a
# pair is the bias alone.

swapped = best.predict([test[0][1], test[0][0]])
copies = best.predict([test[0][0], test[0][0]])

# %%
# Assertions of the numbers above:

assert np.allclose(by_formula, gradients["shared.weight"], rtol=1e-13, atol=1e-16)
assert np.allclose((dZ1 + dZ2).sum(axis=0), gradients["shared.bias"], rtol=1e-12, atol=1e-16)
assert accuracy["absolute difference"] > 0.9
assert max(accuracy["difference"], accuracy["sum"]) < accuracy["absolute difference"] - 0.15
assert (swapped == best.predict(test[0])).all()
assert (copies == best.parameters["out.bias"]).all()
