"""Least squares, and tests of what it leaves over.

>>> from fastnn.stats import linear_regression
>>> result = linear_regression(X, y)
>>> print(result)
"""

from fastnn.stats._regression import linear_regression
from fastnn.stats._result import RegressionResult

__all__ = ["RegressionResult", "linear_regression"]
