"""Forward: layers called on arrays, and prediction of whole networks."""

import numpy as np
from scipy.sparse import csr_matrix

import fastnn as fnn

from .common import BACKENDS, DTYPES, OnBackend, classifier, normal


class EagerDense(OnBackend):
    """`Dense` called on an array, and its `backward`."""

    param_names = ("backend", "rows", "width")
    params = (BACKENDS, (1, 64, 1024), (16, 256))

    def prepare(self, rows, width):
        self.layer = fnn.Dense(width, width, activation="tanh", seed=0)
        self.x = normal(rows, width)
        self.dy = self.layer(self.x)

    def time_forward(self, *parameters):
        self.layer(self.x)

    def time_backward(self, *parameters):
        self.layer.backward(self.dy)


class EagerDropout(OnBackend):
    """`Dropout` called on an array: mostly its random numbers."""

    param_names = ("backend", "rows")
    params = (BACKENDS, (1, 1024))

    def prepare(self, rows):
        self.layer = fnn.Dropout(0.5, seed=0)
        self.x = normal(rows, 256)

    def time_forward(self, *parameters):
        self.layer(self.x)


class Predict(OnBackend):
    """`predict` of networks of all sizes, from one row (latency) to many (throughput)."""

    networks = ((1, 2), (4, 64, 64, 2), (784, 256, 10), (4096, 1024, 10))
    param_names = ("backend", "widths", "rows", "dtype")
    params = (BACKENDS, networks, (1, 2, 128, 4096), DTYPES)

    def prepare(self, widths, rows, dtype):
        self.net = classifier(widths, dtype)
        self.x = normal(rows, widths[0], dtype=dtype)

    def time_predict(self, *parameters):
        self.net.predict(self.x)


class NarrowPredict(OnBackend):
    """Predictors whose products multiply fewer bits, beside those in float32."""

    networks = ((784, 512, 512, 10), (1024, 1024, 1024, 1024))
    param_names = ("backend", "precision", "widths", "rows")
    params = (BACKENDS, ("float32", "bfloat16", "int8"), networks, (1, 128))

    def prepare(self, precision, widths, rows):
        self.x = normal(rows, widths[0])
        calibration = {"calibrate": self.x} if precision == "int8" else {}
        self.predictor = classifier(widths, "float32").predictor(precision, **calibration)

    def time_predict(self, *parameters):
        self.predictor(self.x)


class EagerLayerNorm(OnBackend):
    """`LayerNorm` called on an array, and its `backward`."""

    param_names = ("backend", "rows", "width", "dtype")
    params = (BACKENDS, (1, 128), (64, 1024), DTYPES)

    def prepare(self, rows, width, dtype):
        self.layer = fnn.LayerNorm(width, dtype=dtype)
        self.x = normal(rows, width, dtype=dtype)
        self.dy = self.layer(self.x)

    def time_forward(self, *parameters):
        self.layer(self.x)

    def time_backward(self, *parameters):
        self.layer.backward(self.dy)


class PiecewiseLinearStep(OnBackend):
    """A step of numbers in 16 bins: looked up, as codes, and encoded for a dense layer."""

    param_names = ("backend", "first", "columns", "dtype")
    params = (BACKENDS, ("piecewise_linear", "embedding", "dense"), (13, 100), DTYPES)

    def prepare(self, first, columns, dtype):
        bins, width = 16, 128
        positions = np.random.default_rng(0).uniform(0, bins, (256, columns)).astype(dtype)
        encoded = 2 * np.clip(positions[:, :, None] - np.arange(bins), 0, 1) - 1
        layer, self.x = {
            "piecewise_linear": (fnn.PiecewiseLinear([bins] * columns, width), positions),
            "embedding": (fnn.Embedding([bins] * columns, width, "sum"), np.floor(positions)),
            "dense": (
                fnn.Dense(bins * columns, width, use_bias=False),
                encoded.reshape(256, -1).astype(dtype),
            ),
        }[first]
        self.net = fnn.Sequential([layer, fnn.Dense(width, 2)], dtype=dtype, seed=0)
        self.net.compile(loss="cross_entropy", optimizer=fnn.Adam(1e-3))
        self.y = np.arange(256) % 2

    def time_step(self, *parameters):
        self.net.train_step(self.x, self.y)

    def time_predict(self, *parameters):
        self.net.predict(self.x)


class SparseStep(OnBackend):
    """Rows of which 1 % of the numbers are not zero: a CSR matrix, an array, and scikit-learn."""

    param_names = ("backend", "form", "width", "dtype")
    params = (BACKENDS, ("csr", "array", "csr of scikit-learn"), (1000, 5000), DTYPES)

    def prepare(self, form, width, dtype):
        rng = np.random.default_rng(0)
        rows = np.repeat(np.arange(2000), width // 100)
        places = rows, rng.integers(0, width, len(rows))
        matrix = csr_matrix((rng.normal(size=len(rows)).astype(dtype), places), (2000, width))
        self.X = matrix.toarray() if form == "array" else matrix
        self.y = np.arange(2000) % 10
        if form == "csr of scikit-learn":
            from sklearn.neural_network import MLPClassifier

            model = MLPClassifier((100,), batch_size=200, shuffle=False)
            self.epoch = lambda: model.partial_fit(self.X, self.y, classes=range(10))
            self.epoch()
            self.predict = model.predict_proba
            return
        layers = [fnn.Dense(width, 100, activation="relu"), fnn.Dense(100, 10)]
        net = fnn.Sequential(layers, dtype=dtype, seed=0)
        net.compile(loss="cross_entropy", optimizer=fnn.Adam(1e-3))
        self.epoch = lambda: net.fit(self.X, self.y, epochs=1, batch_size=200, verbose=0)
        self.predict = net.predict

    def time_epoch(self, *parameters):
        self.epoch()

    def time_predict(self, *parameters):
        self.predict(self.X)


class Latency(OnBackend):
    """One row through a small network: `predict`, and a `Predictor` with and without `out`."""

    param_names = ("backend",)
    params = (BACKENDS,)

    def prepare(self):
        self.net = classifier((4, 64, 64, 2))
        self.x = normal(1, 4)[0]
        self.predictor = self.net.predictor()
        self.out = self.predictor(self.x)

    def time_predict(self, *parameters):
        self.net.predict(self.x)

    def time_predictor(self, *parameters):
        self.predictor(self.x)

    def time_predictor_out(self, *parameters):
        self.predictor(self.x, self.out)


class MonteCarloDropout(OnBackend):
    """A hundred passes of `predict` under sampled dropout masks."""

    param_names = ("backend", "rows")
    params = (BACKENDS, (1, 1000))

    def prepare(self, rows):
        layers = [fnn.Dense(4, 64, activation="relu"), fnn.Dropout(0.5), fnn.Dense(64, 2)]
        self.net = fnn.Sequential(layers, seed=0)
        self.x = normal(rows, 4)

    def time_predict(self, *parameters):
        self.net.predict_samples(self.x, n_samples=100)
