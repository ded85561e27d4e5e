"""Solvers: specifications of second-order methods that train on all samples at once.

An `Optimizer` takes one step for each batch.  A solver of SciPy controls the whole training
instead: it evaluates the cost of all samples and its derivatives at points of its choice, and
chooses the lengths of its steps.  It needs no learning rate.  Like optimizers, solvers hold
numbers and no state.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from fastnn._shared.config import replace_fields, restore_fields
from fastnn._shared.numbers import check_choice, check_integer, check_number

__all__ = ["LBFGS", "LevenbergMarquardt", "Solver"]


@dataclass(frozen=True)
class Solver:
    """Base class of the solvers.

    Parameters
    ----------
    max_iterations : int
        Iterations of a `fit` without a number of epochs.

    Attributes
    ----------
    name : str
        The name that stands for the class in `optimizers.get` and `config`.
    """

    name: ClassVar[str]
    slot_names: ClassVar[tuple[str, ...]] = ()
    """No slots: each `fit` estimates the curvature anew."""
    learning_rate: ClassVar[None] = None
    """None: a solver chooses the lengths of its steps."""

    max_iterations: int = 200

    __setstate__ = restore_fields

    def __post_init__(self) -> None:
        replace_fields(self, max_iterations=check_integer(self.max_iterations, "max_iterations", 1))

    @property
    def config(self) -> dict[str, Any]:
        """The solver as JSON-able data; ``optimizers.get(config)`` makes an equal solver of it."""
        return {"name": self.name} | {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class LBFGS(Solver):
    """Limited-memory BFGS: quasi-Newton steps from the last few gradients.

    For smooth costs and data that fit in memory.  Each iteration is a line search along
    ``-H g``.  `H` approximates the inverse Hessian; the matrix itself is never computed.

    Parameters
    ----------
    max_iterations : int, default 200
        Iterations of a `fit` without a number of epochs.
    memory : int, default 10
        Number of stored pairs of steps and changes of the gradient.
    tolerance : float, default 1e-5
        Tolerance of the gradient: converged if no element is larger, in the units of the notes.
    loss_tolerance : float, default 1e-9
        Tolerance of the cost: converged if an iteration reduces the cost by less than this
        share of it (of 1, for costs below 1), in the units of the notes.
    line_search_steps : int, default 20
        Largest number of evaluations in one line search.
    max_evaluations : int, optional
        Largest number of evaluations of the cost in a `fit`; it is compared at the end of each
        iteration.  By default the numbers of iterations and of line search steps are the limits.

    Notes
    -----
    SciPy's vector is float64; cost and gradient are computed in the network's dtype.  A float32
    network stops where rounding errors exceed the descent.  All samples are evaluated at once, so
    that the intermediates of all samples are in memory.

    Units of the targets do not change the result, nor does their origin.  The cost is divided by
    that of a constant prediction: about the variance of the targets for a squared error, their
    deviation for an absolute error, their mean for counts, 1 for the mean of a cross-entropy, the
    value at the start for a custom loss.  With several losses, tolerances are shares of the
    smallest of these costs.  Outputs of a squared, absolute or Huber's error, where they come from
    trainable affine layers of their own (and sums, differences, means, rows or a relu of these),
    are counted from the mean of the targets in standard deviations (from the logarithm of the mean,
    for counts): the solver sees the parameters of these layers divided by the deviation, and the
    network receives them back.  Without a bias, and behind a relu, they are counted from 0.  A
    network that explains
    less than 1 % of the targets' spread, and whose outputs are not of the targets' size, starts
    with outputs scaled to it.  For targets of variance 1 and mean 0 all these units are 1.

    References
    ----------
    Byrd, Lu, Nocedal & Zhu (1995), "A limited memory algorithm for bound constrained
    optimization"; Morales & Nocedal (2011), "Remark on algorithm 778: L-BFGS-B".
    Run by ``scipy.optimize.minimize(method="L-BFGS-B")``.
    """

    name: ClassVar[str] = "lbfgs"

    memory: int = 10
    tolerance: float = 1e-5
    loss_tolerance: float = 1e-9
    line_search_steps: int = 20
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(
            self,
            memory=check_integer(self.memory, "memory", 1),
            tolerance=check_number(self.tolerance, "tolerance", 0.0),
            loss_tolerance=check_number(self.loss_tolerance, "loss_tolerance", 0.0),
            line_search_steps=check_integer(self.line_search_steps, "line_search_steps", 1),
        )
        if self.max_evaluations is not None:
            evaluations = check_integer(self.max_evaluations, "max_evaluations", 1)
            replace_fields(self, max_evaluations=evaluations)


@dataclass(frozen=True)
class LevenbergMarquardt(Solver):
    """Levenberg-Marquardt: damped Gauss-Newton steps for small regression networks.

    The cost is a sum of squared residuals `r`, and each step solves
    ``(J'J + mu D) p = -J'r`` with the Jacobian `J` of all residuals, and for `D` the largest
    diagonal of ``J'J`` so far: what MATLAB calls trainlm, made independent of the scales of
    the parameters.

    Parameters
    ----------
    max_iterations : int, default 200
        Iterations of a `fit` without a number of epochs.
    tolerance : float, default 1e-8
        Relative tolerance: converged if the relative change of the cost or of the parameters,
        or the cosine between the residuals and the columns of `J`, is smaller.  Above
        2.3e-16, the precision of float64.
    method : {"lm", "trf"}, default "lm"
        "lm": MINPACK's algorithm, which needs at least as many residuals as parameters.
        "trf": SciPy's trust-region algorithm, which takes any number.
    memory_limit : float, default 2**30
        Largest size of `J` in float64, in bytes; a larger one raises ValueError.

    Notes
    -----
    Units of the targets do not change the result, nor does their origin: see `LBFGS`.

    References
    ----------
    Moré (1978), "The Levenberg-Marquardt algorithm: implementation and theory"; Hagan & Menhaj
    (1994), "Training feedforward networks with the Marquardt algorithm".
    Run by ``scipy.optimize.least_squares``.
    """

    name: ClassVar[str] = "levenberg_marquardt"

    tolerance: float = 1e-8
    method: str = "lm"
    memory_limit: float = float(2**30)

    def __post_init__(self) -> None:
        super().__post_init__()
        replace_fields(
            self,
            tolerance=check_number(self.tolerance, "tolerance", above=2.3e-16),
            method=check_choice(self.method, "method", ("lm", "trf")),
            memory_limit=check_number(self.memory_limit, "memory_limit", above=0.0),
        )


CLASSES: dict[str, type[Solver]] = {cls.name: cls for cls in (LBFGS, LevenbergMarquardt)}
"""By name."""
