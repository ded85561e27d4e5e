"""The rows of a fit, where they are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastnn.stats.linalg.design import Design


@dataclass(frozen=True)
class StoredRows:
    """Rows of a fit of m responses.

    Attributes
    ----------
    design : Design
    response, residuals : (n, m) array
    weights : (n,) array or None
    """

    design: Design
    response: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray | None

    @property
    def root_weights(self) -> np.ndarray:
        """(n,) square roots of the weights, 1 where there are none."""
        if self.weights is None:
            return np.ones(len(self.response))
        return np.sqrt(self.weights)

    @property
    def weighted_residuals(self) -> np.ndarray:
        """(n, m) residuals times the roots of the weights: of equal variance."""
        if self.weights is None:
            return self.residuals
        return np.asarray(self.residuals * self.root_weights[:, None])

    @property
    def fitted(self) -> np.ndarray:
        """(n, m) fitted values."""
        return np.asarray(self.response - self.residuals)

    def pulls(self, root: np.ndarray) -> np.ndarray:
        """(n, p) changes of the coefficients by a unit of the (weighted) response of a row.

        Parameters
        ----------
        root : (p, r) array
            Root of the solution.
        """
        pulls = np.empty(self.design.shape)
        for place, block in self.design.blocks():
            np.matmul(block @ root, root.T, out=pulls[place])
        if self.weights is not None:
            pulls *= self.root_weights[:, None]
        return pulls
