"""Looking inside: Jacobians, traces and the check of gradients."""

import fastnn as fnn

from .common import BACKENDS, OnBackend, classifier, labels, normal


class Jacobians(OnBackend):
    """Derivatives of 1000 outputs by 4 inputs, and by the parameters of one hidden layer."""

    param_names = ("backend", "hidden")
    params = (BACKENDS, (10, 100))

    def prepare(self, hidden):
        layers = [fnn.Dense(4, hidden, activation="tanh"), fnn.Dense(hidden, 1)]
        self.net = fnn.Sequential(layers, dtype="float64", seed=0)
        self.x = normal(1000, 4, dtype="float64")
        self.net.parameter_jacobian(self.x)

    def time_input_gradients(self, *parameters):
        self.net.input_gradients(self.x)

    def time_parameter_jacobian(self, *parameters):
        self.net.parameter_jacobian(self.x)


class Traces(OnBackend):
    """A traced step beside the step itself, and all gradients checked."""

    def prepare(self):
        self.net = classifier((4, 64, 64, 2))
        self.small = classifier((4, 10, 2), activation="tanh")
        self.x, self.y = normal(32, 4), labels(32, 2)

    def time_train_step(self, *parameters):
        self.net.train_step(self.x, self.y)

    def time_trace(self, *parameters):
        self.net.trace(self.x, self.y)

    def time_print_trace(self, *parameters):
        str(self.net.trace(self.x, self.y))

    def time_check_gradients(self, *parameters):
        fnn.check_gradients(self.small, self.x, self.y)
