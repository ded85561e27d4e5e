"""Networks from the multi-layer perceptrons of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.formats._program import assemble
from fastnn.layers import Dense, Input
from fastnn.layers._tensor import Tensor
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError, Poisson
from fastnn.network import Network
from fastnn.optimizers import Adam, GradientDescent, Momentum, Optimizer
from fastnn.solvers import LBFGS, Solver

_ACTIVATIONS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
_LOSSES: dict[str, type[Loss]] = {
    "softmax": CrossEntropy,
    "logistic": BinaryCrossEntropy,
    "identity": MeanSquaredError,
    "exp": Poisson,
}
"""The loss whose probabilities or expected targets are what the last function of a model gives."""


def from_sklearn(model: Any) -> Network:
    """The network of a fitted multi-layer perceptron of scikit-learn, compiled as it was.

    Parameters
    ----------
    model : sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted.

    Returns
    -------
    Network
        In the dtype of the model.  Its loss and optimizer take the same steps as the model
        does, from a fresh state of the optimizer.  What the model calls ``predict_proba`` is
        `Network.predict_proba` (for two classes, the column of the second), and
        ``predict`` of a regressor is `Network.predict_mean`.  ``metadata["classes"]`` has the
        classes, if they are numbers or text, in the order of the outputs.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError
        If the model is neither of the two.
    ValueError
        If the model is not fitted, or if its parameters are not finite.

    Notes
    -----
    The L2 penalty of scikit-learn is ``alpha`` divided by the number of rows of a batch.  A model
    that "lbfgs" fitted does not keep that number: its network has no penalty.  A schedule of the
    learning rate is not taken over, only its first rate.

    Examples
    --------
    >>> from sklearn.neural_network import MLPClassifier  # doctest: +SKIP
    >>> net = fastnn.formats.from_sklearn(MLPClassifier().fit(X, y))  # doctest: +SKIP
    """
    _check(model)
    weights, biases = model.coefs_, model.intercepts_
    dtype = np.result_type(*weights, *biases)
    source = Input(len(weights[0]))
    tensor: Tensor = source
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        is_last = i == len(weights) - 1
        function = None if is_last else _ACTIVATIONS[model.activation]
        layer = Dense(len(weight), len(bias), function, weight=weight, bias=bias, dtype=dtype)
        tensor = layer(tensor)
    net = assemble([source], [tensor], dtype)
    _compile(net, model, tensor.width)
    classes = getattr(model, "classes_", None)
    if classes is not None and np.asarray(classes).dtype.kind in "biuU":
        net.metadata["classes"] = np.asarray(classes).tolist()
    return net


def _check(model: Any) -> None:
    """Raise unless the model is a fitted perceptron of scikit-learn with finite parameters."""
    try:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
    except ImportError as error:
        raise ImportError(
            'from_sklearn needs scikit-learn 1.7 or newer: pip install "fastnn[sklearn]"'
        ) from error
    if not isinstance(model, MLPClassifier | MLPRegressor):
        raise TypeError(
            f"model must be an MLPClassifier or MLPRegressor of scikit-learn, got {model!r:.200}"
        )
    name = type(model).__name__
    if not hasattr(model, "coefs_"):
        raise ValueError(f"the {name} is not fitted: call its fit first")
    for i, array in enumerate([*model.coefs_, *model.intercepts_]):
        if not np.isfinite(array).all():
            layer, what = (
                i % len(model.coefs_),
                "coefs_" if i < len(model.coefs_) else "intercepts_",
            )
            raise ValueError(f"{what}[{layer}] of the {name} is not finite")


def _compile(net: Network, model: Any, width: int) -> None:
    """Give the network the loss, the penalty and the optimizer of the model.

    Squared errors are halved there, and the errors of several columns are summed, not averaged.
    """
    function = model.out_activation_
    weight = {"softmax": 1.0, "identity": 0.5 * width}.get(function, float(width))
    net.compile(
        _LOSSES[function](),
        _optimizer(model),
        l2=_penalty(model),
        loss_weights={net.core.output_names[0]: weight},
    )


def _optimizer(model: Any) -> Optimizer | Solver:
    """The optimizer of the model, in a fresh state."""
    rate = float(model.learning_rate_init)
    if model.solver == "adam":
        return Adam(rate, beta1=model.beta_1, beta2=model.beta_2, epsilon=model.epsilon)
    if model.solver == "sgd" and model.momentum == 0:
        return GradientDescent(rate)
    if model.solver == "sgd":
        return Momentum(rate, momentum=model.momentum, nesterov=model.nesterovs_momentum)
    return LBFGS()


def _penalty(model: Any) -> float:
    """``alpha`` over the rows of a batch; 0 where these are unknown."""
    rows = model.t_ // max(model.n_iter_, 1)
    if rows == 0:
        return 0.0
    batch = min(200, rows) if model.batch_size == "auto" else min(model.batch_size, rows)
    return float(model.alpha) / float(batch)
