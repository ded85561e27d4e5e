"""The training loop, and what watches or drives it."""

from fastnn.training.callbacks import Callback, Context, EarlyStopping, History
from fastnn.training.state import TrainingError, TrainingState

__all__ = ["Callback", "Context", "EarlyStopping", "History", "TrainingError", "TrainingState"]
