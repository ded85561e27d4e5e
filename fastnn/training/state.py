"""The progress of a training, and the error that ends one whose numbers are not finite."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastnn._shared.fields import entry
from fastnn._shared.numbers import check_integer, check_number
from fastnn.training.callbacks import History

__all__ = ["TrainingError", "TrainingState"]


class TrainingError(FloatingPointError, ValueError):
    """The loss, a gradient or the update became nan or infinite; the step was not taken.

    It is a FloatingPointError, and a ValueError too: searches over options catch the latter.

    Attributes
    ----------
    epoch, batch : int
        The place in the training, counted from 1.
    step : int
        The optimizer step that was not taken.
    loss : float
        The loss of the batch; finite where only a gradient or an update is not.
    """

    def __init__(
        self, epoch: int, batch: int, step: int, loss: float, rate: float | None,
        gradient: str = "", place: str = "",
    ) -> None:  # fmt: skip
        advice = "look for nan, inf and very large values in the data"
        problem = f"the loss became {loss}{place and ' '}{place}"
        if gradient:
            problem = f"{gradient}, though the loss is {loss:.6g},"
            advice += (
                "; in a custom loss or layer, look for 0 / 0, roots and logarithms of 0 in the "
                "derivative"
            )
        if rate is not None:
            advice = (
                f"lower the learning rate (it was {rate:g}), "
                f"clip the gradients (clip_norm=1), or {advice}"
            )
        super().__init__(
            f"{problem} at epoch {epoch}, batch {batch} (optimizer step {step}); "
            "the parameters are those before that step, or of the best epoch with early stopping. "
            f"{advice[0].upper()}{advice[1:]}"
        )
        self.epoch = epoch
        self.batch = batch
        self.step = step
        self.loss = loss

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_error, (self.args[0], self.epoch, self.batch, self.step, self.loss))


def _rebuild_error(message: str, epoch: int, batch: int, step: int, loss: float) -> TrainingError:
    """A pickled error, with the message that it had."""
    error = TrainingError(epoch, batch, step, loss, 0.0)
    error.args = (message,)
    return error


@dataclass
class TrainingState:
    """The progress of a training.

    With the parameters and the slots of the optimizer, it is all that a resumed training needs.

    Attributes
    ----------
    epoch : int
        Number of finished epochs.
    step : int
        Number of optimizer steps, those of an unfinished epoch included.
    history : History
        The measures of each finished epoch.
    rate_factor : float
        Factor of the optimizer's learning rate, which callbacks change.
    """

    epoch: int = 0
    step: int = 0
    history: History = field(default_factory=History)
    rate_factor: float = 1.0

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply the learning rate of all later steps by a factor."""
        self.rate_factor *= factor

    def replace(self, other: TrainingState) -> None:
        """Become a copy of another state in place: a training under way continues from it."""
        self.epoch, self.step = other.epoch, other.step
        self.rate_factor = other.rate_factor
        self.history.replace(other.history)

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON-able data; `from_dict` makes an equal one of it."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history.to_dict(),
            "rate_factor": self.rate_factor,
        }

    @classmethod
    def from_dict(cls, data: object) -> TrainingState:
        """The state that `to_dict` turned into `data`.

        Raises
        ------
        ValueError
            If `data` does not describe a state.
        """
        what = "a training state"
        factor = data.get("rate_factor", 1.0) if isinstance(data, dict) else 1.0
        return cls(
            check_integer(entry(data, "epoch", int, what), "epoch", 0),
            check_integer(entry(data, "step", int, what), "step", 0),
            History.from_dict(entry(data, "history", dict, what)),
            check_number(factor, "rate_factor", above=0.0),  # files of older versions have none
        )
