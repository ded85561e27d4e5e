r"""
Optimizers on a map
===================

The paths that five optimizers take on two landscapes, drawn by running them.

How an optimizer moves is easiest to see in two dimensions. ``fastnn.optimizers.minimize`` runs any
optimizer, with the very kernels that train networks, on a function of your own, and returns the
points it visits. We run them on two landscapes:

- a *bowl* that is 50 times steeper along one axis than along the other, :math:`f(x, y) = \tfrac12
  (x^2 + 50\, y^2)`, because gradients of networks differ that much and more;
- Rosenbrock's curved *valley*, :math:`f(x, y) = (1 - x)^2 + 100\, (y - x^2)^2`, whose floor bends
  and hardly falls.

With :math:`g` the gradient and :math:`\eta` the learning rate, the rules are

.. list-table::

   * - gradient descent
     - :math:`p \leftarrow p - \eta g`
   * - momentum
     - :math:`v \leftarrow \mu v - \eta g`, then :math:`p \leftarrow p + v`
   * - Nesterov
     - :math:`v \leftarrow \mu v - \eta g`, then :math:`p \leftarrow p + \mu v - \eta g`
   * - RMSprop
     - :math:`s \leftarrow \rho s + (1 - \rho) g^2`, then :math:`p \leftarrow p - \eta g / \sqrt s`
   * - Adam
     - averages both :math:`g` and :math:`g^2`, and corrects both averages for their start at 0
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn
from fastnn.optimizers import minimize

plt.style.use("tableau-colorblind10")


def bowl(p):
    """Value and gradient of the ill-conditioned bowl."""
    x, y = p
    return 0.5 * (x**2 + 50 * y**2), np.array([x, 50 * y])


def valley(p):
    """Value and gradient of Rosenbrock's function."""
    x, y = p
    bend = y - x**2
    return (1 - x) ** 2 + 100 * bend**2, np.array([-2 * (1 - x) - 400 * x * bend, 200 * bend])


def draw(ax, function, paths, xs, ys, levels):
    """Contours of a function, and paths over them."""
    ax.contour(xs, ys, function(np.meshgrid(xs, ys))[0], levels, colors="0.7", linewidths=0.8)
    styles = ("C0o-", "C1s-", "C3^-", "C5D-")
    for k, (name, path) in enumerate(paths.items()):  # the first lies on top
        ax.plot(*path.T, styles[k], ms=3.5, lw=1.4, label=name, zorder=9 - k)
    ax.plot(*paths[next(iter(paths))][0], "k*", ms=13, zorder=10)
    ax.set(xlabel="$x$", ylabel="$y$", xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
    ax.legend(fontsize=8, loc="upper right", framealpha=0.95)


# %%
# The bowl
# --------
# Gradient descent with :math:`\eta = 0.038` multiplies :math:`y` by :math:`1 - 50 \eta = -0.9` and
# :math:`x` by :math:`1 - \eta = 0.962` in each step: it flips from side to side along the steep
# axis and crawls along the flat one. A rate above :math:`2/50` would diverge; a smaller one would
# crawl still more.

start = [-9.0, 1.2]
steps = 60
paths = {
    "gradient descent": minimize(bowl, start, fnn.GradientDescent(0.038), steps),
    "momentum": minimize(bowl, start, fnn.Momentum(0.012, momentum=0.8), steps),
    "Nesterov": minimize(bowl, start, fnn.Nesterov(0.012, momentum=0.8), steps),
    "RMSprop": minimize(bowl, start, fnn.RMSprop(0.3, rho=0.9), steps),
}


def crossings(path):
    """How often a path crosses the floor of the bowl, y = 0, while it is yet more than 1 % up."""
    y = path[:, 1]
    return int(((y[1:] * y[:-1] < 0) & (np.abs(y[1:]) > 0.01 * abs(y[0]))).sum())


for name, path in paths.items():
    print(
        f"{name:<17} crosses y = 0 {crossings(path):2d} times,"
        f" cost after {steps} steps {bowl(path[-1])[0]:.1e}"
    )

# %%
# **What to see.** Gradient descent oscillates along the steep axis. Momentum takes steps of a
# third of that size, which add up along the flat axis and mostly cancel along the steep one; it
# still swings to and fro. Nesterov's variant looks ahead, at the gradient where the velocity is
# about to lead, and brakes before it has overshot. RMSprop divides each axis by the size of its
# own gradients, so both axes look alike to it: it starts diagonally, as if the bowl were round. As
# its steps do not shrink with the gradient, it rattles around the minimum; a falling learning rate
# cures that.

figure, axes = plt.subplots(2, 2, figsize=(11, 6.5), layout="constrained")
xs, ys = np.linspace(-10.5, 3, 120), np.linspace(-1.6, 2.2, 100)
for ax, (name, path) in zip(axes.flat, paths.items(), strict=True):
    draw(ax, bowl, {name: path}, xs, ys, [0.3, 2, 6, 12, 24, 40, 60, 90])
plt.show()

# %%
# The valley
# ----------
# Here the direction of descent changes along the path. Each optimizer makes 300 steps, with a
# learning rate small enough for a stable path.

start = [-1.5, 1.8]
steps = 300
valley_paths = {
    "gradient descent": minimize(valley, start, fnn.GradientDescent(0.001), steps),
    "momentum": minimize(valley, start, fnn.Momentum(0.0005, momentum=0.95), steps),
    "Nesterov": minimize(valley, start, fnn.Nesterov(0.0005, momentum=0.95), steps),
    "RMSprop": minimize(valley, start, fnn.RMSprop(0.02, rho=0.9), steps),
}
distance = {}
for name, path in valley_paths.items():
    distance[name] = np.linalg.norm(path[-1] - 1)
    print(f"{name:<17} ends {distance[name]:.3f} from the minimum (1, 1)")

# %%
# **What to see.** All optimizers soon reach the floor. Gradient descent then follows it in tiny
# steps, because the steep walls do not allow larger ones. With momentum the gradients across the
# valley cancel and those along it add up. RMSprop, which is fast in the bowl, gains little here:
# the valley is diagonal, and no scaling of the axes makes it round.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
xs, ys = np.linspace(-2, 2, 500), np.linspace(-1, 3.6, 500)
thinned = {name: path[::5] for name, path in valley_paths.items()}
draw(left, valley, thinned, xs, ys, np.geomspace(0.3, 2000, 12))
left.plot(1, 1, "kX", ms=9)
left.annotate("minimum", (1, 1), (8, -14), textcoords="offset points")
left.set_title("every fifth step; start at the star")
for (name, path), style in zip(valley_paths.items(), ("C0-", "C1--", "C3-.", "C5:"), strict=True):
    right.semilogy([valley(p)[0] for p in path], style, lw=1.8, label=name)
right.set(xlabel="step", ylabel="$f(x, y)$", xlim=(0, steps))
right.legend(fontsize=8)
right.grid(alpha=0.3)
plt.show()

# %%
# Adam, with and without bias correction
# --------------------------------------
# Adam's averages :math:`m` and :math:`v` of :math:`g` and :math:`g^2` start at zero and are too
# small at first, by the factors :math:`1 - \beta_1^t` and :math:`1 - \beta_2^t`. With the usual
# :math:`\beta_1 = 0.9` and :math:`\beta_2 = 0.999` the uncorrected first step is not :math:`\eta`
# but :math:`(1 - \beta_1)/\sqrt{1 - \beta_2} = 3.16` times that, since the denominator is far more
# too small than the numerator. The next ones are larger still.

start = [-9.0, 1.2]
adam_paths = {
    "Adam": minimize(bowl, start, fnn.Adam(0.3), 60),
    "Adam without bias correction": minimize(bowl, start, fnn.Adam(0.3, bias_correction=False), 60),
}
lengths = {name: np.abs(np.diff(path[:, 0]))[:10] / 0.3 for name, path in adam_paths.items()}
for name, values in lengths.items():
    print(f"{name:<29} steps along x, in learning rates:", *values[:5].round(2))

# %%
# **What to see.** The corrected steps start at one learning rate. The uncorrected ones are several
# times too long while :math:`v` fills up, which takes some :math:`1/(1 - \beta_2) = 1000` steps,
# and shoot far beyond the minimum.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 4), layout="constrained", width_ratios=(2, 1)
)
xs, ys = np.linspace(-10.5, 8, 120), np.linspace(-4, 4, 100)
draw(left, bowl, adam_paths, xs, ys, [0.3, 2, 6, 12, 24, 40, 60, 90, 160, 250])
for (name, values), style in zip(lengths.items(), ("C0o-", "C1s-"), strict=True):
    right.plot(np.arange(1, 11), values, style, label=name)
right.set(
    xlabel="step", ylabel="length along $x$, in learning rates", ylim=(0, 7), xticks=range(1, 11)
)
right.legend(fontsize=8, loc="upper right")
right.grid(alpha=0.3)
plt.show()

# %%
# Assertions of the numbers above:

gd = paths["gradient descent"]
assert np.allclose(gd[1:] / gd[:-1], [1 - 0.038, 1 - 50 * 0.038])
assert crossings(gd) > crossings(paths["momentum"]) > crossings(paths["Nesterov"])
even = np.abs(paths["RMSprop"][1] - paths["RMSprop"][0])
assert np.isclose(even[0], even[1])  # both axes alike, although one is steeper
assert max(distance["momentum"], distance["Nesterov"]) < min(distance.values()) + 0.2
assert min(distance["gradient descent"], distance["RMSprop"]) > 1.5
assert np.isclose(lengths["Adam"][0], 1)
assert np.isclose(lengths["Adam without bias correction"][0], 0.1 / np.sqrt(0.001))
