"""Methods for tables, all with their defaults and one thread: fastnn's presets and others'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Model = Any


def linear(is_regression: bool, seed: int) -> Model:
    """Ridge or logistic regression on scaled numbers and one-hot categories."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_include="category")),
    )
    return make_pipeline(columns, Ridge() if is_regression else LogisticRegression(max_iter=1000))


def random_forest(is_regression: bool, seed: int) -> Model:
    """Random forest of scikit-learn, after the same columns as `linear`."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if is_regression else RandomForestClassifier
    model = linear(is_regression, seed)
    model.steps[-1] = ("forest", kind(random_state=seed, n_jobs=1))
    return model


def hist_gradient_boosting(is_regression: bool, seed: int) -> Model:
    """Histogram gradient boosting of scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    return kind(categorical_features="from_dtype", random_state=seed)


def lightgbm(is_regression: bool, seed: int) -> Model:
    """LightGBM."""
    import lightgbm as library

    kind = library.LGBMRegressor if is_regression else library.LGBMClassifier
    return kind(n_jobs=1, random_state=seed, verbosity=-1)


def xgboost(is_regression: bool, seed: int) -> Model:
    """XGBoost with histograms."""
    import xgboost as library

    kind = library.XGBRegressor if is_regression else library.XGBClassifier
    return kind(n_jobs=1, random_state=seed, enable_categorical=True, tree_method="hist")


class CatBoost:
    """CatBoost, to which missing categories are a category."""

    def __init__(self, is_regression: bool, seed: int) -> None:
        import catboost as library

        kind = library.CatBoostRegressor if is_regression else library.CatBoostClassifier
        self._model = kind(thread_count=1, random_seed=seed, verbose=0, allow_writing_files=False)

    def fit(self, X: Any, y: np.ndarray) -> CatBoost:
        """Train on a frame."""
        categories = [c for c in X.columns if X[c].dtype == "category"]
        self._model.fit(_without_missing(X), y, cat_features=categories)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predictions of a regression."""
        return np.asarray(self._model.predict(_without_missing(X)))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of classes."""
        return np.asarray(self._model.predict_proba(_without_missing(X)))


class RealMLP:
    """RealMLP-TD of pytabkit (PyTorch), with medians for missing numbers, which it refuses."""

    def __init__(self, is_regression: bool, seed: int) -> None:
        import pytabkit as library
        import torch

        torch.set_num_threads(1)
        kind = library.RealMLP_TD_Regressor if is_regression else library.RealMLP_TD_Classifier
        self._model = kind(device="cpu", n_threads=1, random_state=seed, verbosity=0)

    def fit(self, X: Any, y: np.ndarray) -> RealMLP:
        """Train on a frame."""
        self._medians = X.select_dtypes("number").median()
        self._model.fit(self._complete(X), y)
        return self

    def _complete(self, X: Any) -> Any:
        X = _without_missing(X.fillna(self._medians))
        return X.astype({c: "category" for c in X.columns if X[c].dtype.kind not in "iufb"})

    def predict(self, X: Any) -> np.ndarray:
        """Predictions of a regression."""
        return np.asarray(self._model.predict(self._complete(X)))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of classes."""
        return np.asarray(self._model.predict_proba(self._complete(X)))


def _without_missing(X: Any) -> Any:
    X = X.copy()
    for column in X.columns:
        if X[column].dtype == "category":
            present = X[column].astype(object)
            X[column] = present.where(X[column].notna(), "missing").astype(str)
    return X


def fastnn(preset: str, **options: Any) -> Callable[[bool, int], Model]:
    """A preset of `fastnn.tabular`."""

    def method(is_regression: bool, seed: int) -> Model:
        from fastnn.tabular import TabularClassifier, TabularRegressor

        kind = TabularRegressor if is_regression else TabularClassifier
        return kind(preset, random_state=seed, **{"n_jobs": 1, **options})

    return method


METHODS: dict[str, Callable[[bool, int], Model]] = {
    "linear": linear,
    "random forest": random_forest,
    "HistGradientBoosting": hist_gradient_boosting,
    "LightGBM": lightgbm,
    "XGBoost": xgboost,
    "CatBoost": CatBoost,
    "RealMLP-TD": RealMLP,
    "fastnn fast": fastnn("fast"),
    "fastnn balanced": fastnn("balanced"),
    "fastnn best, 60 s": fastnn("best", time_limit=60.0, n_jobs=2),
}
"""The methods by name; a method is called with whether it is regression, and a seed."""

PACKAGES = {
    "LightGBM": "lightgbm",
    "XGBoost": "xgboost",
    "CatBoost": "catboost",
    "RealMLP-TD": "pytabkit",
}
"""Packages that some methods need besides scikit-learn."""
