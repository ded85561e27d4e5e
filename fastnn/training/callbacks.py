"""The history of a training, and callbacks that watch and control it."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pickle import PicklingError
from typing import Any, Literal

import numpy as np

from fastnn._shared.config import as_json
from fastnn._shared.fields import check_kind, entry, real
from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn._shared.text import aligned, printable
from fastnn.training.measures import Measure, Mode, restore_monitor, state_of_monitor

__all__ = ["Callback", "Context", "EarlyStopping", "History"]

Status = Literal["running", "finished", "stopped", "interrupted", "failed"]

_SHOWN_ROWS = 12  # rows of the table that print(history) shows


class History(Mapping[str, list[float]]):
    """The measures of every finished epoch: a read-only mapping from names to lists.

    The lists have one number for each epoch: `loss` (what `Network.evaluate` would give for one
    loss, or several sums over the samples, if the parameters did not change: the mean over the
    epoch's batches, weighted by the total weights of their samples, or the sum where the reduction
    of a loss is a sum),
    `learning_rate` (of the epoch's last step), `seconds` (of training, without validation), and
    with validation data `val_loss` and the metrics `val_...`.  Measures that an epoch
    does not have are nan.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C ended the last training.
    stopped_early : bool
        Whether a callback ended the last training.
    best_epoch : int or None
        Epoch, counted from 1, that `EarlyStopping` found best.
    message : str
        Why a solver (`LBFGS`, `LevenbergMarquardt`) ended the last training; else empty.
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {}
        self._epochs = 0
        self.interrupted = False
        self.stopped_early = False
        self.best_epoch: int | None = None
        self.message = ""

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return self._epochs

    def __getitem__(self, name: str) -> list[float]:
        try:
            return self._columns[name]
        except KeyError:
            names = ", ".join(self._columns) or "nothing yet"
            raise KeyError(f"no {name!r} in the history; it has {names}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def append(self, logs: Mapping[str, float]) -> None:
        """Add the measures of one epoch; an error leaves the history as it is."""
        epochs = self._epochs
        before = tuple(self._columns)
        try:
            for name in logs:
                self._columns.setdefault(name, [math.nan] * epochs)
            for name, column in self._columns.items():
                column.append(float(logs.get(name, math.nan)))
            self._epochs = epochs + 1
        except BaseException:  # MemoryError and KeyboardInterrupt too
            for name in [name for name in self._columns if name not in before]:
                del self._columns[name]
            for column in self._columns.values():
                del column[epochs:]
            self._epochs = epochs
            raise

    def copy(self) -> History:
        """An independent copy."""
        history = History()
        vars(history).update(vars(self))
        history._columns = {name: list(column) for name, column in self._columns.items()}
        return history

    def replace(self, other: History) -> None:
        """Become a copy of another history, in place."""
        vars(self).update(vars(other.copy()))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; `from_dict` makes an equal history of it.

        Numbers that JSON lacks become text: "nan", "inf", "-inf".
        """
        return {
            "columns": as_json(self._columns),
            "epochs": self._epochs,
            "interrupted": self.interrupted,
            "stopped_early": self.stopped_early,
            "best_epoch": self.best_epoch,
            "message": self.message,
        }

    @classmethod
    def from_dict(cls, data: Any) -> History:
        """The history that `to_dict` turned into `data`.

        Raises
        ------
        ValueError
            If `data` does not describe a history.
        """
        what = "a training history"
        history = cls()
        history._epochs = check_integer(entry(data, "epochs", int, what), "epochs", 0)
        for name, column in entry(data, "columns", dict, what).items():
            check_kind(column, list, f"not {what}: column {name!r}")
            place = f"not {what}: a value of {name!r}"
            history._columns[str(name)] = [real(value, place) for value in column]
        history.interrupted = entry(data, "interrupted", bool, what)
        history.stopped_early = entry(data, "stopped_early", bool, what)
        best = entry(data, "best_epoch", (int, type(None)), what)
        if best is not None:
            history.best_epoch = check_integer(best, "best_epoch", 1)
        if "message" in data:  # files of older versions have none
            history.message = entry(data, "message", str, what)
        for name, column in history._columns.items():
            if len(column) != history._epochs:
                raise ValueError(
                    f"not a training history: {len(column)} values of {name!r} "
                    f"in {history._epochs} epochs"
                )
        return history

    def __getstate__(self) -> dict[str, Any]:
        return self.to_dict()

    def __setstate__(self, state: object) -> None:
        vars(self).update(vars(History.from_dict(state)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = [f"{self._epochs} epoch{'s' * (self._epochs != 1)}"]
        if self._epochs:
            last = {name: column[-1] for name, column in self._columns.items()}
            hidden = ("learning_rate", "seconds")
            parts += [
                f"{printable(name)} {x:.4g}"
                for name, x in last.items()
                if name not in hidden and not math.isnan(x)
            ]
        if self.best_epoch is not None:
            parts.append(f"best epoch {self.best_epoch}")
        if self.stopped_early:
            parts.append("stopped early")
        if self.interrupted:
            parts.append("interrupted")
        if self.message:
            parts.append(printable(self.message))
        return f"History({', '.join(parts)})"

    def __str__(self) -> str:
        if not self._epochs:
            return repr(self)
        shown = self._shown_epochs()
        columns = [["epoch", *(str(i + 1) for i in shown)]]
        columns += [
            [name.rjust(9), *(_cell(name, column[i]) for i in shown)]
            for name, column in self._columns.items()
        ]
        lines = aligned([*zip(*columns, strict=True)], right=range(len(columns)))
        if len(shown) < self._epochs:
            lines.append(f"({len(shown)} of {self._epochs} epochs shown)")
        return "\n".join([*lines, repr(self)])

    def _shown_epochs(self) -> list[int]:
        """Evenly spread epochs, with the first, the last and the best among them."""
        spread = np.linspace(0, self._epochs - 1, min(self._epochs, _SHOWN_ROWS))
        shown = {int(i) for i in np.round(spread)}
        if self.best_epoch is not None and self.best_epoch <= self._epochs:
            shown.add(self.best_epoch - 1)
        return sorted(shown)


def _cell(name: str, value: float) -> str:
    """A number of the history's table; a dash for a missing measure."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if name == "seconds" else f"{value:.4g}"


class Context:
    """The view of a training that callbacks get, and their control over it.

    Attributes
    ----------
    epoch : int
        Epoch that just ended, counted from 1 over all trainings of the network.
    step : int
        Optimizer steps done, over all trainings of the network.
    logs : dict of float
        The measures of the epoch: `loss`, `learning_rate`, `seconds`, `val_...`.
    history : History
        All finished epochs, this one included.
    network : object or None
        The network in training.
    status : {"running", "finished", "stopped", "interrupted", "failed"}
        The status of the training; in `on_train_end`, the way it ended.
    """

    def __init__(
        self,
        history: History,
        network: Any,
        snapshot: Callable[[], np.ndarray],
        restore: Callable[[np.ndarray], None],
        scale_learning_rate: Callable[[float], None],
    ) -> None:
        self.epoch = 0
        self.step = 0
        self.logs: dict[str, float] = {}
        self.history = history
        self.network = network
        self.status: Status = "running"
        self.stop_requested = False
        self._snapshot = snapshot
        self._restore = restore
        self._scale_learning_rate = scale_learning_rate

    def stop(self) -> None:
        """End the training after this epoch."""
        self.stop_requested = True

    def snapshot(self) -> np.ndarray:
        """A copy of the parameters, for `restore`."""
        return self._snapshot()

    def restore(self, copy: np.ndarray) -> None:
        """Set the parameters back to a copy that `snapshot` made."""
        self._restore(copy)

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply the learning rate of all later steps by a positive factor."""
        self._scale_learning_rate(check_number(factor, "factor", above=0.0))


class Callback:
    """Base class of callbacks: override the methods that you need.

    A plain function is a callback too; it is called like `on_epoch_end`.

    Attributes
    ----------
    is_atomic : bool, default False
        Whether Ctrl-C waits until a method of the callback has returned, because its state would
        not be consistent otherwise.  The methods must be short then.
    monitor : str, default ""
        Name of the measure that the callback needs, if it needs one.  For a name that begins
        with ``val_``, the estimators for scikit-learn hold out a part of the data.
    """

    is_atomic: bool = False
    monitor: str = ""

    def on_train_begin(self, context: Context) -> None:
        """Called before the first epoch."""

    def on_epoch_end(self, context: Context) -> bool | None:
        """Called after each epoch and its validation; returning True ends the training."""
        return None

    def on_train_end(self, context: Context) -> None:
        """Called when the training ends in any way, which `context.status` names."""

    def get_state(self) -> dict[str, Any] | None:
        """What a checkpoint stores of this callback, for `set_state`: None for nothing.

        A dict with text as keys; values are arrays or JSON-able data.
        """
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned; called after `on_train_begin`."""
        raise NotImplementedError(f"{type(self).__name__} has get_state, but no set_state")


class EarlyStopping(Callback):
    """End the training once a measure has stopped improving.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the measure in the history.
    patience : int, default 10
        Number of successive epochs without improvement; the last of them ends the training.
        With 0, as with 1, the first epoch without improvement does.  An epoch whose measure is
        nan has no improvement.
    min_delta : float, default 0
        Tolerance: only a larger change counts as an improvement.
    restore_best : bool, default True
        Restore the parameters of the best epoch at the end, however the training ends: also
        after Ctrl-C and after an error.  The state of the optimizer is not restored.
    mode : {"auto", "min", "max"}, default "auto"
        Whether smaller or larger values are better.  "auto" means "max" for names whose last
        word is accuracy, score, r2, d2, auc or f1, and "min" for loss, cost, error, mse, rmse,
        mae, deviance and brier_score; words are separated by underscores.  Other names need
        "min" or "max".
    baseline : float, optional
        Value to exceed, by more than `min_delta`: epochs that do not exceed it count against
        the patience, even if they are the best so far.
    start_from_epoch : int, default 0
        Number of epochs, at the start of each training, that are ignored.

    Attributes
    ----------
    best : float or None
        Best value of the measure in the last training.
    best_epoch : int or None
        Its epoch, counted from 1.

    Warns
    -----
    UserWarning
        At the end of the training, if the measure was nan in every epoch.

    References
    ----------
    Prechelt (1998), "Early stopping - but when?".
    """

    is_atomic = True  # it remembers an epoch and its parameters together

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: Mode = "auto",
        *,
        baseline: float | None = None,
        start_from_epoch: int = 0,
    ) -> None:
        self._measure = Measure.of(monitor, mode, min_delta)
        self.monitor, self.mode = monitor, self._measure.mode
        self.min_delta = self._measure.min_delta
        self.patience = check_integer(patience, "patience", 0)
        self.restore_best = check_flag(restore_best, "restore_best")
        self.baseline = None if baseline is None else check_number(baseline, "baseline")
        self.start_from_epoch = check_integer(start_from_epoch, "start_from_epoch", 0)
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return state_of_monitor(self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        restore_monitor(self, EarlyStopping, state)

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._epochs = 0
        self._waited = 0
        self._parameters: np.ndarray | None = None

    def on_train_begin(self, context: Context) -> None:
        """Forget the measures of an earlier training."""
        self._forget()

    def on_epoch_end(self, context: Context) -> bool:
        """Compare this epoch with the best; True once patience has run out.

        Raises
        ------
        ValueError
            If the epoch has no such measure.
        """
        value = self._measure.value(context.logs, "EarlyStopping")
        self._epochs += 1
        if self._epochs <= self.start_from_epoch:
            return False
        if self._measure.improves(value, self.best):
            self.best, self.best_epoch = value, context.epoch
            context.history.best_epoch = context.epoch
            if self.restore_best:
                self._parameters = context.snapshot()
            if self._measure.improves(value, self.baseline):
                self._waited = 0
                return False
        self._waited += 1
        return self._waited >= self.patience

    def get_state(self) -> dict[str, Any]:
        """The best epoch, its parameters, and the number of epochs since."""
        state: dict[str, Any] = {
            "best": as_json(self.best),
            "best_epoch": self.best_epoch,
            "epochs": self._epochs,
            "waited": self._waited,
        }
        if self._parameters is not None:
            state["parameters"] = self._parameters
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        what = "a state of EarlyStopping"
        best = state.get("best")
        self.best = None if best is None else real(best, "best")
        self.best_epoch = entry(state, "best_epoch", (int, type(None)), what)
        self._epochs = entry(state, "epochs", int, what)
        self._waited = entry(state, "waited", int, what)
        self._parameters = state.get("parameters")

    def on_train_end(self, context: Context) -> None:
        """Restore the best parameters, if there was an epoch, however the training ended."""
        if self._parameters is not None:
            context.restore(self._parameters)
        if (
            context.status in ("finished", "stopped")
            and self.best is None
            and self._epochs > self.start_from_epoch
        ):
            warnings.warn(
                f"EarlyStopping has no best epoch: {self.monitor} was nan in every epoch, "
                "and the parameters are those of the last one",
                stacklevel=2,
            )
        self._parameters = None

    def __repr__(self) -> str:
        options = (
            f"monitor={self.monitor!r}, patience={self.patience}, min_delta={self.min_delta:g}, "
            f"restore_best={self.restore_best}, mode={self.mode!r}"
        )
        if self.baseline is not None:
            options += f", baseline={self.baseline:g}"
        if self.start_from_epoch:
            options += f", start_from_epoch={self.start_from_epoch}"
        return f"EarlyStopping({options})"


def as_early_stopping(value: EarlyStopping | int | None) -> EarlyStopping | None:
    """What `fit` accepts as early stopping: an int is the patience of one on ``val_loss``.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or a negative integer.
    """
    if value is None or isinstance(value, EarlyStopping):
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"early_stopping must be an EarlyStopping or an int (its patience), got {value!r}"
        )
    return EarlyStopping(patience=check_integer(value, "early_stopping", 0))


class FunctionCallback(Callback):
    """A plain function as a callback."""

    def __init__(self, function: Callable[[Context], Any]) -> None:
        self._function = function

    def on_epoch_end(self, context: Context) -> bool:
        result = self._function(context)
        # Only True stops the training: a function written for its effect may return anything.
        return isinstance(result, bool | np.bool_) and bool(result)


Callbacks = (
    Callback | Callable[[Context], Any] | Iterable[Callback | Callable[[Context], Any]] | None
)
"""The types that `fit` accepts as callbacks."""


def as_callbacks(callbacks: Callbacks) -> list[Callback]:
    """Callbacks as a list of `Callback`; takes one, several or None.

    Raises
    ------
    TypeError
        If one is neither a Callback nor a function.
    """
    if callbacks is None:
        return []
    if isinstance(callbacks, Callback) or callable(callbacks):
        callbacks = [callbacks]
    result: list[Callback] = []
    for callback in callbacks:
        if isinstance(callback, type):
            raise TypeError(f"callbacks has the class {callback.__name__}, expected an instance")
        if isinstance(callback, Callback):
            result.append(callback)
        elif callable(callback):
            result.append(FunctionCallback(callback))
        else:
            raise TypeError(f"callbacks must be Callback instances or functions, got {callback!r}")
    return result


def own_callbacks(callbacks: Callbacks, n: int) -> list[list[Callback]]:
    """Callbacks for each of n trainings, which share functions and get copies of objects."""
    shared = as_callbacks(callbacks)  # once: an iterator is empty afterwards
    try:
        return [[c if is_function(c) else copy.deepcopy(c) for c in shared] for _ in range(n)]
    except (TypeError, PicklingError) as error:
        raise TypeError(
            f"callbacks must be functions, or such that each training can have a copy: {error}"
        ) from error


def is_function(callback: Callback) -> bool:
    """Whether a callback was given as a plain function."""
    return isinstance(callback, FunctionCallback)
