r"""
Custom losses and layers
========================

Quantiles by a loss written in NumPy, and circles by a layer written in NumPy, which both engines
run.

What fastnn does not have can be written in NumPy: a loss as a function that returns a value and
its gradient, a layer as a class with a forward and a backward pass. Both engines run them among
their own operations. Here a custom loss predicts quantiles instead of a mean, and a custom layer
has circles as level lines.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

# %%
# A loss: quantiles
# -----------------
# Squared error is least at the mean. The *pinball* loss of Koenker & Bassett (1978) is least at
# the quantile :math:`q`:
#
# .. math:: \ell_q(y, \hat y) = \max\bigl(q\,(y - \hat y),\ (q - 1)(y - \hat y)\bigr), \qquad
#           \frac{\partial \ell_q}{\partial \hat y}
#           = \begin{cases} -q & y \ge \hat y \\ 1 - q & y < \hat y. \end{cases}
#
# A network with three outputs learns three quantiles at once from the same targets. The function
# receives the output of a batch and its targets. It returns the loss of the batch and the gradient
# with respect to the output.

QUANTILES = np.array([0.1, 0.5, 0.9])


def pinball(output, target):
    """Mean pinball loss over samples and quantiles, and its gradient."""
    difference = target - output  # (N, 1) - (N, 3)
    above = difference >= 0
    value = np.where(above, QUANTILES * difference, (QUANTILES - 1) * difference).mean()
    return value, np.where(above, -QUANTILES, 1 - QUANTILES) / difference.size


rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (3000, 1))
y = np.sin(2 * x) + (0.15 + 0.25 * np.abs(x)) * rng.normal(size=x.shape)

net = fnn.Sequential([fnn.Dense(1, 32, activation="tanh"), fnn.Dense(32, 3)], seed=0)
loss = fnn.CustomLoss(pinball, 1)  # targets of width 1
net.compile(loss=loss, optimizer=fnn.Adam(learning_rate=fnn.Cosine(1e-2, steps=2400)))
net.fit(x[:2000], y[:2000], epochs=40, batch_size=32)
below = (y[2000:] < net.predict(x[2000:])).mean(axis=0)
for q, share in zip(QUANTILES, below, strict=True):
    print(f"quantile {q}: {share:.3f} of 1000 new targets lie below it")

# %%
# **What to see.** The band between the outer quantiles holds about 80 % of the data everywhere,
# though the noise grows to the sides: the network has learnt how uncertain it is.

grid = np.linspace(-2, 2, 200)[:, None]
low, middle, high = net.predict(grid).T
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(x[:800], y[:800], ".", color="C2", ms=3, label="data (800 of 2000)")
ax.fill_between(
    grid[:, 0], low, high, color="C0", alpha=0.25, label="from the 0.1 to the 0.9 quantile"
)
ax.plot(grid, middle, "C0", lw=2, label="median")
ax.plot(grid, np.sin(2 * grid), "k--", lw=1, label="true median")
ax.set(xlabel="$x$", ylabel="$y$", ylim=(-3, 4.2))
ax.legend(loc="upper left", ncols=2, fontsize=9)
ax.grid(alpha=0.3)
plt.show()

# %%
# A layer: radial basis functions
# -------------------------------
# Units that fire near a centre, :math:`a_k = \exp(-r_k \lVert x - c_k \rVert^2)`. With :math:`g_k
# = a_k\, \partial J/\partial a_k`, the chain rule gives
#
# .. math:: \frac{\partial J}{\partial c_k} = \sum_n 2\, g_{nk} r_k (x_n - c_k), \qquad
#           \frac{\partial J}{\partial r_k} = -\sum_n g_{nk} \lVert x_n - c_k \rVert^2, \qquad
#           \frac{\partial J}{\partial x_n} = -\sum_k 2\, g_{nk} r_k (x_n - c_k).


class RadialBasis(fnn.CustomLayer):
    """exp(-rate_k |x - centre_k|^2), with trainable centres and rates."""

    def __init__(self, n_in, n_centres, **options):
        super().__init__(**options)
        self.n_in, self.n_centres = n_in, n_centres
        self.add_parameter("centres", (n_centres, n_in), "glorot_normal")
        self.add_parameter("rate", (n_centres,), "ones")

    def output_width(self, widths, labels):
        return self.n_centres

    def forward_pass(self, x, parameters, training):
        difference = x[:, None, :] - parameters["centres"]
        return np.exp(-parameters["rate"] * (difference**2).sum(axis=2))

    def backward_pass(self, dy, x, y, parameters):
        difference = x[:, None, :] - parameters["centres"]
        g = dy * y
        pull = 2 * (g * parameters["rate"])[:, :, None] * difference
        gradients = {
            "centres": pull.sum(axis=0),
            "rate": -(g * (difference**2).sum(axis=2)).sum(axis=0),
        }
        return -pull.sum(axis=1), gradients


# %%
# Central differences check the backward pass:

points = rng.normal(size=(400, 2))
ring = (np.abs(np.hypot(*points.T) - 1) < 0.4).astype(int)
small = fnn.Sequential([fnn.Input(2), RadialBasis(2, 4, name="rbf"), fnn.Dense(4, 1)], seed=0)
small.compile(loss="binary_cross_entropy")
check = fnn.check_gradients(small, points[:50], ring[:50])
print(check)

# %%
# Eight such units learn which points lie on a ring. **What to see.** The line where the network is
# undecided, and the centres it has placed, each with a circle where its unit has fallen to
# :math:`1/e`.

net = fnn.Sequential([fnn.Input(2), RadialBasis(2, 8, name="rbf"), fnn.Dense(8, 1)], seed=1)
net.compile(loss="binary_cross_entropy", optimizer=fnn.Adam(learning_rate=0.03))
net.fit(points, ring, epochs=150)
accuracy = net.score(points, ring)
print(f"{accuracy:.1%} of the points right")

axis = np.linspace(-3, 3, 121)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
logits = net.predict(plane).reshape(121, 121)
figure, ax = plt.subplots(figsize=(6.6, 5), layout="constrained")
for label, marker, color in ((1, "o", "C0"), (0, "s", "C1")):
    name = "on the ring" if label else "off the ring"
    ax.scatter(*points[ring == label].T, s=14, marker=marker, c=color, label=name)
ax.contour(axis, axis, logits, levels=[0], colors="k", linewidths=2)
for k, (centre, rate) in enumerate(
    zip(net.parameters["rbf.centres"], net.parameters["rbf.rate"], strict=True)
):
    ax.plot(*centre, "k+", ms=9, label="centres" if k == 0 else None)
    if rate > 0:
        ax.add_patch(plt.Circle(centre, rate**-0.5, fill=False, color="0.4", lw=0.8, ls=":"))
ax.plot([], [], "k-", lw=2, label="undecided")
ax.set(xlabel="$x_1$", ylabel="$x_2$", xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
plt.show()

# %%
# Assertions of the numbers above:

assert np.abs(below - QUANTILES).max() < 0.05
assert (low < middle).all()
assert (middle < high).all()
assert check.ok
assert accuracy > 0.93
