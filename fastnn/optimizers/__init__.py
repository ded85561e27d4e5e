"""Optimizers: immutable specifications of how parameters follow their gradients.

An optimizer holds numbers, no state.  The engines apply its update to the flat
storage of parameters and keep its state in *slots*, flat arrays of the same
layout.  `minimize` runs any of them on a function of your own.
"""

from fastnn.optimizers import _updates
from fastnn.optimizers._base import Optimizer
from fastnn.optimizers._get import get, names
from fastnn.optimizers._minimize import minimize
from fastnn.optimizers._updates import *

__all__ = ["Optimizer", "get", "minimize", "names", *_updates.__all__]
