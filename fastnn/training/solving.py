"""Training by a solver of SciPy, whose iterations are reported as epochs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np

from fastnn._shared.numbers import check_integer
from fastnn.solvers import LBFGS, LevenbergMarquardt, Solver
from fastnn.training.callbacks import History
from fastnn.training.data import Samples
from fastnn.training.session import Plan, Session, Trainee
from fastnn.training.state import TrainingError

_TRIALS = 20
"""Largest average number of evaluations in an iteration of Levenberg-Marquardt."""


class Problem(Protocol):
    """The cost to minimise, as a function of a vector in float64 that stands for the parameters.

    Vector and cost are in units in which about 1 is the size of outputs, of the cost of a constant
    prediction, and of the steps to it.

    Attributes
    ----------
    gradient_share, loss_share : float
        What tolerances of the gradient and of the cost are multiplied by.
    """

    gradient_share: float
    loss_share: float

    def start(self) -> np.ndarray:
        """The vector where the training starts."""

    def accept(self, x: np.ndarray) -> None:
        """Set the parameters of the trainee."""

    def loss(self, cost: float) -> float:
        """The cost in the units of the user."""

    def cost(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The cost and its gradient."""

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Numbers whose sum of squares is the cost."""

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Their derivatives, (residuals, parameters)."""


def solve(
    trainee: Trainee,
    problem: Problem,
    plan: Plan,
    validation: Samples | None = None,
    network: object = None,
) -> History:
    """Let the trainee's solver train; each of its iterations counts as an epoch and as a step.

    Parameters
    ----------
    trainee : Trainee
    problem : Problem
        The cost of all its samples.
    plan : Plan
        Without a batch size: a solver takes all samples at once.
    validation, network
        As in `fastnn.training.loop.fit`.

    Returns
    -------
    History
        A copy.  Losses are those of all samples at the end of the iteration.

    Raises
    ------
    ValueError
        If the plan has a batch size.
    TrainingError
        If the cost or its gradient is not finite at the start, or the Jacobian anywhere; the
        parameters are those of the last iteration.

    Notes
    -----
    At the end, also after an error, the parameters are those of the last finished iteration,
    or what callbacks wrote in `on_train_end`.
    """
    solver = trainee.optimizer
    assert isinstance(solver, Solver)
    if plan.batch_size is not None:
        raise ValueError(
            f"batch_size does not go with {solver.name}, which takes all samples at once"
        )
    iterations = solver.max_iterations if plan.epochs is None else plan.epochs
    iterations = check_integer(iterations, "epochs", 0)
    session = Session(trainee, plan, iterations, iterations, validation, network)

    def train() -> None:
        run = _Run(problem, iterations, session)
        if iterations:
            session.state.history.message = run.finish(_RUNS[type(solver)], solver)

    session.run(train)
    return session.history()


class _Stop(Exception):
    """Ends SciPy's iterations: it passes through SciPy's functions."""


class _Run:
    """The iterations of one training."""

    def __init__(self, problem: Problem, iterations: int, session: Session) -> None:
        self.problem = problem
        self.iterations = iterations
        self._session = session
        self._state = session.state
        self._done = 0
        self._accepted = problem.start()
        self.start = self._accepted.copy()

    def finish(self, run: Callable[[Any, _Run], str], solver: Solver) -> str:
        """Run to the end, set the parameters of the last iteration; returns why it ended."""
        try:
            message: str = self._session.interrupts.call(run, solver, self)
            return message
        except _Stop as reason:
            return str(reason)
        finally:
            if self._done:
                self.problem.accept(self._accepted)

    def check(self, cost: float, derivatives: np.ndarray | None = None, name: str = "") -> None:
        """Raise TrainingError unless cost and derivatives are finite where an iteration starts."""
        cost = self.problem.loss(cost)
        epoch, step = self._state.epoch + 1, self._state.step + 1
        if not np.isfinite(cost):
            raise TrainingError(epoch, 1, step, cost, None)
        if derivatives is not None and not np.isfinite(derivatives).all():
            raise TrainingError(epoch, 1, step, cost, None, f"{name} is not finite")

    def iterated(self, x: np.ndarray, cost: float, measures: Mapping[str, float]) -> None:
        """Record an iteration that ended at x; `_Stop` ends the training."""
        self._session.interrupts.hold(self._iterated, x, self.problem.loss(cost), measures)

    def _iterated(self, x: np.ndarray, loss: float, measures: Mapping[str, float]) -> None:
        self._accepted = x.copy()
        self.problem.accept(x)
        seconds = time.perf_counter() - self._since
        self._session.report.advance(1, np.array([loss]))
        self._done += 1
        if self._session.end_epoch({"loss": loss, **measures, "seconds": seconds}, steps=1):
            raise _Stop("stopped by a callback")
        if self._done >= self.iterations:
            raise _Stop(f"reached the limit of {self.iterations} iterations")
        self.begin()

    def begin(self) -> None:
        """The next iteration begins."""
        self._session.report.begin(self._state.epoch + 1)
        self._since = time.perf_counter()


def _lbfgs(solver: LBFGS, run: _Run) -> str:
    from scipy.optimize import minimize

    gradient = np.zeros(0)

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal gradient
        value, gradient = run.problem.cost(x)
        if not np.isfinite(gradient).all():  # a step too far, as where the cost is not finite
            value = np.inf
        return value, gradient

    def iterated(intermediate_result: Any) -> None:  # SciPy requires this name
        measures = {"gradient": float(np.abs(gradient).max())}  # the one evaluated last
        run.iterated(intermediate_result.x, float(intermediate_result.fun), measures)

    run.check(*run.problem.cost(run.start), "the gradient of the cost")
    options = {
        "maxiter": run.iterations,
        "maxfun": solver.max_evaluations or run.iterations * (solver.line_search_steps + 1) + 1,
        "maxcor": solver.memory,
        "maxls": solver.line_search_steps,
        "gtol": solver.tolerance * run.problem.gradient_share,
        "ftol": solver.loss_tolerance * run.problem.loss_share,
    }
    with np.errstate(all="ignore"), one_blas_thread():  # a trial step may overflow
        run.begin()
        result = minimize(
            cost, run.start, jac=True, method="L-BFGS-B", callback=iterated, options=options
        )
    return _readable(result.message)


def one_blas_thread() -> AbstractContextManager[Any]:
    """BLAS on one thread, where threadpoolctl is installed.

    SciPy multiplies matrices of a few rows.  OpenBLAS gives even these to several threads, which
    then wait for each other: a hundred times as long if another process uses the cores.  The limit
    is one of the whole process, and overlapping blocks in several threads could not restore it:
    only the main thread sets it.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return limits


_ENDS = {
    "PROJECTED GRADIENT": "converged: the gradient is within tolerance",
    "REDUCTION OF F": "converged: the cost falls by less than loss_tolerance",
    "ABNORMAL": "no descent in the line search: the precision of the cost is reached",
    "EVALUATIONS EXCEEDS": "reached the limit of evaluations",
}
"""The meaning of SciPy's messages about L-BFGS-B, by a text that they contain."""


def _readable(message: str) -> str:
    plain = message.upper().replace("_", " ")
    return next((text for part, text in _ENDS.items() if part in plain), plain.lower())


def _levenberg_marquardt(solver: LevenbergMarquardt, run: _Run) -> str:
    from scipy.optimize import least_squares

    problem, residuals = run.problem, _Residuals(run.problem)

    def jacobian(x: np.ndarray) -> np.ndarray:
        """Both methods call it at the start and after every step that they take."""
        if not np.array_equal(x, residuals.last):
            run.iterated(x, residuals.cost(x), {})
            residuals.last = x.copy()
        derivatives = problem.jacobian(x)
        run.check(residuals.cost(x), derivatives, "the Jacobian of the residuals")  # SciPy does not
        return derivatives

    run.check(residuals.cost(run.start))
    residuals.last = run.start.copy()
    run.begin()
    result = least_squares(
        residuals, run.start, jac=jacobian, method=solver.method, x_scale="jac",
        ftol=solver.tolerance, xtol=solver.tolerance, gtol=solver.tolerance,
        max_nfev=_TRIALS * (run.iterations + 1),
    )  # fmt: skip
    if not np.array_equal(result.x, residuals.last):  # a last step without a Jacobian
        try:
            run.iterated(result.x, residuals.cost(result.x), {})
        except _Stop as reason:
            if "callback" in str(reason):
                raise
    return str(result.message).strip().rstrip(".").replace("`", "")


class _Residuals:
    """The residuals as a function, which remembers the cost of its last evaluation."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._x = np.zeros(0)
        self._cost = np.nan
        self.last = np.zeros(0)
        """End of the last iteration."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        residuals = self._problem.residuals(x)
        self._x, self._cost = x.copy(), float(residuals @ residuals)
        return residuals

    def cost(self, x: np.ndarray) -> float:
        """The sum of the squared residuals at x."""
        if not np.array_equal(x, self._x):
            self(x)
        return self._cost


_RUNS: dict[type[Solver], Callable[[Any, _Run], str]] = {
    LBFGS: _lbfgs,
    LevenbergMarquardt: _levenberg_marquardt,
}
