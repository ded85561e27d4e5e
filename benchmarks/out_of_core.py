"""Training from a file that is larger than the memory of the process.

    python -m benchmarks.out_of_core --file /tmp/big.parquet

Writes a Parquet file of 20 million rows and 50 columns, if it is not there yet, in pieces; trains a
network on it from a shuffle buffer; and prints the size of the file, the seconds of an epoch, and
the largest resident memory of the process that trains.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time

import numpy as np

import fastnn as fnn

PIECE = 1 << 17


def write(path, rows, columns):
    """A file of independent normal numbers, and a target that depends on three of them."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    names = [f"x{j}" for j in range(columns)]
    schema = pa.schema([(name, pa.float32()) for name in (*names, "y")])
    draw = np.random.default_rng(0)
    with ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, PIECE):
            X = draw.standard_normal((min(PIECE, rows - start), columns), np.float32)
            y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
            parts = [pa.array(column) for column in (*X.T.copy(), y)]
            writer.write_table(pa.table(parts, schema=schema), row_group_size=PIECE)


def train(path, epochs, buffer_rows, batch_size):
    """Train, and print what it took."""
    source = fnn.ParquetRows(path, "y", buffer_rows=buffer_rows)
    net = fnn.Sequential([fnn.Dense(len(source.features), 32, activation="relu"), fnn.Dense(32, 1)])
    net.compile("mean_squared_error", "adam")
    start = time.perf_counter()
    history = net.fit(source, epochs=epochs, batch_size=batch_size)
    seconds = (time.perf_counter() - start) / epochs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{source.n_rows} rows of {len(source.features)} columns, "
        f"{os.path.getsize(path) / 2**30:.2f} GiB: {seconds:.1f} s an epoch, "
        f"loss {history['loss'][-1]:.4f}, peak memory {peak:.0f} MiB"
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.out_of_core", description=__doc__)
    parser.add_argument(
        "--file", required=True, help="the Parquet file, written where it is absent"
    )
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--buffer-rows", type=int, default=1 << 18)
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args(arguments)
    if not os.path.exists(options.file):  # in a process of its own, whose memory does not count
        code = (
            "import sys; from benchmarks.out_of_core import write; "
            "write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"
        )
        numbers = [str(options.rows), str(options.columns)]
        subprocess.run([sys.executable, "-c", code, options.file, *numbers], check=True)
    train(options.file, options.epochs, options.buffer_rows, options.batch_size)


if __name__ == "__main__":
    main()
