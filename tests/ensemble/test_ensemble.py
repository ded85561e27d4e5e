"""Ensembles: members that differ, predictions that are averaged or vote."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from networks import classifier, flowers, multitask, multitask_data

import fastnn as fnn
from fastnn.ensemble import Ensemble


@pytest.fixture
def data():
    return flowers(np.random.default_rng(0))


def regressor(dtype="float64", seed=0):
    net = fnn.Sequential(
        [fnn.Dense(4, 8, activation="tanh"), fnn.Dense(8, 1)], dtype=dtype, seed=seed
    )
    net.compile("mean_squared_error", fnn.Adam(0.01))
    return net


def binary():
    net = fnn.Sequential([fnn.Dense(4, 6, activation="tanh"), fnn.Dense(6, 1)], dtype="float64")
    net.compile("binary_cross_entropy", fnn.Adam(0.01))
    return net


def voters(logits):
    """An ensemble of nets without weights: member i outputs logits[i], whatever it is shown."""
    nets = []
    for row in logits:
        net = fnn.Sequential([fnn.Dense(1, len(row))], dtype="float64")
        net.compile("cross_entropy" if len(row) > 1 else "binary_cross_entropy")
        net.parameters["dense_1.weight"] = np.zeros((1, len(row)))
        net.parameters["dense_1.bias"] = np.asarray(row, float)
        nets.append(net)
    return Ensemble(lambda seed: nets.pop(0), n=len(logits))


def softmax(z):
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


# ------------------------------------------------------------------------ members


def test_members_start_from_values_of_their_own(backend):
    members = Ensemble(classifier(), 4).members
    starts = {member.get_flat().tobytes() for member in members}
    assert len(starts) == 4
    assert {member.backend for member in members} == {backend}


def test_members_are_a_function_of_the_seed_and_their_place(backend):
    three, five = Ensemble(classifier(), 3, seed=7), Ensemble(classifier(), 5, seed=7)
    other = Ensemble(classifier(), 3, seed=8)
    for i in range(3):
        assert np.array_equal(three.members[i].get_flat(), five.members[i].get_flat())
        assert not np.array_equal(three.members[i].get_flat(), other.members[i].get_flat())


def test_members_have_loss_and_optimizer_of_the_network():
    net = classifier(l2=0.01, loss_weights=2.0)
    for member in Ensemble(net, 2).members:
        assert (member.losses, member.optimizer, member.program.l2) == (
            net.losses, net.optimizer, 0.01,
        )  # fmt: skip
        assert member.program.heads == net.program.heads


def test_network_itself_is_not_trained(data):
    net = classifier()
    before = net.get_flat()
    Ensemble(net, 2).fit(*data, epochs=2)
    assert np.array_equal(net.get_flat(), before)
    assert net.history.epochs == 0


def test_frozen_parameters_are_kept(data):
    net = classifier()
    net.parameters["dense_1.weight"] = np.arange(32.0).reshape(4, 8)
    net.layers[0].trainable = False
    net.compile("cross_entropy")
    ensemble = Ensemble(net, 3)
    ensemble.fit(*data, epochs=2)
    for member in ensemble.members:
        assert np.array_equal(member.parameters["dense_1.weight"], np.arange(32.0).reshape(4, 8))


def hand_set(**options):
    """A layer of given weights below one that is drawn."""
    given = fnn.Dense(2, 2, "tanh", weight=[[1.0, -1.0], [0.5, 2.0]], **options)
    net = fnn.Sequential([given, fnn.Dense(2, 1)])
    net.compile("mean_squared_error")
    return net


@pytest.mark.parametrize("trainable", [True, False])
def test_given_values_are_kept(backend, trainable):
    net = hand_set(trainable=trainable)
    for member in Ensemble(net, 2).members:
        drawn = net.parameters["dense_2.weight"]
        assert np.array_equal(member.parameters["dense_1.weight"], [[1.0, -1.0], [0.5, 2.0]])
        assert not np.array_equal(member.parameters["dense_2.weight"], drawn)


def test_given_values_that_a_file_has_not_kept_are_asked_for(tmp_path):
    for trainable in (True, False):
        hand_set(trainable=trainable).save(tmp_path / "net.fastnn")
        loaded = fnn.load(tmp_path / "net.fastnn")
        if trainable:
            with pytest.raises(ValueError, match="layer 'dense_1' was given its initial values"):
                Ensemble(loaded, 2)
        else:
            assert len(Ensemble(loaded, 2)) == 2


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"dtype": "float32"}, "dtype"),
        ({"n_in": 3}, "inputs"),
        ({"n_out": 2}, "outputs"),
        ({"loss": "huber"}, "losses"),
    ],
)
def test_members_that_do_not_go_together_are_refused(options, what):
    def build(n_in=2, n_out=1, dtype="float64", loss="mean_squared_error"):
        net = fnn.Sequential([fnn.Dense(n_in, n_out)], dtype=dtype)
        net.compile(loss)
        return net

    members = iter([build(), build(**options)])
    with pytest.raises(ValueError, match=f"must have the same {what}, but member 1 has"):
        Ensemble(lambda seed: next(members), 2)


def test_function_makes_the_members():
    seeds = []

    def build(seed):
        seeds.append(seed)
        return classifier(seed=seed)

    members = Ensemble(build, 3).members
    assert [member.seed for member in members] == seeds
    assert len(set(seeds)) == 3


# ----------------------------------------------------------------------- training


def test_member_is_trained_as_a_network_alone(backend, data):
    ensemble = Ensemble(classifier(), 3)
    alone = pickle.loads(pickle.dumps(ensemble.members[1]))
    histories = ensemble.fit(*data, epochs=4, batch_size=16)
    alone.fit(*data, epochs=4, batch_size=16)
    assert np.array_equal(ensemble.members[1].get_flat(), alone.get_flat())
    assert histories[1]["loss"] == alone.history["loss"]


@pytest.mark.parametrize("bootstrap", [False, True])
def test_threads_change_no_bit(backend, data, bootstrap):
    ensembles = [Ensemble(classifier(dropout=0.2), 4, bootstrap=bootstrap) for _ in range(2)]
    for ensemble, n_jobs in zip(ensembles, (1, 3), strict=True):
        ensemble.fit(*data, epochs=5, n_jobs=n_jobs)
    for one, other in zip(*(e.members for e in ensembles), strict=True):
        assert np.array_equal(one.get_flat(), other.get_flat())
    assert ensembles[0].oob_score == ensembles[1].oob_score


def test_number_of_threads_is_put_back(data):
    before = fnn.get_num_threads()
    Ensemble(classifier(), 2).fit(*data, epochs=1, n_jobs=2)
    assert fnn.get_num_threads() == before


def test_bootstrap_is_training_on_drawn_rows(backend, data):
    X, y = data
    weights = np.linspace(0.5, 1.5, len(X))
    ensemble = Ensemble(classifier(), 2, bootstrap=True, seed=3)
    alone = pickle.loads(pickle.dumps(ensemble.members[1]))
    rows = ensemble._drawn(1, len(X))
    ensemble.fit(X, y, epochs=3, sample_weight=weights)
    alone.fit(X[rows], y[rows], epochs=3, sample_weight=weights[rows])
    assert np.array_equal(ensemble.members[1].get_flat(), alone.get_flat())


def test_drawn_rows_leave_out_a_share_of_one_over_e():
    ensemble = Ensemble(classifier(), 50, bootstrap=True)
    shares = [1 - len(np.unique(ensemble._drawn(i, 2000))) / 2000 for i in range(50)]
    assert np.mean(shares) == pytest.approx(np.exp(-1), abs=0.005)


def test_out_of_bag_score_is_that_of_members_that_did_not_see_the_row(backend, data):
    X, y = data
    ensemble = Ensemble(classifier(), 6, bootstrap=True)
    ensemble.fit(X, y, epochs=10)
    right = []
    for r in range(len(X)):
        shares = [
            member.predict_proba(X[r])
            for i, member in enumerate(ensemble.members)
            if r not in ensemble._drawn(i, len(X))
        ]
        if shares:
            right.append(np.mean(shares, axis=0).argmax() == y[r])
    assert ensemble.oob_score == pytest.approx(np.mean(right))


def test_out_of_bag_score_of_several_losses_comes_by_output():
    X, y = multitask_data(np.random.default_rng(0), 40)
    ensemble = Ensemble(multitask(), 4, bootstrap=True)
    ensemble.fit(X, y, epochs=2)
    assert set(ensemble.oob_score) == {"kind", "size"}


def test_early_stopping_watches_each_member_by_itself(data):
    X, y = data
    stopping = fnn.EarlyStopping(patience=1)
    ensemble = Ensemble(classifier(), 3)
    histories = ensemble.fit(
        X, y, epochs=500, validation_data=(X[::4], (y[::4] + 1) % 3),
        early_stopping=stopping, n_jobs=2,
    )  # fmt: skip
    assert all(history.stopped_early for history in histories)
    assert stopping.best is None


def test_training_goes_on(data):
    ensemble = Ensemble(classifier(), 2)
    ensemble.fit(*data, epochs=2)
    assert [history.epochs for history in ensemble.fit(*data, epochs=3)] == [5, 5]


def test_solvers_train_members(data):
    net = classifier()
    net.compile("cross_entropy", "lbfgs")
    ensemble = Ensemble(net, 2)
    ensemble.fit(*data, epochs=20)
    assert ensemble.score(*data) > 0.9


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_error_of_a_member_is_raised(data, n_jobs):
    nets = [classifier(seed=0), classifier(seed=1), classifier(seed=2)]
    nets[1].parameters["dense_2.bias"] = [np.inf, np.inf, 0.0]
    ensemble = Ensemble(lambda seed: nets.pop(0), 3)
    with pytest.raises(fnn.TrainingError):
        ensemble.fit(*data, epochs=20, n_jobs=n_jobs)


def test_progress_is_a_line_for_each_member(data, capsys):
    Ensemble(classifier(), 3).fit(*data, epochs=1, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["member", f"{i}/3"] for i in (1, 2, 3)]


def test_progress_is_a_bar_over_members(data, capsys):
    Ensemble(classifier(), 3).fit(*data, epochs=1, verbose=1)
    assert "3/3" in capsys.readouterr().err


# --------------------------------------------------------------------- predictions


def test_prediction_is_mean_and_spread_of_the_members(backend, dtype, data):
    X, y = data
    ensemble = Ensemble(regressor(dtype), 3)
    ensemble.fit(X, y, epochs=2)
    each = np.array([member.predict(X) for member in ensemble.members])
    found = ensemble.predict(X, return_samples=True)
    tolerance = 4 * float(np.finfo(dtype).eps)
    assert found.mean == pytest.approx(each.mean(axis=0, dtype=float), rel=tolerance)
    assert found.std == pytest.approx(each.std(axis=0, ddof=1, dtype=float), rel=tolerance)
    assert np.array_equal(found.samples, each)
    assert found.mean.dtype == np.dtype(dtype)


def test_probabilities_are_averaged(backend, data):
    ensemble = Ensemble(classifier(), 3)
    each = [member.predict_proba(data[0]) for member in ensemble.members]
    assert ensemble.predict_proba(data[0]) == pytest.approx(np.mean(each, axis=0), rel=1e-14)


def test_single_sample_has_no_axis_of_rows(data):
    ensemble, x = Ensemble(classifier(), 3), data[0][0]
    found = ensemble.predict(x, return_samples=True)
    assert (found.mean.shape, found.std.shape, found.samples.shape) == ((3,), (3,), (3, 3))
    assert ensemble.predict_proba(x).shape == (3,)
    assert ensemble.predict_classes(x).shape == ()


def test_soft_vote_follows_the_mean_probability(backend):
    # Two members lean to class 0, one is sure of class 1.
    logits = [[0.1, 0.0, -9.0], [0.1, 0.0, -9.0], [-5.0, 5.0, -9.0]]
    ensemble = voters(logits)
    assert softmax(np.array(logits)).mean(axis=0).argmax() == 1
    assert ensemble.predict_classes([[1.0]], voting="soft") == [1]


def test_hard_vote_follows_the_majority(backend):
    ensemble = voters([[0.1, 0.0, -9.0], [0.1, 0.0, -9.0], [-5.0, 5.0, -9.0]])
    assert ensemble.predict_classes([[1.0]], voting="hard") == [0]


def test_tied_votes_go_to_the_larger_mean_probability(backend):
    # A vote each for 0 and 2; class 1 has the largest mean, but no vote.
    ensemble = voters([[1.2, 1.1, 0.0], [0.0, 1.9, 2.0]])
    means = softmax(np.array([[1.2, 1.1, 0.0], [0.0, 1.9, 2.0]])).mean(axis=0)
    assert means.argmax() == 1
    assert means[2] > means[0]
    assert ensemble.predict_classes([[1.0]], voting="hard") == [2]
    assert ensemble.predict_classes([[1.0]], voting="soft") == [1]


def test_what_is_still_tied_goes_to_the_smaller_label(backend):
    ensemble = voters([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    for voting in ("soft", "hard"):
        assert ensemble.predict_classes([[1.0]], voting=voting) == [1]


@pytest.mark.parametrize(
    ("logits", "soft", "hard"),
    [
        ([-0.1, -0.1, 5.0], 1, 0),
        ([0.1, 0.1, -5.0], 0, 1),
        ([-0.1, 5.0], 1, 1),  # a vote each: the mean decides
        ([0.1, -5.0], 0, 0),
        ([1.0, -1.0], 1, 1),  # all equal
    ],
)
def test_binary_votes(backend, logits, soft, hard):
    ensemble = voters([[z] for z in logits])
    assert np.ravel(ensemble.predict_classes([[1.0]], voting="soft")) == [soft]
    assert np.ravel(ensemble.predict_classes([[1.0]], voting="hard")) == [hard]


def test_cost_is_that_of_the_mean_probabilities(backend, data):
    X, y = data
    ensemble = Ensemble(classifier(), 3)
    ensemble.fit(X, y, epochs=3)
    p = ensemble.predict_proba(X)
    measured = ensemble.evaluate(X, y)
    assert measured["loss"] == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean())
    assert measured["accuracy"] == np.mean(p.argmax(axis=1) == y) == ensemble.score(X, y)


def test_cost_of_a_binary_classifier_is_that_of_the_mean_probability(backend, data):
    X, y = data[0], data[1] == 1
    ensemble = Ensemble(binary(), 3)
    p = ensemble.predict_proba(X)[:, 0]
    expected = -np.where(y, np.log(p), np.log(1 - p)).mean()
    assert ensemble.evaluate(X, y)["loss"] == pytest.approx(expected)


def test_jensen_mean_probability_costs_less_than_members_do_on_average(data):
    ensemble = Ensemble(classifier(), 5)
    mean = np.mean([member.evaluate(*data)["loss"] for member in ensemble.members])
    assert ensemble.evaluate(*data)["loss"] < mean


def test_regression_is_judged_by_its_mean(backend, data):
    X = data[0]
    y = X @ np.array([1.0, -1.0, 0.5, 0.0])
    ensemble = Ensemble(regressor(), 3)
    ensemble.fit(X, y, epochs=5)
    error = ensemble.predict(X).mean[:, 0] - y
    assert ensemble.evaluate(X, y)["loss"] == pytest.approx(np.square(error).mean())
    assert ensemble.score(X, y) == pytest.approx(1 - np.square(error).mean() / y.var())


def test_several_outputs_come_by_name(backend):
    X, y = multitask_data(np.random.default_rng(0))
    ensemble = Ensemble(multitask(), 3)
    assert {name: part.shape for name, part in ensemble.predict(X).mean.items()} == {
        "kind": (20, 3),
        "size": (20, 1),
    }
    assert ensemble.predict_proba(X)["size"] is None
    assert ensemble.predict_classes(X, voting="hard")["kind"].shape == (20,)
    assert {"loss", "kind_accuracy", "size_r2"} <= set(ensemble.evaluate(X, y))


def lines(slopes, origins, loss="mean_squared_error"):
    """An ensemble of float32 nets, of which each computes slope x + origin."""
    nets = []
    for slope, origin in zip(slopes, origins, strict=True):
        net = fnn.Sequential([fnn.Dense(1, 1)])
        net.compile(loss)
        net.parameters["dense_1.weight"] = np.full((1, 1), slope)
        net.parameters["dense_1.bias"] = np.full(1, origin)
        nets.append(net)
    return Ensemble(lambda seed: nets.pop(0), n=len(slopes))


@pytest.mark.parametrize("weights", [None, [1.0, 2.0]])
def test_mean_is_scored_before_it_is_rounded(backend, weights):
    """Of means that lie between numbers of float32: 2^24 + 1 is not one of them."""
    ensemble = lines([2.0, 4.0], [2.0**24, 2.0**24 + 2])
    X, y = np.array([[0.0], [1.0]]), 2.0**24 + np.array([1.0, 4.0])
    measured = ensemble.evaluate(X, y, weights)
    assert measured == {"loss": 0.0, "r2": 1.0}
    assert ensemble.score(X, y, weights) == 1.0


def test_custom_loss_receives_the_mean_in_the_dtype_of_the_networks():
    dtypes = []

    def loss(output, target):
        dtypes.append((output.dtype, target.dtype))
        return 0.0, np.zeros_like(output)

    lines([1.0, 2.0], [0.0, 0.0], loss).evaluate(np.ones((3, 1)), np.ones(3))
    assert dtypes == [(np.float32, np.float32)]


# ------------------------------------------------------------------ files and pickles


@pytest.mark.parametrize("bootstrap", [False, True])
def test_file_keeps_everything(tmp_path, data, bootstrap):
    ensemble = Ensemble(classifier(), 3, bootstrap=bootstrap, seed=5)
    ensemble.fit(*data, epochs=2)
    ensemble.save(tmp_path / "e.fastnn")
    loaded = Ensemble.load(tmp_path / "e.fastnn")
    assert (loaded.bootstrap, loaded.seed, loaded.oob_score) == (bootstrap, 5, ensemble.oob_score)
    for one in (ensemble, loaded):
        one.fit(*data, epochs=2)
    for one, other in zip(ensemble.members, loaded.members, strict=True):
        assert np.array_equal(one.get_flat(), other.get_flat())


def test_pickle_keeps_everything(data):
    ensemble = Ensemble(classifier(), 3, bootstrap=True)
    ensemble.fit(*data, epochs=2)
    copy = pickle.loads(pickle.dumps(ensemble))
    assert np.array_equal(copy.predict(data[0]).mean, ensemble.predict(data[0]).mean)
    assert copy.oob_score == ensemble.oob_score


def test_file_of_one_network_is_no_ensemble(tmp_path):
    classifier().save(tmp_path / "net.fastnn")
    with pytest.raises(fnn.FormatError, match=r"holds a Sequential: use fastnn\.load"):
        Ensemble.load(tmp_path / "net.fastnn")
    Ensemble(classifier(), 2).save(tmp_path / "e.fastnn")
    with pytest.raises(fnn.FormatError, match=r"an ensemble: fastnn\.Ensemble\.load"):
        fnn.load(tmp_path / "e.fastnn")


# -------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Ensemble(classifier(), 1), ValueError, "n must be an integer >= 2"),
        (lambda: Ensemble(classifier(), 2, seed=-1), ValueError, "seed"),
        (lambda: Ensemble(classifier(), 2, bootstrap=1), TypeError, "bootstrap"),
        (lambda: Ensemble("adam"), TypeError, "network must be a Network or a function"),
        (lambda: Ensemble(fnn.Sequential), TypeError, "network must be a Network or a function"),
        (lambda: Ensemble(lambda seed: 3), TypeError, "must return a Network, got int"),
        (lambda: Ensemble(fnn.Sequential([fnn.Dense(2, 1)])), RuntimeError, "call compile"),
    ],
)
def test_argument_that_does_not_fit_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_one_network_for_all_seeds_is_refused():
    net = classifier()
    with pytest.raises(ValueError, match="one and the same network"):
        Ensemble(lambda seed: net, 3)


def test_validation_split_does_not_go_with_bootstrap(data):
    with pytest.raises(ValueError, match="validation_split does not go with bootstrap"):
        Ensemble(classifier(), 2, bootstrap=True).fit(*data, validation_split=0.2)


@pytest.mark.parametrize("options", [{"n_jobs": 0}, {"n_jobs": -2}, {"verbose": 3}])
def test_options_of_fit_are_checked(data, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Ensemble(classifier(), 2).fit(*data, **options)


def test_unknown_voting_is_refused(data):
    with pytest.raises(ValueError, match="voting must be one of soft, hard"):
        Ensemble(classifier(), 2).predict_classes(data[0], voting="loud")


def test_regression_has_no_classes(data):
    with pytest.raises(ValueError, match="need a classification loss"):
        Ensemble(regressor(), 2).predict_classes(data[0])


def test_summary_names_every_member():
    text = Ensemble(classifier(), 3).summary()
    assert all(f"member {i}" in text for i in range(3))


def test_saving_waits_for_the_training_of_a_member(data, tmp_path):
    """The parameters and the counters of a member in a file are those of one moment."""
    ensemble = Ensemble(classifier(), n=2)
    started, saved = threading.Event(), threading.Event()

    def save():
        started.wait(20)
        ensemble.save(tmp_path / "e.fastnn")
        saved.set()

    saver = threading.Thread(target=save)
    saver.start()
    waited = []

    def watch(context):
        if context.network is ensemble.members[0] and context.epoch == 1:
            started.set()
            waited.append(not saved.wait(0.3))

    ensemble.fit(*data, epochs=2, callbacks=watch)
    saver.join(20)
    assert waited == [True]
    loaded = Ensemble.load(tmp_path / "e.fastnn")
    assert loaded.members[0].history.epochs == 2
    np.testing.assert_array_equal(loaded.members[0].get_flat(), ensemble.members[0].get_flat())


def test_callback_saves_the_ensemble_while_one_thread_trains(data, tmp_path):
    ensemble = Ensemble(classifier(), n=2)
    ensemble.fit(*data, epochs=1, callbacks=lambda context: ensemble.save(tmp_path / "e"))
    assert Ensemble.load(tmp_path / "e").members[0].history.epochs == 1


def test_callback_that_saves_the_ensemble_among_several_threads_is_refused(data, tmp_path):
    """It would wait for the other members, whose callbacks would wait for its own."""
    ensemble, another = Ensemble(classifier(), n=2), Ensemble(classifier(), n=2)
    another.fit(*data, epochs=1, n_jobs=2, callbacks=lambda context: ensemble.save(tmp_path / "e"))
    with pytest.raises(RuntimeError, match="n_jobs=1"):
        ensemble.fit(
            *data, epochs=1, n_jobs=2, callbacks=lambda context: ensemble.save(tmp_path / "e")
        )
