"""Looking inside a network: what a step computes, how right its gradients are, how it reacts.

Works on programs and engines, and knows no networks; `fastnn.network` offers it to users.
"""

from __future__ import annotations

from fastnn.inspection._jacobian import Linearization
from fastnn.inspection._trace import CallTrace, HeadTrace, ParameterTrace, Trace, TracedStep

__all__ = [
    "CallTrace",
    "HeadTrace",
    "Linearization",
    "ParameterTrace",
    "Trace",
    "TracedStep",
]
