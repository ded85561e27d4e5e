"""The estimators in libraries of others; each test runs where its library is installed."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fnn

pytest.importorskip("sklearn")

from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn.estimators import MLPClassifier, MLPRegressor, as_estimator, skops_types
from fastnn.tabular import TabularClassifier

pytestmark = pytest.mark.filterwarnings("ignore")  # what others say of their own future

X, Y = load_iris(return_X_y=True)
NUMBERS, TARGET = load_diabetes(return_X_y=True)


def classifier(**options):
    """A small network for the irises."""
    defaults = {"hidden_layer_sizes": (16,), "max_iter": 60, "learning_rate_init": 0.01}
    return MLPClassifier(**{**defaults, "random_state": 0, **options})


def regressor(**options):
    """A small network for the diabetes data."""
    defaults = {"hidden_layer_sizes": (16,), "max_iter": 60, "learning_rate_init": 0.01}
    return MLPRegressor(**{**defaults, "random_state": 0, **options})


def frame():
    """The irises with a column of text and one of dates."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    days = pandas.date_range("2020-01-01", periods=len(X))
    return table.assign(place=np.where(X[:, 0] > 5.5, "Rom", "Ulm"), day=days)


# ------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_skops_keeps_pipelines(options):
    sio = pytest.importorskip("skops.io")
    model = make_pipeline(StandardScaler(), classifier(**options)).fit(X, Y)
    twin = sio.loads(sio.dumps(model), trusted=skops_types())
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    twin[-1].max_iter = 1
    assert twin.fit(X, Y)[-1].n_iter_ == 1


def test_skops_keeps_tables_and_parameters_that_are_objects():
    sio = pytest.importorskip("skops.io")
    options = {"solver": fnn.Adam(fnn.Cosine(0.01, 90)), "activation": fnn.LeakyReLU(0.1)}
    plateau, loss = fnn.ReduceOnPlateau("loss"), fnn.CrossEntropy(label_smoothing=0.1)
    made = [
        classifier(**options, callbacks=[plateau], loss=loss).fit(X, Y),
        TabularClassifier("fast", random_state=0).fit(X, Y),
        as_estimator(classifier().fit(X, Y).network_, classes=["x", "y", "z"]),
    ]
    for model in made:
        twin = sio.loads(sio.dumps(model), trusted=skops_types())
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


def test_mlflow_saves_models_in_its_own_way(tmp_path):
    sklearn = pytest.importorskip("mlflow.sklearn")
    pytest.importorskip("skops")
    model = make_pipeline(StandardScaler(), classifier()).fit(X, Y)
    options = {"pip_requirements": []}  # it would look them up
    sklearn.save_model(model, tmp_path / "model", skops_trusted_types=skops_types(), **options)
    twin = sklearn.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


# -------------------------------------------------------------------------------- searches


def test_optuna_prunes_by_a_callback():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    class Pruning(fnn.Callback):
        """Report the loss of the held-out rows to a trial."""

        monitor = "val_loss"

        def __init__(self, trial):
            self.trial = trial

        def __deepcopy__(self, memo):
            return self  # the trial is that of the study

        def on_epoch_end(self, context):
            self.trial.report(context.logs["val_loss"], context.epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned

    def objective(trial):
        rate = trial.suggest_float("learning_rate_init", 1e-5, 1e-1, log=True)
        model = classifier(learning_rate_init=rate, max_iter=20, callbacks=Pruning(trial))
        return model.fit(X, Y).history_["val_loss"][-1]

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=sampler, pruner=optuna.pruners.MedianPruner(2))
    study.optimize(objective, n_trials=10)
    states = {trial.state.name for trial in study.trials}
    assert states == {"COMPLETE", "PRUNED"}


# ----------------------------------------------------------------------------- uncertainty


def test_mapie_covers_by_split_and_by_quantiles():
    regression = pytest.importorskip("mapie.regression")
    model = make_pipeline(StandardScaler(), regressor(max_iter=200)).fit(NUMBERS, TARGET)
    split = regression.SplitConformalRegressor(model, confidence_level=0.9, prefit=True)
    split.conformalize(NUMBERS, TARGET)
    _, interval = split.predict_interval(NUMBERS)
    inside = (interval[:, 0, 0] <= TARGET) & (interval[:, 1, 0] >= TARGET)
    assert 0.88 <= inside.mean() <= 0.95
    quantiles = [
        regressor(loss=fnn.Quantile(level), max_iter=100).fit(NUMBERS, TARGET)
        for level in (0.05, 0.95, 0.5)
    ]
    conformal = regression.ConformalizedQuantileRegressor(
        quantiles, confidence_level=0.9, prefit=True
    )
    conformal.conformalize(NUMBERS, TARGET)
    assert conformal.predict_interval(NUMBERS)[1].shape == (len(TARGET), 2, 1)


def test_mapie_gives_sets_of_classes():
    classification = pytest.importorskip("mapie.classification")
    model = classifier().fit(X, Y)
    split = classification.SplitConformalClassifier(model, confidence_level=0.9, prefit=True)
    split.conformalize(X, Y)
    _, sets = split.predict_set(X)
    assert sets[np.arange(len(Y)), Y, 0].mean() >= 0.9


# ------------------------------------------------------------------------------- preparation


def test_imbalanced_learn_resamples_in_front():
    over_sampling = pytest.importorskip("imblearn.over_sampling")
    pipeline = pytest.importorskip("imblearn.pipeline")
    ensemble = pytest.importorskip("imblearn.ensemble")
    rows = np.r_[0:50, 50:62, 100:112]
    steps = over_sampling.SMOTE(k_neighbors=3, random_state=0), StandardScaler(), classifier()
    model = pipeline.make_pipeline(*steps).fit(X[rows], Y[rows])
    assert model.score(X, Y) > 0.8
    bags = ensemble.BalancedBaggingClassifier(classifier(), n_estimators=2, random_state=0)
    assert bags.fit(X[rows], Y[rows]).score(X, Y) > 0.8


def test_skrub_encodes_tables_in_front():
    skrub = pytest.importorskip("skrub")
    model = make_pipeline(skrub.TableVectorizer(), StandardScaler(), classifier())
    assert cross_val_score(model, frame(), Y, cv=3).mean() > 0.8
    whole = skrub.tabular_pipeline(classifier())
    assert whole.fit(frame(), Y).score(frame(), Y) > 0.9


def test_category_encoders_and_feature_engine_work_in_front():
    encoders = pytest.importorskip("category_encoders")
    selection = pytest.importorskip("feature_engine.selection")
    table = frame().drop(columns="day")
    model = make_pipeline(encoders.OneHotEncoder(cols=["place"]), StandardScaler(), classifier())
    assert model.fit(table, Y).score(table, Y) > 0.9
    search = selection.SelectByShuffling(classifier(), cv=2, scoring="accuracy", random_state=0)
    assert search.fit(table.drop(columns="place"), Y).transform(table[["a", "b", "c", "d"]]).size


# ------------------------------------------------------------------------------ explanations


def test_shap_adds_up_to_the_predictions():
    shap = pytest.importorskip("shap")
    for model in (classifier().fit(X, Y), as_estimator(classifier().fit(X, Y).network_)):
        values = shap.Explainer(model.predict_proba, X[:20])(X[:3])
        total = values.values.sum(axis=1) + values.base_values
        np.testing.assert_allclose(total, model.predict_proba(X[:3]), atol=1e-6)


def test_eli5_permutes_columns():
    permutation = pytest.importorskip("eli5.sklearn")
    found = permutation.PermutationImportance(classifier().fit(X, Y), random_state=0).fit(X, Y)
    assert set(np.argsort(found.feature_importances_)[-2:]) == {2, 3}


def test_dice_finds_counterfactuals():
    dice = pytest.importorskip("dice_ml")
    names = ["a", "b", "c", "d"]
    table = frame()[names].assign(y=(Y == 1).astype(int))
    model = make_pipeline(StandardScaler(), classifier()).fit(table[names], table["y"])
    data = dice.Data(dataframe=table, continuous_features=names, outcome_name="y")
    explainer = dice.Dice(data, dice.Model(model=model, backend="sklearn"), method="random")
    made = explainer.generate_counterfactuals(
        table[names][:1], total_CFs=1, desired_class="opposite", random_seed=0, verbose=False
    )
    assert model.predict(made.cf_examples_list[0].final_cfs_df[names]).tolist() == [1]
