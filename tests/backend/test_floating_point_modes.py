"""The compiled engine computes in its own floating-point mode, whatever the caller's is."""

import ctypes
import ctypes.util
import platform
import sys

import numpy as np
import pytest
from teams import team

import fastnn as fnn

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="sets MXCSR by glibc"
    ),
    pytest.mark.skipif("compiled" not in fnn.backend.available(), reason="no compiled core"),
]

FLUSH, TOWARD_ZERO = 0x8040, 0x6000
MODES = pytest.mark.parametrize("bits", [FLUSH, TOWARD_ZERO], ids=["flush", "toward zero"])


def mode(new=None):
    """The control bits of MXCSR, the last word of glibc's environment; set to `new`."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    words = (ctypes.c_uint32 * 8)()
    libm.fegetenv(words)
    before = words[7] & 0xFFC0
    if new is not None:
        words[7] = new
        libm.fesetenv(words)
    return before


def under(bits, call):
    """The result of a call under other bits of the mode, and the bits that it leaves."""
    before = mode()
    mode(before | bits)
    try:
        result = call()
        return result, mode() ^ before
    finally:
        mode(before)


def network():
    net = fnn.Sequential([fnn.Dense(64, 64, activation="tanh"), fnn.Dense(64, 3)], seed=0)
    net.compile(loss="mean_squared_error", optimizer="adam")
    return net


RNG = np.random.default_rng(0)
X = (RNG.normal(size=(20_000, 64)) * 1e-38).astype(np.float32)
Y = RNG.normal(size=(20_000, 3)).astype(np.float32)
CALLS = {
    "predict": lambda net: net.predict(X),
    "predict a row": lambda net: net.predict(X[0]),
    "predictor": lambda net: net.predictor()(X),
    "loss_and_gradients": lambda net: net.loss_and_gradients(X, Y)[1],
    "train_step": lambda net: (net.train_step(X[:8], Y[:8]), net.get_flat()),
    "fit": lambda net: (net.fit(X, Y, epochs=1, batch_size=5_000), net.get_flat())[1],
}


@pytest.mark.parametrize("n", [1, 2])
@MODES
@pytest.mark.parametrize("call", CALLS)
def test_bits_do_not_depend_on_the_mode_of_the_caller(call, bits, n):
    with fnn.backend.use("compiled"), team(n):
        expected = CALLS[call](network())
        net = network()
        result, _ = under(bits, lambda: CALLS[call](net))
    np.testing.assert_equal(result, expected)


@MODES
@pytest.mark.parametrize("call", CALLS)
def test_the_mode_of_the_caller_is_restored(call, bits):
    with fnn.backend.use("compiled"):
        net = network()
        _, left = under(bits, lambda: CALLS[call](net))
    assert left == bits


def test_prediction_keeps_subnormal_numbers():
    with fnn.backend.use("compiled"):
        net = fnn.Sequential([fnn.Dense(1, 1)])
    net.set_flat([1, 0])
    x = np.float32([[1e-40]])
    result, _ = under(FLUSH, lambda: net.predict(x))
    assert result.view(np.int32) == x.view(np.int32)
