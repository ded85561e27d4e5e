"""Networks: what users build, train, evaluate and save."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn._shared.arrays import Arrays, Weights
from fastnn._shared.fields import entry
from fastnn._shared.views import Views
from fastnn.graph import Graph, trace
from fastnn.layers import Input, Layer, Tensor
from fastnn.layers._tensor import check_name
from fastnn.losses import Loss, SampleClassWeight
from fastnn.network import _copies, _evaluate, _fit, _look, _predict, _save, _state, _summary
from fastnn.network._checkpoint import CheckpointFile
from fastnn.network._compile import AnyLoss, Options, compile_core
from fastnn.network._core import Core, owner
from fastnn.network._monte_carlo import Prediction
from fastnn.network._precision import Calibration
from fastnn.network._predictor import Predictor
from fastnn.network._rounding import check_layers
from fastnn.network._together import DEFAULT_SHARDS, Sharing
from fastnn.optimizers import Optimizer
from fastnn.program import Program
from fastnn.serialization import File
from fastnn.solvers import Solver
from fastnn.training.callbacks import Callbacks, EarlyStopping, History
from fastnn.training.session import Plan
from fastnn.training.sources import Source

if TYPE_CHECKING:
    from fastnn.distributed.communicator import Communicator
    from fastnn.inspection import LayerStatistics, Trace


class Network:
    """A network of layers between inputs and outputs.

    Parameters
    ----------
    inputs : Input or sequence of Input
    outputs : Tensor, sequence of Tensor, or dict from names to Tensor
        Tensors that `predict` returns.  The keys of a dict name the outputs; otherwise an
        output has the name of its layer.
    dtype : {"float32", "float64"}, default "float32"
        Data type of parameters and computations.
    seed : int, default 0
        Seed of initial values, shuffling and dropout.  The same seed on the same
        backend gives the same bits for any number of threads.
    name : str, optional

    Attributes
    ----------
    metadata : dict
        Data of the user that files, copies and pickles keep: text, numbers, None, and
        lists and dicts of these.  Empty at first; fastnn never reads it.
    core : Core
        Program, parameters, engine and training state, for the package itself.  It is no part
        of the public interface and may change in any version.

    Raises
    ------
    ValueError
        If an input is unused, an output depends on anything but the inputs, two
        inputs or layers have the same name, or a layer belongs to a network already; if a
        number of a layer or an initial value becomes 0 or infinite in the dtype.

    Notes
    -----
    A network keeps the backend on which it was built.  Calls from several threads
    run one after another; during `fit`, other threads wait until it has ended.

    Examples
    --------
    >>> import fastnn as fnn
    >>> x = fnn.Input(4)
    >>> h = fnn.Dense(4, 8, activation="tanh")(x)
    >>> y = fnn.Add()([fnn.Dense(8, 2)(h), fnn.Dense(4, 2)(x)])  # a shortcut
    >>> net = fnn.Network(x, y)
    >>> net.predict([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 2)
    """

    kind: ClassVar[str] = "Network"
    """What files call the class."""

    core: Core
    name: str | None
    metadata: dict[str, Any]

    def __init__(
        self,
        inputs: Input | Sequence[Input],
        outputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
        *,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        output_names = None
        if isinstance(outputs, Mapping):
            output_names = list(outputs)
            outputs = list(outputs.values())
        graph = trace(_as_list(inputs), _as_list(outputs))
        self.name = check_name(name)
        self.metadata = {}
        self.core = Core(graph, output_names, dtype, seed, owner(name, type(self).__name__))
        check_layers(self.core.program)

    # ------------------------------------------------------------- predict

    def predict(self, X: Arrays, batch_size: int | None = None, check_finite: bool = True) -> Any:
        """The outputs of the network; with a loss of classification, these are logits.

        Parameters
        ----------
        X : (N, n_in) array_like, or (n_in,) for a single sample
            For several inputs a list of arrays, or a dict by name.  Any real
            dtype; memory maps are read in blocks.  An input that dense layers alone
            read may be a sparse matrix of SciPy, which stays sparse.
        batch_size : int, optional
            Rows of a block of the computation; by default as many as fit the cache.
        check_finite : bool, default True
            Refuse nan, inf and numbers beyond the network's dtype.

        Returns
        -------
        (N, n_out) array, or (n_out,) for a single sample
            For several outputs a list, or a dict if a dict named the outputs.

        Raises
        ------
        TypeError, ValueError
            If X does not hold real numbers, is empty, has the wrong width, or is
            not finite.
        """
        core = self.core
        if batch_size is None and not core.outputs_are_named:
            output = core.engine.direct_predict(X, check_finite)
            if output is not None:
                return output
        return _predict.predict(core, X, batch_size, check_finite)

    def predict_proba(
        self, X: Arrays, batch_size: int | None = None, check_finite: bool = True
    ) -> Any:
        """Probabilities: softmax of the outputs for cross-entropy, sigmoid for binary.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`.

        Returns
        -------
        (N, n_out) array, or (n_out,) for a single sample
            For several outputs a list or dict, with None where the loss implies no
            probabilities.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        ValueError
            If no loss implies probabilities.
        """
        return _predict.predict_proba(self.core, X, batch_size, check_finite)

    def predict_mean(
        self, X: Arrays, batch_size: int | None = None, check_finite: bool = True
    ) -> Any:
        """Expected targets: the outputs through the inverse of the link of their loss.

        Rates, exp of the outputs, for a loss with the log link; probabilities for
        cross-entropy; the outputs themselves for other losses.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`.

        Returns
        -------
        (N, n_out) array, or (n_out,) for a single sample
            For several outputs a list or dict.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        """
        return _predict.predict_mean(self.core, X, batch_size, check_finite)

    def predict_classes(
        self, X: Arrays, batch_size: int | None = None, check_finite: bool = True
    ) -> Any:
        """Predicted classes: the largest logit for cross-entropy; probability >= 1/2 for binary.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`.

        Returns
        -------
        (N,) int64 array, or (N, n_out) for binary cross-entropy with several columns
            A single sample has one dimension less.  For several outputs a list or
            dict, with None where the loss has no classes.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        ValueError
            If no loss has classes.
        """
        return _predict.predict_classes(self.core, X, batch_size, check_finite)

    def predict_samples(
        self,
        X: Arrays,
        n_samples: int = 100,
        seed: int = 0,
        return_samples: bool = False,
        check_finite: bool = True,
    ) -> Prediction:
        """Mean and spread of the outputs over sampled dropout masks: Monte-Carlo dropout.

        The outputs are logits where the network has a loss of classification.  Dropout is active,
        with other masks for each sample and each row.

        Parameters
        ----------
        X : (N, n_in) array_like, or (n_in,) for a single sample
            As in `predict`.
        n_samples : int, default 100
            Predictions of each row, at least 2.  They take no more memory than 2, except for
            the samples.
        seed : int, default 0
            Seed of the masks.  The masks of a row depend on the seed, on the position of the row
            in X and on `n_samples` alone, and they differ from the masks of training.
        return_samples : bool, default False
            Return the predictions themselves as well.
        check_finite : bool, default True
            Refuse nan, inf and numbers beyond the network's dtype.

        Returns
        -------
        Prediction
            A named tuple of ``mean``, ``std`` and ``samples``, each arranged as `predict`
            arranges its outputs; ``samples`` is None unless `return_samples` is True.

        Raises
        ------
        TypeError, ValueError
            If X does not hold real numbers, is empty, has the wrong width, or is not finite;
            if the network has no dropout.

        References
        ----------
        Gal & Ghahramani (2016), "Dropout as a Bayesian approximation: representing model
        uncertainty in deep learning".
        """
        sampling = _predict.Sampling(n_samples, seed, return_samples, check_finite)
        return _predict.predict_samples(self.core, X, sampling)

    def predict_proba_samples(
        self,
        X: Arrays,
        n_samples: int = 100,
        seed: int = 0,
        return_samples: bool = False,
        check_finite: bool = True,
    ) -> Prediction:
        """Mean and spread of the probabilities over sampled dropout masks.

        The mean is over the probabilities of each sample, so that it is a distribution too; it
        is not the softmax of the mean output.

        Parameters
        ----------
        X, n_samples, seed, return_samples, check_finite
            As in `predict_samples`.

        Returns
        -------
        Prediction
            As `predict_samples` returns it; for several outputs with None where a loss implies
            no probabilities.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            As in `predict_samples`; if no loss implies probabilities.
        """
        sampling = _predict.Sampling(n_samples, seed, return_samples, check_finite)
        return _predict.predict_proba_samples(self.core, X, sampling)

    def predictor(
        self,
        precision: str | None = None,
        *,
        calibrate: Arrays | None = None,
        y: Arrays | None = None,
        keep: Sequence[str | int] = (),
    ) -> Predictor:
        """A frozen copy of the network for predictions of low latency, from any thread.

        Parameters
        ----------
        precision : {None, "float32", "bfloat16", "int8"}, default None
            None is the precision that `compile` was given.  With "bfloat16" the products of all
            but small dense layers multiply numbers of eight significant bits and sum them in
            float32, for any number of rows: a row alone has the bits it has among others.  With
            "int8" the products of large dense layers multiply whole numbers of eight bits:
            weights from -127 to 127 times a scale of each column, activations from 0 to 255 times
            a scale of each row, or of all rows.  Their sums are exact, so they do not depend on
            processor, backend and number of threads.
            Everything else stays float32.
        calibrate : (N, n_in) array_like, optional
            Rows like those to be predicted, as `predict` takes them.  The predictor's `report`
            says what the precision changes there.  They are required for "int8": from them come
            the ranges of the activations, and the choice for each product between a range of
            each row and one range, outside of which numbers are clipped.
        y : array_like, optional
            Targets of `calibrate`, as `fit` takes them: the report then has the change of loss
            and scores.  The network must have been compiled.
        keep : sequence of str or int, default ()
            For "int8", dense layers that stay float32, by name or by position:
            ``keep=[0, -1]`` keeps the first and the last.

        Returns
        -------
        Predictor
            Its `report` says what ran in which precision and why, and what that changes.

        Raises
        ------
        RuntimeError
            With `y`, if the network has not been compiled.
        TypeError, ValueError
            If an argument is unknown or does not fit; for "bfloat16" and "int8" if the network is
            not float32; for "int8" if its parameters or the rows are not finite.

        Examples
        --------
        >>> import numpy as np, fastnn as fnn
        >>> net = fnn.Sequential([fnn.Dense(64, 256, activation="relu"), fnn.Dense(256, 10)])
        >>> X = np.random.default_rng(0).normal(size=(500, 64)).astype("float32")
        >>> predictor = net.predictor("int8", calibrate=X)
        >>> [product.precision for product in predictor.report.products]
        ['int8', 'float32']
        >>> predictor.report.outputs[0].mean < 0.01 * predictor.report.outputs[0].spread
        True
        """
        return _predict.predictor(self.core, precision, Calibration(calibrate, y, keep))

    # ------------------------------------------------------------- compile

    def compile(
        self,
        loss: AnyLoss | Sequence[AnyLoss | None] | Mapping[str, AnyLoss | None],
        optimizer: str | Optimizer | Solver = "adam",
        *,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        l2: float = 0.0,
        missing: str | None = None,
        learning_rates: Mapping[str, float] | None = None,
        weight_decays: Mapping[str, float] | None = None,
        precision: str = "float32",
    ) -> None:
        """Choose what training minimises, and how.

        It resets the state of the optimizer, the counters and the history; the parameters
        keep their values.  Call it again after a change of a layer's `trainable`.

        Parameters
        ----------
        loss : str, Loss, function, or for several outputs a list or dict of them
            A name is one of `fastnn.program.LOSSES`.  A function makes a `CustomLoss`.  An
            output with None has no loss.
        optimizer : str, Optimizer or Solver, default "adam"
            A name is one of `fastnn.optimizers.names()`, or of a solver, which trains on all
            samples at once: lbfgs, levenberg_marquardt.
        loss_weights : list or dict of float, optional
            Factor of each output's loss, 1 by default.
        l2 : float, default 0
            Adds l2 / 2 times the sum of the squared trainable weights (not biases) to the cost.
        missing : {None, "nan"}, default None
            "nan": every loss ignores targets that are nan.  Means are taken over the observed
            targets: an output without observed targets in a batch adds 0 to the cost and to the
            gradients.  The options ignore_value, ignore_index and ignore_nan of a loss do the
            same for one output.
        learning_rates : dict of float, optional
            Positive factors of the optimizer's learning rate for some parameters, by the name of
            a parameter (``"dense_1.bias"``) or of a layer, for all its parameters.  The name of
            a parameter takes precedence.
        weight_decays : dict of float, optional
            Factors of the optimizer's weight decay, which acts on weights only, by the same
            names; 0 is no decay.
        precision : {"float32", "bfloat16"}, default "float32"
            What the products of dense layers multiply.  With "bfloat16" operands are rounded to
            eight significant bits and sums are float32; parameters, optimizer state and losses
            stay float32.  Processors with AVX512_BF16 multiply such numbers at twice the rate;
            others compute the same numbers, slower than in float32.  Products of small layers, and
            of calls with few rows, stay float32 where rounding would take longer than it gains:
            `summary` says which.

        Raises
        ------
        ValueError
            If a loss is missing, unknown, or does not fit its output or the solver; if the
            precision is unknown, or is not for the dtype of the network or for a solver;
            if the optimizer is a solver, and the network has dropout; if a number among the
            options becomes 0, infinite or 1 in the dtype of the network; if a factor names
            nothing, or the optimizer has no learning rate or weight decay for it.
        RuntimeError
            If a callback of `fit` calls it.

        Warns
        -----
        UserWarning
            If trainable layers lie below a binary step or a zero indicator, whose
            derivative is 0; the warning names the layers.
        """
        options = Options(loss_weights, l2, missing, learning_rates, weight_decays, precision)
        compile_core(self.core, loss, optimizer, options)

    # ------------------------------------------------------------ evaluate

    def evaluate(
        self,
        X: Arrays,
        y: Arrays,
        sample_weight: Weights = None,
        batch_size: int | None = None,
        check_finite: bool = True,
    ) -> dict[str, float]:
        """The cost and the scores on some data, without dropout.

        The rows are predicted in blocks, and losses and scores are summed over the blocks in
        order, so that memory does not grow with the number of rows.  Only custom losses receive
        all outputs at once.  The blocks depend on the widths of the outputs alone, not on
        `batch_size` or the number of threads.

        Parameters
        ----------
        X, batch_size, check_finite
            As in `predict`, for N samples.
        y, sample_weight
            As in `fit`.

        Returns
        -------
        dict of float
            ``loss``, the cost with the L2 penalty, and ``accuracy`` for
            classification or ``r2`` for regression; with several losses also
            ``<output>_loss`` and ``<output>_accuracy`` or ``<output>_r2`` of each.  The measures
            of a loss for which no row counts are nan, and the cost is that of the other losses.
            A row counts if its weight is positive and its target is not missing.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit, or no row counts for any loss.

        Notes
        -----
        Targets that the network's dtype cannot hold exactly are not rounded: their losses and
        scores are computed in float64.
        """
        return _evaluate.evaluate(self.core, X, y, sample_weight, batch_size, check_finite)

    def score(self, X: Arrays, y: Arrays, sample_weight: Weights = None) -> float:
        """Accuracy for classification, R^2 for regression.

        Parameters
        ----------
        X, y, sample_weight
            As in `evaluate`.

        Raises
        ------
        ValueError
            If the network has several losses: `evaluate` gives a score for each.  If its
            loss is a custom one without an activation, which has no score.  If no row counts.
        """
        return _evaluate.score(self.core, X, y, sample_weight)

    # --------------------------------------------------------------- train

    def fit(
        self,
        X: Arrays | Source,
        y: Arrays | None = None,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_data: Sequence[object] | Source | None = None,
        validation_split: float | None = None,
        early_stopping: EarlyStopping | int | None = None,
        callbacks: Callbacks = None,
        class_weight: SampleClassWeight | Mapping[str, SampleClassWeight] = None,
        sample_weight: Weights = None,
        shuffle: bool = True,
        verbose: int = 0,
        check_finite: bool = True,
        weights_mean: Literal["data", "batch", "count"] = "data",
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | datetime.timedelta = 1,
        communicator: Communicator | None = None,
        shards: int | None = DEFAULT_SHARDS,
        partitioned: bool = False,
    ) -> History:
        """Train for some epochs more.

        Parameters
        ----------
        X : (N, n_in) array_like
            For several inputs a list of arrays, or a dict by name.  Any real
            dtype; memory maps are read some batches at a time.  An input that dense
            layers alone read may be a sparse matrix of SciPy, which stays sparse.  Or a source
            of rows that do not fit into memory, `ParquetRows` or `Chunks`, without y.
        y : array_like
            Labels (N,) or rows (N, n_out) for cross-entropy, 0 and 1 for binary
            cross-entropy, numbers for the other losses; (N,) where n_out is 1.
            For several losses a list of arrays, or a dict by output.
        epochs : int, optional
            Epochs to train now, 10 by default.  For a solver (`LBFGS`,
            `LevenbergMarquardt`), the largest number of iterations, by default its
            `max_iterations`.
        batch_size : int, optional
            32 by default.  A solver takes all samples at once and no batch_size.
        validation_data : (X, y) or (X, y, sample_weight), or a source, optional
            Evaluated after each epoch; the history calls the measures ``val_...``.
        validation_split : float, optional
            Share of the rows to hold out as validation data instead.  They are drawn with
            the network's seed (both parts are copies: for memory maps pass validation_data),
            or they are the last rows if shuffle is False (no copies).
        early_stopping : EarlyStopping or int, optional
            An int is the patience of an `EarlyStopping` on ``val_loss``.
        callbacks : Callback, function, or several of them, optional
        class_weight : dict from class to weight, one weight per class, or "balanced", optional
            Multiplies the weight of each training sample by the weight of its class.  For
            several losses a dict by output.  "balanced" gives a class the weight n / (K count),
            for n samples to train on, of K classes, as scikit-learn does: sample weights do not
            change these numbers.
        sample_weight : (N,) array_like, optional
            Weights of the samples, not negative.  For a loss of single elements, which is any but
            the cross-entropy over classes and custom losses, also (N, n_out), a weight for each
            target.  For several losses also a list or dict by output.  A mean divides by them: a
            common factor, of any size, changes nothing.
        shuffle : bool, default True
            Visit the rows in a new order each epoch.  A solver visits all rows at
            once; there, shuffle only affects validation_split.
        verbose : {0, 1, 2}, default 0
            Nothing, a progress bar, or a line for each epoch.
        check_finite : bool, default True
            Refuse nan, inf and numbers beyond the network's dtype.
        weights_mean : {"data", "batch", "count"}, default "data"
            What the weighted losses of a batch of n rows are divided by, for a loss whose reduction
            is "mean".  "data": n times the mean weight of all rows to train on, so that the
            minimum does not depend on the size of the batches, and no row counts more in one
            batch than in another.  "batch": the sum of the weights in the batch, as PyTorch and
            scikit-learn divide.  "count": the number of targets, as Keras's "sum_over_batch_size"
            divides; sample weights may then be negative, such as the advantages of a policy
            gradient.  It needs an optimizer, no solver.  Weights are sample weights times class
            weights, 0 for a missing target or an ignored label.  "data" and "batch" are the same
            where all rows weigh the same, and for solvers.  A custom loss takes its own mean of
            each batch.
        checkpoint : path, optional
            A file that always holds the state of this training at the end of an epoch.  If the
            file exists, training continues from it: the same call after the process was killed
            gives the parameters of a training that was not interrupted, bit for bit on the same
            backend.  The file is a network's file too, which `load` reads.
        checkpoint_every : int or datetime.timedelta, default 1
            Number of epochs between two writes of the file, or a time: the first epoch that ends
            after it writes the file.
        communicator : Communicator, optional
            Train together with other processes, which make the same call:
            `fastnn.distributed.world`.  Process 0 alone validates, calls callbacks, reports and
            writes the checkpoint; its validation_data count.  Parameters, history and counters
            of all processes are the same in the end.
        shards : int or None, default 8
            With a communicator, a batch is cut into so many parts, whose gradients are added in
            one fixed order: parameters have the same bits for any number of processes up to this
            number.  None gives each process one part, which is faster; then parameters for
            different numbers of processes are equal to rounding only.
        partitioned : bool, default False
            Whether X, y and sample_weight of each process are a part of the rows, those of
            process 0 first.  False: all processes pass the same rows, such as one memory map.

        Returns
        -------
        History
            The measures of all epochs of this network, those of earlier calls included.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit; if in the data to train on, or in the validation data, no row
            counts: each has weight 0 or a missing target; if the checkpoint belongs to another
            training, or the optimizer is a solver, whose curvature no file holds.
        FormatError, OSError
            If the checkpoint is damaged, is no checkpoint, or cannot be written.
        TrainingError
            If the loss of a batch or a gradient is not finite, if the update would make a
            parameter or the optimizer's state so, or if the cost is not finite where a solver
            starts.  The error has the place, and the parameters are those before that step, or
            with `early_stopping` those of the best epoch.

        Notes
        -----
        Ctrl-C ends training between two steps; the history says `interrupted`.  Early stopping
        then restores the parameters of the best epoch.  Ctrl-C in the last callbacks, after the
        training, is passed on as a KeyboardInterrupt.

        A warning names targets whose spread the network's dtype cannot hold beside their mean,
        such as 1.7e9 +- 20 in float32.

        Iterations of a solver are reported as epochs: the history has the cost of all
        samples at the end of each, and its `message` is the reason why the solver ended.
        Callbacks can watch and stop a solver; it overwrites what they write into the
        parameters.  A later `fit` starts from the present parameters, without the curvature
        that the solver had found.
        """
        plan = Plan(epochs, batch_size, shuffle, early_stopping, callbacks, verbose, weights_mean)
        file = CheckpointFile.of(checkpoint, checkpoint_every)
        sharing = Sharing.of(communicator, shards, partitioned)
        extras = _fit.Extras(
            validation_data, validation_split, class_weight, check_finite, file, sharing
        )
        if isinstance(X, Source):
            if y is not None or sample_weight is not None:
                raise TypeError("y and sample_weight do not go with a source, which has its own")
            return _fit.fit_source(self.core, X, plan, extras, self)
        if y is None:
            raise TypeError("y must hold real numbers, got NoneType (a source brings its own)")
        return _fit.fit(self.core, X, y, sample_weight, plan, extras, self)

    def train_step(
        self,
        X: Arrays,
        y: Arrays,
        sample_weight: Weights = None,
        check_finite: bool = True,
        weights_mean: Literal["batch", "count"] = "batch",
    ) -> float:
        """One optimizer step on one batch.

        Parameters
        ----------
        X, y, sample_weight
            One batch, as in `fit`.
        check_finite : bool, default True
            Refuse nan, inf and targets out of range.
        weights_mean : {"batch", "count"}, default "batch"
            What the weighted losses are divided by, for a loss whose reduction is "mean": the sum
            of the weights, or the number of targets.  With "count" weights may be negative.

        Returns
        -------
        float
            The cost of the batch before the step.

        Raises
        ------
        RuntimeError
            If the network has not been compiled, or the optimizer is a solver.
        TypeError, ValueError
            If the data do not fit.
        TrainingError
            If the cost or a gradient is not finite, or the update would make a parameter or
            the optimizer's state so; the step is not taken.
        """
        return _fit.train_step(self.core, X, y, sample_weight, check_finite, weights_mean)

    def loss_and_gradients(
        self,
        X: Arrays,
        y: Arrays,
        sample_weight: Weights = None,
        training: bool = False,
        check_finite: bool = True,
    ) -> tuple[float, dict[str, np.ndarray]]:
        """The cost on some data and its gradient with respect to every parameter.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; all rows are one batch.
        training : bool, default False
            Whether dropout is active, with the masks of the next step.
        check_finite : bool, default True
            Refuse nan, inf and targets out of range.

        Returns
        -------
        loss : float
            With the L2 penalty.
        gradients : dict of array
            New arrays by parameter name; frozen parameters have zeros.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit.
        """
        return _fit.loss_and_gradients(self.core, X, y, sample_weight, training, check_finite)

    # -------------------------------------------------------- look inside

    def trace(
        self,
        X: Arrays,
        y: Arrays,
        sample_weight: Weights = None,
        apply: bool = False,
        check_finite: bool = True,
    ) -> Trace:
        """Every intermediate of the next `train_step` on these data, by layer.

        A separate engine, which keeps all its buffers, takes the step on copies of the
        parameters and of the optimizer's state.  The numbers are those of `train_step` to the
        last bit, dropout masks included, and the network does not change.

        Parameters
        ----------
        X, y, sample_weight
            One batch, as in `fit`.
        apply : bool, default False
            Whether the network takes the step too, as in `train_step`.
        check_finite : bool, default True
            Refuse nan, inf and targets out of range.

        Returns
        -------
        Trace
            ``trace["dense_1"]`` has Z, A, dA, dZ, dW and db; ``trace.parameters``,
            ``trace.loss`` and ``trace.losses`` have the rest; ``print(trace)`` shows a table.

        Raises
        ------
        RuntimeError
            If the network has not been compiled; if `apply` is True and the optimizer is a
            solver, which takes no single steps.
        TypeError, ValueError
            If the data do not fit.
        TrainingError
            If `apply` is True, and the cost or a gradient is not finite, or the update would
            make a parameter or the optimizer's state so; the step is not taken.

        Notes
        -----
        The trace keeps all rows at once.  `train_step` takes a batch in parts if its buffers
        exceed 40 MiB; then gradients of layers that are used more than once may differ in the
        last bits.

        A solver takes no single steps: the trace has the gradients that the solver would
        receive, and unchanged parameters.

        Examples
        --------
        >>> import numpy as np, fastnn as fnn
        >>> net = fnn.Sequential([fnn.Dense(2, 1, weight=[[1.0], [2.0]])])
        >>> net.compile(loss="mean_squared_error", optimizer=fnn.GradientDescent(0.1))
        >>> trace = net.trace([[1.0, 1.0]], [2.0])
        >>> trace["dense_1"].Z, trace["dense_1"].dZ, trace.loss
        (array([[3.]], dtype=float32), array([[2.]], dtype=float32), 1.0)
        >>> trace.parameters["dense_1.weight"].after
        array([[0.8],
               [1.8]], dtype=float32)
        """
        return _look.trace(self.core, X, y, sample_weight, apply, check_finite)

    def layer_statistics(
        self, X: Arrays, y: Arrays, sample_weight: Weights = None, check_finite: bool = True
    ) -> LayerStatistics:
        """Sizes of activations, sensitivities, gradients and updates in each layer.

        They are computed from the `trace` of a step that is not taken.  They show where
        gradients vanish or explode, where units are saturated or dead, and how large the
        optimizer's updates are.

        Parameters
        ----------
        X, y, sample_weight, check_finite
            As in `trace`.

        Returns
        -------
        LayerStatistics
            Statistics by call of a layer and by parameter.  ``print(statistics)`` shows
            tables, `fastnn.plot.layer_statistics` draws them, and a `LayerMonitor` records them
            during training.

        Raises
        ------
        RuntimeError
            If the network has not been compiled.
        TypeError, ValueError
            If the data do not fit.
        """
        return _look.layer_statistics(self.core, X, y, sample_weight, check_finite)

    def input_gradients(
        self,
        X: Arrays,
        output: str | None = None,
        column: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """The derivatives of the outputs by the inputs, for each sample: its Jacobian.

        The outputs are those of `predict`: logits with a loss of classification, and without
        dropout.

        Parameters
        ----------
        X, check_finite
            As in `predict`.
        output : str, optional
            Name of one output; by default all outputs.
        column : int, optional
            One column of the output; where there are several outputs, `output` must name one.

        Returns
        -------
        (N, n_out, n_in) array, or (N, n_in) for one column
            Entry [i, j, k] is d output[i, j] / d X[i, k].  For several inputs a list of
            arrays, or a dict if X is one; for several outputs a list of such results, or a dict
            if a dict named the outputs.  A single sample has no axis N.

        Raises
        ------
        TypeError, ValueError
            If X does not fit, or there is no such output or column.

        Notes
        -----
        The engine makes one backward pass for each column, which starts from ones: the rows
        of a batch do not depend on each other, so that one pass serves all samples.
        """
        return _look.input_gradients(self.core, X, output, column, check_finite)

    def parameter_jacobian(
        self,
        X: Arrays,
        output: str | None = None,
        column: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """The derivatives of the outputs by the parameters, for each sample.

        Parameters
        ----------
        X, output, column, check_finite
            As in `input_gradients`.

        Returns
        -------
        (N * n_out, n_parameters) array, or (N, n_parameters) for one column
            Rows in the order of ``net.predict(X).ravel()``, columns in that of
            `get_flat`; frozen parameters have zeros.  For several outputs a list of
            arrays, or a dict if a dict named the outputs.

        Raises
        ------
        TypeError, ValueError
            If X does not fit, or there is no such output or column.

        Notes
        -----
        One backward pass for each column gives dZ; the derivatives are the outer products of
        a layer's input and dZ for each sample.  Least-squares methods such as
        Levenberg-Marquardt need this matrix.
        """
        return _look.parameter_jacobian(self.core, X, output, column, check_finite)

    # ---------------------------------------------------------- parameters

    @property
    def parameters(self) -> Views:
        """Live views of the parameters by name, such as ``"dense_1.weight"``.

        ``net.parameters["dense_1.weight"] = w`` copies `w` into the network; writing into the
        view does so too.
        """
        return Views(self.core.views)

    @property
    def gradients(self) -> Views:
        """Live views of the gradients of the last `loss_and_gradients`."""
        return _state.gradients(self.core)

    @property
    def n_parameters(self) -> int:
        """Number of parameters, frozen ones included."""
        return self.core.program.n_parameters

    def get_flat(self) -> np.ndarray:
        """All parameters as one new vector (n_parameters,), in the order of `parameters`."""
        return _state.get_flat(self.core)

    def set_flat(self, values: ArrayLike) -> None:
        """Set all parameters from a vector (n_parameters,).

        nan and infinities are allowed.

        Raises
        ------
        TypeError, ValueError
            If it is not a vector of real numbers of that length, or a finite number is too
            large for the network's dtype.
        """
        _state.set_flat(self.core, values)

    def get_state(self) -> dict[str, Any]:
        """A copy of everything that training changes, for `set_state`."""
        return _state.get_state(self.core)

    def set_state(self, state: Mapping[str, object]) -> None:
        """Set the state that `get_state` copied, so that training continues from there.

        Raises
        ------
        TypeError, ValueError
            If it is no such state, or the state of another network or optimizer; then nothing
            changes.
        """
        _state.set_state(self.core, state)

    # ------------------------------------------------------- save and load

    def save(self, path: File, metadata: Mapping[str, object] | None = None) -> None:
        """Write the network to a file that `load` reads: safetensors with a JSON structure.

        The file has the parameters, the graph, the losses, the optimizer with its state, the
        counters and the history, so that training continues exactly where it stopped.

        Parameters
        ----------
        path : str, path-like or binary file object
            A regular file is replaced as a whole: a reader never sees a part of a network.
        metadata : dict, optional
            Written in place of the network's own `metadata`; `load` restores it.

        Raises
        ------
        TypeError, ValueError
            If the learning rate is a function, or the metadata have a value that no file can
            hold; nothing is written.
        OSError
            If the file cannot be written; FileNotFoundError if its folder does not exist.
        """
        _save.save(self, path, metadata)

    def __getstate__(self) -> dict[str, Any]:
        return _copies.state_of(self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        _copies.restore(self, state)

    # -------------------------------------------------------- descriptions

    @property
    def seed(self) -> int:
        """Seed of initial values, shuffling and dropout."""
        return self.core.seed

    @property
    def program(self) -> Program:
        """The program that the engines execute; it prints as a listing."""
        return self.core.program

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.core.dtype

    @property
    def backend(self) -> str:
        """The backend that executes the network: ``"compiled"`` or ``"reference"``."""
        return self.core.backend

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order of first appearance; a shared layer once."""
        return self.core.graph.layers

    @property
    def graph(self) -> Graph:
        """The graph of layer calls between inputs and outputs."""
        return self.core.graph

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return self.core.input_names

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return list(self.core.output_names)

    @property
    def losses(self) -> dict[str, Loss]:
        """Loss of each output that has one; empty before `compile`."""
        return {head.name: head.loss for head in self.core.heads}

    @property
    def optimizer(self) -> Optimizer | Solver | None:
        """The optimizer or solver; None before `compile`."""
        return self.core.optimizer

    @property
    def history(self) -> History:
        """The measures of each epoch since `compile`."""
        return self.core.state.history

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises
        ------
        KeyError
            If there is none; the error lists the names of all layers.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(str(layer.name) for layer in self.layers)
        raise KeyError(f"no layer {name!r}; the network has {names}")

    def summary(self) -> str:
        """A table of the graph: each call of a layer, its inputs, width and parameters.

        It marks parameters that are shared, frozen, or reached by no gradient.  The outputs
        with their losses follow.  `fastnn.plot.graph` draws the same graph.
        """
        return _summary.summary(self.core, repr(self))

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        widths = _summary.widths(self.core)
        return f"<{type(self).__name__} {name}{widths}, {self.dtype}, seed {self.seed}>"


def _as_list(ends: object) -> list[Any]:
    """Inputs or outputs as a list; their types are checked later."""
    return list(ends) if isinstance(ends, (list, tuple)) else [ends]


# --------------------------------------------------------------- networks from files

CLASSES: dict[str, type[Network]] = {Network.kind: Network}
"""The classes of networks that files know, by `kind`; `_sequential.py` adds its own."""


def rebuild(
    described: Mapping[str, object],
    values: Mapping[str, np.ndarray],
    custom: Mapping[str, object] | None = None,
) -> Network:
    """The network that `_save.structure` and `_save.arrays` describe.

    Parameters
    ----------
    described : mapping
    values : mapping of str to array
    custom : mapping, optional
        Custom layers and losses, as `_save.by_name` returns them.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If they do not describe one.
    """
    kind = entry(described, "class", str, "a network")
    if kind not in CLASSES:
        raise ValueError(f"not a network: its class is {kind!r}, expected {' or '.join(CLASSES)}")
    metadata = entry({"metadata": {}, **described}, "metadata", dict, "a network")  # as of old
    return _from_core(_save.restored(described, values, custom or {}), described, dict(metadata))


def reseeded(network: Network, seed: int) -> Network:
    """An untrained copy of a compiled network, with the initial values of another seed.

    Frozen parameters keep their values.  The initial values that a layer was given, or draws
    from a seed of its own, stay the same.

    Raises
    ------
    ValueError
        If the network is a copy or comes from a file, and a layer was given initial values.
    """
    described = _save.structure(network, as_data=False)
    return _from_core(_save.reseeded(network.core, described, seed), described, {})


def _from_core(core: Core, described: Mapping[str, Any], metadata: dict[str, Any]) -> Network:
    cls = CLASSES[described["class"]]
    network = cls.__new__(cls)
    network.core, network.name, network.metadata = core, described["name"], metadata
    return network
