"""Live views of arrays by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike

from fastnn._shared.arrays import as_real, check_shape, converted


class Views(Mapping[str, np.ndarray]):
    """Live views of arrays by name: reading gives a view, assigning copies into it.

    Names can be neither added nor removed.

    Parameters
    ----------
    views : mapping of str to array
    """

    __slots__ = ("_views",)

    def __init__(self, views: Mapping[str, np.ndarray]) -> None:
        self._views = dict(views)

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._views[name]
        except KeyError:
            names = ", ".join(map(repr, self._views)) or "nothing"
            raise KeyError(f"no {name!r}; there is {names}") from None

    def __setitem__(self, name: str, values: ArrayLike) -> None:
        """Copy real numbers of exactly the view's shape, converted to its dtype.

        Raises
        ------
        KeyError
            If there is no such name.
        TypeError, ValueError
            If the values are not real numbers of that shape, or a finite one is too
            large for the view's dtype.
        """
        view = self[name]
        array = as_real(values, name)
        check_shape(array, name, view.shape)
        view[...] = converted(array, name, view.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        shown = (f"{name} {view.dtype}{list(view.shape)}" for name, view in self._views.items())
        return f"<Views: {', '.join(shown)}>"
