"""Peak memory of a process that trains or predicts."""

from .common import BACKENDS, OnBackend, classifier, labels, normal

WIDTHS = (784, 512, 512, 10)


class PeakMemory(OnBackend):
    """The data are 30 MB; what lies beyond them and NumPy's own is the engine's."""

    param_names = ("backend", "batch_size")
    params = (BACKENDS, (32, 1024))

    def prepare(self, batch_size):
        self.net = classifier(WIDTHS)
        self.x, self.y = normal(10_000, WIDTHS[0]), labels(10_000, WIDTHS[-1])

    def peakmem_fit(self, backend, batch_size):
        self.net.fit(self.x, self.y, epochs=1, batch_size=batch_size)

    def peakmem_predict(self, backend, batch_size):
        self.net.predict(self.x, batch_size=batch_size)


class PeakMemoryWide(OnBackend):
    """A batch of many rows and classes: its logits alone would be 195 MiB."""

    def prepare(self):
        self.net = classifier((64, 50_000))
        self.x, self.y = normal(1024, 64), labels(1024, 50_000)

    def peakmem_train_step(self, backend):
        self.net.train_step(self.x, self.y)


class PeakMemoryImport:
    """A process that has imported fastnn and built a small network."""

    def peakmem_small_network(self):
        classifier((4, 64, 64, 2))
