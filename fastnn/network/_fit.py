"""Training a network on a user's data: whole epochs, single steps, and gradients.

A single step on arrays that the engine reads as they are is one direct call of the engine (see
`fastnn.backend.direct`), and so are gradients; all other data are checked and named first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from fastnn._shared.arrays import Arrays, Weights
from fastnn._shared.numbers import check_choice, check_flag
from fastnn.backend.finite import NotFiniteError
from fastnn.losses import SampleClassWeight
from fastnn.network._checkpoint import CheckpointFile, with_checkpoint
from fastnn.network._core import Core
from fastnn.network._feed import Feed
from fastnn.network._save import Saved
from fastnn.network._together import Given, Sharing, fit_together
from fastnn.network._units import warn_of_lost_spread
from fastnn.network._weights import check_weighed
from fastnn.training.callbacks import History
from fastnn.training.data import Data, Samples, Selection
from fastnn.training.interrupts import Interrupts
from fastnn.training.session import Plan
from fastnn.training.sources import Chunk, Source
from fastnn.training.state import TrainingError
from fastnn.training.stream import Stream

TRAINED = "sample_weight, with class_weight and the missing targets of y,"
"""The source of the weights of a training, for `check_weighed`."""


@dataclass(frozen=True)
class Extras:
    """What `fit` does with checked data before it trains: weights, validation, checkpoint."""

    validation_data: Sequence[Any] | Source | None = None
    validation_split: float | None = None
    class_weight: SampleClassWeight | Mapping[str, SampleClassWeight] = None
    check_finite: bool = True
    checkpoint: CheckpointFile | None = None
    sharing: Sharing | None = None

    def __post_init__(self) -> None:
        if self.validation_data is not None and self.validation_split is not None:
            raise ValueError("validation_data and validation_split cannot both be given")

    def validation(self, feed: Feed) -> Data | None:
        """The validation data that the user gave apart from the training data, checked."""
        if self.validation_data is None:
            return None
        if isinstance(self.validation_data, Source):
            raise TypeError("validation_data may be a source only where X is one")
        data = feed.validation(self.validation_data, self.check_finite)
        check_weighed(feed.heads, data, "validation_data", "to validate on")
        return data

    @overload
    def prepared(self, core: Core, data: Data, plan: Plan) -> tuple[Data, Data | None]: ...

    @overload
    def prepared(self, core: Core, data: Samples, plan: Plan) -> tuple[Samples, Data | None]: ...

    def prepared(self, core: Core, data: Samples, plan: Plan) -> tuple[Samples, Data | None]:
        """The data to train on, weighed by class, and the part held out for validation.

        That part is drawn with the seed of the core.

        Raises
        ------
        ValueError
            If in one of these parts no row counts for any loss.
        """
        held_out = None
        if self.validation_split is not None or self.class_weight is not None:
            gathered = data.gathered() if isinstance(data, Selection) else data
            data, held_out = self._divided(core, gathered, plan)
        check_weighed(core.heads, data, TRAINED, "to train on")
        return data, held_out

    def _divided(self, core: Core, data: Data, plan: Plan) -> tuple[Data, Data | None]:
        """The data without the part that is held out, weighed by class, and that part."""
        held_out = None
        if self.validation_split is not None:
            data, held_out = data.split(self.validation_split, plan.shuffle, core.seed)
            if any(w is not None and (w < 0).any() for _, w in held_out.targets):
                raise ValueError(
                    "validation_split needs sample_weight >= 0, got negative weights: pass "
                    "validation_data"
                )
            check_weighed(core.heads, held_out, "validation_split", "to validate on")
        if self.class_weight is not None:
            data = core.feed.weigh_classes(data, self.class_weight, plan.weights_mean)
        return data, held_out


def fit(
    core: Core,
    X: Arrays,
    y: Arrays,
    sample_weight: Weights,
    plan: Plan,
    extras: Extras,
    network: Saved,
) -> History:
    """Check the data of a user, and train on them."""
    with core.lock:
        if extras.sharing is not None:
            given = Given(X, y, sample_weight)
            return fit_together(core, given, plan, extras, network, extras.sharing)
        core.compiled()
        data = core.feed.data(X, y, sample_weight, extras.check_finite, rule=plan.weights_mean)
        validation = extras.validation(core.feed)
        data, held_out = extras.prepared(core, data, plan)
        warn_of_lost_spread(core.heads, data.targets, core.dtype)
        validation = validation if held_out is None else held_out
        plan = with_checkpoint(network, plan, extras.checkpoint, data, validation)
        return core.fit(data, plan, validation, network)


def fit_source(core: Core, source: Source, plan: Plan, extras: Extras, network: Saved) -> History:
    """Train on the rows of a source of a user, which are checked as they are read."""
    if extras.validation_split is not None:
        raise ValueError("validation_split does not go with a source: pass validation_data")
    if extras.sharing is not None:
        raise ValueError(
            "communicator and shards do not go with a source, which one process reads: pass the "
            "rows of each process as arrays, with partitioned=True; ParquetRows.part reads them"
        )
    if isinstance(extras.class_weight, str):
        raise ValueError(
            f"class_weight={extras.class_weight!r} does not go with a source, whose classes are "
            "not counted: pass the weights"
        )
    with core.lock:
        core.compiled()
        stream = stream_of(core, source, plan.weights_mean, extras)
        validation: Data | Stream | None
        if isinstance(extras.validation_data, Source):
            validation = stream_of(core, extras.validation_data, "data", Extras())
        else:
            validation = extras.validation(core.feed)
        plan = with_checkpoint(network, plan, extras.checkpoint, stream, validation)
        return core.fit_stream(stream, plan, validation, network)


def stream_of(core: Core, source: Source, rule: str, extras: Extras) -> Stream:
    """The rows of a source, checked for a core and weighed by class."""
    feed = core.feed

    def check(chunk: Chunk) -> Data:
        # "count" leaves weights as they are; otherwise each chunk would have a scale of its own.
        data = feed.data(chunk.X, chunk.y, chunk.sample_weight, extras.check_finite, rule="count")
        if rule != "count" and any(w is not None and (w < 0).any() for _, w in data.targets):
            raise ValueError("sample_weight must be >= 0, got a negative one")
        if extras.class_weight is not None:
            data = feed.weigh_classes(data, extras.class_weight, "count")
        return data

    return Stream(source, check, core.dtype)


def train_step(
    core: Core, X: Arrays, y: Arrays, sample_weight: Weights, check: bool, rule: str
) -> float:
    """One optimizer step on one batch of a user."""
    with core.lock:
        state = core.state
        step = state.step + 1
        rate = core.constant_rate
        if rate is None or state.rate_factor != 1.0:
            rate = core.learning_rate(step)
        try:
            if rule == "batch":
                loss = core.engine.direct_step(X, y, rate, step, check, state, sample_weight)
            else:
                check_choice(rule, "weights_mean", ("batch", "count"))
                loss = core.engine.direct_counting_step(
                    X, y, rate, step, check, state, sample_weight
                )
            if loss is None:
                data = core.feed.data(X, y, sample_weight, check, rule=rule)
                with Interrupts():
                    loss = core.step(data, rate, rule)
                    state.step = step
        except NotFiniteError as error:
            epoch = state.epoch + 1
            raise TrainingError(epoch, 1, step, error.loss, rate, str(error)) from error
        return loss


def loss_and_gradients(
    core: Core, X: Arrays, y: Arrays, sample_weight: Weights, training: bool, check: bool
) -> tuple[float, dict[str, np.ndarray]]:
    """The cost on some data, and copies of its gradients by parameter."""
    core.compiled()
    training = check_flag(training, "training")
    with core.lock:
        engine, step = core.engine, core.state.step + 1
        loss = engine.direct_gradients(X, y, training, step, check, sample_weight)
        if loss is None:
            data = core.feed.data(X, y, sample_weight, check)
            loss = engine.loss_and_gradients(
                core.readable(data.inputs), data.targets, training, step
            )
        gradients = engine.gradients
        return float(loss), {p.name: np.array(p.view(gradients)) for p in core.program.parameters}
