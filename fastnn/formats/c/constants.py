"""Polynomials and constants of the mathematics in C, by the element type.

The polynomials are those of the compiled backend, which docs/fit_constants.py finds; the constant
term comes first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

Value = float | int | tuple[float, ...]

_FLOAT: dict[str, Value] = {
    "EXP": (5.0e-01, 1.6666666e-01, 4.166642e-02, 8.333462e-03, 1.39407e-03, 1.9846114e-04),
    "LOG": (6.6666776e-01, 3.9977583e-01, 2.9870826e-01),
    "TANH": (-3.3333316e-01, 1.3332583e-01, -5.3852353e-02, 2.1071669e-02, -6.2742406e-03),
    "MILLS_FIRST": 7.5528514e-01,
    "MILLS_FIRST_LOW": -8.381903e-09,
    "MILLS_SECOND": -6.0789657e-01,
    "MILLS_REST": (
        3.871369e-01, -1.8652368e-01, 6.0403496e-02, -7.5240196e-03, -3.5102402e-03,
        1.5683889e-03, 1.7466502e-04, -1.3419092e-04,
    ),
    "LARGEST_GAUSSIAN": 15.0,
    "LOG2_HIGH": 6.9314575e-01,
    "LOG2_LOW": 1.4286068e-06,
    "GELU_LINEAR_HIGH": 1.5957692e00,
    "GELU_LINEAR_LOW": -4.534068e-08,
    "GELU_CUBIC_HIGH": 7.1354814e-02,
    "GELU_CUBIC_LOW": 2.3988325e-09,
    "TANH_ONE": 10.0,
    "LARGEST": float.fromhex("0x1.fffffep127"),
    "SMALLEST": 2.0**-126,
    "SQUARE_OVERFLOWS": 1e15,
    "SCALE_OF_SQUARES": 2.0**-100,
    "EXPONENT_BIAS": 127,
    "MANTISSA_BITS": 23,
    "HALF_MANTISSA": 12,
}  # fmt: skip

_DOUBLE: dict[str, Value] = {
    "EXP": (
        5.0e-01, 1.6666666666666677e-01, 4.166666666666652e-02, 8.333333333321662e-03,
        1.3888888888962496e-03, 1.9841269885966564e-04, 2.480158717223688e-05,
        2.7557244372906655e-06, 2.755740293713186e-07, 2.5108979414220343e-08,
        2.0875230958696597e-09,
    ),
    "LOG": (
        6.666666666666734e-01, 3.9999999999416397e-01, 2.857142874203356e-01,
        2.2222198608232904e-01, 1.8183562561148797e-01, 1.5314094425475666e-01,
        1.4795522314663354e-01,
    ),
    "TANH": (
        -3.33333333333333e-01, 1.333333333332662e-01, -5.396825396376052e-02,
        2.1869488385851798e-02, -8.863232601344263e-03, 3.5920920291650942e-03,
        -1.455542835823998e-03, 5.884444388213792e-04, -2.3338142981439044e-04,
        8.331623434289547e-05, -1.9494545719798184e-05,
    ),
    "MILLS_FIRST": 7.552851304157515e-01,
    "MILLS_FIRST_LOW": -2.0816681711721685e-17,
    "MILLS_SECOND": -6.078966419718921e-01,
    "MILLS_REST": (
        3.8713740074221487e-01, -1.8652185795965878e-01, 6.039657489091717e-02,
        -7.540188966677764e-03, -3.479692366964473e-03, 1.6308184568940376e-03,
        1.3334430751093146e-04, -2.310949300045481e-04, -1.908225618277662e-06,
        3.514466463172568e-05, 7.165278657020159e-07, -5.9201258338026945e-06,
        -6.293191905673041e-07, 1.0215176499891077e-06, 2.711394117148513e-07,
        -1.550344088145114e-07, -8.467619710863674e-08, 1.3478422997335913e-08,
        1.9161755617911476e-08, 1.7320111603991592e-09, -2.3979404124803396e-09,
        -6.616174590235183e-10,
    ),
    "LARGEST_GAUSSIAN": 40.0,
    "LOG2_HIGH": 6.931471805598903e-01,
    "LOG2_LOW": 5.497923018708371e-14,
    "GELU_LINEAR_HIGH": 1.5957691216057308e00,
    "GELU_LINEAR_LOW": -9.96930880911092e-17,
    "GELU_CUBIC_HIGH": 7.135481627260025e-02,
    "GELU_CUBIC_LOW": -6.175149918155315e-19,
    "TANH_ONE": 20.0,
    "LARGEST": float.fromhex("0x1.fffffffffffffp1023"),
    "SMALLEST": 2.0**-1022,
    "SQUARE_OVERFLOWS": 1e150,
    "SCALE_OF_SQUARES": 2.0**-600,
    "EXPONENT_BIAS": 1023,
    "MANTISSA_BITS": 52,
    "HALF_MANTISSA": 27,
}  # fmt: skip


BLOCKS = {"float": 64, "double": 32}
"""Columns of a weight that `dense` works on together; a quarter of them make a panel."""


def _whole(own: Mapping[str, Value], block: int) -> dict[str, Value]:
    """The constants of a type, with those that follow from others."""
    bias = own["EXPONENT_BIAS"]
    assert isinstance(bias, int)
    return {
        **own,
        "LIMIT": (2 * bias - 2) * math.log(2),  # what `scale` multiplies by, as an exponential
        "LARGEST_EXPONENT": (bias + 2) * math.log(2),  # there exp overflows
        "LOG2_RECIPROCAL": 1 / math.log(2),
        "BLOCK": block,
        "PANEL": block // 4,
    }


CONSTANTS = {
    "float": _whole(_FLOAT, BLOCKS["float"]),
    "double": _whole(_DOUBLE, BLOCKS["double"]),
}
"""By the name of the type in C."""
