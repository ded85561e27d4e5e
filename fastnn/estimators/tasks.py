"""Scikit-learn's own callbacks: each epoch of a `fit` is a task that they watch and may end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from fastnn.training.callbacks import Callback, Context

_Method = TypeVar("_Method", bound=Callable[..., Any])

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing, where scikit-learn has no callbacks."""

    def with_callbacks(method: _Method) -> _Method:
        """The method as it is, where scikit-learn has no callbacks."""
        return method


class Tasks(Callback):
    """Show the epochs of a training to scikit-learn's callbacks.

    Parameters
    ----------
    estimator : estimator
        In its `fit`.
    data : dict
        What the callbacks may see: X, y and metadata.
    epochs : int
        Largest number of epochs.
    """

    def __init__(self, estimator: Any, data: dict[str, Any], epochs: int) -> None:
        self._estimator = estimator
        self._data = data | {"estimator": estimator}
        self._left = epochs
        self._fit = estimator._init_callback_context(max_subtasks=epochs)
        self._fit.call_on_fit_task_begin(**self._data)
        self._epoch: Any = None

    def on_train_begin(self, context: Context) -> None:
        """Begin the task of the first epoch."""
        self._begin()

    def _begin(self) -> None:
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)

    def on_epoch_end(self, context: Context) -> bool:
        """End the task of an epoch, and begin that of the next one, if there is any."""
        self._left -= 1
        stops = self._epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=self._fitted
        )
        if stops or context.stop_requested or not self._left:
            return bool(stops)
        self._begin()
        return False

    def _fitted(self) -> dict[str, Any]:
        """The attributes that make a copy of the estimator one that was fitted up to here."""
        estimator = self._estimator
        return {"network_": copy.deepcopy(estimator.network_), **estimator.measured()}

    def end(self) -> None:
        """End the task of the whole fit, after the attributes have been set."""
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=dict)


def tasks_of(estimator: Any, X: Any, y: Any, sample_weight: Any, epochs: int) -> Tasks | None:
    """The tasks of a `fit`, None where scikit-learn has no callbacks."""
    if not hasattr(estimator, "set_callbacks"):
        return None
    metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
    return Tasks(estimator, {"X": X, "y": y, "metadata": metadata}, epochs)
