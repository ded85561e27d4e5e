"""A multilayer perceptron for regression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.special import xlogy
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d

from fastnn import losses
from fastnn.estimators import data
from fastnn.estimators.conversion import parameters_of
from fastnn.estimators.data import Rows
from fastnn.estimators.perceptron import Perceptron, check_solver
from fastnn.formats._fitted import Number
from fastnn.losses import MeanSquaredError, Poisson

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, Perceptron):
    """A multilayer perceptron for regression, with scikit-learn's parameters and more.

    It takes the parameters of ``sklearn.neural_network.MLPRegressor`` with their meaning, and
    with the same `random_state` it draws the same initial values, batches and held-out rows.
    Several targets can be learnt at once.

    Parameters
    ----------
    loss : str, Loss or function, default "squared_error"
        "squared_error" is half the squared error, added up over the targets.  "poisson" is half
        the deviance of counts; the network has their logarithms as outputs, and y must not be
        negative.  Any other loss of fastnn for numbers takes their place, such as
        ``Huber(delta=0.5)``; with the log link, predictions are exponentials of the outputs.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init
        As in `MLPClassifier`.
    power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum
        As in `MLPClassifier`.
    nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
        As in `MLPClassifier`.
    n_iter_no_change, max_fun, dropout, weights_mean, callbacks, dtype, precision
        As in `MLPClassifier`.
    n_jobs
        As in `MLPClassifier`.

    Attributes
    ----------
    coefs_, intercepts_, loss_, loss_curve_, best_loss_, best_validation_score_, n_iter_, t_
        As in `MLPClassifier`.
    validation_scores_ : list of float or None
        With early stopping, R^2 of the held-out samples after each epoch.
    out_activation_ : {"identity", "exp"}
        Function from outputs to predictions.
    n_layers_, n_outputs_, n_features_in_, feature_names_in_, network_, history_, callbacks_
        As in `MLPClassifier`.

    Notes
    -----
    For K targets the squared errors are added up, and the loss that is reported is divided by K, so
    that `tol` has the same meaning for any K.  Scikit-learn follows the same gradient; it does not
    divide the penalty in the loss that it reports.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.estimators import MLPRegressor
    >>> X = np.linspace(-3, 3, 200)[:, None]
    >>> model = MLPRegressor(
    ...     hidden_layer_sizes="32,32", activation="tanh", solver="lbfgs", random_state=0
    ... )
    >>> bool(model.fit(X, np.sin(X[:, 0])).score(X, np.sin(X[:, 0])) > 0.95)
    True
    """

    # scikit-learn reads the names of the parameters from this signature.
    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        weights_mean: str = "batch",
        callbacks: Any = None,
        dtype: Any = None,
        precision: str = "float32",
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(locals())

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train a network; with ``warm_start=True``, train the last one on.

        Parameters
        ----------
        X : (N, n) array_like or sparse matrix
        y : (N,) or (N, K) array_like
        sample_weight : (N,) array_like, optional
            Not negative, and not 0 for all samples to train on or all that are held out.
        X_val, y_val, sample_weight_val : array_like, optional
            Samples to validate on; nothing is held out then.

        Returns
        -------
        MLPRegressor
            The estimator itself.
        """
        return self._fit(X, y, sample_weight, data.validation_of(X_val, y_val, sample_weight_val),
                         False)  # fmt: skip

    @available_if(check_solver)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train for one epoch on a part of the data; the first call makes the network.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        X_val, y_val, sample_weight_val : array_like, optional
            Samples to validate on, which ``early_stopping=True`` needs.  After more than
            `n_iter_no_change` successive calls without a higher score, the parameters become those
            of the best call, and a later call begins to count anew.

        Returns
        -------
        MLPRegressor
            The estimator itself.
        """
        return self._fit(X, y, sample_weight, data.validation_of(X_val, y_val, sample_weight_val),
                         True)  # fmt: skip

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """A fitted regressor that predicts what one of scikit-learn predicts.

        Parameters
        ----------
        model : sklearn.neural_network.MLPRegressor
            Fitted.

        Returns
        -------
        MLPRegressor
            With the parameters, the coefficients, the measures and the state of the optimizer of
            the model, in its dtype: `partial_fit` goes on as that of the model would.

        Raises
        ------
        TypeError
            If the model is something else.
        ValueError
            If it is not fitted.
        """
        from sklearn.neural_network import MLPRegressor as Theirs

        return cls(**parameters_of(model, Theirs, cls))._take(model)

    def predict(self, X: Any) -> np.ndarray:
        """The predicted targets, (N,) or (N, K) as in `fit`."""
        check_is_fitted(self, "network_")
        inputs = data.read_inputs(self, X, self.network_.dtype)
        with self._threads():
            return self._predicted(inputs)

    def _meaning(self) -> Number:
        (loss,) = self.network_.losses.values()
        return Number(is_rate=isinstance(loss, Poisson))

    def _predicted(self, inputs: np.ndarray) -> np.ndarray:
        """Predictions for checked inputs."""
        outputs: np.ndarray = self.network_.predict_mean(inputs, check_finite=False)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    # ----------------------------------------------------------- training

    def _loss(self) -> Any:
        """The loss of the network.

        Raises
        ------
        ValueError
            If it is one of classification.
        """
        loss = losses.get("mean_squared_error" if self.loss == "squared_error" else self.loss)
        if loss.activation is not None:
            raise ValueError(f"loss {self.loss!r} is for classification: take MLPClassifier")
        return loss

    def _read(self, X: Any, y: Any, starts: bool, incremental: bool) -> tuple[np.ndarray, Any]:
        reset = starts and not (incremental and hasattr(self, "coefs_"))
        X, y = data.read_samples(
            self, X, y, self._input_dtypes(starts), reset=reset, y_numeric=True
        )
        targets = _as_columns(y)
        if not starts:
            self._check_targets(targets, y.shape, "y")
        return X, targets

    def _read_validation(self, X: Any, y: Any) -> tuple[np.ndarray, Any]:
        X, y = data.read_samples(self, X, y, self.network_.dtype, y_numeric=True)
        targets = _as_columns(y)
        self._check_targets(targets, y.shape, "y_val")
        return X, targets

    def _check_targets(self, targets: np.ndarray, shape: tuple[int, ...], name: str) -> None:
        """Raise ValueError if there are more or fewer targets than the network has outputs."""
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"{name} must have {self.n_outputs_} targets, as in the first training, got the "
                f"shape {shape}"
            )

    def _outputs_for(self, targets: np.ndarray) -> int:
        return int(targets.shape[1])

    def _loss_and_weight(self) -> tuple[Any, float]:
        if self.loss == "squared_error":
            return self._loss(), self.n_outputs_ / 2
        return self._loss(), float(self.n_outputs_) if self.loss == "poisson" else 1.0

    def _out_activation(self) -> str:
        return "exp" if isinstance(self._loss(), Poisson) else "identity"

    def _reported(self, rows: Rows) -> tuple[float, float]:
        if self.loss == "squared_error":
            return 1 / self.n_outputs_, 0.0
        if self.loss != "poisson":
            return 1.0, 0.0
        y = rows.targets
        return 1.0, float(np.average(xlogy(y, y) - y, weights=rows.weights, axis=0).sum())

    def _scoring(self, rows: Rows) -> Callable[[dict[str, float]], float]:
        if isinstance(self._loss(), MeanSquaredError):
            return lambda logs: logs["val_r2"]

        def score(logs: dict[str, float]) -> float:
            predicted = self._predicted(rows.X)
            return float(r2_score(rows.targets, predicted, sample_weight=rows.weights))

        return score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson" or isinstance(self.loss, Poisson)
        return tags


def _as_columns(y: np.ndarray) -> np.ndarray:
    """Targets (N, K); a column by itself is one target, as everywhere in scikit-learn."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return y[:, None] if y.ndim == 1 else y
