"""Ensembles: networks of one construction, whose predictions are averaged or vote."""

from __future__ import annotations

import copy
import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from fastnn import serialization
from fastnn._shared.arrays import Arrays, Weights
from fastnn._shared.config import as_json
from fastnn._shared.fields import check_kind, entry, real
from fastnn._shared.numbers import check_choice, check_flag, check_integer, check_seed
from fastnn._shared.sparse import Rows
from fastnn._shared.warnings import warn
from fastnn.ensemble.members import Member, Outcome, check_alike
from fastnn.ensemble.training import train_members, trains_one_of
from fastnn.ensemble.workers import workers
from fastnn.losses import Loss
from fastnn.network import Network, Prediction, _save
from fastnn.network._checkpoint import CheckpointFile
from fastnn.network._core import Core
from fastnn.network._evaluate import EVALUATED, score_name
from fastnn.network._fit import Extras
from fastnn.network._heads import LossOnOutput
from fastnn.network._network import rebuild, reseeded
from fastnn.network._predict import check_classification
from fastnn.network._units import warn_of_lost_spread
from fastnn.network._weights import check_weighed
from fastnn.serialization import File, FormatError, name_of
from fastnn.training.callbacks import (
    Callback,
    Callbacks,
    EarlyStopping,
    History,
    as_callbacks,
    is_function,
    own_callbacks,
)
from fastnn.training.data import Data
from fastnn.training.session import Plan

__all__ = ["Ensemble"]

_VOTING = ("soft", "hard")


class Ensemble:
    """Networks that differ in their seeds or training samples, and predict together.

    Parameters
    ----------
    network : Network or function of a seed
        A compiled network, the pattern of the members: they have copies of its graph, losses,
        optimizer and frozen parameters, and new initial values.  The network itself is not
        trained.  Or a function that takes a seed and returns a compiled network.
    n : int, default 5
        Number of members, at least 2.
    bootstrap : bool, default False
        Train each member on N samples that are drawn from the N samples with replacement
        (bagging), instead of the samples themselves.
    seed : int, default 0
        Seed of the members' seeds and of the samples that they draw.  Member i is the same for
        every `n`.

    Attributes
    ----------
    members : tuple of Network
    numbers : tuple of int
        The number of each member, which its seed, its samples and its checkpoint follow from:
        0, 1, ..., without those that `fit` has dropped.
    errors : dict from int to Exception
        The errors of the last `fit` by the numbers of the members that it has dropped; files and
        pickles do not have them.
    callbacks : list of list of Callback
        The callbacks of each member after its last `fit`; files and pickles do not have them.
    oob_score : float or dict of float, or None
        After `fit` with bootstrap, the out-of-bag score: each sample is predicted by the
        members that were not trained on it.  For several losses a dict of scores.  None for a
        custom loss that has no score.

    Raises
    ------
    TypeError
        If `network` is neither a network nor a function that returns one.
    RuntimeError
        If the network is not compiled.
    ValueError
        If the networks that the function returns differ in dtype, inputs, outputs or losses;
        if the network is a copy or from a file, and a trainable layer was given its initial
        values.

    References
    ----------
    Breiman (1996), "Bagging predictors"; Lakshminarayanan, Pritzel & Blundell (2017), "Simple
    and scalable predictive uncertainty estimation using deep ensembles".

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> net = fnn.Sequential([fnn.Dense(2, 8, activation="tanh"), fnn.Dense(8, 2)])
    >>> net.compile(loss="cross_entropy", optimizer="adam")
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> ensemble = fnn.Ensemble(net, n=3)
    >>> histories = ensemble.fit(X, X[:, 0] > X[:, 1], epochs=5)
    >>> ensemble.predict(X).std.shape
    (200, 2)
    """

    def __init__(
        self,
        network: Network | Callable[[int], Network],
        n: int = 5,
        *,
        bootstrap: bool = False,
        seed: int = 0,
    ) -> None:
        n = check_integer(n, "n", 2)
        self.bootstrap = check_flag(bootstrap, "bootstrap")
        self.seed = check_seed(seed)
        self.members = tuple(self._member(network, i) for i in range(n))
        if len(set(map(id, self.members))) < n:
            raise ValueError("network returned one and the same network for two seeds")
        check_alike(self.members)
        self.numbers = tuple(range(n))
        self.oob_score: Any = None
        self.callbacks: list[list[Callback]] = []
        self.errors: dict[int, Exception] = {}

    def _member(self, network: object, i: int) -> Network:
        seed = int(np.random.SeedSequence([self.seed, i]).generate_state(1)[0])
        if isinstance(network, Network):
            network.core.compiled()
            return reseeded(network, seed)
        if isinstance(network, type) or not callable(network):
            raise TypeError(f"network must be a Network or a function of a seed, got {network!r}")
        member = network(seed)
        if not isinstance(member, Network):
            raise TypeError(f"network must return a Network, got {type(member).__name__}")
        member.core.compiled()
        return member

    # ----------------------------------------------------------------- train

    def fit(
        self,
        X: Arrays,
        y: Arrays,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_data: Sequence[object] | None = None,
        validation_split: float | None = None,
        early_stopping: EarlyStopping | int | None = None,
        callbacks: Callbacks = None,
        class_weight: Any = None,
        sample_weight: Weights = None,
        shuffle: bool = True,
        verbose: int = 0,
        check_finite: bool = True,
        weights_mean: Literal["data", "batch", "count"] = "data",
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | datetime.timedelta = 1,
        n_jobs: int | None = None,
        backend: str | None = None,
        on_error: Literal["raise", "drop"] = "raise",
    ) -> list[History]:
        """Train all members for some epochs more.

        Parameters
        ----------
        X, y, epochs, batch_size, validation_data, validation_split, early_stopping
            As in `Network.fit`, for each member: early stopping ends the training of one.
        callbacks : Callback, function, or several of them, optional
            As in `Network.fit`, called for each member, which is ``context.network``.  Each
            member gets a copy of a `Callback`, since it may count; `callbacks` has the copies.
            The members share functions, which several threads may call with `n_jobs`.
        class_weight, sample_weight, shuffle, check_finite, weights_mean
            As in `Network.fit`.
        verbose : {0, 1, 2}, default 0
            Nothing, a progress bar over members, or a line for each member.
        checkpoint : path, optional
            As in `Network.fit`, a file for each member: "run.fastnn" stands for "run.0.fastnn",
            "run.1.fastnn" and so on.  The same call after the process was killed continues the
            member whose training was under way, and does not train finished members again; the
            results are those of a training that was not interrupted, bit for bit, also with
            another `n_jobs`.  An ensemble of more members continues the files of a smaller one.
        checkpoint_every : int or datetime.timedelta, default 1
            As in `Network.fit`.
        n_jobs : int, optional
            Number of members that are trained at the same time; -1 for one on each core.  Each
            member then uses fewer threads.  The results do not depend on it.  By default 1, or
            what a surrounding ``joblib.parallel_config`` says, -1 if that names a backend alone.
        backend : str, optional
            A backend of joblib (the extra `joblib`), such as "loky" for processes of this machine
            or "dask" for a cluster.  By default that of a surrounding ``joblib.parallel_config``,
            and threads of this process outside any, or with "threading".
        on_error : {"raise", "drop"}, default "raise"
            What happens if the training of a member fails.  "raise": its error is raised, with
            the number of the member in a note; the others keep what they have learnt until then,
            and workers of joblib train them to their end before.  "drop": the others are trained
            to their end and are the ensemble, a warning has the number and the error, and
            `errors` too; the first error is raised if fewer than two members are left.

        Returns
        -------
        list of History
            One for each member; for each that is left.

        Raises
        ------
        TypeError, ValueError
            If the data do not fit; if `validation_split` is given with bootstrap, since the
            two parts would share samples (`oob_score` needs no such split); if a checkpoint
            belongs to another training, or the optimizer is a solver: no member is trained then.
        FormatError, OSError
            If a checkpoint is damaged, is no checkpoint, or cannot be written.
        TrainingError
            If the loss of a member is not finite.
        KeyboardInterrupt
            After Ctrl-C, when all members have stopped; they keep their parameters.
        """
        who = workers(n_jobs, backend)
        drops = check_choice(on_error, "on_error", ("raise", "drop")) == "drop"
        extras = Extras(validation_data, validation_split, class_weight, check_finite)
        if self.bootstrap and validation_split is not None:
            raise ValueError(
                "validation_split does not go with bootstrap=True, which repeats samples in both "
                "parts; use oob_score, or pass validation_data"
            )
        check_finite = check_flag(check_finite, "check_finite")
        feed = self._core.feed
        data = feed.data(X, y, sample_weight, check_finite, rule=weights_mean)
        if self.bootstrap:
            _check_bootstrap_weights(data)
        warn_of_lost_spread(self._heads, data.targets, self._core.dtype)
        validation = extras.validation(feed)
        watchers = own_callbacks(callbacks, len(self.members))
        files = CheckpointFile.of_members(checkpoint, checkpoint_every, self.numbers)
        jobs = []
        for i, network in enumerate(self.members):
            own = data, validation
            if network.losses != self.members[0].losses:  # they may read targets in another way
                feed = network.core.feed
                own_data = feed.data(X, y, sample_weight, check_finite, rule=weights_mean)
                own = own_data, extras.validation(feed)
            rows = self._drawn(i, len(data)) if self.bootstrap else None
            stopping = copy.deepcopy(early_stopping)  # it counts, for one member
            plan = Plan(
                epochs, batch_size, shuffle, stopping, watchers[i], weights_mean=weights_mean
            )
            jobs.append(Member(network, own[0], rows, plan, extras, own[1], files[i]))
        self.callbacks = [_objects(own) for own in watchers]
        outcomes = self._settled(train_members(jobs, verbose, who, drops))
        self.callbacks = [_objects(as_callbacks(outcome.plan.callbacks)) for outcome in outcomes]
        self.oob_score = self._out_of_bag(data) if self.bootstrap else None
        return [outcome.history for outcome in outcomes]

    def _settled(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of the members whose training has not failed: only these stay."""
        self.errors = {
            number: outcome.error
            for number, outcome in zip(self.numbers, outcomes, strict=True)
            if outcome.error is not None
        }
        if not self.errors:
            return list(outcomes)
        stay = [i for i, outcome in enumerate(outcomes) if outcome.error is None]
        if len(stay) < 2:
            raise next(iter(self.errors.values()))
        said = "; ".join(
            f"member {number}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            for number, error in self.errors.items()
        )
        warn(
            f"the ensemble goes on without {len(self.errors)} of {len(outcomes)} members, whose "
            f"training failed: {said}",
            RuntimeWarning,
        )
        self.members = tuple(self.members[i] for i in stay)
        self.numbers = tuple(self.numbers[i] for i in stay)
        return [outcomes[i] for i in stay]

    def _drawn(self, i: int, n: int) -> np.ndarray:
        """The rows on which the member in place i is trained."""
        sequence = np.random.SeedSequence([self.seed, self.numbers[i], 1])
        return np.sort(np.random.Generator(np.random.PCG64(sequence)).integers(0, n, n))

    def _out_of_bag(self, data: Data) -> Any:
        """The score of the predictions by the members that were not trained on the sample."""
        n = len(data)
        sums: list[Any] = [0.0] * len(self.members[0].graph.outputs)
        votes = np.zeros((n, 1))
        for i, member in enumerate(self.members):
            unseen = np.ones((n, 1), bool)
            unseen[self._drawn(i, n)] = False
            votes += unseen
            outputs = member.core.outputs(data.inputs)
            for k, part in enumerate(self._comparable(outputs)):
                sums[k] = sums[k] + np.where(unseen, part, 0)
        judged = np.flatnonzero(votes)
        if not len(judged):
            return None
        means = [total[judged] / votes[judged] for total in sums]
        metrics = self._core.measure_outputs(self._as_outputs(means), data.rows(judged))
        scored = [head for head in self._heads if head.loss.metric]
        if len(self._heads) == 1:
            return metrics[scored[0].loss.metric] if scored else None
        return {head.name: metrics[f"{head.name}_{head.loss.metric}"] for head in scored}

    # --------------------------------------------------------------- predict

    def predict(
        self, X: Arrays, *, return_samples: bool = False, check_finite: bool = True
    ) -> Prediction:
        """Mean and spread of the members' outputs; with a loss of classification, of logits.

        Parameters
        ----------
        X, check_finite
            As in `Network.predict`.
        return_samples : bool, default False
            Return every member's outputs as well.

        Returns
        -------
        Prediction
            A named tuple of ``mean``, ``std`` and ``samples``, in the order of `members`.
        """
        keep = check_flag(return_samples, "return_samples")
        outputs, single = self._all_outputs(X, check_finite)
        stacks = [np.stack(parts)[:, 0] if single else np.stack(parts) for parts in outputs]
        dtype = self.members[0].dtype
        means = [stack.mean(axis=0, dtype=np.float64).astype(dtype) for stack in stacks]
        stds = [stack.std(axis=0, ddof=1, dtype=np.float64).astype(dtype) for stack in stacks]
        arrange = self._core.arrange
        return Prediction(arrange(means), arrange(stds), arrange(stacks) if keep else None)

    def predict_proba(self, X: Arrays, check_finite: bool = True) -> Any:
        """The mean of the members' probabilities, arranged as by `Network.predict_proba`.

        Parameters
        ----------
        X, check_finite
            As in `Network.predict`.
        """
        check_classification(self._core)
        outputs, single = self._all_outputs(X, check_finite)
        means = self._means(outputs)
        results: list[Any] = [None] * len(means)
        for head in self._heads:
            if head.loss.activation is not None:
                p = means[head.output].astype(self.members[0].dtype)
                results[head.output] = p[0] if single else p
        return self._core.arrange(results)

    def predict_classes(self, X: Arrays, voting: str = "soft", check_finite: bool = True) -> Any:
        """The classes by a vote of the members, arranged as by `Network.predict_classes`.

        Parameters
        ----------
        X, check_finite
            As in `Network.predict`.
        voting : {"soft", "hard"}, default "soft"
            Soft: the class with the largest mean probability (binary: 1 if the mean is at
            least 1/2).  Hard: the class that most members predict; if several classes have the
            same number of votes, the one with the largest mean probability.  Remaining ties go
            to the smaller label (binary: to 1).
        """
        check_choice(voting, "voting", _VOTING)
        check_classification(self._core)
        outputs, single = self._all_outputs(X, check_finite)
        results: list[Any] = [None] * len(outputs)
        for head in self._heads:
            if head.loss.activation is not None:
                classes = self._voted(head.loss, outputs[head.output], voting == "hard")
                results[head.output] = classes[0] if single else classes
        return self._core.arrange(results)

    def _voted(self, loss: Loss, outputs: Sequence[np.ndarray], hard: bool) -> Any:
        """Classes from every member's outputs (N, K)."""
        shares = np.mean([self._shares(loss, z) for z in outputs], axis=0)
        if hard:
            counts = sum(_votes(loss, z) for z in outputs)
            # Less than one vote: the mean probabilities only break ties.
            shares = (counts + 0.5 * shares) / (len(outputs) + 0.5)
        return loss.classes(shares - 0.5 if loss.activation == "sigmoid" else shares)

    def _all_outputs(self, X: Arrays, check: bool) -> tuple[list[list[np.ndarray]], bool]:
        """For each output what every member predicts, (N, width), and whether X was single."""
        check = check_flag(check, "check_finite")
        arrays, single = self._core.feed.rows(X)
        return self._outputs(arrays, check), single

    def _outputs(self, arrays: Sequence[Rows], check: bool) -> list[list[np.ndarray]]:
        """For each output what every member predicts for prepared inputs."""
        by_member = []
        for i, member in enumerate(self.members):
            with member.core.lock:
                by_member.append(member.core.outputs(arrays, None, check and i == 0))
        return [list(parts) for parts in zip(*by_member, strict=True)]

    def _means(self, outputs: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Means of probabilities, or of outputs where a loss knows none, in float64."""
        by_member = [self._comparable(list(parts)) for parts in zip(*outputs, strict=True)]
        return [np.mean(parts, axis=0) for parts in zip(*by_member, strict=True)]

    def _comparable(self, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One member's outputs in a form that may be averaged: probabilities, or the outputs."""
        parts = [output.astype(np.float64) for output in outputs]
        for head in self._heads:
            parts[head.output] = self._shares(head.loss, outputs[head.output])
        return parts

    def _shares(self, loss: Loss, output: np.ndarray) -> np.ndarray:
        p = loss.probabilities(output, self._core.kernels)
        return (output if p is None else p).astype(np.float64)

    def _as_outputs(self, means: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs in float64, from which the losses compute these means."""
        outputs = list(means)
        for head in self._heads:
            outputs[head.output] = _as_output(head.loss, means[head.output])
        return outputs

    # -------------------------------------------------------------- evaluate

    def evaluate(
        self, X: Arrays, y: Arrays, sample_weight: Weights = None, check_finite: bool = True
    ) -> dict[str, float]:
        """The cost and the scores of the mean prediction, named as by `Network.evaluate`.

        For classification, the prediction is the mean of the probabilities (soft voting).  The
        cost has no L2 penalty, because each member has its own.

        Parameters
        ----------
        X, y, sample_weight, check_finite
            As in `Network.evaluate`.
        """
        data = self._core.feed.data(X, y, sample_weight, check_finite)
        return self._measured(data)

    def _measured(self, data: Data) -> dict[str, float]:
        """The cost and the scores of the mean prediction for checked data."""
        check_weighed(self._heads, data, EVALUATED, "to evaluate")
        means = self._means(self._outputs(data.inputs, False))
        return self._core.measure_outputs(self._as_outputs(means), data)

    def score(self, X: Arrays, y: Arrays, sample_weight: Weights = None) -> float:
        """Accuracy for classification, R^2 for regression, of the mean prediction.

        Parameters
        ----------
        X, y, sample_weight
            As in `Network.score`.

        Raises
        ------
        ValueError
            If the networks have several losses: `evaluate` gives a score for each.  If their
            loss is a custom one without an activation, which has no score.
        """
        metric = score_name(self._core)
        data = self._core.feed.data(X, y, sample_weight, True, hint="")
        return self._measured(data)[metric]

    @property
    def _core(self) -> Core:
        """The core of the first member, which prepares and arranges data for all of them."""
        return self.members[0].core

    @property
    def _heads(self) -> Sequence[LossOnOutput]:
        return self._core.heads

    # --------------------------------------------------------- save and load

    def save(self, path: File) -> None:
        """Write all members to one file, which `Ensemble.load` reads; see `Network.save`.

        Parameters
        ----------
        path : str, path-like or binary file object

        Raises
        ------
        ValueError
            If a learning rate is a function, which no file can hold.
        OSError
            If the file cannot be written.
        RuntimeError
            If a callback calls it in one of several threads of `fit`: it would wait for the
            trainings of the other members, which may wait for it.

        Notes
        -----
        A member that another thread trains is waited for, so that its parameters, the state of
        its optimizer and its history belong together.  A call during `fit` may find some members
        before their training and some after it.
        """
        if trains_one_of(self.members):
            raise RuntimeError(
                "an ensemble cannot be saved by a callback while several threads train its "
                "members: use n_jobs=1, or save context.network"
            )
        members = [_save.snapshot(member) for member in self.members]
        structure = {
            "class": "Ensemble",
            "bootstrap": self.bootstrap,
            "seed": self.seed,
            "numbers": list(self.numbers),
            "oob_score": as_json(self.oob_score),
            "members": [structure for structure, _ in members],
        }
        arrays = {
            f"{i}/{name}": array
            for i, (_, values) in enumerate(members)
            for name, array in values.items()
        }
        serialization.save(path, structure, arrays)

    @classmethod
    def load(cls, path: File, custom: Sequence[object] | Mapping[str, object] = ()) -> Self:
        """Read an ensemble that `save` wrote.

        Parameters
        ----------
        path : str, path-like or binary file object
        custom : sequence of classes, functions and CustomLoss objects, or mapping by name
            The custom layers and losses of the members, as in `fastnn.load`.

        Raises
        ------
        FormatError
            If the file is no ensemble, is damaged, or was written by a newer version, or if a
            class or function is missing in `custom`.
        OSError
            If the file cannot be read.
        """
        custom = _save.by_name(custom)
        described, arrays = serialization.load(path)
        try:
            return cls._rebuilt(described, arrays, custom)
        except FormatError:
            raise
        except _save.DEFECTS as error:
            raise FormatError(f"{name_of(path)} does not describe an ensemble: {error}") from error

    @classmethod
    def _rebuilt(
        cls,
        described: Mapping[str, object],
        arrays: Mapping[str, np.ndarray],
        custom: Mapping[str, object],
    ) -> Self:
        """The ensemble that a file describes."""
        what = "an ensemble"
        kind = entry(described, "class", str, what)
        if kind != "Ensemble":
            raise ValueError(f"it holds a {kind}: use fastnn.load")
        structures = entry(described, "members", list, what)
        check_integer(len(structures), "n", 2)
        parts: dict[str, dict[str, np.ndarray]] = {str(i): {} for i in range(len(structures))}
        for name, array in arrays.items():
            place, _, rest = name.partition("/")
            if place not in parts:
                raise ValueError(f"the array {name!r} belongs to no member")
            parts[place][rest] = array
        ensemble = cls.__new__(cls)
        ensemble.bootstrap = entry(described, "bootstrap", bool, what)
        ensemble.seed = check_seed(entry(described, "seed", int, what))
        ensemble.callbacks, ensemble.errors = [], {}
        numbers = entry({"numbers": range(len(structures)), **described}, "numbers", list, what)
        ensemble.numbers = _checked_numbers(numbers, len(structures))
        ensemble.oob_score = _score_from_json(described.get("oob_score"))
        members = zip(structures, parts.values(), strict=True)
        ensemble.members = tuple(rebuild(one, values, custom) for one, values in members)
        _check_members(ensemble.members)
        return ensemble

    # ---------------------------------------------------------- descriptions

    def summary(self) -> str:
        """The first member's summary, and a line for each member."""
        lines = [repr(self), "", self.members[0].summary(), ""]
        lines += [f"member {i}: {m!r}, {m.history!r}" for i, m in enumerate(self.members)]
        return "\n".join(lines)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "callbacks": [], "errors": {}}  # they may hold anything

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        what = "the state of an ensemble"
        members = entry(state, "members", tuple, what)
        entry(state, "bootstrap", bool, what)
        check_seed(entry(state, "seed", int, what))
        entry(state, "oob_score", (float, dict, type(None)), what)
        _check_members(members)
        _checked_numbers(entry(state, "numbers", tuple, what), len(members))
        vars(self).update(state)

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        first, kind = self.members[0], "bootstrap" if self.bootstrap else "seeds"
        score = "" if self.oob_score is None else f", oob_score {self.oob_score}"
        return f"<Ensemble of {len(self.members)} {type(first).__name__} by {kind}{score}>"


def _check_members(members: Sequence[Any]) -> None:
    """Raise ValueError unless they are networks that an ensemble can have."""
    check_integer(len(members), "n", 2)
    for i, member in enumerate(members):
        if not isinstance(member, Network) or member.optimizer is None:
            raise ValueError(f"member {i} has no losses")
    check_alike(members)


def _checked_numbers(numbers: Sequence[object], n: int) -> tuple[int, ...]:
    """The numbers of n members, which rise; ValueError for others."""
    for number in numbers:
        check_kind(number, int, "the number of a member")
    checked = tuple(check_integer(number, "the number of a member", 0) for number in numbers)
    if len(checked) != n or sorted(set(checked)) != list(checked):
        raise ValueError(f"{n} members must have {n} numbers that rise, got {checked}")
    return checked


def _check_bootstrap_weights(data: Data) -> None:
    """Raise ValueError for a negative weight of a sample."""
    if any(w is not None and (w < 0).any() for _, w in data.targets):
        raise ValueError(
            "sample_weight must be finite and >= 0 with bootstrap=True, whose out-of-bag score "
            "divides by the weights; got a negative one"
        )


def _objects(callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks that were given as objects."""
    return [callback for callback in callbacks if not is_function(callback)]


def _score_from_json(score: object) -> Any:
    """A number, or a dict of numbers by output; None as it is."""
    if isinstance(score, Mapping):
        return {name: real(value, f"oob_score[{name!r}]") for name, value in score.items()}
    return None if score is None else real(score, "oob_score")


def _as_output(loss: Loss, mean: np.ndarray) -> np.ndarray:
    """The logits of mean probabilities; means of other outputs unchanged."""
    if loss.activation is None:
        return mean
    tiny, eps = np.finfo(np.float32).tiny, np.finfo(np.float64).epsneg
    if loss.activation == "softmax":
        return np.log(np.maximum(mean, tiny))
    p = np.clip(mean, tiny, 1 - eps)
    return np.log(p) - np.log1p(-p)


def _votes(loss: Loss, output: np.ndarray) -> np.ndarray:
    """A member's votes (N, K): 1 for the class of a row, or for each label it predicts as 1."""
    classes = loss.classes(output)
    assert classes is not None
    if loss.activation == "softmax":
        return (classes[:, None] == np.arange(output.shape[1])).astype(np.float64)
    return classes.reshape(output.shape).astype(np.float64)
