"""The learning rates of scikit-learn: constant, invscaling and adaptive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastnn.estimators.parameters import LEARNING_RATES, is_stochastic

SMALLEST_RATE = 1e-6
"""A rate up to this number is not reduced further."""

REDUCTION = 5.0


@dataclass
class Rate:
    """The learning rate from epoch to epoch.

    Parameters
    ----------
    initial : float
    kind : {"constant", "invscaling", "adaptive"}
        "invscaling" gives ``initial / (t + 1) ** power`` after t samples; "adaptive" is reduced
        to a fifth where a constant one would end the training.
    power : float
        That of "invscaling".

    Attributes
    ----------
    learning_rate : float
        The rate of the next epoch.
    """

    initial: float
    kind: str = "constant"
    power: float = 0.5
    learning_rate: float = field(init=False)

    def __post_init__(self) -> None:
        self.learning_rate = self.initial

    def end_epoch(self, n_samples: int) -> None:
        """An epoch has ended, after which the training has seen so many samples."""
        if self.kind == "invscaling":
            self.learning_rate = self.initial / (n_samples + 1) ** self.power

    def reduce(self) -> bool:
        """Reduce an adaptive rate; False where the training is to end instead."""
        if self.kind != "adaptive" or self.learning_rate <= SMALLEST_RATE:
            return False
        self.learning_rate /= REDUCTION
        return True


def rate_of(parameters: Any) -> Rate:
    """The learning rate that the parameters of an estimator describe.

    It is constant for "adam" and for solvers without steps, as in scikit-learn, and where the
    optimizer follows a schedule of its own.
    """
    kind = parameters.learning_rate
    varies = is_stochastic(parameters.solver) and parameters.solver != "adam"
    if not varies or not isinstance(kind, str) or kind not in LEARNING_RATES:
        kind = "constant"
    return Rate(float(parameters.learning_rate_init), kind, float(parameters.power_t))
