"""scikit-learn: MLPClassifier, LinearRegression.

One epoch of `partial_fit` skips no work that `fit` does.
"""

from __future__ import annotations

import numpy as np

from benchmarks.works import Work, regression, samples, weights

from ._base import Contender, Job, Setting, flat


class ScikitLearn(Contender):
    def __init__(self, setting: Setting) -> None:
        import sklearn
        from sklearn.neural_network import MLPClassifier

        self.model = MLPClassifier
        self.version = sklearn.__version__

    def fit(self, work: Work):
        x, y = samples(work)
        model = self.model(
            hidden_layer_sizes=work.widths[1:-1],
            alpha=0.0,
            batch_size=work.rows,
            learning_rate_init=work.learning_rate,
            epsilon=work.epsilon,
            shuffle=work.shuffle,
            random_state=0,
        )
        # The first call makes the arrays, and the second then starts from the weights of all.
        model.partial_fit(x[: work.rows], y[: work.rows], classes=np.arange(work.widths[-1]))
        for i, (weight, bias) in enumerate(weights(work)):
            model.coefs_[i][...], model.intercepts_[i][...] = weight, bias
        del model._optimizer
        model.t_ = 0

        def parameters():
            return flat(list(zip(model.coefs_, model.intercepts_, strict=True)))

        return [Job("partial_fit", lambda: model.partial_fit(x, y), parameters)]

    def least_squares(self, work: Work):
        from sklearn.linear_model import LinearRegression

        x, y = regression(work)

        def fit():
            model = LinearRegression().fit(x, y)
            return np.concatenate([[model.intercept_], model.coef_])

        return [Job("LinearRegression", fit)]


contender = ScikitLearn
