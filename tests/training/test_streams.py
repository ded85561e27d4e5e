"""Reports of a training on streams that are closed, broken or not there."""

import io
import sys

import numpy as np
import pytest
from networks import classifier, flowers

from fastnn.ensemble import Ensemble


class Broken(io.StringIO):
    """A pipe that nobody reads."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {"none": lambda: None, "closed": closed, "broken": Broken}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("verbose", [1, 2])
def test_a_training_does_not_depend_on_its_report(monkeypatch, stream, verbose):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", STREAMS[stream]())
        patch.setattr(sys, "stdout", STREAMS[stream]())
        history = classifier().fit(*flowers(np.random.default_rng(0)), epochs=2, verbose=verbose)
    assert history.epochs == 2


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("verbose", [1, 2])
def test_an_ensemble_does_not_depend_on_its_report(monkeypatch, stream, verbose):
    ensemble = Ensemble(classifier(), 2)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", STREAMS[stream]())
        patch.setattr(sys, "stdout", STREAMS[stream]())
        ensemble.fit(*flowers(np.random.default_rng(0)), epochs=2, verbose=verbose)
    assert [member.history.epochs for member in ensemble.members] == [2, 2]
