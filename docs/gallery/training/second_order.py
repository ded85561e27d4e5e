r"""
L-BFGS and Levenberg-Marquardt
==============================

Two classic methods that know curvature, beside gradient descent and Adam, on a small regression
task.

First-order optimizers know the slope and nothing of the curvature. For small networks on data that
fit in memory, two classic methods know more, and go on descending where gradient descent crawls:

- **L-BFGS** builds an approximation :math:`H` of the inverse Hessian from the last few gradients,
  and searches along :math:`-H g` (Byrd, Lu, Nocedal & Zhu 1995).
- **Levenberg-Marquardt** is made for sums of squares. With the residuals :math:`r` and their
  Jacobian :math:`J` by the parameters, it solves in every step

  .. math:: (J^\top J + \mu D)\, p = -J^\top r,

  which is a Gauss-Newton step for small :math:`\mu` and a short gradient step for large
  :math:`\mu` (Moré 1978; Hagan & Menhaj 1994; MATLAB's *trainlm*).

Both are run by SciPy on the flat vector of parameters, with gradients and Jacobians from the
engine. Here they fit a curve: 100 points, and a network with 31 parameters.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

X = np.linspace(-1, 1, 100)[:, None]
y = X[:, 0] + np.exp(-8 * X[:, 0] ** 2)


def network(optimizer, seed=0):
    """One input, ten tanh units, one output."""
    net = fnn.Sequential(
        [fnn.Dense(1, 10, activation="tanh"), fnn.Dense(10, 1)], dtype="float64", seed=seed
    )
    net.compile(loss="mean_squared_error", optimizer=optimizer)
    return net


METHODS = {
    "gradient descent": (fnn.GradientDescent(learning_rate=0.1), 2000, "C2:"),
    "Adam": (fnn.Adam(learning_rate=0.02), 2000, "C1--"),
    "L-BFGS": (fnn.LBFGS(tolerance=0.0, loss_tolerance=0.0), 300, "C0-"),
    "Levenberg-Marquardt": (fnn.LevenbergMarquardt(), 100, "C3-."),
}
nets, curves = {}, {}
for name, (optimizer, epochs, _) in METHODS.items():
    net = network(optimizer)
    options = {"batch_size": 100} if isinstance(optimizer, fnn.optimizers.Optimizer) else {}
    start = time.perf_counter()
    history = net.fit(X, y, epochs=epochs, **options)
    seconds = time.perf_counter() - start
    nets[name], curves[name] = net, history["loss"]
    print(
        f"{name:<20} {len(curves[name]):5d} iterations, {1e3 * seconds:7.1f} ms,"
        f" mean squared error {net.evaluate(X, y)['loss']:.1e}"
    )

# %%
# **What to see.** Each iteration uses all samples. Per iteration, L-BFGS is ahead of Adam by orders
# of magnitude, and Levenberg-Marquardt of both. It pays for that: each of its iterations solves a
# linear system with all parameters, which beyond some thousand of them is no longer an option. In
# the picture on the right only gradient descent differs visibly from the data. Whether the
# differences of the other methods matter depends on the application; they are often smaller than
# the noise of the data.

figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2), layout="constrained")
for name, (_, _, style) in METHODS.items():
    left.loglog(np.arange(1, len(curves[name]) + 1), curves[name], style, lw=2, label=name)
    right.plot(X, nets[name].predict(X), style, lw=2, label=name)
right.plot(X[::3], y[::3], "k.", ms=5, label="data (every third)")
left.set(xlabel="iteration", ylabel="mean squared error")
right.set(xlabel="$x$", ylabel="$y$", ylim=(-1.2, 2.4))
left.legend(loc="lower left", fontsize=9)
right.legend(loc="upper left", fontsize=8, ncols=2)
for ax in (left, right):
    ax.grid(alpha=0.3)
plt.show()

# %%
# Starts differ
# -------------
# A fast method also converges to the local minimum near its start. Ten starts for each method:

finals = {
    name: [network(METHODS[name][0], seed).fit(X, y, epochs=100)["loss"][-1] for seed in range(10)]
    for name in ("L-BFGS", "Levenberg-Marquardt")
}
for name, values in finals.items():
    print(f"{name:<20} from {min(values):.0e} to {max(values):.0e}, median {np.median(values):.0e}")

# %%
# The Jacobian
# ------------
# Levenberg-Marquardt's :math:`J` is public. Its product with the residuals is the gradient of the
# cost, up to the factor of the mean:

net = network("levenberg_marquardt")
J = net.parameter_jacobian(X)
r = net.predict(X)[:, 0] - y
_, gradients = net.loss_and_gradients(X, y)
flat = np.concatenate([gradients[name].ravel() for name in net.parameters])
print("J has shape", J.shape, "for", net.n_parameters, "parameters")
gap = np.abs(2 * J.T @ r / len(r) - flat).max()
print(f"largest difference of 2 J'r / N from the gradient: {gap:.1e}")

# %%
# Assertions of the numbers above:

ends = {name: net.evaluate(X, y)["loss"] for name, net in nets.items()}
assert ends["gradient descent"] > ends["Adam"] > ends["L-BFGS"] > ends["Levenberg-Marquardt"]
assert ends["Levenberg-Marquardt"] < 1e-6 < ends["Adam"]
assert np.median(finals["Levenberg-Marquardt"]) < np.median(finals["L-BFGS"])
assert J.shape == (100, net.n_parameters)
assert gap < 1e-13
