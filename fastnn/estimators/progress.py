"""The measures of a training, and the rules by which scikit-learn ends it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fastnn.estimators.rates import Rate
from fastnn.training.callbacks import Callback, Context


@dataclass
class Progress:
    """What successive trainings of a network have measured.

    Attributes
    ----------
    loss_curve : list of float
        The loss of each epoch.
    best_loss : float
    scores : list of float
        The score of the held-out rows after each epoch, where there are such rows.
    best_score : float
    best : array or None
        The parameters of the best score.
    no_improvement : int
        Number of successive epochs without an improvement.
    n_samples : int
        Number of samples that the training has seen.
    """

    loss_curve: list[float] = field(default_factory=list)
    best_loss: float = math.inf
    scores: list[float] = field(default_factory=list)
    best_score: float = -math.inf
    best: np.ndarray | None = None
    no_improvement: int = 0
    n_samples: int = 0

    def add_loss(self, loss: float, tol: float) -> None:
        """Count an epoch by the loss of its batches."""
        # A loss that is nan counts as an improvement, as it does in scikit-learn.
        self._count(loss > self.best_loss - tol)
        self.best_loss = min(self.best_loss, loss)

    def add_score(self, score: float, tol: float) -> bool:
        """Count an epoch by the score of the held-out rows; whether it is the best."""
        self.scores.append(score)
        self._count(score < self.best_score + tol)
        is_best = score > self.best_score
        if is_best:
            self.best_score = score
        return is_best

    def _count(self, is_worse: bool) -> None:
        self.no_improvement = self.no_improvement + 1 if is_worse else 0


@dataclass
class Rules:
    """The rules by which a training ends before its last epoch.

    Attributes
    ----------
    tol : float
        Tolerance: a smaller change of the loss or of the score is no improvement.
    n_iter_no_change : float
        The training ends after more successive epochs without an improvement; may be infinite.
    rate : Rate
        An adaptive one is reduced instead, while it can be.
    score : callable or None
        Return the score of the held-out rows, from the measures of the epoch.  None for a
        training that goes by its loss.
    ends : bool
        False for a training by a solver that ends by itself.
    restores : bool
        Whether every end of the training restores the parameters of the best score, and not only
        an end by these rules.
    verbose : bool
        Whether to print a line for each epoch.
    """

    tol: float
    n_iter_no_change: float
    rate: Rate
    score: Callable[[dict[str, float]], float] | None = None
    ends: bool = True
    restores: bool = True
    verbose: bool = False


class Convergence(Callback):
    """End a training by the rules of scikit-learn, and note its measures.

    Parameters
    ----------
    progress : Progress
        Of this training and of those before it.
    rules : Rules
    n_samples : int
        Rows of an epoch.
    scale, offset : float
        The reported loss is `scale` times that of the network, plus `offset`.
    """

    is_atomic = True  # it remembers an epoch and its parameters together

    def __init__(
        self,
        progress: Progress,
        rules: Rules,
        n_samples: int,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        self._progress = progress
        self._rules = rules
        self._n_samples = n_samples
        self._scale, self._offset = scale, offset
        self.epochs = 0
        self.has_converged = False

    def on_epoch_end(self, context: Context) -> bool:
        """Count the epoch; True once there have been too many without an improvement."""
        progress, rules = self._progress, self._rules
        self.epochs += 1
        progress.n_samples += self._n_samples
        loss = self._scale * context.logs["loss"] + self._offset
        progress.loss_curve.append(loss)
        self._print(f"Iteration {self.epochs}, loss = {loss:.8f}")
        if rules.score is None:
            progress.add_loss(loss, rules.tol)
        else:
            if progress.add_score(rules.score(context.logs), rules.tol):
                progress.best = context.snapshot()
            self._print(f"Validation score: {progress.scores[-1]:f}")
        before = rules.rate.learning_rate
        rules.rate.end_epoch(progress.n_samples)
        if rules.ends and progress.no_improvement > rules.n_iter_no_change:
            self._end()
        if rules.rate.learning_rate != before:
            context.scale_learning_rate(rules.rate.learning_rate / before)
        return self.has_converged

    def on_train_end(self, context: Context) -> None:
        """Restore the parameters of the best score."""
        progress, rules = self._progress, self._rules
        if rules.score is None or progress.best is None:
            return
        if rules.restores or self.has_converged or context.status == "failed":
            context.restore(progress.best)

    def _end(self) -> None:
        """End the training, or reduce its learning rate."""
        rules = self._rules
        measure = "Training loss" if rules.score is None else "Validation score"
        message = (
            f"{measure} did not improve more than tol={rules.tol:f} for "
            f"{rules.n_iter_no_change} consecutive epochs."
        )
        if rules.rate.reduce():
            self._progress.no_improvement = 0
            self._print(f"{message} Setting learning rate to {rules.rate.learning_rate:f}")
            return
        self.has_converged = True
        if not rules.restores:
            self._progress.no_improvement = 0  # a later call counts anew
        self._print(f"{message} Stopping.")

    def _print(self, line: str) -> None:
        if self._rules.verbose:
            print(line)
