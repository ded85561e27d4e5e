"""Inspection of a network: intermediates of a step, checks of gradients, Jacobians, statistics.

The functions work on programs and engines and know no network; `fastnn.network` offers them to
users.
"""

from __future__ import annotations

from fastnn.inspection._gradient_check import (
    TOLERANCE,
    ArrayCheck,
    GradientCheck,
    Kink,
    check_gradient,
    compare,
)
from fastnn.inspection._jacobian import Linearization
from fastnn.inspection._records import CallTrace, HeadTrace, ParameterTrace
from fastnn.inspection._shadow import Shadow
from fastnn.inspection._statistics import (
    CallStatistics,
    LayerMonitor,
    LayerStatistics,
    Moments,
    ParameterStatistics,
    layer_statistics,
)
from fastnn.inspection._trace import Trace, TracedStep

__all__ = [
    "TOLERANCE",
    "ArrayCheck",
    "CallStatistics",
    "CallTrace",
    "GradientCheck",
    "HeadTrace",
    "Kink",
    "LayerMonitor",
    "LayerStatistics",
    "Linearization",
    "Moments",
    "ParameterStatistics",
    "ParameterTrace",
    "Shadow",
    "Trace",
    "TracedStep",
    "check_gradient",
    "compare",
    "layer_statistics",
]
