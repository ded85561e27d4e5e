"""JAX: a whole training step, or a whole epoch, is one jitted function with donated buffers."""

from __future__ import annotations

import numpy as np

from benchmarks.works import SLOPE, Work, array, batch, labels, samples, weights

from ._base import Contender, Job, Setting, flat


class JAX(Contender):
    """It takes its threads from the processors it may run on: the process is pinned to them."""

    def __init__(self, setting: Setting) -> None:
        import jax

        jax.config.update("jax_enable_x64", setting.dtype == "float64")
        self.jax, self.jnp = jax, jax.numpy
        self.version = jax.__version__

    def _forward(self, work: Work):
        activation = {"relu": self.jax.nn.relu, "tanh": self.jnp.tanh}[work.activation]

        def forward(layers, x):
            for weight, bias in layers[:-1]:
                x = activation(x @ weight + bias)
            weight, bias = layers[-1]
            return x @ weight + bias

        return forward

    def _step(self, work: Work):
        """One Adam step, (layers, first, second, count), x, y -> the new state and the loss."""
        jax, jnp, forward = self.jax, self.jnp, self._forward(work)
        rate, beta1, beta2, epsilon = work.learning_rate, 0.9, 0.999, work.epsilon

        def cost(layers, x, y):
            logs = jax.nn.log_softmax(forward(layers, x))
            return -jnp.mean(jnp.take_along_axis(logs, y[:, None], axis=1))

        def step(state, x, y):
            layers, first, second, count = state
            count = count + 1
            loss, gradient = jax.value_and_grad(cost)(layers, x, y)
            tree = jax.tree_util.tree_map
            first = tree(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradient)
            second = tree(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradient)
            c1, c2 = 1 - beta1**count, 1 - beta2**count
            layers = tree(
                lambda p, m, v: p - rate * (m / c1) / (jnp.sqrt(v / c2) + epsilon),
                layers,
                first,
                second,
            )
            return (layers, first, second, count), loss

        return step

    def _state(self, work: Work):
        layers = [tuple(map(self.jnp.array, pair)) for pair in weights(work)]
        zeros = [[tuple(map(self.jnp.zeros_like, pair)) for pair in layers] for _ in range(2)]
        return layers, *zeros, self.jnp.zeros((), work.dtype)

    def step(self, work: Work):
        step = self.jax.jit(self._step(work), donate_argnums=0)
        state = self._state(work)
        x, y = map(self.jnp.array, batch(work))

        def run():
            nonlocal state
            state, loss = step(state, x, y)
            return self.jax.block_until_ready((state, loss))[1]

        return [Job("jit", run, lambda: flat(state[0]))]

    def predict(self, work: Work):
        forward, layers = self.jax.jit(self._forward(work)), self._state(work)[0]
        x = self.jnp.array(batch(work)[0])
        return [Job("jit", lambda: forward(layers, x).block_until_ready())]

    predictor = predict

    def fit(self, work: Work):
        """An epoch as a loop of jitted steps, and as one jitted scan over the batches."""
        return [self._fit(work, self._looped), self._fit(work, self._scanned)]

    def _fit(self, work: Work, way):
        label, epoch = way(work)
        state = self._state(work)
        x, y = map(self.jnp.array, samples(work))
        rng = np.random.default_rng(0)

        def run():
            nonlocal state
            order = rng.permutation(len(x)) if work.shuffle else np.arange(len(x))
            state = self.jax.block_until_ready(epoch(state, x, y, order))

        return Job(label, run, lambda: flat(state[0]))

    def _gathering(self, work: Work):
        step = self._step(work)
        return lambda state, x, y, rows: step(state, x[rows], y[rows])

    def _looped(self, work: Work):
        step = self.jax.jit(self._gathering(work), donate_argnums=0)

        def epoch(state, x, y, order):
            for start in range(0, len(order), work.rows):
                state, _ = step(state, x, y, order[start : start + work.rows])
            return state

        return "loop of jitted steps", epoch

    def _scanned(self, work: Work):
        step, jax = self._gathering(work), self.jax

        def batches(state, x, y, order):
            return jax.lax.scan(lambda state, rows: step(state, x, y, rows), state, order)[0]

        batches = jax.jit(batches, donate_argnums=0)
        rest = jax.jit(step, donate_argnums=0)

        def epoch(state, x, y, order):
            full = len(order) // work.rows * work.rows
            state = batches(state, x, y, order[:full].reshape(-1, work.rows))
            return rest(state, x, y, order[full:])[0] if full < len(order) else state

        return "jitted scan", epoch

    def cross_entropy(self, work: Work):
        jax, jnp = self.jax, self.jnp
        z, y = jnp.array(array(work)), jnp.array(labels(work))

        def cost(z):
            logs = jax.nn.log_softmax(z)
            return -jnp.mean(jnp.take_along_axis(logs, y[:, None], axis=1))

        value_and_gradient = jax.jit(jax.value_and_grad(cost))
        return [Job("jit", lambda: jax.block_until_ready(value_and_gradient(z)))]

    def logsumexp(self, work: Work):
        return self._jitted(lambda z: self.jax.nn.logsumexp(z, axis=1), work)

    def function(self, work: Work):
        return self._jitted(self._activation(work), work)

    def derivative(self, work: Work):
        return self._jitted(self.jax.vmap(self.jax.grad(self._activation(work))), work)

    def _activation(self, work: Work):
        nn = self.jax.nn
        return {
            "exp": self.jnp.exp,
            "sigmoid": nn.sigmoid,
            "tanh": self.jnp.tanh,
            "swish": nn.silu,
            "relu": nn.relu,
            "leaky_relu": lambda x: nn.leaky_relu(x, SLOPE),
            "hard_swish": nn.hard_swish,
        }[work.activation]

    def _jitted(self, f, work: Work):
        f, x = self.jax.jit(f), self.jnp.array(array(work))
        return [Job("jit", lambda: f(x).block_until_ready())]


contender = JAX
