"""The self-test of a file: stored rows, what the library predicts for them, and a `main`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastnn.formats._program import Portable
from fastnn.formats.c.network import File
from fastnn.formats.c.text import table
from fastnn.network._predictor import Predictor

__all__ = ["Rows", "of_network", "self_test"]

N_ROWS = 8
_SEED = 1234
_FACTOR = 16.0
"""The tolerance over the error that rounding to float32 has by itself."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows, and what a function must give for them.

    Attributes
    ----------
    inputs : (N, n_in) array
    expected : (N, n_out) array of float64
    tolerance : (n_out,) array of float64
        Largest absolute error of each output.
    """

    inputs: np.ndarray
    expected: np.ndarray
    tolerance: np.ndarray


def of_network(net: Portable, dtype: np.dtype) -> Rows:
    """Rows of standard normal numbers, or of codes, and the outputs of a network in float64.

    What float32 changes in these outputs measures how the network amplifies rounding errors: the
    tolerance is 16 times as much, for float64 in the proportion of the two types.
    """
    rng = np.random.default_rng(_SEED)
    program = net.program
    inputs = []
    for buffer, sizes in zip(program.inputs, program.code_sizes, strict=True):
        width = program.buffers[buffer].width
        if sizes is None:
            inputs.append(rng.standard_normal((N_ROWS, width), np.float32))
        else:
            inputs.append(rng.integers(0, sizes, (N_ROWS, width)).astype(np.float32))
    exact, single = (
        np.concatenate(_outputs(net, inputs, np.dtype(kind)), axis=1)
        for kind in (np.float64, np.float32)
    )
    error = np.abs(single - exact).max(axis=0)
    error += np.finfo(np.float32).eps * np.abs(exact).max(axis=0)
    units = np.finfo(dtype).eps / np.finfo(np.float32).eps
    tolerance = _FACTOR * units * error + np.finfo(dtype).tiny
    return Rows(np.concatenate(inputs, axis=1), exact, tolerance)


def _outputs(net: Portable, inputs: list[np.ndarray], dtype: np.dtype) -> list[np.ndarray]:
    """The outputs of a network in float64, computed in a dtype."""
    program = replace(net.program, dtype=dtype)
    storage = program.allocate()
    for parameter in program.parameters:
        parameter.view(storage)[...] = net.values[parameter.name]
    arrays = [x.astype(dtype) for x in inputs]
    outputs = Predictor(program, storage)(arrays if len(arrays) > 1 else arrays[0])
    whole = outputs if len(program.outputs) > 1 else [outputs]
    return [output.astype(np.float64) for output in whole]


def self_test(file: File, function: str, rows: Rows, ctype: str) -> str:
    """The text of the self-test of a batch function.

    Parameters
    ----------
    file : File
    function : str
        Name of the batch function.
    rows : Rows
    ctype : {"float", "double"}
        The type of its rows and results.
    """
    prefix = file.names.prefix
    dtype = np.float32 if ctype == "float" else np.float64
    n, n_out = rows.expected.shape
    tables = [
        table("rows", rows.inputs.astype(dtype), ctype),
        table("expected", rows.expected, "double"),
        table("tolerance", rows.tolerance, "double"),
    ]
    own = "\n".join(f"    {line}" for part in tables for line in part.splitlines())
    return f"""#ifdef {prefix.upper()}_TEST

#include <stdio.h>

/* Compares the outputs for {n} rows with those of fastnn; 0 if they agree. */
int main(void)
{{
{own}
    static {ctype} outputs[{n * n_out}];
    double largest = 0.0, share = 0.0;
    int mismatches = 0;
    {function}(rows, outputs, {n});
    for (int i = 0; i < {n * n_out}; i++) {{
        const double error = fabs((double)outputs[i] - expected[i]);
        const double part = error / tolerance[i % {n_out}];
        if (!(part <= 1.0)) mismatches++;
        if (error > largest) largest = error;
        if (part > share) share = part;
    }}
    printf("{prefix}: %d of {n * n_out} outputs differ; largest error %.3g, %.3g of the tolerance"
           "\\n", mismatches, largest, share);
    return mismatches > 0;
}}

#endif"""
