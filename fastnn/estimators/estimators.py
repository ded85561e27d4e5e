"""Networks as scikit-learn estimators, for its pipelines, searches and cross-validation.

The estimators do not scale the inputs: put a `StandardScaler` before them in a pipeline
unless the inputs have comparable scales of about 1.  The same holds for the targets
of regression (`TransformedTargetRegressor`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from fastnn._shared.arrays import as_weights
from fastnn._shared.numbers import check_integer, check_number
from fastnn.losses import SampleClassWeight
from fastnn.network._weights import check_weighed
from fastnn.tabular.preset import choose_optimizer, dense_network
from fastnn.tabular.splitting import split_rows
from fastnn.training.callbacks import (
    Callbacks,
    EarlyStopping,
    History,
    as_early_stopping,
    is_function,
    own_callbacks,
)
from fastnn.training.session import Plan

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        'fastnn.estimators needs scikit-learn 1.6 or newer: pip install "fastnn[sklearn]"'
    ) from error

__all__ = ["NetworkClassifier", "NetworkRegressor"]


class _NetworkEstimator(BaseEstimator):
    """The base of the classifier and the regressor."""

    def __init__(
        self,
        hidden: Sequence[int] | int = (100,),
        activation: object = "relu",
        *,
        dropout: float = 0.0,
        optimizer: object = "adam",
        learning_rate: object = None,
        alpha: float = 1e-4,
        batch_size: int | None = None,
        epochs: int = 100,
        early_stopping: EarlyStopping | int | bool | None = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        callbacks: Callbacks = None,
        weights_mean: Literal["data", "batch", "count"] = "data",
        dtype: Any = None,
        random_state: object = None,
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.weights_mean = weights_mean
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    _loss: str

    def _build(self, n_in: int, n_out: int, dtype: np.dtype) -> None:
        """Make `network_`, untrained, and `_seed`, the seed of its random numbers."""
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        network = dense_network(
            n_in, n_out, self.hidden, self.activation, self.dropout, dtype, self._seed
        )
        optimizer = choose_optimizer(self.optimizer, self.learning_rate)
        network.compile(self._loss, optimizer, l2=check_number(self.alpha, "alpha", 0.0))
        self.network_ = network

    def _train(
        self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None, epochs: int
    ) -> Self:
        """Train `network_` on data that scikit-learn has checked."""
        core = self.network_.core
        data, validation = core.feed.data(X, y, sample_weight, False, rule=self.weights_mean), None
        stopping, callbacks = self._stopping(), own_callbacks(self.callbacks, 1)[0]
        watchers = callbacks if stopping is None else [*callbacks, stopping]
        if any(watcher.monitor.startswith("val_") for watcher in watchers):
            rows, held_out = self._hold_out(y)
            data, validation = data.rows(rows), data.rows(held_out)
            check_weighed(core.heads, validation, "validation_fraction", "to validate on")
        class_weight = self._class_weight()
        if class_weight is not None:
            data = core.feed.weigh_classes(data, class_weight, self.weights_mean)
        check_weighed(core.heads, data, "sample_weight", "to train on")
        plan = Plan(
            epochs, self.batch_size, early_stopping=stopping, callbacks=callbacks,
            verbose=self.verbose, weights_mean=self.weights_mean,
        )  # fmt: skip
        self.callbacks_ = [watcher for watcher in callbacks if not is_function(watcher)]
        self.history_: History = core.fit(data, plan, validation, self.network_)
        self.n_iter_ = self.history_.epochs
        if self.history_.interrupted:
            # The network stays usable, but a search over many fits must end.
            raise KeyboardInterrupt
        return self

    def _stopping(self) -> EarlyStopping | None:
        """The early stopping that the options ask for, one of its own for each training."""
        value = self.early_stopping
        if isinstance(value, bool | np.bool_):
            patience = check_integer(self.patience, "patience", 0)
            return EarlyStopping(patience=patience) if value else None
        return copy.deepcopy(as_early_stopping(value))

    def _refuse_parts(self) -> None:
        """Raise ValueError if an option does not go with `partial_fit`."""
        if self._stopping() is not None:
            raise ValueError("partial_fit does not go with early_stopping")
        if self.callbacks is not None:
            raise ValueError(
                "partial_fit does not go with callbacks: each call is a training of its own"
            )

    def _class_weight(self) -> SampleClassWeight:
        """Weights by class index, or "balanced"."""
        return None

    def _hold_out(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, and rows for early stopping."""
        share = check_number(self.validation_fraction, "validation_fraction", above=0.0, below=1.0)
        labels = y if self._loss == "cross_entropy" else None
        rows, held_out, _ = split_rows(len(y), share, 0.0, self._seed, labels)
        return rows, held_out

    def _types(self) -> list[Any]:
        """The dtypes that X may keep; any other dtype becomes the first of these."""
        return [np.float64, np.float32] if self.dtype is None else [np.dtype(self.dtype)]

    def _weights(self, sample_weight: object, X: np.ndarray) -> np.ndarray | None:
        if sample_weight is None:
            return None
        weights = as_weights(sample_weight, "sample_weight", (len(X),))
        if not weights.any():
            raise ValueError("sample_weight is zero for every sample, expected a positive weight")
        return weights

    def _inputs(self, X: object) -> np.ndarray:
        """X of a prediction, checked."""
        check_is_fitted(self, "network_")
        checked: np.ndarray = validate_data(
            self, X, dtype=self.network_.dtype, order="C", reset=False
        )
        return checked


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):
    """A dense network for classification, trained on the cross-entropy.

    Parameters
    ----------
    hidden : sequence of int, or int, default (100,)
        Widths of the hidden layers; empty for a linear model.
    activation : str or Activation, default "relu"
        Activation of the hidden layers; see `fastnn.Activation` for the names.
    dropout : float, default 0
        Rate of the dropout after each hidden layer.
    optimizer : str, Optimizer or Solver, default "adam"
        "lbfgs" is often the best choice for small data.
    learning_rate : float or Schedule, optional
        By default that of the optimizer.  A solver has none.
    alpha : float, default 0.0001
        alpha / 2 times the sum of the squared weights is added to the mean loss.
        (In scikit-learn's own networks this term is divided by the number of samples.)
    batch_size : int, optional
        32 by default.  A solver takes all samples at once and no batch_size.
    epochs : int, default 100
        Largest number of epochs, or of iterations of a solver.
    early_stopping : bool, int, EarlyStopping or None, default False
        Hold out a part of the data, end the training once the loss there has stopped
        falling, and keep the parameters of the best epoch.  An int is the patience, instead of
        `patience`.  With an `EarlyStopping` that watches a measure of the training data, such as
        "loss", nothing is held out.
    validation_fraction : float, default 0.1
        Share of the samples that is held out, for early stopping or for a callback whose
        `monitor` begins with ``"val_"``; each class has the same share.
    patience : int, default 10
        Number of successive epochs without improvement after which early stopping ends the
        training, for early_stopping=True.
    callbacks : Callback, function, or several of them, optional
        As in `Network.fit`, such as `ReduceOnPlateau`.  Each training has copies of the callbacks
        that are objects: `callbacks_`.
    weights_mean : {"data", "batch", "count"}, default "data"
        What the weighted losses of a batch are divided by, as in `Network.fit`.  It makes a
        difference with `sample_weight` or `class_weight`.
    dtype : {"float32", "float64"}, optional
        Data type of parameters and computations.  By default that of X: float32 stays, any
        other type becomes float64.
    random_state : int, RandomState or None
        Source of initial values, batches, dropout and held-out samples.
    verbose : int, default 0
        As in `Network.fit`.
    class_weight : dict from class to weight, or "balanced", optional
        Multiplies the weight of each training sample by the weight of its class, 1 for classes
        that the dict leaves out.  "balanced" gives a class the weight n / (K count), for n
        samples to train on, of K classes.

    Attributes
    ----------
    network_ : Sequential
        The trained network.
    history_ : History
        What each epoch measured.
    n_iter_ : int
        Epochs done.
    callbacks_ : list of Callback
        The copies of the callbacks that the last training used.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str
        Their names, if X had any.
    classes_ : (K,) array
        The classes.

    Examples
    --------
    >>> from fastnn.estimators.estimators import NetworkClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), NetworkClassifier(epochs=30, random_state=0))
    >>> bool(model.fit(X, y).score(X, y) > 0.9)
    True
    """

    _loss = "cross_entropy"

    # scikit-learn reads the names of the options from this signature.
    def __init__(
        self,
        hidden: Sequence[int] | int = (100,),
        activation: Any = "relu",
        *,
        dropout: float = 0.0,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        alpha: float = 1e-4,
        batch_size: int | None = None,
        epochs: int = 100,
        early_stopping: EarlyStopping | int | bool | None = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        callbacks: Callbacks = None,
        weights_mean: Literal["data", "batch", "count"] = "data",
        dtype: Any = None,
        random_state: Any = None,
        verbose: int = 0,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    ) -> None:
        super().__init__(
            hidden, activation, dropout=dropout, optimizer=optimizer,
            learning_rate=learning_rate, alpha=alpha, batch_size=batch_size, epochs=epochs,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            patience=patience, callbacks=callbacks, weights_mean=weights_mean, dtype=dtype,
            random_state=random_state, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def _class_weight(self) -> SampleClassWeight:
        """Weights by class index, or "balanced"."""
        weights = self.class_weight
        if weights is None or (isinstance(weights, str) and weights == "balanced"):
            return weights
        if not isinstance(weights, Mapping):
            raise ValueError(
                "class_weight must be a dict from class to weight, 'balanced' or None, "
                f"got {weights!r}"
            )
        index = {label: i for i, label in enumerate(self.classes_.tolist())}
        for label in weights:
            if label not in index:
                raise ValueError(f"class_weight has the class {label!r}, which y does not have")
        return {index[label]: weight for label, weight in weights.items()} or None

    def fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : (N, n) array_like
        y : (N,) array_like
            Labels of any kind, of at least two classes.
        sample_weight : (N,) array_like, optional
            Not negative, and not 0 for all samples to train on or all that are held out.

        Returns
        -------
        NetworkClassifier
            The estimator itself.
        """
        X, y = self._check(X, y, reset=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._begin(X)
        return self._train(X, labels, self._weights(sample_weight, X), self.epochs)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on a part of the data; the first call makes the network.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array_like
            All classes of all calls.  The first call needs it; in later calls it must be the
            same.

        Returns
        -------
        NetworkClassifier
            The estimator itself.
        """
        self._refuse_parts()
        if isinstance(self.class_weight, str):
            raise ValueError(
                "partial_fit does not go with class_weight='balanced': a part of the data does not "
                "have the counts of all; give the weights in a dict"
            )
        first = not hasattr(self, "network_")
        if first and classes is None:
            raise ValueError("the first call of partial_fit needs classes")
        X, y = self._check(X, y, reset=first)
        if first:
            self.classes_ = np.unique(column_or_1d(classes))
            self._begin(X)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes is {classes}, but at first it was {self.classes_.tolist()}")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has the class {unknown.tolist()[0]!r}, which is not among the classes"
            )
        labels = np.searchsorted(self.classes_, y)
        return self._train(X, labels, self._weights(sample_weight, X), 1)

    def predict(self, X: object) -> np.ndarray:
        """The most probable class of each row of X, (N,)."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[best]
        return labels

    def predict_proba(self, X: object) -> np.ndarray:
        """The probability of each class for each row of X, (N, K) in the order of `classes_`."""
        X = self._inputs(X)
        probabilities: np.ndarray = self.network_.predict_proba(X, check_finite=False)
        return probabilities

    def _begin(self, X: np.ndarray) -> None:
        if len(self.classes_) < 2:
            only = self.classes_.tolist()[0]
            raise ValueError(f"a classifier needs at least 2 classes, got one class only: {only!r}")
        self._build(X.shape[1], len(self.classes_), X.dtype)

    def _check(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        dtype = self._types() if reset else self.network_.dtype
        X, y = validate_data(self, X, y, dtype=dtype, order="C", reset=reset)
        check_classification_targets(y)
        return X, column_or_1d(y)


class NetworkRegressor(RegressorMixin, _NetworkEstimator):
    """A dense network for regression, trained on the mean squared error.

    Several targets can be learnt at once.

    Parameters
    ----------
    hidden, activation, dropout, optimizer, learning_rate, alpha, batch_size, epochs
        As in `NetworkClassifier`.
    early_stopping, validation_fraction, patience, callbacks, weights_mean
        As in `NetworkClassifier`.
    dtype, random_state, verbose
        As in `NetworkClassifier`.

    Attributes
    ----------
    network_, history_, n_iter_, callbacks_, n_features_in_, feature_names_in_
        As in `NetworkClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.estimators.estimators import NetworkRegressor
    >>> X = np.linspace(-3, 3, 200)[:, None]
    >>> model = NetworkRegressor((32, 32), "tanh", epochs=100, random_state=0)
    >>> bool(model.fit(X, np.sin(X[:, 0])).score(X, np.sin(X[:, 0])) > 0.95)
    True
    """

    _loss = "mean_squared_error"

    def fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : (N, n) array_like
        y : (N,) or (N, K) array_like
        sample_weight : (N,) array_like, optional
            Not negative.

        Returns
        -------
        NetworkRegressor
            The estimator itself.
        """
        X, y = self._check(X, y, reset=True)
        self._begin(X, y)
        return self._train(X, y, self._weights(sample_weight, X), self.epochs)

    def partial_fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Train for one epoch on a part of the data; the first call makes the network.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        NetworkRegressor
            The estimator itself.
        """
        self._refuse_parts()
        first = not hasattr(self, "network_")
        X, y = self._check(X, y, reset=first)
        if first:
            self._begin(X, y)
        elif y.shape[1:] != self._target_shape:
            raise ValueError(f"y must have shape {('N', *self._target_shape)}, got {y.shape}")
        return self._train(X, y, self._weights(sample_weight, X), 1)

    def predict(self, X: object) -> np.ndarray:
        """The predicted targets, (N,) or (N, K) as in `fit`."""
        X = self._inputs(X)
        outputs: np.ndarray = self.network_.predict(X, check_finite=False)
        return outputs.reshape(len(X), *self._target_shape)

    def _begin(self, X: np.ndarray, y: np.ndarray) -> None:
        self._target_shape = y.shape[1:]
        self._build(X.shape[1], y.shape[1] if y.ndim > 1 else 1, X.dtype)

    def _check(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        dtype = self._types() if reset else self.network_.dtype
        X, y = validate_data(
            self, X, y, dtype=dtype, order="C", reset=reset, multi_output=True, y_numeric=True
        )
        # A column is one target, as everywhere in scikit-learn, which warns of it.
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
