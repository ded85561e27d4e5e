r"""
A policy gradient balances a pole
=================================

A network learns to balance a pole on a cart from returns alone. The advantages of its actions are
the weights of the samples.

Nobody shows the network a right action. It tries actions, and those that were followed by more
reward than usual become more probable: the *policy gradient* (REINFORCE, Williams 1992). The
gradient is that of the cross-entropy with weights of both signs, so that a training step of
fastnn is a step of the method.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn as fnn

plt.style.use("tableau-colorblind10")

# %%
# The cart and the pole
# ---------------------
# A cart of 1 kg rolls on a track and carries a pole of 0.1 kg and 1 m, which would fall. A force of
# 10 N pushes the cart to the left or to the right, every 0.02 s. The equations of motion are those
# of Barto, Sutton & Anderson (1983), with the numbers, the limits and the steps of Euler's method
# of ``CartPole-v1`` of Gymnasium. With the angle :math:`\theta` of the pole, half its length
# :math:`l`, the masses :math:`m` of the pole and :math:`M` of both, and the force :math:`F`,
#
# .. math:: q = \frac{F + m l \dot\theta^2 \sin\theta}{M}, \qquad
#           \ddot\theta = \frac{g \sin\theta - q \cos\theta}{l\,(4/3 - m \cos^2\theta / M)}, \qquad
#           \ddot x = q - \frac{m l\,\ddot\theta \cos\theta}{M}.
#
# All episodes move at once: a state is a row :math:`(x, \dot x, \theta, \dot\theta)`.

GRAVITY, POLE_MASS, MASS, HALF_LENGTH = 9.8, 0.1, 1.1, 0.5
FORCE, TIME_STEP = 10.0, 0.02
LIMITS = np.array([2.4, np.inf, np.radians(12), np.inf])  # an episode ends beyond them
LONGEST = 500  # steps of an episode; each has the reward 1


def next_states(states, actions):
    """The states (N, 4) after one step; action 1 pushes to the right, 0 to the left."""
    _, speed, angle, spin = states.T
    sine, cosine = np.sin(angle), np.cos(angle)
    force = np.where(actions == 1, FORCE, -FORCE)
    q = (force + POLE_MASS * HALF_LENGTH * spin**2 * sine) / MASS
    turning = GRAVITY * sine - q * cosine
    turning /= HALF_LENGTH * (4 / 3 - POLE_MASS * cosine**2 / MASS)
    acceleration = q - POLE_MASS * HALF_LENGTH * turning * cosine / MASS
    return states + TIME_STEP * np.column_stack([speed, acceleration, spin, turning])


def play(policy, episodes, rng):
    """States (T, N, 4), actions (T, N) and which of them count, from N episodes of T steps."""
    states = rng.uniform(-0.05, 0.05, (episodes, 4))
    lives = np.ones(episodes, bool)
    steps = []
    while lives.any() and len(steps) < LONGEST:
        right = policy.predict_proba(states)[:, 1]
        actions = (rng.random(episodes) < right).astype(int)
        steps.append((states, actions, lives))
        states = next_states(states, actions)
        lives = lives & (np.abs(states) < LIMITS).all(axis=1)
    return tuple(np.stack(parts) for parts in zip(*steps, strict=True))


# %%
# The gradient of the return
# --------------------------
# The policy :math:`\pi(a \mid s)` is a softmax over two logits. The gradient of the expected
# return is
#
# .. math:: \nabla J = \operatorname{E}\Bigl[\sum_t A_t\, \nabla \log \pi(a_t \mid s_t)\Bigr],
#           \qquad A_t = G_t - b_t, \qquad G_t = \sum_{k \ge t} \gamma^{k-t} r_k,
#
# with the discounted return :math:`G_t` that follows an action. The baseline :math:`b_t` is the
# mean of :math:`G_t` over the episodes that last so long. It does not depend on the action, and so
# it changes the noise of the gradient, not its mean. :math:`-\log \pi(a_t \mid s_t)` is the
# cross-entropy of the action as a label, and the *advantage* :math:`A_t` is the weight of the
# sample: positive for actions that were better than the mean, negative for those that were worse.
# ``weights_mean="count"`` divides by the number of samples, not by the sum of the weights, which is
# 0 here.


def advantages(lives, discount=0.99):
    """The advantage of each action of a living episode, in units of their standard deviation."""
    returns = np.zeros(lives.shape)
    following = np.zeros(lives.shape[1])
    for t in reversed(range(len(lives))):
        following = lives[t] + discount * following
        returns[t] = following
    baseline = returns.sum(axis=1) / lives.sum(axis=1)
    difference = (returns - baseline[:, None])[lives]
    return difference / (difference.std() + 1e-8)


# %%
# Training
# --------
# Each update plays 32 episodes and takes one step of Adam on all their actions.

UPDATES, EPISODES = 45, 32
rng = np.random.default_rng(0)
policy = fnn.Sequential([fnn.Dense(4, 32, activation="tanh"), fnn.Dense(32, 2)], seed=0)
policy.compile(
    loss="cross_entropy", optimizer=fnn.Adam(learning_rate=fnn.Cosine(0.03, steps=UPDATES))
)
untrained_states, _, untrained_lives = play(policy, 100, np.random.default_rng(1))
lengths = []
for _ in range(UPDATES):
    states, actions, lives = play(policy, EPISODES, rng)
    lengths.append(lives.sum(axis=0))
    policy.train_step(states[lives], actions[lives], advantages(lives), weights_mean="count")
lengths = np.concatenate(lengths)
means = np.convolve(lengths, np.full(100, 0.01), mode="valid")
solved = 100 + int(np.argmax(means >= 475))
print(f"a mean of 475 of {LONGEST} over 100 episodes is reached after {solved} episodes")

states, _, lives = play(policy, 100, np.random.default_rng(1))
before, after = untrained_lives.sum(axis=0).mean(), lives.sum(axis=0).mean()
print(f"100 new episodes last {after:.1f} steps on average, {before:.1f} before the training")

# %%
# **What to see.** The return of each episode, which is the number of its steps, and the mean of the
# last 100 episodes. Gymnasium calls the task solved at a mean of 475.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
numbers = np.arange(1, len(lengths) + 1)
ax.plot(numbers, lengths, ".", color="C0", ms=3, alpha=0.5, label="one episode")
ax.plot(numbers[99:], means, color="C1", lw=2.5, label="mean of the last 100 episodes")
ax.axhline(475, color="k", lw=1, ls="--", label="solved: 475")
ax.axvline(solved, color="0.5", lw=1, ls=":", label=f"reached after {solved} episodes")
ax.set(xlabel="episode", ylabel="return (steps)", ylim=(0, 515), xlim=(0, len(lengths)))
ax.legend(loc="lower right")
ax.grid(alpha=0.3)
plt.show()

# %%
# **What to see.** The angles of the poles in ten episodes, and the limits (dashed). Without
# training the poles fall within a second. The trained policy keeps them within a few degrees for
# all 500 steps.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
for ax, title, played, counted in (
    (axes[0], "before", untrained_states, untrained_lives),
    (axes[1], "after", states, lives),
):
    seconds = TIME_STEP * np.arange(len(played))
    for i in range(10):
        shown = counted[:, i]
        ax.plot(seconds[shown], np.degrees(played[shown, i, 2]), lw=1, color=f"C{i % 2}")
    for limit in (-12, 12):
        ax.axhline(limit, color="k", lw=1, ls="--")
    ax.set(title=f"{title} the training", xlabel="time (s)", xlim=(0, LONGEST * TIME_STEP))
    ax.grid(alpha=0.3)
axes[0].set(ylabel="angle (degrees)")
plt.show()

# %%
# References: Barto, Sutton & Anderson (1983), "Neuronlike adaptive elements that can solve
# difficult learning control problems"; Williams (1992), "Simple statistical gradient-following
# algorithms for connectionist reinforcement learning"; Sutton & Barto (2018), *Reinforcement
# learning*, chapter 13.
#
# Assertions of the numbers above:

assert before < 60
assert (means >= 475).any()
assert solved < 1500
assert after >= 475
