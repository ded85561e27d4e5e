"""Arguments that are one value, or several by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastnn._shared.sparse import is_sparse


def split(values: object, names: Sequence[str], argument: str) -> list[Any]:
    """One value for each name.

    Parameters
    ----------
    values : object, sequence or mapping
        For one name, the value itself; for several, a list or tuple in their
        order, or a mapping from names.
    names : sequence of str
    argument : str
        What error messages call `values`.

    Raises
    ------
    TypeError, ValueError
        If there is not exactly one value for each name.
    """
    if isinstance(values, Mapping) and not is_sparse(values):  # SciPy's dok_matrix is a dict
        for name in values:
            if name not in names:
                raise ValueError(f"{argument} has {name!r}, expected {', '.join(map(repr, names))}")
        for name in names:
            if name not in values:
                raise ValueError(f"{argument} has nothing for {name!r}")
        return [values[name] for name in names]
    if len(names) == 1:
        return [values]
    if not isinstance(values, (list, tuple)):
        raise TypeError(
            f"{argument} must be a list of {len(names)} or a dict with "
            f"{', '.join(map(repr, names))}, got {type(values).__name__}"
        )
    if len(values) != len(names):
        raise ValueError(
            f"{argument} has {len(values)} entries, expected {len(names)}: {', '.join(names)}"
        )
    return list(values)


def called(argument: str, name: str, names: Sequence[str]) -> str:
    """What error messages call one of several values of an argument."""
    return argument if len(names) == 1 else f"{argument}[{name!r}]"
