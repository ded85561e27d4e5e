r"""
One neuron
==========

Logistic regression is a network of one neuron. We train it by gradient descent to tell wines
apart, and draw the line it decides by.

A single sigmoid unit turns the features :math:`x` of a sample into a probability,

.. math:: \hat y = \sigma(w^\top x + b), \qquad \sigma(z) = \frac{1}{1 + e^{-z}},

and says "class 1" where :math:`\hat y \ge 1/2`, that is, where :math:`w^\top x + b \ge 0`: on one
side of a straight line. Its cost is the binary cross-entropy, averaged over :math:`N` samples,

.. math:: J = -\frac1N \sum_n y_n \log \hat y_n + (1 - y_n) \log(1 - \hat y_n),

whose gradient is remarkably simple:

.. math:: \frac{\partial J}{\partial w} = \frac1N \sum_n (\hat y_n - y_n)\, x_n, \qquad
          \frac{\partial J}{\partial b} = \frac1N \sum_n (\hat y_n - y_n).

This is logistic regression. We train it by gradient descent on two measurements of 178 Italian
wines, to tell the wines of one grower from those of the other two.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

import fastnn as fnn

plt.style.use("tableau-colorblind10")

wine = load_wine()
columns = ["alcohol", "flavanoids"]
X = wine.data[:, [wine.feature_names.index(name) for name in columns]]
X = (X - X.mean(axis=0)) / X.std(axis=0)
y = (wine.target == 0).astype(float)

# %%
# The unit has no activation of its own: the loss works on the *logit* :math:`z = w^\top x + b` and
# applies the sigmoid itself, which stays exact where the probability would round to 0 or 1. We
# start from zero, where every probability is 1/2, so the first cost is :math:`\log 2`.

net = fnn.Sequential([fnn.Dense(2, 1, weight="zeros", name="unit")], dtype="float64")
net.compile(loss="binary_cross_entropy", optimizer=fnn.GradientDescent(learning_rate=2.0))

cost, gradients = net.loss_and_gradients(X, y)
by_hand = X.T @ (0.5 - y) / len(y)
print(f"cost at the start  {cost:.6f}   (log 2 = {np.log(2):.6f})")
print("gradient of w     ", gradients["unit.weight"].ravel().round(6))
print("by the formula    ", by_hand.round(6))

# %%
# Each step uses all 178 samples. We keep the line after some steps, to see it turn.

shown = (1, 5, 1000)
lines = {}
costs = []
for step in range(1, 1001):
    costs.append(net.train_step(X, y))
    if step in shown:
        lines[step] = (*net.parameters["unit.weight"].ravel(), net.parameters["unit.bias"][0])

_, end = net.loss_and_gradients(X, y)
slope = max(np.abs(g).max() for g in end.values())
accuracy = net.score(X, y)
print(f"cost {costs[-1]:.4f}, largest gradient {slope:.1e}, accuracy {accuracy:.1%}")

# %%
# **What to see.** On the left, the line soon has the right direction. Later steps change it little
# but make the probabilities more extreme, so the cost on the right falls quickly at first and then
# slowly. The shade shows the final probability. It is constant along the line, because the output
# depends on only one number, :math:`w^\top x + b`.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
grid = np.linspace(-3, 3, 200)
points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
probability = net.predict_proba(points).reshape(200, 200)
shade = left.contourf(grid, grid, probability, np.linspace(0, 1, 11), cmap="cividis", alpha=0.35)
figure.colorbar(shade, ax=left, label="probability of grower 1 after step 1000")
for label, marker, color in ((1, "o", "C0"), (0, "s", "C1")):
    name = "grower 1" if label else "growers 2 and 3"
    left.scatter(*X[y == label].T, s=22, marker=marker, c=color, edgecolors="white", label=name)
for (step, (w1, w2, b)), style in zip(lines.items(), (":", "--", "-"), strict=True):
    left.plot(grid, -(w1 * grid + b) / w2, "k", ls=style, label=f"line after step {step}")
left.set(xlim=(-3, 3), ylim=(-3, 3))
left.set(xlabel="alcohol (standard deviations)", ylabel="flavanoids (standard deviations)")
left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=8)

right.plot(np.arange(1000), costs, "C0")
right.axhline(np.log(2), color="0.5", ls=":", label="log 2: knows nothing")
right.set(
    xlabel="steps taken",
    ylabel="cost (mean binary cross-entropy)",
    xscale="symlog",
    ylim=0,
    xlim=(-0.2, 1000),
)
right.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
right.legend()
right.grid(alpha=0.3)
plt.show()

# %%
# Another program agrees: scikit-learn's logistic regression without penalty minimises the same
# cost by another method, and finds the same line.

from sklearn.linear_model import LogisticRegression  # noqa: E402

other = LogisticRegression(C=np.inf, tol=1e-10).fit(X, y)
print("fastnn      ", net.get_flat().round(3))
print("scikit-learn", np.append(other.coef_, other.intercept_).round(3))

# %%
# Assertions of the numbers above:

assert np.isclose(costs[0], np.log(2), rtol=1e-12)
assert np.allclose(gradients["unit.weight"].ravel(), by_hand, atol=1e-15)
assert (np.diff(costs) < 1e-15).all()
assert slope < 1e-6
assert accuracy > 0.9
assert np.allclose(net.get_flat(), np.append(other.coef_, other.intercept_), atol=1e-3)
