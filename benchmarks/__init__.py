"""Benchmarks for airspeed velocity: the same calls on the compiled backend and on NumPy.

Everything runs on one thread unless a benchmark is about threads, so that results say what a
core does.  NumPy's BLAS reads its limit when it is loaded, hence before any import of it.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(variable, "1")
