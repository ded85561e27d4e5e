"""fastnn: neural networks on CPUs at the speed of the hardware, in numbers you can check.

>>> import fastnn as fnn
>>> net = fnn.Sequential([fnn.Dense(64, 100, activation="relu"), fnn.Dense(100, 10)])
>>> net.compile(loss="cross_entropy", optimizer=fnn.Adam(learning_rate=1e-3))

``fastnn.functional`` has the stateless operations, ``fastnn.activations`` the facts
about each activation; ``fastnn.show_config()`` tells which backend is in use;
``fastnn.stats`` fits and tests linear regressions.
"""

from typing import TYPE_CHECKING

from fastnn import activations, backend, functional
from fastnn._shared.lazy import importer
from fastnn._version import __version__
from fastnn.backend import (
    BackendError,
    get_num_threads,
    set_num_threads,
    show_config,
)
from fastnn.layers import (
    AbsDifference,
    Add,
    Average,
    Concatenate,
    CustomLayer,
    Dense,
    Dropout,
    Embedding,
    Input,
    Layer,
    LayerNorm,
    Multiply,
    PiecewiseLinear,
    Scale,
    Subtract,
    _activations,
)
from fastnn.layers._activations import *
from fastnn.losses import CrossEntropy, CustomLoss, _elementwise
from fastnn.losses._elementwise import *
from fastnn.network import (
    Network,
    PrecisionReport,
    Prediction,
    Predictor,
    Sequential,
    load,
)
from fastnn.optimizers import _updates
from fastnn.optimizers._updates import *
from fastnn.program import Program
from fastnn.schedules import (
    BiasCorrection,
    Constant,
    Cosine,
    CosineLog,
    Exponential,
    FlatCosine,
    Step,
    WarmUp,
)
from fastnn.serialization import FormatError
from fastnn.solvers import LBFGS, LevenbergMarquardt
from fastnn.training.callbacks import Callback, EarlyStopping, History
from fastnn.training.plateau import ReduceOnPlateau
from fastnn.training.state import TrainingError

__all__ = [
    "LBFGS",
    "AbsDifference",
    "Add",
    "Average",
    "BackendError",
    "BiasCorrection",
    "Callback",
    "Chunks",
    "Concatenate",
    "Constant",
    "Cosine",
    "CosineLog",
    "CrossEntropy",
    "CustomLayer",
    "CustomLoss",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Ensemble",
    "Exponential",
    "FlatCosine",
    "FormatError",
    "GradientCheck",
    "History",
    "Input",
    "Layer",
    "LayerMonitor",
    "LayerNorm",
    "LayerStatistics",
    "LevenbergMarquardt",
    "Multiply",
    "Network",
    "ParquetRows",
    "PiecewiseLinear",
    "PrecisionReport",
    "Prediction",
    "Predictor",
    "Program",
    "ReduceOnPlateau",
    "Scale",
    "Sequential",
    "SourceError",
    "Step",
    "Subtract",
    "Trace",
    "TrainingError",
    "WarmUp",
    "__version__",
    "activations",
    "backend",
    "check_gradient",
    "check_gradients",
    "functional",
    "get_num_threads",
    "load",
    "set_num_threads",
    "show_config",
]
__all__ += _activations.__all__ + _elementwise.__all__ + _updates.__all__


_LAZY = {
    "Chunks": "fastnn.training.sources",
    "Ensemble": "fastnn.ensemble.ensemble",
    "GradientCheck": "fastnn.inspection",
    "LayerMonitor": "fastnn.inspection",
    "LayerStatistics": "fastnn.inspection",
    "ParquetRows": "fastnn.training.parquet",
    "SourceError": "fastnn.training.sources",
    "Trace": "fastnn.inspection",
    "check_gradient": "fastnn.inspection",
    "check_gradients": "fastnn.network",
    "distributed": "fastnn.distributed",
    "ensemble": "fastnn.ensemble",
    "formats": "fastnn.formats",
    "inspection": "fastnn.inspection",
    "stats": "fastnn.stats",  # imports SciPy
}

if TYPE_CHECKING:
    from fastnn import stats as stats
    from fastnn.ensemble.ensemble import Ensemble
    from fastnn.inspection import (
        GradientCheck,
        LayerMonitor,
        LayerStatistics,
        Trace,
        check_gradient,
    )
    from fastnn.network import check_gradients
    from fastnn.training.parquet import ParquetRows
    from fastnn.training.sources import Chunks, SourceError

    def __getattr__(name: str) -> type[_activations.FixedActivation]:
        """The layer of an activation, made from its row, as type checkers see it."""

else:
    __getattr__ = importer(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
