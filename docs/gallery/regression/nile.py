r"""
Residuals that tell a story: the Nile at Aswan
==============================================

The flow of the Nile was measured every year from 1871 to 1970. Did it decline? A regression on the
year finds a highly significant trend. Its residuals tell another story. Autocorrelation is often
not a property of the errors at all, but the trace of something the model has left out.

The data are those of Cobb (1978), "The problem of the Nile: conditional solution to a changepoint
problem", *Biometrika* 65, which are in the public domain: annual volume at Aswan in :math:`10^8\
\mathrm m^3`.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import stats

plt.style.use("tableau-colorblind10")

# fmt: off
flow = np.array([
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180,
    799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833,
    701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845,
    864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649,
    846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918, 986, 797, 923, 975, 815,
    1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
])
# fmt: on
year = np.arange(1871, 1971)

# %%
# A trend
# -------

trend = stats.linear_regression(year - 1920, flow, names=["year - 1920"])
print(trend)
test = stats.durbin_watson_test(trend, alternative="positive")
print(stats.decide(test))

# %%
# The slope is many standard errors from zero. But :math:`d` is far below its bound, so the
# residuals are positively autocorrelated, and those standard errors, which assume independence,
# are too small. Standard errors that allow for it (Newey and West's) are larger:

robust = stats.linear_regression(year - 1920, flow, names=["year - 1920"], cov_type="HAC")
print(f"standard error of the slope: {trend.standard_errors[1]:.3f} classical,", end=" ")
print(f"{robust.standard_errors[1]:.3f} allowing for autocorrelation")

# %%
# A step
# ------
# The residuals of the trend are above the line at the end of the 19th century and below it right
# after. Something happened between 1898 and 1899, and the years before and after it may each have
# had a level of their own.

later = (year >= 1899).astype(float)
step = stats.linear_regression(later, flow, names=["from 1899"])
both = stats.linear_regression(
    np.column_stack([later, year - 1920]), flow, names=["from 1899", "year - 1920"]
)
step_test = stats.durbin_watson_test(step, alternative="positive")
print(step)
print(stats.decide(step_test))
print(f"beside the step, the trend has t = {both.tvalues[2]:.2f}, p = {both.pvalues[2]:.2f}")

# %%
# **What to see.** The residuals of the trend stay on one side for many years; their cumulative sums
# move far from zero and return, more than those of independent errors. The residuals of the step
# model look much more like noise. One number for a change of level, from 1098 to 850, explains more
# than a slope, and in a model with both the slope is not significant. (Cobb points to a change of
# rainfall in the tropics at that time; the first dam at Aswan, begun in 1898, is often named too.)

models = {"trend": (trend, "C1", "--"), "step in 1899": (step, "C0", "-")}
figure, axes = plt.subplots(3, 1, figsize=(8.5, 8), sharex=True, layout="constrained")
axes[0].plot(year, flow, "o", color="C2", ms=4, label="measured")
for name, (model, color, style) in models.items():
    axes[0].step(year, model.fitted, style, where="mid", color=color, lw=2, label=name)
    axes[2].plot(year, np.cumsum(model.residuals), style, color=color, lw=2, label=name)
axes[0].set(ylabel="annual flow ($10^8$ m³)", ylim=(400, 1550))
for offset, (name, (model, color, _)) in zip((-0.2, 0.2), models.items(), strict=True):
    d = stats.durbin_watson(model.residuals)
    axes[1].bar(year + offset, model.residuals, 0.4, color=color, label=f"{name}, $d$ = {d:.2f}")
axes[1].set(ylabel="residuals ($10^8$ m³)", ylim=(-520, 560))
axes[2].set(xlabel="year", ylabel="sum of residuals so far", xlim=(1870, 1971))
for ax in axes:
    ax.legend(ncols=3, fontsize=9, loc="upper right")
    ax.grid(alpha=0.3)
plt.show()

# %%
# An honest p-value
# -----------------
# Even the step model's :math:`d` lies between the bounds, and its exact p-value, 4 %, still hints
# at some autocorrelation. Moreover we chose the year 1899 by looking at the data, so the t value of
# the step must not be compared with a table. It is large enough nevertheless: the best step in
# randomly shuffled flows is always far smaller.

rng = np.random.default_rng(0)


def best_step(values):
    """The largest t statistic, in size, of a step in any year but the first and last five."""
    n, total = len(values), values.sum()
    m = np.arange(5, n - 4)  # observations before the step
    before = np.cumsum(values)[m - 1]
    gap = (total - before) / (n - m) - before / m
    between = gap**2 * m * (n - m) / n
    within = ((values - total / n) ** 2).sum() - between
    return np.sqrt((between / (within / (n - 2))).max())


observed = best_step(flow.astype(float))
shuffled = [best_step(rng.permutation(flow).astype(float)) for _ in range(2000)]
print(f"step in 1899: t = {step.tvalues[1]:.2f}; the best step in any year: |t| = {observed:.2f}")
print(f"largest |t| in 2000 shuffles: {max(shuffled):.2f}")

# %%
# Assertions of the numbers above:

assert trend.pvalues[1] < 1e-4
assert stats.decide(test).positive == "reject"
assert robust.standard_errors[1] > 1.2 * trend.standard_errors[1]
assert step.residual_sum_of_squares < trend.residual_sum_of_squares
assert stats.decide(step_test).positive == "inconclusive"
assert 0.03 < step_test.pvalue < 0.07
assert both.pvalues[2] > 0.3
assert np.isclose(observed, -step.tvalues[1])  # 1899 is the best year
assert observed > max(shuffled)
assert np.allclose(step.coefficients.cumsum(), [flow[:28].mean(), flow[28:].mean()])
