r"""
Regression, and what it leaves over
===================================

A textbook exercise on least squares and the Durbin-Watson test, done again with care: its printed
residuals turn out to be none.

Least squares fits :math:`y = X w` by making :math:`\lVert y - Xw \rVert^2` as small as possible.
Where :math:`X^\top X` can be inverted there is a closed form,

.. math:: w = (X^\top X)^{-1} X^\top y,

and whether the fit deserves trust shows in the residuals :math:`e = y - Xw`. If they come in runs,
above the line for a while, then below, errors are not independent, and the standard errors that
come with the fit are wrong. Durbin and Watson's statistic looks at neighbours:

.. math:: d = \frac{\sum_{t=2}^n (e_t - e_{t-1})^2}{\sum_{t=1}^n e_t^2} .

It is about 2 for independent errors, near 0 where neighbours are alike, near 4 where they
alternate. We do a textbook exercise, find that its residuals cannot be right, and say what can be
said of them all the same.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import stats

plt.style.use("tableau-colorblind10")

x = np.array([48.9, 50.4, 52.9, 55, 56.8, 58.8, 61.2, 62.5, 64.7, 68])
y = np.array([40.8, 42.5, 44.9, 46.1, 47.4, 49.1, 51.5, 53.5, 54.2, 57.3])
fit = stats.linear_regression(x, y, names=["x"])
print(fit)

# %%
# The same by the closed form:

X = np.column_stack([np.ones(10), x])
w = np.linalg.inv(X.T @ X) @ X.T @ y
print(f"y = {w[1]:.4f} x - {-w[0]:.4f}")

# %%
# The residuals of the exercise
# -----------------------------
# The printed solution has a list of residuals of its own. Residuals of least squares with an
# intercept sum to zero, and :math:`\sum x_t e_t = 0` as well; theirs do neither, and their sum of
# squares is far from the least one.

printed = np.array([0.172, 0.392, 0.27, -0.28, -0.73, -0.99, -0.93, -0.2, -0.64, 0.9])
least = fit.residuals
for name, e in (("least squares", least), ("printed", printed)):
    d = stats.durbin_watson(e)
    print(
        f"{name:<14} sum {e.sum():7.3f}   sum of x e {x @ e:8.2f}"
        f"   sum of squares {e @ e:.5f}   d = {d:.5f}"
    )

# %%
# **What to see.** The residuals of least squares change sides four times and balance. The printed
# ones run: three above zero, six below, one above. They do not belong to the least-squares line.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained")
left.plot(x, y, "o", color="C0", label="data")
left.plot(x, fit.fitted, "k-", lw=1, label=f"y = {w[1]:.3f} x − {-w[0]:.3f}")
left.set(xlabel="$x$", ylabel="$y$")
left.legend()
right.plot(
    range(1, 11),
    least,
    "o-",
    color="C0",
    label=f"least squares, $d$ = {stats.durbin_watson(least):.3f}",
)
right.plot(
    range(1, 11),
    printed,
    "s--",
    color="C1",
    label=f"printed, $d$ = {stats.durbin_watson(printed):.3f}",
)
right.axhline(0, color="0.4", lw=0.8)
right.set(xlabel="observation $t$", ylabel="residual $e_t$", xticks=range(1, 11), ylim=(-1.1, 1.5))
right.legend(loc="upper left")
for ax in (left, right):
    ax.grid(alpha=0.3)
plt.show()

# %%
# Is that autocorrelation?
# ------------------------
# The law of :math:`d` depends on :math:`X`, which is why tables give two bounds. Below :math:`d_L`
# every regression of this size rejects independence in favour of positive autocorrelation, above
# :math:`d_U` none does, and between them the test is inconclusive. For negative autocorrelation the
# same holds for :math:`4 - d`. fastnn computes the bounds for any size and level:

print("bounds at 5 %, one-sided (d_L, d_U), by the number of regressors k beside the intercept:")
print("  n  " + "".join(f"     k = {k}       " for k in (1, 2, 3)))
for n in (10, 15, 20, 30, 50, 100):
    bounds = [stats.durbin_watson_bounds(n, k) for k in (1, 2, 3)]
    print(f"{n:4d}  " + "  ".join(f"{b.lower:6.3f} {b.upper:6.3f}" for b in bounds))

# %%
# For these ten observations and one regressor:

print(stats.decide(stats.durbin_watson(least), n=10, k=1))
print()
print(stats.decide(stats.durbin_watson(printed), n=10, k=1))

# %%
# The printed list falls between the bounds. A textbook stops here: inconclusive. But the
# regressors are known, so the law of :math:`d` is known too, and the probability of so small a
# value under independence can be computed:

test = stats.durbin_watson_test(fit, alternative="positive")
settled = stats.durbin_watson_pvalue(stats.durbin_watson(printed), x, alternative="positive")
print(f"least squares: p = {test.pvalue:.4f}, no sign of positive autocorrelation")
print(f"printed:       p = {settled.pvalue:.4f}, below 5 %: independence is rejected")
print("(if they were residuals of a least squares fit on this x, which they are not)")

# %%
# **What to see.** The zones of the bounds test as the sample grows: the undecided strips become
# narrow, but never vanish. The two statistics stand at :math:`n = 10`.

sizes = np.arange(7, 101)
edges = np.array([stats.durbin_watson_bounds(int(n), 1) for n in sizes])
figure, ax = plt.subplots(figsize=(9.5, 4.4), layout="constrained")
lower, upper = edges.T
zones = [
    (0 * lower, lower, "C1", "//", "reject: positive autocorrelation"),
    (lower, upper, "C2", "", "undecided"),
    (upper, 4 - upper, "C0", "", "do not reject"),
    (4 - upper, 4 - lower, "C2", "", None),
    (4 - lower, 4 + 0 * lower, "C1", "\\\\", "reject: negative autocorrelation"),
]
for bottom, top, color, hatch, label in zones:
    ax.fill_between(
        sizes, bottom, top, color=color, alpha=0.45, hatch=hatch, edgecolor="white", label=label
    )
ax.plot(10, stats.durbin_watson(least), "ko", ms=8, label="least squares residuals")
ax.plot(10, stats.durbin_watson(printed), "ks", ms=8, label="printed residuals")
ax.set(
    xlabel="observations $n$ (one regressor, 5 % one-sided)",
    ylabel="$d$",
    xlim=(7, 100),
    ylim=(0, 4),
)
figure.legend(loc="outside right upper")
plt.show()

# %%
# Where the closed form fails
# ---------------------------
# If a column is a combination of others, :math:`X^\top X` has no inverse, and rounding hides that:
# the closed form may return meaningless numbers. fastnn factorises :math:`X` itself, reports its
# rank and names the columns.

import warnings  # noqa: E402

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    deficient = stats.linear_regression(np.column_stack([x, 2 * x + 3]), y, names=["x", "2x + 3"])
print(f"rank {deficient.rank} of {deficient.n_parameters}; {caught[0].message}")
print("coefficients", deficient.coefficients)
print(f"the fit itself is the same: {np.abs(deficient.fitted - fit.fitted).max():.1e}")

# %%
# Assertions of the numbers above:

assert np.allclose(fit.coefficients, w, rtol=1e-9)
assert np.allclose(fit.coefficients, [-0.74394, 0.85418], atol=5e-6)
assert abs(fit.residual_sum_of_squares - 1.44320) < 5e-6
assert abs(stats.durbin_watson(least) - 2.10488) < 5e-6
assert abs(stats.durbin_watson(printed) - 0.94097) < 5e-6
assert np.allclose(
    stats.durbin_watson_bounds(10, 1), (0.879, 1.320), atol=5e-4
)  # as printed tables
assert abs(least.sum()) < 1e-10 > abs(x @ least) / 60
assert abs(printed.sum()) > 1
assert stats.decide(stats.durbin_watson(printed), n=10, k=1).positive == "inconclusive"
assert settled.pvalue < 0.05 < test.pvalue
assert deficient.rank == 2
assert np.allclose(deficient.fitted, fit.fitted)
