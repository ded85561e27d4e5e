"""What `import fastnn` costs a fresh process, beside NumPy's own import."""


class Import:
    """Seconds of a process that imports NumPy alone, and NumPy and fastnn."""

    def timeraw_numpy(self):
        return "import numpy"

    def timeraw_fastnn(self):
        return "import numpy, fastnn"


class FirstUse:
    """Import, build a network and run one prediction: the start of a command-line tool."""

    def timeraw_predict(self):
        return """
        import fastnn
        net = fastnn.Sequential([fastnn.Dense(4, 8, activation="tanh"), fastnn.Dense(8, 2)])
        net.predict([[1.0, 2.0, 3.0, 4.0]])
        """
