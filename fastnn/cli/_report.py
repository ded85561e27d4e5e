"""The result of a training as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.text import aligned, printable
from fastnn.cli._text import duration, number
from fastnn.optimizers import Optimizer
from fastnn.schedules import Cosine, CosineLog, FlatCosine
from fastnn.tabular.baseline import linear_measures
from fastnn.tabular.learner import Learner
from fastnn.tabular.learning import Training
from fastnn.tabular.model import Model
from fastnn.tabular.recipe import Recipe

_SQUARED = {"mse": "MSE (standardised)", "rmse": "RMSE (units of target)", "r2": "R2"}
MEASURES = {
    "cross_entropy": {"loss": "loss", "accuracy": "accuracy"},
    "squared_error": _SQUARED,
    "huber": _SQUARED,
    "absolute_error": {"mae": "MAE (units of target)", "rmse": "RMSE", "r2": "R2"},
    "poisson": {"deviance": "Poisson deviance", "d2": "D2", "rmse": "RMSE (units of target)"},
    "quantile": {"pinball": "pinball loss (units of target)", "d2": "D2", "coverage": "coverage"},
}
"""For each loss the measures in the order of the report, with their titles."""

_IN_UNITS = ("rmse", "mae", "pinball")


def report(training: Training, files: Iterable[tuple[str, str]] = ()) -> str:
    """The result of a training as tables.

    Parameters
    ----------
    training : Training
    files : iterable of (str, str)
        Kind and path of each file that was written.
    """
    model = training.model
    blocks = [
        [_data_line(training)],
        str(model.decisions).splitlines(),
        score_table("", model.loss, results_of(model)),
        trial_table(model.facts.get("trials", ())),
        aligned([*_settings(training), *files]),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def trials_of(learner: Learner) -> list[dict[str, Any]]:
    """The candidates of a training as data for JSON; an undefined loss is None."""
    trials = []
    for trial in learner.blend.trials:
        recipe = trial.recipe
        entry: dict[str, Any] = {"kind": recipe.kind}
        if recipe.hidden:
            entry |= {
                "hidden": list(recipe.hidden),
                "activation": recipe.activation,
                "dropout": recipe.dropout,
                "weight_decay": recipe.weight_decay,
                "rate_factor": recipe.rate_factor,
            }
        entry |= {
            "held_out_loss": trial.loss if math.isfinite(trial.loss) else None,
            "weight": trial.weight,
            "seconds": trial.seconds,
        }
        trials.append(entry)
    return trials


def trial_table(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """The candidates of a training as lines, none for one candidate."""
    if len(trials) < 2:
        return []
    rows = [("model", "what was tried", "held-out loss", "weight", "time")]
    for trial in trials:
        words = []
        if "hidden" in trial:
            words = ["-".join(map(str, trial["hidden"]))]
            words += [trial["activation"]] if trial["activation"] else []
            words += [f"dropout {trial['dropout']:g}"] if trial["dropout"] else []
            words += [f"decay {trial['weight_decay']:g}"] if trial["weight_decay"] else []
            words.append(f"rate {trial['rate_factor']:.2f}")
        weight = f"{trial['weight']:.2f}" if trial["weight"] else "-"
        loss = measured("loss", trial["held_out_loss"])
        rows.append((trial["kind"], ", ".join(words), loss, weight, duration(trial["seconds"])))
    return aligned(rows, right=(2, 3, 4))


def baseline(training: Training, columns: Mapping[str, str]) -> dict[str, Any]:
    """The measures of a linear model for the test part; undefined ones are None."""
    rows, model = training.rows, training.model
    known = np.concatenate([rows[part] for part in rows if part != "test"])
    measures = linear_measures(
        training.table, model.aim, model.learner.objective, np.sort(known), rows["test"], columns
    )
    finite = {name: value if math.isfinite(value) else None for name, value in measures.items()}
    return {"rows": len(rows["test"]), **finite}


def results_of(model: Model) -> dict[str, Any]:
    """The results of each part, and those of the linear model for the test part."""
    results = model.results if isinstance(model.results, dict) else {}
    linear = model.facts.get("baseline")
    return {**results, "linear model, test": linear} if isinstance(linear, dict) else results


def description(training: Training, files: Mapping[str, str]) -> dict[str, Any]:
    """The result of a training as data for JSON; an undefined measure is null.

    Parameters
    ----------
    training : Training
    files : mapping of str to str
        Path of each file that was written, by its kind.
    """
    model = training.model
    return {
        "data": training.table.name,
        "rows": len(training.table),
        "rows_without_target": model.facts.get("rows_without_target", 0),
        "task": model.task,
        "target": model.target,
        "classes": list(model.classes),
        "columns": model.decisions.to_state(),
        "preset": model.facts.get("preset"),
        "trials": model.facts.get("trials"),
        "results": model.results,
        "baseline": model.facts.get("baseline"),
        "epochs": [network.history.epochs for network in model.learner.networks],
        "seconds": training.seconds,
        "interrupted": training.is_interrupted,
        "files": {kind: printable(path) for kind, path in files.items()},
    }


def _data_line(training: Training) -> str:
    model = training.model
    kind = f"{len(model.classes)} classes" if model.classes else "regression"
    columns, width = len(model.decisions.used), _width(model)
    is_blend = training.recipe is not None
    inputs = "" if is_blend or columns == width else f" ({width} inputs)"
    dropped = training.model.facts.get("rows_without_target", 0)
    note = f"; {dropped:,} without a target dropped" if dropped else ""
    return (
        f"{training.table.name}: {len(training.table):,} rows, {columns} columns{inputs}, "
        f"target {model.target!r} ({kind}){note}"
    )


def score_table(title: str, loss: str, results: Mapping[str, object]) -> list[str]:
    """The results of each part of the data as lines; a dash stands for an undefined measure."""
    titles = {"rows": "rows", **MEASURES[loss]}
    rows = [[title, *titles.values()]]
    for part, result in results.items():
        measures = result if isinstance(result, dict) else {}
        rows.append([part, *(measured(name, measures.get(name)) for name in titles)])
    return aligned(rows, right=range(1, len(rows[0])))


def measured(name: str, value: object) -> str:
    """A measure as text: a count with all digits; six, where the unit is that of the target."""
    if not isinstance(value, int | float):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if name in _IN_UNITS and math.isfinite(value) else number(value)


def _settings(training: Training) -> Iterator[tuple[str, str]]:
    """Names and values of what the training was done with, and of how long it took."""
    if training.recipe is not None:
        yield from _settings_of_blend(training, training.recipe)
        return
    options, history = training.options, training.history
    yield "network", ", ".join(_network_words(training))
    yield "training", ", ".join(_training_words(training))
    yield "iterations" if options.has_solver else "epochs", _epochs(training)
    seconds = sum(history.get("seconds", ()))
    samples = history.epochs * len(training.rows["train"])
    if seconds and options.has_solver:  # an iteration computes a sample more than once
        yield "time", duration(seconds)
    elif seconds:
        yield "time", f"{duration(seconds)}, {samples / seconds:,.0f} samples a second"
    yield "backend", _backend()


def _settings_of_blend(training: Training, recipe: Recipe) -> Iterator[tuple[str, str]]:
    model, learner = training.model, training.model.learner
    assert isinstance(learner, Learner)
    yield "preset", f"{model.facts.get('preset')}"
    yield "model", "; ".join([*learner.describe(), training.options.dtype])
    epochs = sorted(epoch for bag in learner.blend.bags for epoch in bag.epochs)
    spread = f"{epochs[0]} to {epochs[-1]}" if epochs[0] < epochs[-1] else f"{epochs[0]}"
    notes = ["interrupted"] if training.is_interrupted else []
    yield "epochs", ", ".join([f"{spread} of {recipe.epochs}, the best of each network", *notes])
    yield "time", duration(training.seconds)
    yield "backend", _backend()


def _width(model: Model) -> int:
    """Number of inputs of each network."""
    return sum(tensor.width for tensor in model.learner.networks[0].graph.inputs)


def _network_words(training: Training) -> Iterator[str]:
    options, model = training.options, training.model
    widths = [_width(model), *options.widths, len(model.classes) or 1]
    yield " -> ".join(map(str, widths))
    if options.widths:
        yield options.activation
    if options.dropout:
        yield f"dropout {options.dropout:g}"
    yield f"{model.network.n_parameters:,} parameters"
    yield options.dtype


def _training_words(training: Training) -> Iterator[str]:
    options, optimizer = training.options, training.model.network.optimizer
    assert optimizer is not None
    yield optimizer.name
    if isinstance(optimizer, Optimizer):
        rate: Any = optimizer.learning_rate
        if isinstance(rate, Cosine | FlatCosine):
            yield f"learning rate {rate.initial:g} to 0"
        elif isinstance(rate, CosineLog):
            yield f"learning rate {rate.peak:g} in {rate.cycles} waves to 0"
        elif options.schedule == "plateau" and training.history.epochs:
            yield f"learning rate {rate:g} to {training.history['learning_rate'][-1]:g}"
        else:
            yield f"learning rate {rate:g}"
        yield f"batches of {options.rows_of_batch}"
    else:
        yield "all rows at once"
    if options.class_weight:
        yield f"{options.class_weight} classes"
    if options.l2:
        yield f"l2 {options.l2:g}"
    if options.precision != "float32":
        yield f"products in {options.precision}"
    yield f"seed {options.seed}"


def _epochs(training: Training) -> str:
    history = training.history
    notes = []
    if history.interrupted:
        notes.append("interrupted")
    if history.stopped_early:
        notes.append("stopped early")
    if history.message and not history.stopped_early and history.epochs < training.options.epochs:
        notes.append(history.message)
    if history.best_epoch is not None and not history.interrupted:
        notes.append(f"best epoch {history.best_epoch}, kept")
    return ", ".join([f"{history.epochs} of {training.options.epochs}", *notes])


def _backend() -> str:
    isa = backend.instruction_set()
    if isa is None:
        return backend.name()
    threads = backend.get_num_threads()
    return f"{backend.name()} for {isa}, up to {threads} thread{'s' * (threads != 1)}"
