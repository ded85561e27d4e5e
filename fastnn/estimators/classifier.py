"""A multilayer perceptron for classification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import column_or_1d

from fastnn import losses
from fastnn._shared.arrays import as_weights
from fastnn.estimators import data
from fastnn.estimators.conversion import parameters_of
from fastnn.estimators.data import Rows
from fastnn.estimators.labels import Labels
from fastnn.estimators.parameters import CONSTRAINTS
from fastnn.estimators.perceptron import Perceptron, check_solver
from fastnn.formats._fitted import Classes
from fastnn.network._feed import balanced

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, Perceptron):
    """A multilayer perceptron for classification, with scikit-learn's parameters and more.

    It takes the parameters of ``sklearn.neural_network.MLPClassifier`` with their meaning, and
    with the same `random_state` it draws the same initial values, batches and held-out rows.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, int or str, default (100,)
        Widths of the hidden layers; text has them between commas, as "64,32".  Empty for a linear
        model.
    activation : str, Activation, or a sequence of one for each hidden layer, default "relu"
        "identity", "logistic", "tanh", "relu", or any other name or object of `fastnn.Activation`.
    solver : str, Optimizer or Solver, default "adam"
        "sgd" and "adam" are those of scikit-learn.  "lbfgs" trains on all samples at once, and is
        often the best choice for small data.  Any other name of `fastnn.optimizers` takes
        `learning_rate_init`; an object has a learning rate of its own.
    alpha : float, default 0.0001
        alpha / 2 times the sum of the squared weights, divided by the number of samples of the
        batch (or their total weight), is added to the mean loss.
    batch_size : int or "auto", default "auto"
        Number of rows of a batch; "auto" is 200, or all samples if there are fewer.  A solver that
        takes all samples at once, such as "lbfgs", has none.
    learning_rate : {"constant", "invscaling", "adaptive"} or Schedule, default "constant"
        "invscaling" gives ``learning_rate_init / (t + 1) ** power_t`` after t samples, epoch by
        epoch.  "adaptive" divides the rate by 5 where a constant one would end the training, until
        it is 1e-6.  These two are for "sgd" and for the optimizers that scikit-learn does not
        have.  A `Schedule` is a function of the optimizer's steps, for any of them.
    learning_rate_init : float, default 0.001
        Learning rate, or its first value.
    power_t : float, default 0.5
        Exponent of "invscaling".
    max_iter : int, default 200
        Largest number of epochs, or of iterations of a solver.
    shuffle : bool, default True
        Visit the samples of each epoch in a new random order.
    random_state : int, RandomState or None
        Source of initial values, batches, held-out samples and dropout.
    tol : float, default 0.0001
        Tolerance: a loss that is not lower by `tol`, or with early stopping a score that is not
        higher by it, is no improvement.  For "lbfgs" also the tolerance of the gradient.
    verbose : bool or int, default False
        Print a line for each epoch.
    warm_start : bool, default False
        Let `fit` begin with the parameters of the last training.
    momentum : float, default 0.9
        For "sgd", in [0, 1).
    nesterovs_momentum : bool, default True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default False
        Hold out a part of the samples, or take the caller's own (see `fit`), end the training once
        their score has stopped rising, and keep the parameters of the best score.
    validation_fraction : float, default 0.1
        Share of the samples that is held out, for early stopping or for a callback whose `monitor`
        begins with ``"val_"``.
    beta_1, beta_2 : float, default 0.9 and 0.999
        Decay rates of the averages of "adam", in [0, 1).
    epsilon : float, default 1e-8
        For "adam": added to the root of the average that is not corrected for its bias, as in
        scikit-learn; see `fastnn.BiasCorrection`.
    n_iter_no_change : int or inf, default 10
        The training ends after more successive epochs than this without an improvement.
    max_fun : int, default 15000
        Largest number of evaluations of the loss by "lbfgs".
    loss : str or Loss, default "log_loss"
        "log_loss" is the cross-entropy; for several labels of a sample, the sum of the binary ones.
        Any loss of fastnn that has probabilities takes its place, such as
        ``CrossEntropy(label_smoothing=0.1)``.
    class_weight : dict from class to weight, or "balanced", optional
        Multiplies the weight of each sample by the weight of its class, 1 for classes that the
        dict leaves out, in training and in the score of early stopping.  "balanced" gives a class
        the weight n / (K count), for n samples of K classes; samples count by their weights.
    dropout : float, default 0
        Rate of the dropout after each hidden layer.
    weights_mean : {"batch", "data", "count"}, default "batch"
        What the weighted losses of a batch are divided by, as in `Network.fit`; "batch" is
        scikit-learn's.  It makes a difference with `sample_weight` or `class_weight`.
    callbacks : Callback, function, or several of them, optional
        As in `Network.fit`, such as `ReduceOnPlateau`.  Each training has copies of the callbacks
        that are objects: `callbacks_`.
    dtype : {"float32", "float64"}, optional
        Data type of parameters and computations.  By default that of X: float32 stays, any
        other type becomes float64.
    precision : {"float32", "bfloat16"}, default "float32"
        What the products of large layers multiply, as in `Network.compile`.  With "bfloat16" the
        data type is float32 by default.
    n_jobs : int, optional
        Largest number of threads; -1 is all.  By default the limit of `fastnn.set_num_threads`.
        The processes of a search share the cores by themselves; in its threads (joblib's backend
        "threading"), give 1.

    Attributes
    ----------
    classes_ : (K,) array
        The classes.
    coefs_ : list of (n_in, n_out) array
        The weights of each layer: live views, into which assignments copy.
    intercepts_ : list of (n_out,) array
        The biases of each layer.
    loss_ : float
        The loss of the last epoch, with the penalty.
    loss_curve_ : list of float
        The loss of each epoch.
    best_loss_ : float or None
        The least of them; None with early stopping.
    validation_scores_ : list of float or None
        With early stopping, the accuracy of the held-out samples after each epoch.
    best_validation_score_ : float or None
        The highest of them.
    n_iter_ : int
        Epochs of the last training, or iterations of the solver.
    t_ : int
        Number of samples that the training has seen.
    n_layers_, n_outputs_ : int
        Number of layers, inputs included, and of outputs.
    out_activation_ : {"softmax", "logistic"}
        Function from outputs to probabilities.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of str
        Their names, if X had any.
    network_ : Sequential
        The trained network.
    history_ : History
        What each epoch measured: with held-out samples also their loss.
    callbacks_ : list of Callback
        The copies of the callbacks that the last training used.

    Notes
    -----
    Ctrl-C ends `fit` with a KeyboardInterrupt, so that a search over many fits ends too; the
    estimator can predict.  Where the loss becomes infinite or nan, `fit` raises ValueError, or with
    early stopping keeps the parameters of the best epoch and warns.

    Examples
    --------
    >>> from fastnn.estimators import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=400, random_state=0))
    >>> bool(model.fit(X, y).score(X, y) > 0.9)
    True
    """

    _parameter_constraints: dict[str, Any] = CONSTRAINTS | {
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    classes_: np.ndarray

    # scikit-learn reads the names of the parameters from this signature.
    def __init__(
        self,
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
        loss: Any = "log_loss",
        class_weight: Any = None,
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
        y : (N,) array_like, or (N, K) of 0 and 1
            Labels of any kind, or a column for each of several labels that a sample may have.
        sample_weight : (N,) array_like, optional
            Not negative, and not 0 for all samples to train on or all that are held out.
        X_val, y_val, sample_weight_val : array_like, optional
            Samples to validate on; nothing is held out then.

        Returns
        -------
        MLPClassifier
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
        classes: Any = None,
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
        classes : array_like
            All classes of all calls.  The first call needs it; in later calls it must be the
            same.
        X_val, y_val, sample_weight_val : array_like, optional
            Samples to validate on, which ``early_stopping=True`` needs.  After more than
            `n_iter_no_change` successive calls without a higher score, the parameters become those
            of the best call, and a later call begins to count anew.

        Returns
        -------
        MLPClassifier
            The estimator itself.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "partial_fit does not go with class_weight='balanced': a part of the data does not "
                "have the counts of all; give the weights in a dict"
            )
        self._name_classes(y, classes)
        return self._fit(X, y, sample_weight, data.validation_of(X_val, y_val, sample_weight_val),
                         True)  # fmt: skip

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """A fitted classifier that predicts what one of scikit-learn predicts.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier
            Fitted.

        Returns
        -------
        MLPClassifier
            With the parameters, the coefficients, the measures and the state of the optimizer of
            the model, in its dtype: `partial_fit` goes on as that of the model would.

        Raises
        ------
        TypeError
            If the model is something else.
        ValueError
            If it is not fitted.
        """
        from sklearn.neural_network import MLPClassifier as Theirs

        estimator = cls(**parameters_of(model, Theirs, cls))
        has_softmax = model.out_activation_ == "softmax"
        is_multilabel = not has_softmax and model.n_outputs_ > 1
        estimator._labels = Labels(model.classes_, is_multilabel, has_softmax)
        return estimator._take(model)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row of X, (N,); for several labels (N, K) of 0 and 1."""
        outputs = self._outputs(X)
        return self._labels.decode(outputs)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class for each row of X, (N, K) in the order of `classes_`."""
        outputs = self._outputs(X)
        return self._labels.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of the probabilities, (N, K), -inf where a probability is 0."""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(probabilities)

    def _meaning(self) -> Classes:
        return self._labels.meaning

    # ------------------------------------------------------------ classes

    def _name_classes(self, y: Any, classes: Any) -> None:
        """Take the classes that the first call of `partial_fit` names.

        Raises
        ------
        ValueError
            If the first call has none, or a later one has others.
        """
        has_classes = hasattr(self, "classes_")
        if classes is None:
            if not has_classes:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return
        named = unique_labels(classes)
        if has_classes and not np.array_equal(self.classes_, named):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        if not has_classes:
            self._labels = Labels.of(y, self._loss(), named)
            self.classes_ = self._labels.classes

    def _loss(self) -> Any:
        """The loss, "log_loss" or a `Loss`."""
        return self.loss if self.loss == "log_loss" else losses.get(self.loss)

    def _read(self, X: Any, y: Any, starts: bool, incremental: bool) -> tuple[np.ndarray, Any]:
        reset = starts and not (incremental and hasattr(self, "coefs_"))
        X, y = data.read_samples(self, X, y, self._input_dtypes(starts), reset=reset)
        y = _as_labels(y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._labels = Labels.of(y, self._loss())
            self.classes_ = self._labels.classes
        else:
            self._check_classes(y)
        return X, self._labels.encode(y, self._loss())

    def _check_classes(self, y: Any) -> None:
        """Raise ValueError if y has other classes than the training so far."""
        present = unique_labels(y)
        unseen = np.setdiff1d(present, self.classes_)
        if self.warm_start:
            if set(present) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {present}"
                )
        elif len(unseen):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {present}."
            )

    def _read_validation(self, X: Any, y: Any) -> tuple[np.ndarray, Any]:
        X, y = data.read_samples(self, X, y, self.network_.dtype)
        y = _as_labels(y)
        unseen = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unseen):
            raise ValueError(f"y_val has classes that y does not have: {unseen.tolist()}")
        return X, self._labels.encode(y, self._loss())

    # ----------------------------------------------------------- training

    def _outputs_for(self, targets: np.ndarray) -> int:
        return self._labels.n_outputs

    def _loss_and_weight(self) -> tuple[Any, float]:
        return self._labels.loss(self._loss())

    def _out_activation(self) -> str:
        return "softmax" if self._labels.has_softmax else "logistic"

    def _strata(self, targets: np.ndarray) -> Any:
        # As scikit-learn divides them: two classes in proportion, and more at random.
        labels = self._labels
        is_binary = not labels.is_multilabel and len(labels.classes) <= 2
        return self._codes(targets)[:, None].astype(bool) if is_binary else None

    def _codes(self, targets: np.ndarray) -> np.ndarray:
        """The index of each sample's class, from the targets of the network."""
        if targets.ndim == 1:
            return targets
        codes: np.ndarray = targets[:, 0] if targets.shape[1] == 1 else targets.argmax(axis=1)
        return codes.astype(np.int64)

    def _weighed(self, rows: Rows, own: Rows | None) -> tuple[Rows, Rows | None]:
        by_class = self._class_weights(rows)
        if by_class is None:
            return rows, own
        weighed, others = (
            None if part is None else part.weighed(by_class[self._codes(part.targets)])
            for part in (rows, own)
        )
        assert weighed is not None
        if not weighed.total:
            raise ValueError("class_weight gives every sample the weight 0")
        return weighed, others

    def _class_weights(self, rows: Rows) -> np.ndarray | None:
        """The weight of each class, (K,), from the rows to train on."""
        weights = self.class_weight
        if weights is None or (isinstance(weights, Mapping) and not weights):
            return None
        classes = self.classes_.tolist()
        if self._labels.is_multilabel:
            raise ValueError(
                "class_weight weighs samples by the one class that they have, but y has several "
                "labels: give loss=BinaryCrossEntropy(pos_weight=...) instead"
            )
        if isinstance(weights, str):
            counts = np.bincount(self._codes(rows.targets), rows.counts, len(classes))
            return np.array(balanced(counts))
        index = {label: i for i, label in enumerate(classes)}
        for label in weights:
            if label not in index:
                raise ValueError(f"class_weight has the class {label!r}, which y does not have")
        by_class = np.ones(len(classes))
        values = as_weights(list(weights.values()), "class_weight", (len(weights),))
        by_class[[index[label] for label in weights]] = values
        return by_class

    def _scoring(self, rows: Rows) -> Callable[[dict[str, float]], float]:
        if not self._labels.is_multilabel:
            return lambda logs: logs["val_accuracy"]
        network, weights = self.network_, rows.counts

        def score(logs: dict[str, float]) -> float:
            # The share of samples all of whose labels are right, as accuracy_score has it.
            right = (network.predict(rows.X, check_finite=False) > 0) == (rows.targets > 0)
            return float(np.average(right.all(axis=1), weights=weights))

        return score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        activation = None if self.loss == "log_loss" else getattr(self.loss, "activation", None)
        tags.classifier_tags.multi_label = activation != "softmax" and not self.class_weight
        tags.classifier_tags.multi_class = activation != "sigmoid"
        return tags


def _as_labels(y: Any) -> Any:
    """Labels (N,), or a column for each of several labels."""
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
