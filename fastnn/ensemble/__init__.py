"""Several networks that are trained apart and predict together."""

from fastnn.ensemble.ensemble import Ensemble

__all__ = ["Ensemble"]
