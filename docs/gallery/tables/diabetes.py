r"""
From a file to an explained model
=================================

The table has 442 patients with diabetes: ten columns of the first visit, and a measure of how far
the disease has progressed a year later. How well is the progression predicted, by what, and how
sure is a prediction?

The data are those of Efron, Hastie, Johnstone & Tibshirani (2004), "Least angle regression"; they
come with scikit-learn (BSD licence).
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

from fastnn import tabular

plt.style.use("tableau-colorblind10")
folder = Path(tempfile.mkdtemp())

# %%
# Reading
# -------
# The rows are written to a CSV file, as somebody might send it, and read from there. ``decide``
# says what each column is taken for. The sex is written as 1 and 2: it is a category, which numbers
# do not show.

frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
frame.to_csv(folder / "diabetes.csv", index=False)

table = tabular.read_table(folder / "diabetes.csv")
roles = {"sex": "category"}
print(table)
print(tabular.decide(table.without("progression"), roles))

# %%
# The error beside a linear model
# -------------------------------
# A quarter of the patients is kept for the test. The table is small and noisy: no model explains
# more than about half of the variance, and a linear model is a good one. The models for tables
# train a linear model beside their networks, and weigh them by rows that they have not seen.

X, y = frame.drop(columns="progression"), frame["progression"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = tabular.TabularRegressor("fast", columns=roles, random_state=0).fit(X_train, y_train)
linear = LinearRegression().fit(X_train, y_train)

predicted = model.predict(X_test)
scores = {"TabularRegressor": model.score(X_test, y_test), "linear": linear.score(X_test, y_test)}
for name, score in scores.items():
    print(f"{name:16s} R2 {score:.2f}")

# %%
# What the model needs
# --------------------
# One column of the test rows at a time is shuffled; the loss of R\ :sup:`2` is what the model
# gained from it. **What to see.** The body-mass index (bmi) and s5, the logarithm of the
# triglycerides, matter most; what the six measures of the serum share, one of them can replace.

shuffled = permutation_importance(model, X_test, y_test, n_repeats=5, random_state=0)
order = np.argsort(shuffled.importances_mean)

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.barh(X.columns[order], shuffled.importances_mean[order], xerr=shuffled.importances_std[order])
ax.set_xlabel("loss of $R^2$ when the column is shuffled")
plt.show()

# %%
# How the prediction follows a column
# -----------------------------------
# A line is a patient of the test whose value is changed and whose other columns stay; the dashed
# line is their mean, the partial dependence. **What to see.** Both lines ascend, nearly straight;
# the single lines are nearly parallel: what one column adds depends little on the others.

fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
PartialDependenceDisplay.from_estimator(
    model, X_test, ["bmi", "s5"], kind="both", grid_resolution=30, subsample=40, ax=axes,
    random_state=0, ice_lines_kw={"color": "0.75"}, pd_line_kw={"color": "C1"},
)  # fmt: skip
for ax, name in zip(fig.axes[-2:], ["body-mass index", "log of triglycerides (s5)"], strict=True):
    ax.set_xlabel(name)
fig.axes[-2].set_ylabel("predicted progression")
fig.axes[-1].set_ylabel("")
plt.show()

# %%
# How sure a prediction is
# ------------------------
# The loss of quantiles gives limits below which 5 % and 95 % of the patients are expected, so that
# nine of ten lie between them. ``tabular.fit`` takes the table itself, and holds out its own test.
# **What to see.** The limits are wide: about as far apart as the best and the worst prediction.

limits = tabular.fit(
    table, "progression", preset="fast", columns=roles, loss="quantile", quantiles=(0.05, 0.5, 0.95)
)
low, middle, high = limits.predict(X).T
order = np.argsort(middle)

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.fill_between(np.arange(len(y)), low[order], high[order], alpha=0.3, label="90 % of the patients")
ax.plot(middle[order], color="C1", label="median")
ax.plot(y.to_numpy()[order], ".", color="0.4", markersize=3, label="measured")
ax.set_xlabel("patients, in the order of the predicted median")
ax.set_ylabel("progression")
ax.legend(loc="upper left")
plt.show()

test = limits.results["test"]
print(f"{test['rows']} rows of the test, {test['coverage']:.0%} of them within the limits")

# %%
# Saving, and predicting raw rows
# -------------------------------
# The file has the encoders of the columns beside the networks. Rows come as they are: in any order
# of the columns, with missing values, and with a sex that was not there before.

limits.save(folder / "diabetes.fastnn")
again = tabular.load(folder / "diabetes.fastnn")
patient = {name: [value] for name, value in X_test.iloc[0].items()}
for change in ({}, {"bmi": [None]}, {"bmi": [35.0]}):
    row = patient | change
    print(change or "as measured", again.predict(row).round().astype(int).tolist())

assert scores["TabularRegressor"] > 0.25
assert {"bmi", "s5"} <= set(X.columns[np.argsort(shuffled.importances_mean)[-4:]])
assert np.array_equal(again.predict(X_test), limits.predict(X_test))
assert 0.7 < test["coverage"] <= 1
