r"""
Threshold nets: weights set by hand
===================================

Networks of units that step decide whether numbers are distinct, or in order. Nobody trains them,
and nobody could.

Before networks were trained, they were designed. A threshold unit fires or does not, and a few of
them decide properties of a list of numbers:

- Layer 1 has one unit for each pair of positions :math:`i < j`, with weights :math:`+1` on
  :math:`x_i` and :math:`-1` on :math:`x_j`, so that it sees :math:`z = x_i - x_j`. For four
  numbers that makes :math:`\binom42 = 6` units.
- Layer 2 is one unit that adds the six outputs with weights :math:`-1` and fires if the sum is at
  least 0: if no pair objected.

What the pair units compute decides what the network decides. If they are 1 where :math:`z = 0`,
they object to equal numbers, and the verdict is *all distinct*. If they are 1 where :math:`z \ge
0`, they object to pairs that do not ascend, and the verdict is *strictly ascending*.
"""

import warnings
from itertools import pairwise, product

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn
from fastnn import threshold

plt.style.use("tableau-colorblind10")

distinct, ascending = threshold.all_distinct(4), threshold.strictly_ascending(4)
print(distinct.summary())
print()
print(distinct.parameters["pairs.weight"].astype(int))

# %%
# Some lists, with what the pair units say:

print(f"{'list':<22} {'equal pairs':<14} {'not ascending':<15} distinct  ascending")
for x in ([3, 1, 4, 2], [1, 2, 3, 4], [1, 2, 2, 4], [5, 5, 5, 5], [-1.5, 0, 1e-300, 7]):
    equal, falling = (net.layer("pairs")([x])[0].astype(int) for net in (distinct, ascending))
    verdicts = [bool(net.predict(x)[0]) for net in (distinct, ascending)]
    print(
        f"{x!s:<22} {' '.join(map(str, equal)):<14} {' '.join(map(str, falling)):<15}"
        f" {verdicts[0]!s:<9} {verdicts[1]}"
    )

# %%
# Every list there is
# -------------------
# Whether four numbers are distinct, or ascend, depends only on their order, so the lists over the
# digits 0 to 3 cover every case. All :math:`4^4 = 256` of them are decided without a mistake. For
# the same reason we may try all lists of other lengths.

mistakes = {}
for n in range(1, 6):
    lists = np.array(list(product(range(n), repeat=n)), float)
    truth = {
        "all distinct": [len(set(row)) == n for row in lists],
        "ascending": [all(a < b for a, b in pairwise(row)) for row in lists],
    }
    answers = {
        "all distinct": threshold.all_distinct(n).predict(lists)[:, 0] == 1,
        "ascending": threshold.strictly_ascending(n).predict(lists)[:, 0] == 1,
    }
    mistakes[n] = sum(int((answers[key] != truth[key]).sum()) for key in truth)
    print(
        f"n = {n}: {len(lists):4d} lists, {sum(truth['all distinct']):3d} distinct,"
        f" {sum(truth['ascending'])} ascending, {mistakes[n]} mistakes"
    )

# %%
# A picture of both networks
# --------------------------
# With the first two numbers held at 1 and 2, the verdict is a function of the other two. **What to
# see.** "All distinct" is true except on five lines: the third or the fourth number is 1 or 2, or
# they are equal. "Ascending" is a wedge. Both functions have derivative 0 everywhere: a step
# function gives no direction for training.

axis = np.linspace(0, 4, 161)
third, fourth = np.meshgrid(axis, axis)
points = np.column_stack(
    [np.full(third.size, 1.0), np.full(third.size, 2.0), third.ravel(), fourth.ravel()]
)
figure, axes = plt.subplots(1, 2, figsize=(8.5, 4), layout="constrained", sharey=True)
for ax, net, title in zip(
    axes, (distinct, ascending), ("all distinct", "strictly ascending"), strict=True
):
    verdict = net.predict(points).reshape(third.shape)
    ax.pcolormesh(axis, axis, verdict, cmap="cividis", vmin=0, vmax=1, rasterized=True)
    ax.set(title=f"is (1, 2, $x_3$, $x_4$) {title}?", xlabel="$x_3$", aspect="equal")
axes[0].set_ylabel("$x_4$")
handles = [plt.Rectangle((0, 0), 1, 1, color=plt.get_cmap("cividis")(v)) for v in (1.0, 0.0)]
figure.legend(handles, ["yes", "no"], loc="outside right center")
plt.show()

# %%
# Why such networks are not trained
# ---------------------------------
# The derivative of a step is 0 on both sides, and at the jump there is none (a Dirac impulse, which
# is no number). fastnn uses 0, and warns when a network with such a unit is compiled for training.

net = fnn.Sequential(
    [fnn.Dense(4, 6, "binary_step", name="pairs"), fnn.Dense(6, 1, name="verdict")], seed=0
)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    net.compile(loss="binary_cross_entropy")
print(*(str(w.message) for w in caught), sep="\n")
_, gradients = net.loss_and_gradients(np.random.default_rng(0).normal(size=(50, 4)), np.ones(50))
print("largest gradient of the layer below the step:", np.abs(gradients["pairs.weight"]).max())

# %%
# Assertions of the numbers above:

assert not any(mistakes.values())
assert set(np.unique(distinct.parameters["pairs.weight"])) == {-1, 0, 1}
assert len(caught) == 1
assert "pairs" in str(caught[0].message)
assert not gradients["pairs.weight"].any()
assert gradients["verdict.weight"].any()
