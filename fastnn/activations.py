"""What is known about each elementwise activation, as data that prints as a table.

>>> from fastnn import activations
>>> print(activations.table())                    # doctest: +SKIP
>>> print(activations.get("swish"))               # doctest: +SKIP
>>> activations.get("relu").zero_centred
False

The rows themselves are in `fastnn.facts.activations`.
"""

from fastnn._shared.text import titled
from fastnn.facts.activations import ActivationInfo, flat_range, get, names

__all__ = ["ActivationInfo", "flat_range", "get", "names", "table"]


def table() -> str:
    """A table of the properties of all activations, as text.

    Formulas and derivatives, which are long, are in `print(get(name))`.
    """
    head = ("activation", "range", "zero-centred", "monotonic", "saturates", "not differentiable",
            "cost")  # fmt: skip
    rows = [
        (
            info.name,
            info.output_range,
            "yes" if info.zero_centred else "no",
            "yes" if info.monotonic else "no",
            info.saturates,
            info.not_differentiable,
            info.cost,
        )
        for info in map(get, names())
    ]
    return "\n".join(titled([head, *rows]))
