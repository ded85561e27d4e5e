"""A learning rate that decreases where a measure has stopped improving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastnn._shared.config import as_json
from fastnn._shared.fields import entry, real
from fastnn._shared.numbers import check_integer, check_number
from fastnn.training.callbacks import Callback, Context
from fastnn.training.measures import Measure, Mode, restore_monitor, state_of_monitor

__all__ = ["ReduceOnPlateau"]


class ReduceOnPlateau(Callback):
    """Multiply the learning rate by a factor when a measure has stopped improving.

    The factor belongs to the state of the training: it applies to every later step, also of
    `train_step` and of a later `fit`, with any optimizer and any schedule, and is saved with the
    state of the optimizer.  `Network.compile` sets it back to 1.  Solvers have no learning rate.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the measure in the history.
    factor : float, default 0.1
        Factor of each reduction, in (0, 1).
    patience : int, default 10
        Number of successive epochs without improvement; the last of them reduces the rate.
        An epoch whose measure is nan has no improvement.
    min_delta : float, default 0
        Tolerance: only a larger change counts as an improvement.
    cooldown : int, default 0
        Number of epochs after a reduction that do not count against the patience.
    min_learning_rate : float, default 0
        No reduction goes below this rate.  It is compared with the rate of the epoch's last step.
    mode : {"auto", "min", "max"}, default "auto"
        Whether smaller or larger values are better; see `EarlyStopping`.

    Attributes
    ----------
    best : float or None
        Best value of the measure in the last training.
    reductions : int
        Number of reductions in the last training.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or if the name of the measure does not give its direction.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.ReduceOnPlateau(factor=0.5, patience=3)
    ReduceOnPlateau(monitor='val_loss', factor=0.5, patience=3, min_delta=0, cooldown=0, \
min_learning_rate=0, mode='min')
    """

    is_atomic = True

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 0.0,
        *,
        cooldown: int = 0,
        min_learning_rate: float = 0.0,
        mode: Mode = "auto",
    ) -> None:
        self._measure = Measure.of(monitor, mode, min_delta)
        self.monitor = monitor
        self.factor = check_number(factor, "factor", above=0.0, below=1.0)
        self.patience = check_integer(patience, "patience", 1)
        self.cooldown = check_integer(cooldown, "cooldown", 0)
        self.min_learning_rate = check_number(min_learning_rate, "min_learning_rate", 0.0)
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return state_of_monitor(self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        restore_monitor(self, ReduceOnPlateau, state)

    def _forget(self) -> None:
        self.best: float | None = None
        self.reductions = 0
        self._waited = 0
        self._cooling = 0

    def on_train_begin(self, context: Context) -> None:
        """Forget the measures of an earlier training."""
        self._forget()

    def on_epoch_end(self, context: Context) -> None:
        """Compare this epoch with the best, and reduce the rate once patience has run out.

        Raises
        ------
        ValueError
            If the epoch has no such measure, or the training has no learning rate.
        """
        value = self._measure.value(context.logs, "ReduceOnPlateau")
        if "learning_rate" not in context.logs:
            raise ValueError("ReduceOnPlateau needs a learning rate, which solvers do not have")
        improved = self._measure.improves(value, self.best)
        if improved:
            self.best = value
        if improved or self._cooling:
            self._waited = 0
            self._cooling = max(self._cooling - 1, 0)
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._waited = 0
            self._reduce(context, context.logs["learning_rate"])

    def _reduce(self, context: Context, rate: float) -> None:
        """Reduce the rate, unless it has reached the lower bound."""
        if rate > self.min_learning_rate:
            context.scale_learning_rate(max(self.factor, self.min_learning_rate / rate))
            self.reductions += 1
            self._cooling = self.cooldown

    def get_state(self) -> dict[str, Any]:
        """The best value and the counters."""
        return {
            "best": as_json(self.best),
            "reductions": self.reductions,
            "waited": self._waited,
            "cooling": self._cooling,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        what = "a state of ReduceOnPlateau"
        best = state.get("best")
        self.best = None if best is None else real(best, "best")
        self.reductions = entry(state, "reductions", int, what)
        self._waited = entry(state, "waited", int, what)
        self._cooling = entry(state, "cooling", int, what)

    def __repr__(self) -> str:
        measure = self._measure
        return (
            f"ReduceOnPlateau(monitor={measure.name!r}, factor={self.factor:g}, "
            f"patience={self.patience}, min_delta={measure.min_delta:g}, "
            f"cooldown={self.cooldown}, min_learning_rate={self.min_learning_rate:g}, "
            f"mode={measure.mode!r})"
        )
