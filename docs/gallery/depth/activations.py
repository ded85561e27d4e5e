r"""
Activations and their derivatives
=================================

Between two layers stands a function of one number. It decides whether the network can bend, and,
by its derivative, how much of a gradient gets through to the layers below. This page draws every
elementwise activation of fastnn with its derivative, lists their properties, and measures speed
and rounding error on the machine that built it.
"""

import timeit

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn
import fastnn.functional as F
from fastnn import activations, backend

plt.style.use("tableau-colorblind10")


def value(name, z):
    """The activation at z."""
    return getattr(F, name)(z)


def derivative(name, z):
    """Its derivative at z, in the convention of training where there is none."""
    return getattr(F, f"{name}_derivative")(z)


# %%
# **What to see.** The solid line is the function, the dashed one its derivative. Where the dashed
# line lies on 0, the unit passes no gradient: step and indicator everywhere, sigmoid and tanh on
# both sides, ReLU on the left. The derivative of the sigmoid never exceeds 1/4, so every such
# layer shrinks a gradient at least fourfold, weights apart.

names = activations.names()
z = np.linspace(-5, 5, 1001)
n_rows = len(names) // 4 + 1
figure, axes = plt.subplots(
    n_rows, 4, figsize=(11, 2.5 * n_rows), sharex=True, sharey=True, layout="constrained"
)
for ax, name in zip(axes.flat, names, strict=False):
    for function, style, label in ((value, "C0-", "f(z)"), (derivative, "C1--", "f'(z)")):
        y = function(name, z)
        jumps = np.abs(np.diff(y)) > 0.3
        y[1:][jumps] = y[:-1][jumps] = np.nan  # a jump is no line
        ax.plot(z, y, style, lw=2, label=label)
    ax.axhline(0, color="0.6", lw=0.7)
    ax.axvline(0, color="0.6", lw=0.7)
    if activations.get(name).is_step:
        ax.plot(0, 1, "C0o", ms=4)
    ax.set(title=name, ylim=(-2, 3))
family = axes.flat[len(names)]
for beta, style in ((0.0, "C0-"), (0.5, "C1--"), (1.0, "C3-."), (10.0, "C5:")):
    family.plot(z, F.swish(z, beta=beta), style, lw=2, label=rf"$\beta = {beta:g}$")
family.axhline(0, color="0.6", lw=0.7)
family.axvline(0, color="0.6", lw=0.7)
family.set_title("swish: from z/2 to ReLU")
family.legend(fontsize=8, loc="upper left")
axes.flat[0].legend(loc="upper left")
for ax in axes.flat[len(names) + 1 :]:
    ax.axis("off")
figure.supxlabel("z")
plt.show()

# %%
# Properties
# ----------
# The same facts that ``fastnn.activations`` holds as data. Where a function has no derivative,
# some value must be used; the table says which.

print(activations.table())

# %%
# Formula, derivative and source of each are in ``activations.get(name)``:

print(activations.get("swish"))

# %%
# A swish that learns its beta
# ----------------------------
# The last panel above is one family: :math:`z\,\sigma(\beta z)` is :math:`z/2` for :math:`\beta =
# 0` and tends to ReLU as :math:`\beta` grows. ``Swish(trainable_beta=True)`` makes :math:`\beta` a
# parameter, with the derivative :math:`z^2 s (1 - s)`, :math:`s = \sigma(\beta z)`. Here a single
# swish unit is trained to approximate three functions.

samples = np.random.default_rng(2).normal(size=(500, 1))
targets = {
    "swish with beta = 3": (F.swish(samples, beta=3.0), "C0-"),
    "z / 2 (beta = 0)": (samples / 2, "C1--"),
    "ReLU (beta = infinity)": (F.relu(samples), "C3-."),
}
betas = {}
for label, (target, _) in targets.items():
    unit = fnn.Swish(trainable_beta=True, name="unit")
    net = fnn.Sequential([fnn.Input(1), unit], dtype="float64")
    net.compile(loss="mean_squared_error", optimizer=fnn.Adam(learning_rate=0.1))
    betas[label] = [unit.beta]
    for _ in range(800):
        net.train_step(samples, target)
        betas[label].append(unit.beta)
    print(f"{label:<23} beta after 800 steps: {unit.beta:7.3f}")

# %%
# **What to see.** From the initial value 1, :math:`\beta` converges to 3 and to 0 for the first two
# functions. For ReLU it grows without a limit.

figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for label, values in betas.items():
    ax.plot(values, targets[label][1], lw=2, label=f"target: {label}")
ax.set(xlabel="steps taken", ylabel=r"$\beta$", xlim=(0, 800), ylim=(-1, 11))
ax.legend()
ax.grid(alpha=0.3)
plt.show()

# %%
# Speed
# -----
# Nanoseconds for each element of a float32 array of 10 000, which fits the cache: the best of
# several runs, one thread. Times depend on the machine and its load; the order of the bars depends
# on them less.

x = np.random.default_rng(0).normal(0, 2, 10_000).astype(np.float32)
out = np.empty_like(x)


def nanoseconds(function):
    """Time of one element."""
    timer = timeit.Timer(lambda: function(x, out=out))
    return min(timer.repeat(7, 10)) / 10 / x.size * 1e9


times = {
    name: (nanoseconds(getattr(F, name)), nanoseconds(getattr(F, f"{name}_derivative")))
    for name in names
}

# %%
# Rounding error
# --------------
# One ULP is the distance between neighbouring float32 numbers at the exact result, so 0.5 is the
# error of a correctly rounded result. The results in float64, with errors a billion times smaller,
# replace the exact ones, at 400 random arguments from -10 to 10. :doc:`The page on accuracy
# </accuracy>` has the worst cases of long searches, derivatives and float64 included.


def ulps(name, arguments):
    """Errors of float32 results in units of the last place, the float64 results being exact."""
    results = value(name, arguments)
    alpha = activations.get(name).default_alpha
    rounded = [] if alpha is None else [float(np.float32(alpha))]
    exact = getattr(F, name)(arguments.astype(np.float64), *rounded)
    return np.abs(results - exact) / np.spacing(np.abs(exact).astype(np.float32))


arguments = np.random.default_rng(1).uniform(-10, 10, 400).astype(np.float32)
errors = {name: ulps(name, arguments) for name in names}
print(f"{'activation':<12} {'ns':>7} {'ns, derivative':>15} {'largest ULP':>12} {'mean ULP':>9}")
for name in names:
    f, df = times[name]
    print(f"{name:<12} {f:7.2f} {df:15.2f} {errors[name].max():12.2f} {errors[name].mean():9.2f}")
print(f"({backend.name()} backend, float32)")

# %%
# **What to see.** Arithmetic alone is cheapest, one exponential costs more, two transcendental
# functions or an error function most. No error exceeds a few units of the last place.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), sharey=True, layout="constrained")
place = np.arange(len(names))
left.barh(place - 0.2, [times[name][0] for name in names], 0.4, color="C0", label="f(z)")
left.barh(place + 0.2, [times[name][1] for name in names], 0.4, color="C1", label="f'(z)")
left.set_yticks(place, names)
left.invert_yaxis()
left.set(xlabel="nanoseconds for each element", title=f"speed, {backend.name()} backend")
left.legend()
right.barh(place, [errors[name].max() for name in names], 0.6, color="C0", label="largest")
right.plot([errors[name].mean() for name in names], place, "kD", ms=5, label="mean")
right.axvline(0.5, color="0.4", ls=":", label="correctly rounded")
right.set(xlabel="error in ULP, float32", title="rounding error of f(z)", xlim=(0, 4))
right.legend(loc="center right")
plt.show()

# %%
# Assertions of the numbers above:

step = 1e-6
smooth = z[np.abs(np.abs(z) - 3) > 0.01]  # where hard swish has its kinks
smooth = smooth[np.abs(smooth) > 0.01]  # and the others theirs
for name in names:
    slope = (value(name, smooth + step) - value(name, smooth - step)) / (2 * step)
    assert np.allclose(slope, derivative(name, smooth), atol=1e-8), name
assert F.sigmoid_derivative(z).max() == 0.25
assert abs(betas["swish with beta = 3"][-1] - 3) < 0.01
assert abs(betas["z / 2 (beta = 0)"][-1]) < 0.01
assert betas["ReLU (beta = infinity)"][-1] > 5
assert (F.swish(z, beta=0.0) == z / 2).all()
assert np.abs(F.swish(z, beta=1e4) - F.relu(z)).max() < 1e-4
assert max(values.max() for values in errors.values()) < 5
for name in ("identity", "binary_step", "zero_indicator", "relu", "leaky_relu"):
    assert errors[name].max() <= 0.5
