r"""
Softmax and log-sum-exp
=======================

Why the formula of the textbook overflows, how it is mended, and what its gradient is, also where
targets do not sum to 1.

A classifier's last layer gives one number per class, the *logits* :math:`z`. Softmax makes
probabilities of them, and the cross-entropy of class :math:`t` is minus the logarithm of its
probability:

.. math:: \mathrm{CE}(z, t) = -\log \frac{e^{z_t}}{\sum_i e^{z_i}} = \mathrm{LSE}(z) - z_t, \qquad
          \mathrm{LSE}(z) = \log \sum_i e^{z_i}.

Written like this it fails: :math:`e^{1000}` is no floating-point number. With :math:`a = \max_i
z_i`,

.. math:: \mathrm{LSE}(z) = a + \log \sum_i e^{z_i - a}

has the same value, and no exponential exceeds 1 (Blanchard, Higham & Higham 2021). This page shows
the difference, the limits, the gradient, and two cases that libraries tend to forget.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn
import fastnn.functional as F

plt.style.use("tableau-colorblind10")


def naive(z):
    """log(sum(exp(z))) as the formula is written."""
    with np.errstate(over="ignore", divide="ignore"):
        return np.log(np.exp(z).sum(axis=-1))


# %%
# The naive formula overflows
# ---------------------------
# We shift the row (0, 1, 2) by :math:`c`. LSE must grow by exactly :math:`c`:
# :math:`\mathrm{LSE}(z + c) = \mathrm{LSE}(z) + c`.

base = np.array([0.0, 1.0, 2.0])
shifts = np.linspace(-900, 900, 361)
rows = base + shifts[:, None]
exact = np.logaddexp.reduce(base) + shifts
stable_error = np.abs(F.logsumexp(rows) - exact)
with np.errstate(invalid="ignore"):
    naive_finite = np.isfinite(naive(rows))
print("naive(1000, 1001, 1002) =", naive(base + 1000))
print("LSE  (1000, 1001, 1002) =", F.logsumexp(base + 1000))
print(
    f"naive is finite for shifts from {shifts[naive_finite][0]:g} to {shifts[naive_finite][-1]:g}"
)
print(f"largest error of LSE: {stable_error.max():.1e}")

# %%
# **What to see.** The naive formula is right in the middle, where tests usually look,
# :math:`-\infty` on the left, where every exponential underflows, and :math:`+\infty` on the
# right. The stable one is a straight line throughout.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(
    shifts, F.logsumexp(rows), "C0", lw=5, alpha=0.5, label="stable: fastnn.functional.logsumexp"
)
ax.plot(
    shifts[naive_finite],
    naive(rows)[naive_finite],
    "k--",
    label="naive formula, where it is finite",
)
for side, text, place in ((shifts > 0, "naive:\n+∞", 803), (shifts < 0, "naive:\n−∞", -823)):
    lost = shifts[side & ~naive_finite]
    ax.axvspan(lost[0], lost[-1], color="C1", alpha=0.25)
    ax.text(place, 0, text, ha="center", va="center")
ax.set(xlabel="shift $c$", ylabel="LSE of (0, 1, 2) + $c$", xlim=(-900, 900))
ax.legend(loc="upper left")
ax.grid(alpha=0.3)
plt.show()

# %%
# Limits
# ------
# Infinities have exact results, and nan gives nan.

inf, nan = np.inf, np.nan
limits = {
    "one -inf counts for nothing": ([-inf, 3.0], 3.0),
    "nothing but -inf": ([-inf, -inf], -inf),
    "one +inf": ([inf, 3.0], inf),
    "nan": ([nan, 3.0], nan),
    "one number is itself": ([7.0], 7.0),
    "two equal numbers": ([5.0, 5.0], 5 + np.log(2)),
}
for text, (z, expected) in limits.items():
    print(f"{text:<28} LSE({', '.join(map(str, z))}) = {F.logsumexp(np.array(z)):g}")
    assert np.array_equal(F.logsumexp(np.array(z)), expected, equal_nan=True)

# %%
# The gradient
# ------------
# :math:`\partial\,\mathrm{LSE} / \partial z_i = \mathrm{softmax}(z)_i`, so
# :math:`\partial\,\mathrm{CE} / \partial z_i = \mathrm{softmax}(z)_i - 1[i = t]`. Where a target
# is a row :math:`y` of numbers that need not sum to 1 (counts, weights of several labels), the sum
# has to stay in the formula:
#
# .. math:: \mathrm{CE}(z, y) = \sum_i y_i\,(\mathrm{LSE}(z) - z_i), \qquad
#           \frac{\partial\,\mathrm{CE}}{\partial z}
#           = \Bigl(\sum_i y_i\Bigr) \mathrm{softmax}(z) - y.
#
# Dropping that sum, as formulas for one-hot targets do, gives a wrong gradient, as central
# differences show.

z = np.array([[0.2, -1.0, 1.5]])
y = np.array([[2.0, 0.5, 1.0]])  # sums to 3.5
cost, gradient = F.cross_entropy(z, y, gradient=True)
by_formula = y.sum() * F.softmax(z) - y
h = 1e-5
differences = [
    (F.cross_entropy(z + step, y) - F.cross_entropy(z - step, y)) / (2 * h)
    for step in h * np.eye(3)
]
print("fastnn             ", gradient[0].round(8))
print("central differences", np.round(differences, 8))
print("without the sum    ", (F.softmax(z) - y)[0].round(8))

# %%
# Softmax over ReLU
# -----------------
# Some networks end in ReLU units whose outputs are taken as logits. Every logit is then at least 0,
# so no class can be ruled out: with :math:`K` classes and largest logit :math:`m`, each probability
# is at least :math:`1 / (1 + (K - 1) e^m)`. If a unit is inactive, no gradient passes through it.
# The graph allows such a network; this example shows the consequences.

features = np.linspace(-4, 4, 401)[:, None]
probabilities = {}
for name, activation in (("linear output", None), ("ReLU output", "relu")):
    layer = fnn.Dense(1, 3, activation=activation, weight=[[-1, 0, 1]], use_bias=False)
    net = fnn.Sequential([layer, fnn.Softmax()], dtype="float64")
    probabilities[name] = net.predict(features)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, (name, p) in zip(axes, probabilities.items(), strict=True):
    for k, style in enumerate(("-", "--", ":")):
        ax.plot(features, p[:, k], style, color=f"C{(0, 1, 3)[k]}", lw=2, label=f"class {k + 1}")
    ax.set(title=f"softmax over a {name}", xlabel="feature $x$", ylim=(0, 1))
    ax.grid(alpha=0.3)
axes[0].set_ylabel("probability")
axes[0].legend(title="$u = (-x, 0, x)$", loc="center left")
plt.show()

# %%
# **What to see.** On the left the probability of class 3 falls to zero as :math:`x` becomes
# negative. On the right it stays equal to that of class 2: both units are off, and softmax cannot
# tell them apart.

net = fnn.Sequential(
    [fnn.Dense(1, 3, "relu", weight=[[-1, 0.5, 1]], bias=[0.1, 0.2, 0.3], name="out")],
    dtype="float64",
)
net.compile(loss="cross_entropy")
_, gradients = net.loss_and_gradients([[2.0]], [0])
u = np.array([-1.9, 1.2, 2.3])
by_chain_rule = (F.softmax(np.maximum(u, 0)) - [1, 0, 0]) * (u > 0)
print("u          ", u)
print("dCE/du     ", gradients["out.bias"].round(6), "  (class 1 is the true one, its unit is off)")
print("chain rule ", by_chain_rule.round(6))

# %%
# Assertions of the numbers above:

assert np.isposinf(naive(base + 1000))
assert stable_error.max() <= np.spacing(900)
assert np.allclose(gradient[0], differences, atol=1e-9)
assert np.allclose(gradient, by_formula, rtol=1e-14)
assert np.abs(gradient - (F.softmax(z) - y)).max() > 1  # the formula for one-hot targets is far off
negative = features[:, 0] < 0
assert (
    probabilities["ReLU output"][negative, 1] == probabilities["ReLU output"][negative, 2]
).all()
assert np.allclose(gradients["out.bias"], by_chain_rule, rtol=1e-14)
assert gradients["out.bias"][0] == 0
