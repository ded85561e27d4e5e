"""What is known about each elementwise activation, as data that prints as a table.

>>> from fastnn import activations
>>> print(activations.table())                    # doctest: +SKIP
>>> print(activations.get("swish"))               # doctest: +SKIP
>>> activations.get("relu").zero_centred
False

The rows themselves are in `fastnn.facts.activations`.
"""

from fastnn.facts.activations import ActivationInfo, flat_range, get, names, table

__all__ = ["ActivationInfo", "flat_range", "get", "names", "table"]
