"""The layer-normalisation layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from fastnn import initializers
from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn.initializers import Initializer, fitting, named
from fastnn.layers._base import Layer
from fastnn.program import ProgramBuilder


class LayerNorm(Layer):
    """Layer normalisation: (x - mean) / sqrt(variance + epsilon) * scale + shift.

    Mean and variance are those of each row.  They do not depend on the other samples, so
    training and prediction compute the same values.  The L2 penalty and weight decay ignore
    scale and shift.

    Parameters
    ----------
    width : int
        Width of the input and of the output.
    epsilon : float, default 1e-5
        Positive number added to the variance (the sum of squares divided by `width`), so that
        a constant row gives zeros before the shift.
    use_scale, use_shift : bool, default True
        Whether the layer has a trainable scale and a trainable shift.
    scale : str, Initializer or (width,) array_like, default "ones"
        Initial scale.
    shift : str, Initializer or (width,) array_like, default "zeros"
        Initial shift.
    trainable : bool, default True
        False freezes scale and shift.
    name : str, optional
        Name of the layer.  A network names unnamed layers layer_norm_1, layer_norm_2...
    dtype : {"float32", "float64"}, default "float32"
        Dtype of calls on arrays; the dtype of a network replaces it.
    seed : int, optional
        Seed of random initial values.

    References
    ----------
    Ba, Kiros & Hinton (2016), "Layer normalization", arXiv:1607.06450.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> layer = fnn.LayerNorm(2, scale=[1.0, 10.0], dtype="float64")
    >>> layer([[3.0, 5.0]]).round(3)
    array([[-1., 10.]])
    """

    kind = "layer_norm"

    def __init__(
        self,
        width: int,
        *,
        epsilon: float = 1e-5,
        use_scale: bool = True,
        use_shift: bool = True,
        scale: Initializer | Mapping[str, object] | ArrayLike = "ones",
        shift: Initializer | Mapping[str, object] | ArrayLike = "zeros",
        trainable: bool = True,
        name: str | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed)
        self.width = check_integer(width, "width", 1)
        self.epsilon = check_number(epsilon, "epsilon", above=0.0)
        self.use_scale = check_flag(use_scale, "use_scale")
        self.use_shift = check_flag(use_shift, "use_shift")
        self._scale = fitting(scale, "scale", (self.width,))
        self._shift = fitting(shift, "shift", (self.width,))
        if not self.use_scale and self._scale != initializers.Ones():
            raise ValueError("scale was given initial values, but use_scale is False")
        if not self.use_shift and self._shift != initializers.Zeros():
            raise ValueError("shift was given initial values, but use_shift is False")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """``scale`` and ``shift`` of shape (width,), if the layer has them."""
        used = {"scale": self.use_scale, "shift": self.use_shift}
        return {key: (self.width,) for key, is_used in used.items() if is_used}

    @property
    def initializers(self) -> dict[str, Initializer]:
        """The initializers in use."""
        return {"scale": self._scale, "shift": self._shift}

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the constructor, without the values of arrays."""
        return {
            "width": self.width,
            "epsilon": self.epsilon,
            "use_scale": self.use_scale,
            "use_shift": self.use_shift,
            "scale": self._scale.config,
            "shift": self._shift.config,
        }

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """The width; ValueError if the input has another width."""
        self.check_width(self.width, widths[0], labels[0])
        return self.width

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the normalisation; its output is the buffer ``<name>.A``."""
        return builder.add(
            "layer_norm", inputs, f"{name}.A", parameters,
            epsilon=self.epsilon, scale=self.use_scale, shift=self.use_shift,
        )  # fmt: skip

    def _shown(self) -> list[str]:
        """The width, and the arguments that differ from their defaults."""
        shown = [str(self.width)]
        if self.epsilon != 1e-5:
            shown.append(f"epsilon={self.epsilon!r}")
        if not self.use_scale:
            shown.append("use_scale=False")
        if not self.use_shift:
            shown.append("use_shift=False")
        if self._scale != initializers.Ones():
            shown.append(f"scale={named(self._scale)}")
        if self._shift != initializers.Zeros():
            shown.append(f"shift={named(self._shift)}")
        return shown
