"""The contract of executors: what every backend offers to the rest of the package.

A backend has stateless `Kernels` for each dtype, an `Engine` that executes one program, and a
`Frozen` that predicts from parameters which do not change.  The docstrings here are the
specification; `fastnn.backend.reference` says it once more in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastnn._shared.sparse import Rows
from fastnn.facts.losses import ElementOptions
from fastnn.program import Program

if TYPE_CHECKING:
    from fastnn.backend.support import Support

Array = np.ndarray
Target = tuple[Array, Array | None]
"""The targets of one head and the weights of their rows."""


class Kernels(Protocol):
    """The functions of one backend and one dtype.

    Arguments arrive checked: C-contiguous, aligned, of one native dtype (float32 or float64),
    with writable outputs.  Elementwise kernels and updates take vectors, the others matrices
    with one sample per row.  `out` may be the first input itself and overlaps nothing else.
    No kernel warns: overflow and nan are results.
    """

    def exp(self, x: Array, out: Array) -> None:
        """Write exp(x) into `out`."""

    def expm1(self, x: Array, out: Array) -> None:
        """Write exp(x) - 1 into `out`, accurate near 0."""

    def log(self, x: Array, out: Array) -> None:
        """Write log(x) into `out`; -inf at 0, nan below."""

    def log1p(self, x: Array, out: Array) -> None:
        """Write log(1 + x) into `out`, accurate near 0; -inf at -1, nan below."""

    def activation(self, name: str, z: Array, alpha: float, out: Array) -> None:
        """Write f(z) into `out`, f being the row `name` of `fastnn.facts.activations`."""

    def activation_derivative(self, name: str, z: Array, alpha: float, out: Array) -> None:
        """Write f'(z) into `out`."""

    def logsumexp(self, z: Array, out: Array) -> None:
        """Write log(sum(exp(z))) of each row into `out`."""

    def signed_logsumexp(self, z: Array, b: Array, out: Array, sign: Array) -> None:
        """Write log(abs(sum(b exp(z)))) of each row into `out`, the sign of the sum into `sign`.

        Elements with b = 0 are ignored.  The sign is 1, -1, 0 or nan.
        """

    def softmax(self, z: Array, out: Array) -> None:
        """Write exp(z) / sum(exp(z)) of each row into `out`."""

    def log_softmax(self, z: Array, out: Array) -> None:
        """Write z - log(sum(exp(z))) of each row into `out`."""

    def softmax_backward(self, p: Array, dp: Array, out: Array) -> None:
        """Write p (dp - sum(dp p)) of each row into `out`, with p the output of `softmax`."""

    def log_softmax_backward(self, logp: Array, dlogp: Array, out: Array) -> None:
        """Write dlogp - exp(logp) sum(dlogp) into `out`, with logp the output of `log_softmax`."""

    def layer_norm(
        self, x: Array, scale: Array | None, shift: Array | None, epsilon: float, out: Array
    ) -> None:
        """Write (x - mean) / sqrt(variance + epsilon) scale + shift of each row into `out`."""

    def dropout(self, x: Array, rate: float, key: int, step: int, out: Array) -> None:
        """Write x / (1 - rate) into `out` where an element is kept, else 0.

        The mask depends on key, step and position alone.  The derivative is the same call
        with dy for x.
        """

    def direct(self, function: str, x: object, alpha: float, out: object) -> Array | None:
        """A function of `fastnn.functional`; a direct call, see `fastnn.backend.direct`."""

    def direct_cross_entropy(
        self, logits: object, labels: object, reduction: str, gradient: object, out: object
    ) -> float | tuple[float, Array] | None:
        """`fastnn.functional.cross_entropy` without options; a direct call."""

    def dense_forward(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        name: str,
        alpha: float,
        z: Array | None,
        out: Array,
    ) -> None:
        """Write f(x weight + bias) into `out`, and the argument of f into z unless it is None."""

    def dense_backward(
        self,
        x: Array,
        weight: Array,
        z: Array,
        dy: Array,
        name: str,
        alpha: float,
        dz: Array,
        dx: Array | None,
        dweight: Array,
        dbias: Array | None,
    ) -> None:
        """Write the gradients of `dense_forward`, given the gradient dy of its result.

        dz = dy f'(z), dx = dz weight', dweight = x' dz, dbias = column sums of dz.
        """

    def product_bfloat16(
        self, a: Array, b: Array, a_transposed: bool, b_transposed: bool, out: Array
    ) -> None:
        """Add a b, or with their transposes, of operands rounded to bfloat16 to `out`.

        float32 alone.  Each element is one chain over pairs of k, the second of a pair first, of
        exact products and sums rounded to float32; subnormal numbers are zero.
        """

    def cross_entropy_labels(
        self,
        logits: Array,
        labels: Array,
        weights: Array | None,
        class_weights: Array | None,
        label_smoothing: float,
        ignore_index: int | None,
        reduction: str,
        losses: Array | None,
        gradient: Array | None,
    ) -> float:
        """Softmax cross-entropy with integer labels; the reduced loss.

        l = -sum_k q_k log_softmax(z)_k with q = (1 - s) onehot + s / K.  The weight of a row
        is its sample weight times the class weight of its label, or 0 if it is ignored.
        `losses` receives the loss of each row before any weight, `gradient` that of the loss.
        ValueError names the first label that is neither a class nor ignored.
        """

    def cross_entropy_rows(
        self,
        logits: Array,
        targets: Array,
        weights: Array | None,
        class_weights: Array | None,
        label_smoothing: float,
        reduction: str,
        losses: Array | None,
        gradient: Array | None,
    ) -> float:
        """Softmax cross-entropy with rows of targets, which need not sum to 1.

        l = -sum_k u_k y_k log_softmax(z)_k with u the class weights and y the targets; label
        smoothing distributes the share s of their sum evenly.
        """

    def elementwise_loss(
        self,
        name: str,
        prediction: Array,
        target: Array,
        weights: Array | None,
        options: ElementOptions,
        reduction: str,
        losses: Array | None,
        gradient: Array | None,
    ) -> float:
        """A loss that is a sum over elements; the reduced loss.

        The weight of an element is its own, with `weights` (n, K), or that of its row, (n,); times
        0 if its target is ignored and times ``y u[1] + (1 - y) u[0]`` with class weights u.
        `losses`, (n, K), receives the loss of each element before `weights`.
        """

    def update(
        self,
        name: str,
        parameters: Array,
        gradient: Array,
        slots: Sequence[Array],
        step: int,
        learning_rate: float,
        numbers: Mapping[str, float],
        l2: float,
    ) -> None:
        """One step of an optimizer in place, by the row of `fastnn.facts.updates`.

        The gradient of the formulas includes that of the penalty, l2 p; steps count from 1.
        """

    def clip_by_norm(self, g: Array, max_norm: float) -> float:
        """Scale g to a Euclidean norm of at most max_norm; the norm before.

        The squares are summed in float64.  If the sum is not finite, g is not changed.
        """

    def squared_differences(self, x: Array, lag: int, out: Array) -> None:
        """Sum squares of differences and of numbers along the second axis.

        out[0] = sum over j of (x[:, j] - x[:, j - lag])^2 and out[1] = sum of x[:, j]^2.

        x is (outer, n, inner) with any strides; the sums are of float64 in either dtype.
        """

    def difference_resolvent(self, columns: Array, lag: int, shifts: Array, out: Array) -> None:
        """Write Q' (x I - A)^-1 Q for Q = columns and each x = shifts[s] into out[s].

        A is the matrix of sums of squared differences at the lag.  Complex numbers are pairs
        along a last axis.
        """

    def add_gram(self, rows: Array, high: Array, low: Array) -> None:
        """Add rows' rows, (q, q), to high + low in twice the working precision; rows is (n, q)."""

    def correct_least_squares(
        self,
        high: Array,
        low: Array,
        root: Array,
        coefficients: Array,
        covariance: Array,
        squares: Array,
    ) -> bool:
        """Correct coefficients and covariance, and set the residual sums of squares.

        high + low is [X y]'[X y], (p + m, p + m); root (p, r) satisfies root root' ~ (X'X)^-1.
        False where the corrections do not shrink: then nothing has changed.
        """


class Engine(Protocol):
    """Executes one program on one storage of parameters.

    It is made from (program, storage, keep_all=False).  The storage, a (program.storage_size,)
    array of program.dtype, is kept and not copied: callers may write into it between calls.
    With `keep_all`, `loss_and_gradients` leaves the gradient of every buffer, also of those
    that no trainable parameter needs.

    Attributes
    ----------
    program : Program
    storage : (program.storage_size,) array
    gradients : (program.storage_size,) array
        Gradients of the parameters, laid out like the storage.
    guard : context manager
        A lock that its thread may take again, for callers whose calls belong together.
        The direct calls wait for it; the other methods do not.

    Notes
    -----
    Inputs are (N, width) arrays, targets (N,) labels or (N, width) rows, or (N,) where the
    width is 1, of any real type in native byte order and with any strides.  They are converted
    a batch or a block at a time.  Inputs that dense operations alone read may be
    `fastnn._shared.sparse.SparseRows` of the program's dtype; these have no `value` and
    `gradient`, and no `backward`.  Weights are (N,), for elementwise losses also (N, width), and
    of the program's dtype.  With `check`,
    inputs and targets that are not finite in that dtype or out of range raise ValueError;
    labels that are no classes always do.
    """

    program: Program
    storage: Array
    gradients: Array
    guard: AbstractContextManager[object]

    def __init__(self, program: Program, storage: Array, keep_all: bool = False) -> None: ...

    @staticmethod
    def supports(program: Program) -> Support:
        """Whether an engine of this kind can run the program, and why not."""

    def set_optimizer(self, kind: str, hyper: dict[str, float], slots: Sequence[Array]) -> None:
        """Choose the update that `train` applies: a row of `fastnn.facts.updates`.

        `hyper` has the numbers of the row, and may have `clip_norm`; `slots` are the arrays of
        its state, laid out like the storage, which the updates change in place.
        """

    def forward(
        self, inputs: Sequence[Rows], training: bool = False, step: int = 0, check: bool = False
    ) -> list[Array]:
        """Run the operations; a new array for each output of the program."""

    def direct_predict(self, X: object, check: bool = True) -> Array | None:
        """The output for X as it is; a direct call, see `fastnn.backend.direct`."""

    def direct_step(
        self,
        X: object,
        y: object,
        learning_rate: float,
        number: int,
        check: bool = True,
        state: object = None,
        weights: object = None,
    ) -> float | None:
        """One optimizer step on X and y as they are; a direct call.

        A step that is taken sets `state.step` to its `number`.
        """

    def direct_counting_step(
        self,
        X: object,
        y: object,
        learning_rate: float,
        number: int,
        check: bool = True,
        state: object = None,
        weights: object = None,
    ) -> float | None:
        """`direct_step` whose means leave the sample weights out, which may be negative."""

    def direct_gradients(
        self,
        X: object,
        y: object,
        training: bool = False,
        step: int = 0,
        check: bool = True,
        weights: object = None,
    ) -> float | None:
        """`loss_and_gradients` on X and y as they are; a direct call."""

    def all_finite(self, x: Array) -> bool:
        """Whether every number of an (N, width) array is finite in the program's dtype."""

    def backward(
        self, output_gradients: Sequence[Array | None], input_gradients: bool = True
    ) -> list[Array]:
        """Gradients of the last training forward, from those of the outputs.

        Overwrites `gradients`; returns the gradients of the inputs.
        """

    def evaluate(
        self, inputs: Sequence[Rows], targets: Sequence[Target]
    ) -> tuple[float, list[float]]:
        """The cost and the loss of each head, without dropout."""

    def loss_and_gradients(
        self,
        inputs: Sequence[Rows],
        targets: Sequence[Target],
        training: bool = False,
        step: int = 0,
        check: bool = False,
    ) -> float:
        """The cost; its gradients are left in `gradients` and those of the buffers."""

    def shard_gradients(
        self,
        inputs: Sequence[Rows],
        targets: Sequence[Target],
        rows: Array,
        first_row: int,
        norms: Array,
        l2: float,
        step: int,
    ) -> tuple[float, float]:
        """What some rows of a batch add to the cost of a training step.

        They leave in `gradients` what they add to its gradients.  Over all shards of a batch,
        these sum to its cost and its gradients.  For a batch in one shard they are those of
        `train`, in the compiled engine to the last bit.

        Parameters
        ----------
        rows : (n,) array of int64
            Which of the samples, at least one.
        first_row : int
            Place of the first of them in the batch: the masks of dropout depend on it.
        norms : (heads,) array of float64
            What the mean of each loss divides the sum of the batch by.  For a custom loss, which
            takes its own mean of the shard, the number of rows of the batch: it counts by the
            share of these rows.  Ignored for losses that are sums.
        l2 : float
            Factor of the penalty, 0 for all shards but one.
        step : int
            Number of the optimizer step.

        Returns
        -------
        cost, summed : float
            The cost, penalty included, and the part of it whose losses are sums over the rows.
        """

    def train(
        self,
        inputs: Sequence[Rows],
        targets: Sequence[Target],
        order: Array | None,
        batch_size: int,
        learning_rates: Array,
        first_step: int,
        losses: Array,
        check: bool = False,
        mean_weights: Array | None = None,
        penalties: Array | None = None,
    ) -> int:
        """One optimizer step per batch; the number of steps that were done.

        `mean_weights` has a number for each head: the mean over all data of what a row weighs in
        the head, all its outputs together.  The sum of the losses of n rows is then divided by
        n times this number, for the reduction "mean".  With nan, or without `mean_weights`, it is
        divided by the sum of what the rows of the batch weigh.  Custom losses are not affected.

        `penalties` has the factor l2 of each step, float64, in place of that of the program.

        `losses` receives the loss of each step; where it is (2, n_steps), its second row the part
        of heads whose losses are sums over the rows, without penalty.  Training stops before the
        update of the first step whose loss is not finite, or whose data are refused; the loss of
        these is nan.
        ValueError if the data of the very first step are refused.

        Exceptions of a custom loss or layer pass on.  GradientError where a gradient is not finite
        though the loss is, or the update would make a parameter or the state so: the step is not
        taken, the steps before it are done, and their losses written.
        """

    def update(self, learning_rate: float, number: int) -> None:
        """Step `number` of the optimizer, with the gradients in `gradients`.

        After `loss_and_gradients` in training it completes what `train` does in one step, to
        the same bits.  Clipping by norm changes the gradients in place.  GradientError leaves
        parameters and state as they were, where the update is not finite.
        """

    def value(self, name: str) -> Array:
        """The named buffer as the last forward left it."""

    def gradient(self, name: str) -> Array:
        """Gradient of the cost with respect to the named buffer.

        Zeros where no trainable parameter needs it, unless the engine was made with `keep_all`
        or, for inputs, the last call was `backward`.
        """

    def sample_losses(self) -> Array:
        """What each sample adds to each head's loss in the last `loss_and_gradients`.

        (heads, rows) of float64; the sum of a row is the loss of that head.
        """


class Frozen(Protocol):
    """Executes one program on parameters that do not change.

    It is made from (program, storage).  The storage must not change afterwards, and the
    program has no heads.  Several threads may call it at once.  Inputs are arrays of the
    program's dtype, (N, width) or (width,).
    """

    def one(self, X: object, out: Array | None = None) -> Array:
        """The output for X, into `out` if given; of a program with one input and one output."""

    def several(
        self, inputs: Sequence[object], outs: Sequence[Array] | None, names: Sequence[str]
    ) -> list[Array]:
        """The outputs for a list of inputs, into the arrays of `outs` if given.

        `names` are those of the inputs in error messages.
        """


class CompiledModule(Kernels, Protocol):
    """A module of compiled code: kernels, engines and the threads they use."""

    DEBUG: bool
    Engine: type
    Frozen: type

    def max_threads(self) -> int:
        """The number of threads OpenMP offers, 0 without OpenMP."""

    def set_max_threads(self, n: int) -> None:
        """Use at most n threads in each call."""

    def end_idle_threads(self) -> None:
        """End the idle threads, before the process is forked."""

    def begin_child(self) -> None:
        """Free the locks that other threads held, in a forked child."""
