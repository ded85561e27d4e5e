"""Networks that are trained already, as fitted scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from fastnn.ensemble import Ensemble
from fastnn.losses import Loss
from fastnn.network import Network

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_array
except ImportError as error:
    raise ImportError(
        'fastnn.estimators needs scikit-learn 1.7 or newer: pip install "fastnn[sklearn]"'
    ) from error

__all__ = ["TrainedClassifier", "TrainedRegressor", "as_estimator"]


def as_estimator(
    network: Network | Ensemble, classes: Sequence[Any] | np.ndarray | None = None
) -> TrainedClassifier | TrainedRegressor:
    """A trained network as a fitted scikit-learn estimator.

    The estimator predicts, and never trains: it is for the tools that look at a fitted model, such
    as `permutation_importance` and `PartialDependenceDisplay`.  Tools that fit their estimators
    again take it in a `sklearn.frozen.FrozenEstimator`, as `CalibratedClassifierCV` does, or by
    ``cv="prefit"``, as `StackingClassifier` does.

    Parameters
    ----------
    network : Network or Ensemble
        Compiled, with one input and one output: the loss says what the outputs mean.  The
        estimator predicts with the parameters that the network has at that moment.
    classes : (K,) array_like, optional
        The labels of the classes, in the order of the network's outputs; 0 to K - 1 by default.

    Returns
    -------
    TrainedClassifier or TrainedRegressor
        A classifier, if the loss gives probabilities: of K classes for a cross-entropy, of 2 for
        a binary cross-entropy on one output, of K labels that are 0 or 1 each on K outputs.

    Raises
    ------
    TypeError, ValueError
        If the network is none, has several inputs or outputs, or is not compiled, or if the
        classes are not those of its outputs.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> from fastnn.estimators import as_estimator
    >>> X = np.random.default_rng(0).normal(size=(90, 2))
    >>> y = (X[:, 0] > 0).astype(int)
    >>> net = fnn.Sequential([fnn.Dense(2, 8, activation="tanh"), fnn.Dense(8, 2)])
    >>> net.compile(loss="cross_entropy", optimizer=fnn.Adam(0.05))
    >>> history = net.fit(X, y, epochs=30, verbose=0)
    >>> model = as_estimator(net, classes=["left", "right"])
    >>> bool(model.score(X, np.array(["left", "right"])[y]) > 0.9)
    True
    """
    if _loss(network).activation is not None:
        return TrainedClassifier(network, classes)
    if classes is not None:
        raise ValueError(
            f"classes need a classification loss, but the loss of the network is "
            f"{_loss(network).name}"
        )
    return TrainedRegressor(network)


def _loss(network: Any) -> Loss:
    """The one loss of a compiled network with one input and one output, or of an ensemble."""
    first = network.members[0] if isinstance(network, Ensemble) else network
    if not isinstance(first, Network):
        raise TypeError(f"network must be a Network or an Ensemble, got {type(network).__name__}")
    for ends, what in ((first.graph.inputs, "inputs"), (first.graph.outputs, "outputs")):
        if len(ends) > 1:
            raise ValueError(
                f"an estimator has one array X and one y, but the network has {len(ends)} {what}: "
                "build a network that concatenates them"
            )
    if not first.losses:
        raise ValueError(
            "the network is not compiled: its loss says whether it is a classifier, "
            "compile(loss=..., optimizer=...) first"
        )
    (loss,) = first.losses.values()
    return loss


def _only(value: Any) -> np.ndarray:
    """The array of the one output, which comes in a dict if it has a name."""
    array: np.ndarray
    (array,) = value.values() if isinstance(value, dict) else (value,)
    return array


class _Trained(BaseEstimator):
    """What both kinds have in common: the network, its inputs, no training."""

    network: Any

    @property
    def _first(self) -> Network:
        """The network, or the first of an ensemble."""
        first: Network = self.network.members[0] if self._is_ensemble else self.network
        return first

    @property
    def _is_ensemble(self) -> bool:
        return isinstance(self.network, Ensemble)

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return int(self._first.graph.inputs[0].width)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Raise TypeError: a trained network stays as it is."""
        raise TypeError(
            f"{type(self).__name__} holds a trained network, which is not fitted again: put it "
            'into sklearn.frozen.FrozenEstimator, or take cv="prefit"; the estimators that train '
            "are MLPClassifier and MLPRegressor"
        )

    def _inputs(self, X: Any) -> np.ndarray:
        """X as the network takes it, with the words of scikit-learn where it does not fit."""
        X = check_array(X, dtype=self._first.dtype, order="C", input_name="X", estimator=self)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return np.asarray(X)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Self:
        """The same trained network: there is nothing that a clone would have to forget."""
        return type(self)(**self.get_params(deep=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.target_tags.required = False
        tags.target_tags.multi_output = self._first.graph.outputs[0].width > 1
        return tags


class TrainedClassifier(ClassifierMixin, _Trained):
    """A trained network as a fitted classifier; `as_estimator` makes it.

    Parameters
    ----------
    network : Network or Ensemble
    classes : (K,) array_like, optional
        Labels in the order of the network's outputs.
    """

    def __init__(self, network: Any, classes: Any = None) -> None:
        self.network = network
        self.classes = classes
        self._order()  # refuses a network or classes that do not fit

    @property
    def classes_(self) -> np.ndarray:
        """The classes (K,) in ascending order, as everywhere in scikit-learn."""
        return self._labels()[self._order()]

    @property
    def _is_multilabel(self) -> bool:
        width = self._first.graph.outputs[0].width
        return _loss(self.network).activation == "sigmoid" and width > 1

    def _labels(self) -> np.ndarray:
        """The labels in the order of the outputs."""
        loss, width = _loss(self.network), self._first.graph.outputs[0].width
        if loss.activation is None:
            raise ValueError(f"the loss of the network is {loss.name}, which knows no classes")
        n = 2 if loss.activation == "sigmoid" and width == 1 else width
        labels = np.arange(n) if self.classes is None else np.asarray(self.classes)
        if labels.shape != (n,) or len(np.unique(labels)) < n:
            raise ValueError(
                f"classes must be {n} different labels, one for each output of the network, "
                f"got {self.classes!r}"
            )
        return labels

    def _order(self) -> np.ndarray:
        """The places of `classes_` among the labels."""
        labels = self._labels()
        return np.arange(len(labels)) if self._is_multilabel else np.argsort(labels)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row of X, (N,); of several labels 0 or 1, (N, K)."""
        found = _only(self.network.predict_classes(self._inputs(X), check_finite=False))
        return found if self._is_multilabel else self._labels()[found]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class for each row of X, (N, K) in the order of `classes_`."""
        p = _only(self.network.predict_proba(self._inputs(X), check_finite=False))
        if p.shape[1] == 1:
            p = np.column_stack([1 - p, p])
        return p[:, self._order()]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        tags.classifier_tags.multi_class = len(self._labels()) > 2
        tags.classifier_tags.multi_label = self._is_multilabel
        return tags


class TrainedRegressor(RegressorMixin, _Trained):
    """A trained network as a fitted regressor; `as_estimator` makes it.

    Parameters
    ----------
    network : Network or Ensemble
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        if _loss(network).activation is not None:
            raise ValueError("the network gives probabilities: as_estimator makes a classifier")

    def predict(self, X: Any) -> np.ndarray:
        """What the loss expects of the targets: (N,) for one output, else (N, K)."""
        X = self._inputs(X)
        members = self.network.members if self._is_ensemble else [self.network]
        means = [_only(member.predict_mean(X, check_finite=False)) for member in members]
        mean: np.ndarray = np.mean(means, axis=0) if len(means) > 1 else means[0]
        return mean[:, 0] if mean.shape[1] == 1 else mean
