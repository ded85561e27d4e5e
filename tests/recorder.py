"""An engine that records what the training loop asks of it."""

import math
import signal
import types

import numpy as np

from fastnn.optimizers import GradientDescent
from fastnn.training.callbacks import History
from fastnn.training.data import Data
from fastnn.training.loop import fit
from fastnn.training.session import Plan
from fastnn.training.state import TrainingState


class Recorder:
    """An engine whose loss is the mean of the first column, and which remembers its calls.

    `diverges_at` is the optimizer step whose loss is nan; `before_step` is called
    with the number of each step.
    """

    def __init__(self, dtype="float64", diverges_at=None, before_step=None):
        self.program = types.SimpleNamespace(dtype=np.dtype(dtype))
        self.diverges_at = diverges_at
        self.before_step = before_step or (lambda step: None)
        self.calls = []
        self.batches = []
        self.targets = []
        self.rates = []
        self.steps = []

    def train(
        self, inputs, targets, order, batch_size, learning_rates, first_step, losses,
        check=False, mean_weights=None, penalties=None,
    ):  # fmt: skip
        self.calls.append((inputs, targets, order))
        n = len(inputs[0]) if order is None else len(order)
        for i, rate in enumerate(learning_rates):
            rows = np.arange(i * batch_size, min((i + 1) * batch_size, n))
            rows = rows if order is None else order[rows]
            step = first_step + i
            self.before_step(step)
            losses[i] = np.nan if step == self.diverges_at else inputs[0][rows, 0].mean()
            if not np.isfinite(losses[i]):
                return i
            self.batches.append(inputs[0][rows, 0].tolist())
            self.targets.append([target[rows].tolist() for target, _ in targets])
            self.rates.append(rate)
            self.steps.append(step)
        return len(learning_rates)


def rows(n, dtype="float64"):
    """One input whose only column numbers the rows, and targets that do too."""
    column = np.arange(n, dtype=dtype).reshape(-1, 1)
    return [column], [(column.copy(), None)]


class Trainee:
    """What `fit` trains: an engine with an optimizer and a state."""

    def __init__(self, engine, optimizer, state, seed=0):
        self.engine = engine
        self.optimizer = optimizer
        self.state = state
        self.seed = seed
        self.snapshot = lambda: None
        self.restore = lambda copy: None

    def fit(self, data, validate=None, network=None, **options):
        """Train on (inputs, targets); `validate` returns what an epoch measures."""
        for name in {"seed", "snapshot", "restore"} & options.keys():
            setattr(self, name, options.pop(name))
        self.measure = lambda data: validate()
        inputs, targets = data
        data = Data(inputs, targets)
        return fit(self, data, Plan(**options), None if validate is None else data, network)


def run(engine, state=None, n=10, optimizer=None, data=None, **options):
    options = {"epochs": 1, "batch_size": 4, "shuffle": False} | options
    state = TrainingState() if state is None else state
    trainee = Trainee(engine, optimizer or GradientDescent(0.1), state)
    return trainee.fit(data or rows(n), **options)


def interrupt_at(step):
    def before(current):
        if current == step:
            signal.raise_signal(signal.SIGINT)

    return before


def example_history():
    history = History()
    history.append({"loss": 0.5, "val_r2": math.nan})
    history.append({"loss": 0.25, "val_r2": -math.inf})
    history.best_epoch, history.stopped_early = 2, True
    return history
