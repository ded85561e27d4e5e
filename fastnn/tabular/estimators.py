"""Models for tables as scikit-learn estimators, which take rows as a user has them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from fastnn._shared.arrays import as_weights
from fastnn._shared.numbers import check_choice
from fastnn.formats._fitted import Fitted
from fastnn.formats.pipelines import Convertible
from fastnn.tabular import description, recipe, scores
from fastnn.tabular.bags import Limits
from fastnn.tabular.frames import as_table
from fastnn.tabular.learner import Examples, Learner
from fastnn.tabular.objectives import (
    LOSSES,
    QUANTILES,
    Classification,
    Objective,
    Regression,
)
from fastnn.tabular.pictures import draw_embedding
from fastnn.tabular.recipe import Recipe
from fastnn.tabular.roles import Decisions
from fastnn.tabular.table import Numbers, Table

try:
    from scipy.sparse import issparse
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise ImportError(
        "the estimators of fastnn.tabular need scikit-learn 1.7 or newer: "
        'pip install "fastnn[sklearn]"'
    ) from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["TabularClassifier", "TabularRegressor"]

Preset = Literal["fast", "balanced", "best"] | Recipe


class _TabularEstimator(Convertible, BaseEstimator):
    """The base of the classifier and the regressor."""

    preset: Preset
    columns: Mapping[str, str] | None
    time_limit: float | None
    dtype: str
    n_jobs: int | None
    random_state: object
    verbose: int

    def _fit(
        self, table: Table, y: np.ndarray, objective: Objective, weights: np.ndarray | None
    ) -> Self:
        """Train `learner_` on the features of a table and an encoded target."""
        jobs = None if self.n_jobs == -1 else self.n_jobs
        limits = Limits(self.time_limit, jobs)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        dtype = check_choice(self.dtype, "dtype", ("float32", "float64"))
        setting = limits.setting(seed, dtype, self.verbose)
        chosen = recipe.get(self.preset)
        columns = self._roles(table)
        examples = Examples(table, y, weights)
        self.learner_ = Learner.fit(examples, objective, chosen, setting, columns)
        if self.learner_.blend.is_partial:
            # The model stays usable, but a search over many fits must end.
            raise KeyboardInterrupt
        return self

    def _fitted_model(self) -> Fitted:
        check_is_fitted(self, "learner_")
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = as_table(np.zeros((1, self.n_features_in_)), "X").columns
        return description.describe(self.learner_, list(names), getattr(self, "classes_", None))

    @property
    def decisions_(self) -> Decisions:
        """The role of each column; ``print(model.decisions_)`` shows it."""
        check_is_fitted(self, "learner_")
        return self.learner_.encoder.decisions

    @property
    def feature_importances_(self) -> np.ndarray:
        """The mean rise of the loss when a column is permuted (n_features_in_,), by held-out rows.

        Each row is predicted by networks that have not seen it.  Columns are permuted three times,
        in as many threads as fastnn has; at most 2,000 rows are used.  An estimator from a pickle
        has no such rows; `sklearn.inspection.permutation_importance` takes any.
        """
        check_is_fitted(self, "learner_")
        return np.array(list(self.learner_.importances.values()))

    def plot_embedding(
        self, column: str, path: str | os.PathLike[str] | None = None, ax: Axes | None = None
    ) -> Figure:
        """Draw what the first layer of the networks has learnt of one column.

        The vectors that a value adds to the first pre-activations, of all networks together, are
        shown by their principal components: for a number as curves over its range, with the edges
        of its bins, and for a category as the positions of its levels.  Levels that the networks
        treat alike lie together.

        Parameters
        ----------
        column : str
            Name of a column that the model uses.
        path : str, path-like or file object, optional
            Where the figure is saved.
        ax : Axes, optional
            Axes of matplotlib to draw on; by default those of a new figure.

        Raises
        ------
        ValueError
            If the model does not use the column, or it has dates.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(self, "learner_")
        return draw_embedding(self.learner_.encoder, self.learner_.blend, column, path, ax)

    def _roles(self, table: Table) -> Mapping[str, str]:
        """The roles that the user chose; numbers of an array are numbers in any case."""
        columns = {} if self.columns is None else dict(self.columns)
        if not hasattr(self, "feature_names_in_"):
            for name, column in table.columns.items():
                if isinstance(column, Numbers) and not _is_constant(column):
                    columns.setdefault(name, "number")
        return columns

    def _table(self, X: Any, reset: bool) -> Table:
        """X as a table, with the checks of scikit-learn for names and number of features."""
        if not reset:
            check_is_fitted(self, "learner_")
        is_table = hasattr(X, "columns") or hasattr(X, "column_names")
        if (is_table or isinstance(X, Table | Mapping)) and not issparse(X):
            table = as_table(X, "X")
            if not isinstance(X, Table | Mapping):
                validate_data(self, X, reset=reset, skip_check_array=True)
            elif reset:
                self.n_features_in_ = len(table.columns)
                self.feature_names_in_ = np.array(list(table.columns), object)
            return table
        # Infinite numbers are refused later, with their cell.
        X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        return as_table(X, "X")

    def _target(self, y: Any, table: Table) -> np.ndarray:
        """The target as (N,), of finite numbers or of labels of any kind."""
        if y is None:
            name = type(self).__name__
            raise ValueError(f"{name} requires y to be passed, but the target y is None")
        y = column_or_1d(y.to_numpy() if hasattr(y, "to_numpy") else y, warn=True)
        if len(y) != len(table):
            raise ValueError(f"X has {len(table)} rows, but y has {len(y)} values")
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            row = int(np.argmin(np.isfinite(y)))
            kind = "infinity" if np.isinf(y[row]) else "NaN"
            raise ValueError(f"y contains {kind}: {y[row]} in row {row}")
        return y

    def _weights(self, sample_weight: object, n: int) -> np.ndarray | None:
        if sample_weight is None:
            return None
        weights = as_weights(sample_weight, "sample_weight", (n,))
        if not weights.any():
            raise ValueError("sample_weight is zero for every sample, expected a positive weight")
        return weights

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _is_constant(column: Numbers) -> bool:
    present = column.values[~np.isnan(column.values)]
    return not len(present) or bool((present == present[0]).all())


class TabularClassifier(ClassifierMixin, _TabularEstimator):
    """Networks for the classification of the rows of a table.

    Columns may have numbers, text, categories, truth values and dates; values may be missing.
    What each column is taken for, `decisions_` says.

    Parameters
    ----------
    preset : {"fast", "balanced", "best"} or Recipe, default "balanced"
        "fast": one network.  "balanced": a bag of ten, each trained without a tenth of the rows
        (five for 20,000 rows and more).  "best": several bags of different hyperparameters.  A
        linear and an additive model join each of them; all are weighted by the rows that each
        network has not seen.  `fastnn.tabular.Recipe` has all parameters.
    columns : mapping of str to str, optional
        Roles of columns instead of those that are decided: "number", "boolean", "category",
        "date" or "drop".
    class_weight : dict from class to weight, or "balanced", optional
        Multiplies the weight of each row by the weight of its class.  "balanced" gives a class
        the weight n / (K count), for n rows of K classes.
    time_limit : float, optional
        Seconds that `fit` may take.  Networks are smaller in number, and trained for fewer
        epochs, where it does not suffice; with "best", bags are trained until the time is over.
        Results then depend on the speed of the computer.
    dtype : {"float32", "float64"}, default "float32"
        Data type of parameters and computations.
    n_jobs : int, optional
        Number of networks that are trained at the same time, in threads; by default, and with -1,
        the number of threads of fastnn.  The results do not depend on it.
    random_state : int, RandomState or None
        Source of initial values, folds and batches.
    verbose : {0, 1, 2}, default 0
        Nothing, a progress bar, or a line for each network.

    Attributes
    ----------
    classes_ : (K,) array
    learner_ : Learner
        The encoders and networks.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The recipe: Holzmueller, Grinsztajn & Steinwart (2024), "Better by default: strong pre-tuned
    MLPs and boosted trees on tabular data"; embeddings of numbers: Gorishniy, Rubachev & Babenko
    (2022); the temperature of the probabilities: Guo et al. (2017), "On calibration of modern
    neural networks"; weights of bags: Caruana et al. (2004), "Ensemble selection".

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.tabular import TabularClassifier
    >>> rng = np.random.default_rng(0)
    >>> table = {"size": rng.normal(size=300), "city": rng.choice(["Rom", "Ulm"], 300)}
    >>> y = np.where((table["size"] > 0) == (table["city"] == "Rom"), "yes", "no")
    >>> model = TabularClassifier("fast", random_state=0).fit(table, y)
    >>> bool(model.score(table, y) > 0.9)
    True
    """

    def __init__(
        self,
        preset: Preset = "balanced",
        *,
        columns: Mapping[str, str] | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        time_limit: float | None = None,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: object = None,
        verbose: int = 0,
    ) -> None:
        self.preset = preset
        self.columns = columns
        self.class_weight = class_weight
        self.time_limit = time_limit
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: object = None) -> Self:
        """Train on the rows of a table.

        Parameters
        ----------
        X : frame, mapping of columns, Table, or (N, n) array_like
            A frame of pandas, polars or pyarrow.  Values may be missing.
        y : (N,) array_like
            Labels of any kind, of at least two classes.
        sample_weight : (N,) array_like, optional
            Not negative, and not 0 for all rows.

        Returns
        -------
        TabularClassifier
            The estimator itself.

        Raises
        ------
        DataError
            If a column does not fit its role; the message names the cell.
        KeyboardInterrupt
            After Ctrl-C; if at least one network has finished an epoch, the estimator has what is
            trained.
        """
        table = self._table(X, reset=True)
        y = self._target(y, table)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            only = self.classes_.tolist()[0]
            raise ValueError(f"a classifier needs at least 2 classes, got one class only: {only!r}")
        weights = self._weights(sample_weight, len(table))
        if self.class_weight is not None:
            own = compute_sample_weight(self.class_weight, y)
            weights = own if weights is None else own * weights
        self._fit(table, labels, Classification(len(self.classes_)), weights)
        return self

    @property
    def held_out_predictions_(self) -> np.ndarray:
        """Probabilities (N, K) of the training rows by networks that have not seen them.

        They are nan for rows that all networks have seen.
        """
        check_is_fitted(self, "learner_")
        return self.learner_.held_out

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class (N,) of each row.

        Parameters
        ----------
        X : as in `fit`
        """
        best = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (N, K) in the order of `classes_`.

        Parameters
        ----------
        X : as in `fit`
        """
        table = self._table(X, reset=False)
        return self.learner_.predictions(table)

    def predict_set(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Conformal sets of classes: (N, K) bool, in the order of `classes_`.

        Of new rows drawn like those of the training, the set has the class in about a share
        `coverage`.  It has the classes whose probability is not less than that of the true class
        in this share of the held-out rows; at least the most probable class.  With bags the
        probabilities are those of the networks that have not seen the held-out row (CV+).

        Parameters
        ----------
        X : as in `fit`
        coverage : float, default 0.9
            In (0, 1).

        Raises
        ------
        ValueError
            If the coverage is wrong.

        Notes
        -----
        Held-out rows count once each, whatever their weight.  At most 2,000 of them are used.  They
        have also chosen the best epoch, and with "fast" a second network learns from all rows,
        so that the bounds of the theory hold only nearly; `calibrate` makes them exact.  Sources:
        Sadinle, Lei & Wasserman (2019), "Least ambiguous set-valued classifiers with bounded
        error levels"; Romano, Sesia & Candes (2020), "Classification with valid and adaptive
        coverage".
        """
        table = self._table(X, reset=False)
        return self.learner_.sets(table, coverage)[0]

    def calibrate(self, X: Any, y: Any) -> Self:
        """Base the sets of `predict_set` on rows that the model was not trained on.

        The coverage is then at least the one that is asked for (split conformal prediction), on
        average over the draws of these rows.

        Parameters
        ----------
        X : as in `fit`
        y : (N,) array_like
            Labels among `classes_`.
        """
        table = self._table(X, reset=False)
        y = self._target(y, table)
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            raise ValueError(f"y has {y[unknown][0]!r}, which is not in classes_")
        self.learner_ = self.learner_.calibrated(table, np.searchsorted(self.classes_, y))
        return self


class TabularRegressor(RegressorMixin, _TabularEstimator):
    """Networks for the prediction of a number from the rows of a table.

    Parameters
    ----------
    preset, columns
        As in `TabularClassifier`.
    loss : {"squared_error", "absolute_error", "huber", "poisson", "quantile"}
        What training minimises, and so what predictions estimate: by default, "squared_error",
        the mean; with "absolute_error" the median.  "huber" changes from squares to absolute
        values at one standard deviation of the target.  "poisson" gives the mean of counts, and
        of other targets >= 0: networks learn the logarithm of the rate.
    quantiles : float or sequence of float, default (0.05, 0.5, 0.95)
        Levels in (0, 1) of ``loss="quantile"``, in ascending order.
    time_limit, dtype, n_jobs, random_state, verbose
        As in `TabularClassifier`.

    Attributes
    ----------
    learner_, n_features_in_, feature_names_in_
        As in `TabularClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.tabular import TabularRegressor
    >>> x = np.random.default_rng(0).uniform(-3, 3, (400, 1))
    >>> model = TabularRegressor("fast", random_state=0).fit(x, np.sin(x[:, 0]))
    >>> bool(model.score(x, np.sin(x[:, 0])) > 0.9)
    True
    """

    def __init__(
        self,
        preset: Preset = "balanced",
        *,
        columns: Mapping[str, str] | None = None,
        loss: Literal[
            "squared_error", "absolute_error", "huber", "poisson", "quantile"
        ] = "squared_error",
        quantiles: float | Sequence[float] = QUANTILES,
        time_limit: float | None = None,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: object = None,
        verbose: int = 0,
    ) -> None:
        self.preset = preset
        self.columns = columns
        self.loss = loss
        self.quantiles = quantiles
        self.time_limit = time_limit
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: object = None) -> Self:
        """Train on the rows of a table.

        Parameters
        ----------
        X : as in `TabularClassifier.fit`
        y : (N,) array_like
            Finite numbers.
        sample_weight : (N,) array_like, optional
            Not negative, and not 0 for all rows.

        Returns
        -------
        TabularRegressor
            The estimator itself.

        Raises
        ------
        DataError, KeyboardInterrupt
            As in `TabularClassifier.fit`.
        """
        table = self._table(X, reset=True)
        y = self._target(y, table).astype(np.float64)
        weights = self._weights(sample_weight, len(table))
        loss = check_choice(self.loss, "loss", LOSSES)
        objective = Regression.fit(y if weights is None else y[weights > 0], loss, self.quantiles)
        self._fit(table, objective.encode(y), objective, weights)
        return self

    @property
    def held_out_predictions_(self) -> np.ndarray:
        """Predictions of the training rows by networks that have not seen them.

        They have the shape of those of `predict`, and are nan for rows that all networks have seen.
        """
        check_is_fitted(self, "learner_")
        return self.learner_.held_out

    def predict(self, X: Any) -> np.ndarray:
        """The predicted number (N,) of each row, in float64.

        For several quantiles the shape is (N, Q), in the order of `quantiles`; they ascend in
        each row.

        Parameters
        ----------
        X : as in `fit`
        """
        table = self._table(X, reset=False)
        return self.learner_.predictions(table)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Conformal intervals of the targets: (N, 2), lower and upper ends.

        Of new rows drawn like those of the training, about a share `coverage` has the target
        within.  The width follows from the errors of the networks for the rows that they have not
        seen (CV+ for bags).  It is equal for all rows, except with ``loss="quantile"`` and several
        levels, where intervals begin with the quantiles nearest to the ends, and with
        ``loss="poisson"``, where the width follows the square root of the rate.

        Parameters
        ----------
        X : as in `fit`
        coverage : float, default 0.9
            In (0, 1).  The ends are infinite where held-out rows are fewer than
            coverage / (1 - coverage).

        Raises
        ------
        ValueError
            If the coverage is wrong.

        Notes
        -----
        Held-out rows count once each, whatever their weight.  At most 2,000 of them are used.  For
        n of them, the theory of CV+ bounds the coverage from below by about
        1 - 2 (1 - coverage); it is about `coverage` in practice.  The held-out rows have also
        chosen the best epoch, and with "fast" a second network learns from all rows, so that the
        theory holds only nearly; `calibrate` makes it exact.  Sources: Barber et al. (2021),
        "Predictive inference with the jackknife+"; Romano, Patterson & Candes (2019),
        "Conformalized quantile regression".

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.tabular import TabularRegressor
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(-3, 3, (500, 1))
        >>> y = np.sin(x[:, 0]) + rng.normal(0, 0.2, 500)
        >>> model = TabularRegressor("fast", random_state=0).fit(x, y)
        >>> low, high = model.predict_interval([[1.0]], coverage=0.9)[0]
        >>> bool(low < np.sin(1) < high)
        True
        """
        table = self._table(X, reset=False)
        return self.learner_.intervals(table, coverage)[0]

    def calibrate(self, X: Any, y: Any) -> Self:
        """Base the intervals of `predict_interval` on rows that the model was not trained on.

        The coverage is then at least the one that is asked for (split conformal prediction), on
        average over the draws of these rows.

        Parameters
        ----------
        X, y : as in `fit`
        """
        table = self._table(X, reset=False)
        y = self._target(y, table).astype(np.float64)
        self.learner_ = self.learner_.calibrated(table, y)
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2; with ``loss="quantile"`` D^2, the share of the loss of constant quantiles avoided.

        D^2 is the mean over the levels of scikit-learn's ``d2_pinball_score``.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        """
        check_is_fitted(self, "learner_")
        objective = self.learner_.objective
        if objective.name != "quantile":
            return float(super().score(X, y, sample_weight))
        assert isinstance(objective, Regression)
        values = self.predict(X)
        y = np.asarray(y, np.float64).reshape(-1)
        return scores.explained(objective, values, y, self._weights(sample_weight, len(values)))
