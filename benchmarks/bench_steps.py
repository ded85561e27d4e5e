"""Training: single optimizer steps, and epochs of `fit`."""

from concurrent.futures import ThreadPoolExecutor

import fastnn as fnn
from fastnn import optimizers

from .common import BACKENDS, DTYPES, OnBackend, classifier, labels, normal

# Widths of the layers and rows of the batch, from overhead to throughput.
SMALL = (
    ((1, 2), 1),
    ((1, 1, 2), 4096),
    ((4, 64, 64, 2), 1),
    ((4, 64, 64, 2), 32),
    ((64, 100, 10), 64),
)
LARGE = (
    ((784, 256, 10), 1),
    ((784, 256, 10), 128),
    ((1024, 1024, 1024, 10), 512),
    ((4096, 4096, 10), 16),
)


class Step(OnBackend):
    """`train_step` and `loss_and_gradients` on one batch."""

    param_names = ("backend", "widths and batch", "dtype")
    params = (BACKENDS, SMALL + LARGE, DTYPES)

    def prepare(self, work, dtype):
        widths, rows = work
        self.net = classifier(widths, dtype)
        self.x = normal(rows, widths[0], dtype=dtype)
        self.y = labels(rows, widths[-1])

    def time_train_step(self, *parameters):
        self.net.train_step(self.x, self.y)

    def time_loss_and_gradients(self, *parameters):
        self.net.loss_and_gradients(self.x, self.y)


class Precision(OnBackend):
    """`train_step` and predictions of large networks by the precision of their products."""

    param_names = ("backend", "widths and batch", "precision")
    params = (
        ("compiled",),
        (((784, 512, 512, 10), 128), ((1024, 1024, 1024, 1024), 512)),
        ("float32", "bfloat16"),
    )

    def prepare(self, work, precision):
        widths, rows = work
        self.net = classifier(widths)
        self.net.compile(loss="cross_entropy", precision=precision)
        self.predictor = self.net.predictor()
        self.x, self.y = normal(rows, widths[0]), labels(rows, widths[-1])

    def time_train_step(self, *parameters):
        self.net.train_step(self.x, self.y)

    def time_predict(self, *parameters):
        self.net.predict(self.x)

    def time_predictor(self, *parameters):
        self.predictor(self.x)


class Optimizers(OnBackend):
    """A step with each optimizer: what the fused updates cost."""

    names = tuple(optimizers.names())
    param_names = ("backend", "optimizer")
    params = (BACKENDS, names)

    def prepare(self, optimizer):
        self.net = classifier((784, 256, 10))
        self.net.compile(loss="cross_entropy", optimizer=optimizer)
        self.x, self.y = normal(128, 784), labels(128, 10)

    def time_train_step(self, *parameters):
        self.net.train_step(self.x, self.y)


class Fit(OnBackend):
    """One epoch over 10,000 samples, shuffled."""

    param_names = ("backend", "widths", "batch_size")
    params = (BACKENDS, ((4, 64, 64, 2), (64, 100, 10), (784, 64, 10)), (1, 32, 256))

    def prepare(self, widths, batch_size):
        self.net = classifier(widths)
        self.x, self.y = normal(10_000, widths[0]), labels(10_000, widths[-1])

    def time_epoch(self, backend, widths, batch_size):
        self.net.fit(self.x, self.y, epochs=1, batch_size=batch_size)


class FitSources(OnBackend):
    """One shuffled epoch over 10,000 samples of 784 in other types than the network's."""

    param_names = ("backend", "source")
    params = (BACKENDS, ("float32", "float64", "uint8", "float16"))

    def prepare(self, source):
        self.net = classifier((784, 16, 10))
        self.x = (100 + 20 * normal(10_000, 784)).clip(0, 255).astype(source)
        self.y = labels(10_000, 10)

    def time_epoch(self, backend, source):
        self.net.fit(self.x, self.y, epochs=1, batch_size=128)


class Threads:
    """One compiled step of a wide network on more and more threads."""

    param_names = ("threads",)
    params = ((1, 2, 4),)

    def setup(self, threads):
        self.net = classifier((1024, 1024, 1024, 10))
        self.x, self.y = normal(512, 1024), labels(512, 10)
        fnn.set_num_threads(threads)

    def time_train_step(self, threads):
        self.net.train_step(self.x, self.y)


class PythonThreads:
    """Networks of their own in more and more Python threads, each a fixed number of steps.

    Calls release the GIL: with a processor for each thread, the time stays the same.
    """

    param_names = ("threads",)
    params = ((1, 2, 4),)

    def setup(self, threads):
        fnn.set_num_threads(1)
        self.nets = [classifier((64, 256, 10)) for _ in range(threads)]
        self.x, self.y = normal(20_000, 64), labels(20_000, 10)
        self.pool = ThreadPoolExecutor(threads)

    def teardown(self, threads):
        self.pool.shutdown()

    def time_epoch_of_each(self, threads):
        def train(net):
            net.fit(self.x, self.y, epochs=1, batch_size=128)

        list(self.pool.map(train, self.nets))
