r"""
Dropout and ensembles
=====================

One network, dropout, Monte-Carlo dropout and an ensemble read the same digits: who is right more
often, and who knows it?

Dropout keeps each hidden unit with probability :math:`p` in every training step, and scales those
that are kept by :math:`1/p`, so that prediction can use all of them unchanged. The classic reading
is that this trains a great many thinned networks that share their weights, and that prediction
averages them. This page compares four ways to get a probability for a handwritten digit:

- **one network**, without dropout;
- **dropout** in training, all units in prediction;
- **Monte-Carlo dropout**: units are dropped in prediction as well, and 30 such predictions are
  averaged (Gal & Ghahramani 2016);
- **an ensemble**: five networks from different starts, averaged (Lakshminarayanan, Pritzel &
  Blundell 2017).

How often each is right is one question. Whether they *know* how often they are right is another,
called calibration: of the predictions made with 80 % confidence, 80 % should come true.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastnn as fnn
import fastnn.functional as F
from fastnn.metrics import expected_calibration_error, reliability_curve

plt.style.use("tableau-colorblind10")

digits = load_digits()
X, y = digits.data / 16, digits.target
order = np.random.default_rng(0).permutation(len(X))
train, test = order[:300], order[300:1300]  # few to learn from: overfitting is easy

# %%
# What dropout does to a row of ones
# ----------------------------------
# With a rate of 0.4, each number becomes either 0 or :math:`1/0.6`; the expected mean stays 1. The
# mask is a function of a key, a step and the position only: it is the same on both backends, for
# any number of threads.

row = np.ones((1, 12))
print(F.dropout(row, 0.4, key=1, step=1).round(3))
print(F.dropout(row, 0.4, key=1, step=2).round(3))
many = F.dropout(np.ones((1000, 1000)), 0.4, key=1, step=3)
print(f"of a million: mean {many.mean():.4f}, share dropped {np.mean(many == 0):.4f}")

# %%
# Four predictions
# ----------------


def network(rate, seed):
    """Two hidden layers for the digits, each with dropout behind it if the rate is not 0."""
    layers = [fnn.Dense(64, 64, "relu"), fnn.Dense(64, 64, "relu"), fnn.Dense(64, 10)]
    if rate:
        layers = [layers[0], fnn.Dropout(rate), layers[1], fnn.Dropout(rate), layers[2]]
    net = fnn.Sequential(layers, seed=seed)
    net.compile(loss="cross_entropy", optimizer=fnn.Adam(learning_rate=3e-3))
    return net


ensemble = fnn.Ensemble(lambda seed: network(0.0, seed), n=5)
ensemble.fit(X[train], y[train], epochs=60, batch_size=50)
thinned = fnn.Ensemble(lambda seed: network(0.3, seed), n=5)
thinned.fit(X[train], y[train], epochs=60, batch_size=50)

# %%
# The members of the first ensemble are five networks without dropout, those of the second five
# with it. Single networks are judged by the mean over their five, because 1000 test digits do not
# tell 95 % from 96 % for sure: the standard error of such a share is 0.7 %.

sampled = [net.predict_proba_samples(X[test], n_samples=30) for net in thinned.members]
probabilities = {
    "one network": [net.predict_proba(X[test]) for net in ensemble.members],
    "dropout": [net.predict_proba(X[test]) for net in thinned.members],
    "MC dropout": [prediction.mean for prediction in sampled],
    "ensemble of 5": [ensemble.predict_proba(X[test])],
}


def report(p):
    """Accuracy, mean -log p of the right digit, calibration error, and confidence."""
    right = np.mean(p.argmax(axis=1) == y[test])
    nll = F.cross_entropy(np.log(np.maximum(p, 1e-30)), y[test])
    return right, nll, expected_calibration_error(p, y[test], bins=10), p.max(axis=1).mean()


results = {
    name: np.mean([report(p) for p in several], axis=0) for name, several in probabilities.items()
}
print(f"{'':<14} {'right':>7} {'confidence':>11} {'calibration error':>18} {'mean -log p':>12}")
for name, (right, nll, error, confidence) in results.items():
    print(f"{name:<14} {right:7.1%} {confidence:11.1%} {error:18.3f} {nll:12.3f}")

# %%
# **What to see.** Left: the ensemble has the best probabilities, at five times the cost of one
# network. Mean :math:`-\log p` punishes confident mistakes, and there dropout helps as well. Right:
# predictions in bins of confidence. Below the diagonal a network is overconfident; above it,
# underconfident. A single network that is trained to convergence is overconfident. The average over
# masks is underconfident here: its predictions are right more often than their probabilities, and a
# smaller dropout rate would be better.

styles = dict(zip(results, ("C1s--", "C0o-", "C3^-.", "C5D:"), strict=True))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for name, (accuracy, nll, *_) in results.items():
    left.plot(nll, accuracy, styles[name][:3], ms=10, label=name, ls="none")
left.set(
    xlabel="mean $-\\log p$ of the right digit (less is better)",
    ylabel="share of test digits that are right",
)
left.margins(0.25)
left.legend()
left.grid(alpha=0.3)
for name, several in probabilities.items():
    labels = np.tile(y[test], len(several))
    curve = reliability_curve(np.concatenate(several), labels, bins=10)
    filled = curve.counts >= 15
    right.plot(curve.confidence[filled], curve.accuracy[filled], styles[name], label=name)
right.plot([0, 1], [0, 1], "k-", lw=0.8, label="calibrated")
right.set(xlabel="confidence of the prediction (bins of 15 or more)", ylabel="share that came true")
right.set(xlim=(0.2, 1.02), ylim=(0.1, 1.02))
right.legend()
right.grid(alpha=0.3)
plt.show()

# %%
# Knowing when it does not know
# -----------------------------
# The spread of the sampled predictions measures how much the predictions for a digit depend on the
# mask. **What to see.** The spread is far larger for wrong predictions than for right ones; the
# digits with the largest spread should be checked by a person.

first = sampled[0]
guess = first.mean.argmax(axis=1)
wrong = guess != y[test]
spread = first.std[np.arange(len(test)), guess]
medians = np.median(spread[~wrong]), np.median(spread[wrong])
print(f"median spread where right {medians[0]:.3f}, where wrong {medians[1]:.3f}")

figure = plt.figure(figsize=(10, 3.8), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(3, 2))
ax = left.subplots()
bins = np.linspace(0, spread.max(), 25)
ax.hist(spread[~wrong], bins, density=True, color="C0", alpha=0.8, label="predicted rightly")
ax.hist(
    spread[wrong], bins, density=True, histtype="step", color="C1", lw=2, label="predicted wrongly"
)
ax.set(xlabel="standard deviation of the probability over 30 masks", ylabel="density")
ax.legend()
right.suptitle("the six digits with the largest spread")
for ax, i in zip(right.subplots(2, 3).flat, np.argsort(spread)[-6:], strict=True):
    ax.imshow(X[test[i]].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{guess[i]}? ({y[test[i]]})", fontsize=10)
    ax.axis("off")
plt.show()

# %%
# A majority vote of the members instead of a mean of their probabilities hardly differs here:

majority = ensemble.predict_classes(X[test], voting="hard")
vote = np.mean(majority == y[test])
print(f"majority vote {vote:.1%}, mean of probabilities {results['ensemble of 5'][0]:.1%}")

# %%
# Assertions of the numbers above:

assert set(np.unique(F.dropout(row, 0.4, key=1, step=1))) <= {0.0, 1 / 0.6}
assert abs(many.mean() - 1) < 0.005
again = thinned.members[0].predict_proba_samples(X[test], n_samples=30)
assert (again.mean == first.mean).all()  # sampled, and reproducible
right, nll, calibration, confidence = np.transpose(list(results.values()))
assert right[3] > right[0]
assert nll.argmin() == 3
assert nll[1] < nll[0]
assert confidence[0] > right[0]  # one network claims too much
assert confidence[2] < right[2]  # Monte-Carlo dropout too little
assert medians[1] > 2 * medians[0]
assert abs(vote - right[3]) < 0.01
