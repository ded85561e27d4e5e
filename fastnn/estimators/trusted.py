"""The types of this package that files of skops may hold."""

from __future__ import annotations

from fastnn.ensemble import Ensemble
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor
from fastnn.estimators.trained import TrainedClassifier, TrainedRegressor
from fastnn.initializers import Initializer
from fastnn.layers import CustomLayer, Layer
from fastnn.losses._base import EngineLoss
from fastnn.network import Network, Predictor
from fastnn.optimizers import Optimizer
from fastnn.program import Program
from fastnn.schedules import Schedule
from fastnn.solvers import Solver
from fastnn.training.callbacks import EarlyStopping, History
from fastnn.training.plateau import ReduceOnPlateau

__all__ = ["skops_types"]

_BASES: list[type] = [
    MLPClassifier, MLPRegressor, TrainedClassifier, TrainedRegressor, Ensemble, Network, Predictor,
    Program, History, EarlyStopping, ReduceOnPlateau, Optimizer, Solver, Schedule, EngineLoss,
    Initializer, Layer,
]  # fmt: skip


def skops_types() -> list[str]:
    """The types of fastnn that a file of skops may hold, for ``skops.io.load(file, trusted=...)``.

    Networks, models for tables and what describes them check their state when they are read, as
    `fastnn.load` checks a file, and run no code of the file.  The classes and functions of a user,
    such as custom layers, are not among them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from fastnn.estimators import skops_types
    >>> "fastnn.network._sequential.Sequential" in skops_types()
    True
    """
    classes = {each for cls in [*_BASES, *_for_tables()] for each in [cls, *_subclasses(cls)]}
    names = {
        f"{cls.__module__}.{cls.__name__}"
        for cls in classes
        if cls.__module__.startswith("fastnn.") and not issubclass(cls, CustomLayer)
    }
    return sorted(names)


def _for_tables() -> list[type]:
    """The models for tables, whose import the estimators do not need."""
    from fastnn import tabular
    from fastnn.tabular.dense import DenseLearner
    from fastnn.tabular.learner import Learner

    estimators = [tabular.TabularClassifier, tabular.TabularRegressor]
    return [*estimators, tabular.Model, tabular.Recipe, Learner, DenseLearner]


def _subclasses(cls: type) -> list[type]:
    """All subclasses of a class."""
    below: list[type] = cls.__subclasses__()
    return [each for sub in below for each in [sub, *_subclasses(sub)]]
