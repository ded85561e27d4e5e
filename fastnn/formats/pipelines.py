"""Fitted models inside pipelines that skl2onnx converts.

skl2onnx asks an estimator that it does not know for `onnx_parser`, `onnx_shape_calculator` and
`onnx_converter`.  An estimator that inherits from `Convertible` has them, and nothing needs to be
registered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.formats._fitted import Classes, Fitted, Number
from fastnn.formats.onnx_fitted import (
    LABEL,
    PROBABILITIES,
    Source,
    add_fitted,
    add_label,
    labels_of,
)
from fastnn.formats.onnx_nodes import OLDEST, Nodes

_ML_VERSIONS = {"LabelEncoder": 2, "ZipMap": 1}
"""The versions of operators of ai.onnx.ml: the first that do what is needed here."""

_KINDS = {"StringTensorType": "text", "BooleanTensorType": "boolean", "Int64TensorType": "integer"}


class Convertible:
    """What skl2onnx asks of an estimator; the estimator describes itself by `_fitted_model`."""

    alias = "SklearnMLPClassifier"
    """Among skl2onnx's own converters, the one whose options, such as ``zipmap``, it takes."""

    def _fitted_model(self) -> Fitted:
        """The fitted model.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        ValueError
            If it has a part that no format can express.
        """
        raise NotImplementedError

    def onnx_parser(self) -> Callable[..., Any]:
        """For skl2onnx: a function that declares the outputs."""
        return lambda scope=None, inputs=None: _outputs(self, scope, inputs)

    def onnx_shape_calculator(self) -> Callable[[Any], None]:
        """For skl2onnx: a function that sets the shapes of the outputs."""
        return lambda operator: _set_shapes(self._fitted_model(), operator)

    def onnx_converter(self) -> Callable[[Any, Any, Any], None]:
        """For skl2onnx: a function that adds the nodes."""
        return lambda scope, operator, container: _convert(
            self._fitted_model(), self, scope, operator, container
        )


def _outputs(estimator: Convertible, scope: Any, inputs: Any) -> list[Any]:
    """The variables of the outputs: label and probabilities, or one of numbers.

    With the option ``zipmap``, which is on unless it is switched off, the probabilities are a
    sequence of maps from classes to numbers; "columns" gives each class an output of its own.
    """
    from skl2onnx.common.data_types import (
        DictionaryType,
        FloatTensorType,
        SequenceType,
        guess_tensor_type,
    )

    model = estimator._fitted_model()
    kind = guess_tensor_type(_first_number(inputs).type)
    if isinstance(model.meaning, Number):
        return [scope.declare_local_variable("variable", kind)]
    label = _label_type(model.meaning, [None])
    zipmap = _zipmap(estimator, scope) if model.meaning.link != "labels" else False
    if zipmap == "columns":
        letter = "s" if labels_of(model.meaning).dtype == object else "i"
        names = [f"{letter}{name}" for name in model.meaning.labels]
        outputs = [scope.declare_local_variable("output_label", label)]
        return outputs + [scope.declare_local_variable(name, type(kind)()) for name in names]
    if zipmap:
        maps = SequenceType(DictionaryType(label, FloatTensorType()))  # all that ZipMap makes
        return [
            scope.declare_local_variable("output_label", label),
            scope.declare_local_variable("output_probability", maps),
        ]
    return [
        scope.declare_local_variable(LABEL, label),
        scope.declare_local_variable(PROBABILITIES, kind),
    ]


def _first_number(inputs: Any) -> Any:
    """The first input that decides about float or double: one that is double, if any is."""
    doubles = [one for one in inputs if type(one.type).__name__ == "DoubleTensorType"]
    floats = [one for one in inputs if type(one.type).__name__ == "FloatTensorType"]
    return (doubles or floats or list(inputs))[0]


def _zipmap(estimator: Convertible, scope: Any) -> Any:
    """The option of a user for this estimator, or for its class."""
    options = scope.options or {}
    for key in (id(estimator), type(estimator)):
        if "zipmap" in (options.get(key) or {}):
            return options[key]["zipmap"]
    return True


def _label_type(meaning: Classes, shape: list[Any]) -> Any:
    """The type of labels, whole numbers or text."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    return StringTensorType(shape) if labels_of(meaning).dtype == object else Int64TensorType(shape)


def _set_shapes(model: Fitted, operator: Any) -> None:
    """Set the shapes of the outputs of an operator; their types stay as the parser chose them."""
    from skl2onnx.common.data_types import SequenceType

    rows = operator.inputs[0].get_first_dimension()
    if isinstance(model.meaning, Number):
        width = model.bags[0].networks[0].core.graph.outputs[0].width
        operator.outputs[0].type.shape = [rows, width]
        return
    n = len(model.meaning.labels)
    several = model.meaning.link == "labels"
    operator.outputs[0].set_type(_label_type(model.meaning, [rows, n] if several else [rows]))
    for output in operator.outputs[1:]:
        if not isinstance(output.type, SequenceType):
            output.type.shape = [rows, n if len(operator.outputs) == 2 else 1]


def _convert(model: Fitted, estimator: Any, scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a model to the container of skl2onnx."""
    opset = container.target_opset_any_domain("")
    if opset < OLDEST:
        raise ValueError(f"target_opset must be at least {OLDEST} for this estimator, got {opset}")
    dtype = model.bags[0].networks[0].dtype
    nodes = Nodes(np.dtype(dtype), opset)
    sources = [
        Source(one.raw_name, one.full_name, _KINDS.get(type(one.type).__name__, "number"),
               int(one.type.shape[1]) if len(one.type.shape) > 1 else 1)
        for one in operator.inputs
    ]  # fmt: skip
    scores = add_fitted(nodes, model, sources)
    nodes.owner = "outputs"
    if isinstance(model.meaning, Number):
        _give(nodes, scores, operator.outputs[0])
    else:
        _add_classes(nodes, model.meaning, scores, operator)
    _copy(nodes, operator, scope, container)


def _give(nodes: Nodes, value: str, variable: Any) -> None:
    """Give a value to a variable of skl2onnx, in the variable's type."""
    double = "Double" in repr(variable.type)
    types = nodes.onnx.TensorProto
    nodes.add("Cast", [value], variable.full_name, to=types.DOUBLE if double else types.FLOAT)


def _add_classes(nodes: Nodes, meaning: Classes, scores: str, operator: Any) -> None:
    """Add the label and the probabilities in the form that the outputs have."""
    label, *others = operator.outputs
    double = any("Double" in repr(one.type) for one in others)
    types = nodes.onnx.TensorProto
    probabilities = nodes.add("Cast", [scores], to=types.DOUBLE if double else types.FLOAT)
    labels = labels_of(meaning)
    add_label(nodes, meaning, scores, label.full_name, probabilities, double)
    if len(others) > 1:
        for i, one in enumerate(others):
            index = nodes.constant("column", np.array([i], np.int64))
            nodes.add("Gather", [probabilities, index], one.full_name, axis=1)
    elif "Sequence" in repr(others[0].type):
        text = {"classlabels_strings": labels.tolist()}
        own = text if labels.dtype == object else {"classlabels_int64s": labels.tolist()}
        single = nodes.add("Cast", [probabilities], to=types.FLOAT)
        nodes.add("ZipMap", [single], others[0].full_name, domain="ai.onnx.ml", **own)
    else:
        nodes.add("Identity", [probabilities], others[0].full_name)


def _copy(nodes: Nodes, operator: Any, scope: Any, container: Any) -> None:
    """Add nodes and constants to the container, under names that nothing else there has."""
    ends = {one.full_name for one in (*operator.inputs, *operator.outputs)}
    names = {name: name for name in ends}

    def renamed(name: str) -> str:
        if name not in names:
            names[name] = scope.get_unique_variable_name(name)
        return names[name]

    onnx = nodes.onnx
    for name, values in nodes.initializers.items():
        if values.dtype == object:
            kind = onnx.TensorProto.STRING
            container.add_initializer(renamed(name), kind, list(values.shape), values.tolist())
        else:
            tensor = onnx.numpy_helper.from_array(values)
            container.add_initializer(renamed(name), tensor.data_type, values.shape, tensor)
    for node in nodes.nodes:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        container.add_node(
            node.op_type, [renamed(name) for name in node.input],
            [renamed(name) for name in node.output], op_domain=node.domain,
            op_version=_ML_VERSIONS.get(node.op_type),
            name=scope.get_unique_operator_name(node.op_type), **attributes,
        )  # fmt: skip
