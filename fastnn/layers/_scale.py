"""The scale layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from fastnn import initializers
from fastnn._shared.numbers import check_integer
from fastnn.initializers import Initializer, fitting, named
from fastnn.layers._base import Layer
from fastnn.program import ProgramBuilder


class Scale(Layer):
    """Multiplication of each column by a trainable gain: y = x s.

    In front of a network it learns how much each input counts; a larger learning rate for it
    (``compile(..., learning_rates={"scale_1": 6.0})``) helps with tables.  The L2 penalty and
    weight decay ignore the gains.

    Parameters
    ----------
    n : int
        Width of the input and of the output.
    scale : str, Initializer or (n,) array_like, default "ones"
        Initial gains.
    trainable : bool, default True
        False freezes the gains.
    name : str, optional
        Name of the layer.  A network names unnamed layers scale_1, scale_2...
    dtype : {"float32", "float64"}, default "float32"
        Dtype of calls on arrays; the dtype of a network replaces it.
    seed : int, optional
        Seed of random initial values.

    References
    ----------
    Holzmueller, Grinsztajn & Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", arXiv:2407.04491.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.Scale(2, scale=[1.0, 10.0])([[3.0, 5.0]])
    array([[ 3., 50.]], dtype=float32)
    """

    kind = "scale"

    def __init__(
        self,
        n: int,
        *,
        scale: Initializer | Mapping[str, object] | ArrayLike = "ones",
        trainable: bool = True,
        name: str | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed)
        self.n_in = check_integer(n, "n", 1)
        self._scale = fitting(scale, "scale", (self.n_in,))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """``scale`` of shape (n,)."""
        return {"scale": (self.n_in,)}

    @property
    def initializers(self) -> dict[str, Initializer]:
        """The initializer in use."""
        return {"scale": self._scale}

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the constructor, without the values of arrays."""
        return {"n": self.n_in, "scale": self._scale.config}

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """The width; ValueError if the input has another width."""
        self.check_width(self.n_in, widths[0], labels[0])
        return self.n_in

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the product; its output is the buffer ``<name>.A``."""
        return builder.add("scale", inputs, f"{name}.A", parameters)

    def _shown(self) -> list[str]:
        """The width, and the initial gains that differ from their default."""
        shown = [str(self.n_in)]
        if self._scale != initializers.Ones():
            shown.append(f"scale={named(self._scale)}")
        return shown
