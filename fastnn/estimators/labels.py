"""Classes: how labels become targets of a network, and its outputs become labels again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastnn import functional
from fastnn.formats._fitted import Classes
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, CustomLoss, Loss


@dataclass(frozen=True)
class Labels:
    """The classes of a classifier.

    Attributes
    ----------
    classes : (K,) array
        In ascending order.
    is_multilabel : bool
        Whether a sample may have several of the classes, or none: y has a column for each.
    has_softmax : bool
        Whether the outputs are logits of all classes together; otherwise each output is the logit
        of a class of its own, and of two classes the second has the only output.
    """

    classes: np.ndarray
    is_multilabel: bool
    has_softmax: bool

    @classmethod
    def of(cls, y: Any, loss: Any, classes: Any = None) -> Labels:
        """The labels of y, or the `classes` that the caller names.

        Raises
        ------
        ValueError
            If y is no target of classification, or the loss does not fit it.
        """
        check_classification_targets(y)
        is_multilabel = type_of_target(y).startswith("multilabel")
        if classes is None or is_multilabel:
            binarizer = LabelBinarizer().fit(y)
            present = binarizer.classes_
            named = present if classes is None else unique_labels(classes)
            if not np.array_equal(present, named):
                raise ValueError(
                    f"classes must be {present.tolist()}, the columns of y, got {named.tolist()}"
                )
        else:
            present = unique_labels(classes)
        softmax = _has_softmax(loss, len(present), is_multilabel)
        return cls(present, is_multilabel, softmax)

    @property
    def n_outputs(self) -> int:
        """Number of outputs of a network for these classes."""
        all_classes = self.is_multilabel or self.has_softmax
        return len(self.classes) if all_classes else 1

    @property
    def meaning(self) -> Classes:
        """What the outputs mean, for other programs.

        Raises
        ------
        ValueError
            If there is one class only.
        """
        if self.is_multilabel:
            return Classes(self.classes, "labels")
        if len(self.classes) < 2:
            raise ValueError(f"the model has one class only, {self.classes.tolist()[0]!r}")
        return Classes(self.classes, "softmax" if self.has_softmax else "sigmoid")

    def loss(self, loss: Any) -> tuple[Any, float]:
        """The loss of a network and its weight; that of "log_loss" is a sum over the columns."""
        if loss != "log_loss":
            return loss, 1.0
        if self.has_softmax:
            return CrossEntropy(), 1.0
        return BinaryCrossEntropy(), float(self.n_outputs)

    def encode(self, y: Any, loss: Any) -> np.ndarray:
        """The targets of a network: indices (N,) of classes, or rows (N, n_outputs) of 0 and 1."""
        if self.is_multilabel:
            rows = y.toarray() if issparse(y) else np.asarray(y)
            return rows.astype(np.float64)
        codes: np.ndarray = np.searchsorted(self.classes, y)
        if not self.has_softmax:
            return codes[:, None].astype(np.float64)
        if isinstance(loss, CustomLoss) and loss.options["target"] != "labels":
            return np.eye(len(self.classes))[codes]
        return codes

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The labels (N,), or rows (N, K) of 0 and 1, of the outputs of a network."""
        if self.is_multilabel:
            return (outputs > 0).astype(int)
        if self.has_softmax:
            chosen = outputs.argmax(axis=1)
        else:
            chosen = (outputs[:, 0] > 0).astype(int) * (len(self.classes) > 1)
        labels: np.ndarray = self.classes[chosen]
        return labels

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """The probabilities (N, K) of the classes."""
        if self.has_softmax:
            return functional.softmax(outputs)
        return functional.sigmoid(self._signed(outputs))

    def _signed(self, outputs: np.ndarray) -> np.ndarray:
        """Logits (N, K) of the classes: those of two classes, or of one, belong together."""
        if self.is_multilabel:
            return outputs
        if len(self.classes) == 1:
            return np.full_like(outputs, np.inf)
        return np.hstack([-outputs, outputs])


def _has_softmax(loss: Any, n_classes: int, is_multilabel: bool) -> bool:
    """Whether the loss takes all classes together.

    Raises
    ------
    ValueError
        If it does not fit the labels.
    """
    if isinstance(loss, str) and loss == "log_loss":
        return n_classes > 2 and not is_multilabel
    activation = loss.activation if isinstance(loss, Loss) else None
    if activation is None:
        raise ValueError(
            f"loss must be 'log_loss' or a loss with probabilities, got {loss!r}: give a "
            "CustomLoss an activation"
        )
    if activation == "softmax" and is_multilabel:
        raise ValueError(f"loss {loss!r} has one class for a sample, but y has several labels")
    if activation == "sigmoid" and n_classes > 2 and not is_multilabel:
        raise ValueError(f"loss {loss!r} is for two classes or several labels, got {n_classes}")
    return activation == "softmax"
