"""The ``fastnn`` command, of which ``fastnn --help`` lists the commands.

Every command returns 0 after success, 2 with an error message of one line on stderr if its
arguments or data are wrong, and 130 after Ctrl-C.  ``fastnn`` without a command prints its help
on stderr and returns 2.  A traceback, with the return code 1, is a bug of fastnn, and says so.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from fastnn import optimizers, solvers
from fastnn._version import __version__
from fastnn.cli._text import note
from fastnn.facts.precisions import PRECISIONS
from fastnn.program import ACTIVATIONS
from fastnn.tabular.datasets import NAMES
from fastnn.tabular.objectives import LOSSES, QUANTILES
from fastnn.tabular.preprocessing import SCALINGS_OR_AUTO
from fastnn.tabular.preset import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_PATIENCE,
    DEFAULT_PLATEAU_FACTOR,
    DEFAULT_PLATEAU_PATIENCE,
    DTYPES,
    SCHEDULES,
    Options,
)
from fastnn.tabular.recipe import PRESETS
from fastnn.tabular.splitting import TASKS
from fastnn.training.progress import Tolerant
from fastnn.training.session import WEIGHTS_MEANS

__all__ = ["main"]

SHELLS = ("bash", "zsh", "fish")
OPTIMIZERS = tuple(optimizers.names())
SOLVERS = tuple(solvers.CLASSES)
INTERRUPTED = 130
UNFIT = 2
BUG = 1

_DEFAULTS = Options()


class _UsageError(Exception):
    """The parser does not accept the command line."""


class _Parser(argparse.ArgumentParser):
    """A parser whose error messages have one line, like those of the commands."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``fastnn``; by default the arguments of the process.

    Returns
    -------
    int
        The exit code: 0, 2 for wrong arguments or data, 130 after Ctrl-C, 1 for a bug.
    """
    debug = False
    try:
        parser = parser_of_all()
        arguments = parser.parse_args(argv)
        debug = arguments.debug
        if arguments.run is None:
            parser.print_help(Tolerant(sys.stderr))
            return UNFIT
        module, function = arguments.run.split(":")
        code: int = getattr(importlib.import_module(module), function)(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        note("fastnn: interrupted")
        return INTERRUPTED
    except BrokenPipeError as error:
        # An error of a file has its name.  The reader of standard output, such as `head`, has
        # read enough.
        if error.filename is None and _has_no_reader(sys.stdout):
            return 0
        note(f"fastnn: error: {_one_line(error)}")
        return UNFIT
    except MemoryError:
        if debug:
            raise
        note("fastnn: error: not enough memory")
        return UNFIT
    except Exception as error:
        if debug:
            raise
        if _is_bug(error):
            traceback.print_exc(file=Tolerant(sys.stderr))
            note("fastnn: this is a bug of fastnn; please report it with the lines above")
            return BUG
        note(f"fastnn: error: {_one_line(error)}")
        return UNFIT
    finally:
        for stream in (sys.stdout, sys.stderr):
            if _has_no_reader(stream):  # Python must not write to it at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_EXPECTED = (
    ArithmeticError,
    ImportError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    _UsageError,
)
"""Errors whose messages are for users."""

_UNEXPECTED = (NotImplementedError, RecursionError, ZeroDivisionError)


def _is_bug(error: Exception) -> bool:
    return isinstance(error, _UNEXPECTED) or not isinstance(error, _EXPECTED)


def _has_no_reader(stream: TextIO | None) -> bool:
    """Whether a stream is a pipe that nobody reads; False where the system has no `poll`."""
    if stream is None or not hasattr(select, "poll"):
        return False
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # closed, or not a file of the system
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


# ----------------------------------------------------------------------- the parser


def parser_of_all() -> argparse.ArgumentParser:
    """The parser of the command, with those of its commands."""
    parser = _Parser(
        prog="fastnn",
        description="Train neural networks on tables, and use them.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for add in (
        _add_train,
        _add_predict,
        _add_evaluate,
        _add_info,
        _add_export,
        _add_import,
        _add_demo,
        _add_bench,
        _add_config,
        _add_completion,
    ):
        add(commands)
    return parser


def _command(commands: Any, name: str, run: str, text: str) -> argparse.ArgumentParser:
    """Add a command; `run` names its function, which is imported when the command runs."""
    description = f"{text[0].upper()}{text[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=description, allow_abbrev=False
    )
    parser.set_defaults(run=f"fastnn.cli.{run}")
    return parser


def _add_train(commands: object) -> None:
    parser = _command(commands, "train", "_commands:train", "train a network on a table")
    _add_data_options(parser.add_argument_group("data"))
    _add_preset_options(parser.add_argument_group("model"))
    network = parser.add_argument_group("one dense network (--preset network)")
    _add_network_options(network)
    _add_scaling(network)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        default="model.fastnn",
        metavar="FILE",
        help="file of the model; default %(default)s",
    )
    output.add_argument(
        "--plot",
        metavar="FILE",
        help="file of the learning curve of one network, or none; default a PNG beside the model",
    )
    output.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="file of the training under way: the same command continues from it after it was "
        "killed, and gives the same model",
    )
    output.add_argument(
        "--checkpoint-every",
        type=int,
        default=1,
        metavar="EPOCHS",
        help="epochs between two writes of that file; default %(default)s",
    )
    output.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="train one network in so many processes, by mpiexec; needs fastnn[mpi]",
    )
    output.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_json(output)


def _add_json(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_data_options(group: argparse._ArgumentGroup) -> None:
    source = group.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a file of separated values (also compressed, and - for standard input), Parquet or "
        "Feather, or NPZ with arrays X and y",
    )
    source.add_argument("--dataset", choices=NAMES, help="a bundled data set instead of a file")
    group.add_argument(
        "--target",
        metavar="COLUMN",
        help="column to predict, by name or by number from 1; default the last one",
    )
    group.add_argument(
        "--task",
        choices=TASKS,
        help="auto: classification for text and for a few whole numbers that repeat",
    )
    _add_role_options(group)
    _add_csv_options(group)
    group.add_argument(
        "--test",
        type=float,
        metavar="SHARE",
        help=f"share of the rows that are held out for the test; default {_DEFAULTS.test}; 0: the "
        "model learns from all rows",
    )


def _add_preset_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--preset",
        choices=(*PRESETS, "network"),
        help="fast: one network; balanced: ten networks that each leave out a tenth of the rows; "
        "best: several such bags; network: one dense network with the options below. Default: "
        "balanced, and network where one of these options is given",
    )
    group.add_argument(
        "--loss",
        choices=LOSSES,
        help="for numbers, what the training minimises: squared_error (the prediction is a mean; "
        "default), absolute_error (a median), huber, poisson (counts), quantile",
    )
    group.add_argument(
        "--quantiles",
        type=_levels,
        metavar="LEVELS",
        help=f"levels of --loss quantile; default {','.join(map(str, QUANTILES))}",
    )
    group.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="time that the training may take"
    )
    group.add_argument(
        "--search",
        type=int,
        metavar="N",
        help="hyperparameters to try, beside simple models; the result has those that predict the "
        "held-out rows best. With --time-limit as many as there is time for",
    )
    group.add_argument(
        "--seed", type=int, help="seed of the split, the initial values and the batches; default 0"
    )
    group.add_argument(
        "--dtype", choices=DTYPES, help=f"precision of all numbers; default {_DEFAULTS.dtype}"
    )
    group.add_argument(
        "--precision",
        choices=tuple(PRECISIONS),
        help="what the products of large layers multiply; bfloat16 is faster on processors with "
        f"AVX512_BF16; default {_DEFAULTS.precision}",
    )


def _add_scaling(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--scaling",
        choices=SCALINGS_OR_AUTO,
        help="robust: median and quartiles of each column of numbers, smoothly clipped; columns: a "
        "mean and a scale for each; common: one mean and one "
        "scale for all; none: numbers as they are; auto: common for digits, otherwise columns",
    )
    group.add_argument(
        "--validation",
        type=float,
        metavar="SHARE",
        help=f"share of the rows for validation; default {_DEFAULTS.validation}",
    )


def _add_role_options(group: argparse._ArgumentGroup) -> None:
    def add(*names: str, help: str) -> None:
        group.add_argument(
            *names, action="append", metavar="COLUMN", help=f"{help}; may be repeated"
        )

    add("--numeric", help="take a column for numbers")
    add("--category", "--text", help="take a column for a category, even if it has numbers")
    add("--date", help="take a column for dates; COLUMN=PATTERN, as in day=%%d.%%m.%%Y, for dates "
        "that are not written as 2024-05-01")  # fmt: skip
    add("--drop", help="leave a column out")


def _add_network_options(group: argparse._ArgumentGroup) -> None:
    def add(name: str, help: str, default: object = None, **more: Any) -> None:
        if default is not None:
            help += f"; default {default}"
        group.add_argument(name, help=help, **more)  # None tells that an option is not there

    add("--hidden", "widths of the hidden layers, such as 100,50, or none",
        ",".join(map(str, _DEFAULTS.widths)), type=_widths, metavar="WIDTHS")  # fmt: skip
    add("--activation", "activation of the hidden layers: " + ", ".join(ACTIVATIONS),
        _DEFAULTS.activation, choices=ACTIVATIONS, metavar="NAME")  # fmt: skip
    add("--dropout", "rate of the dropout after each hidden layer", _DEFAULTS.dropout,
        type=float, metavar="RATE")  # fmt: skip
    add("--epochs", "largest number of epochs", _DEFAULTS.epochs, type=int)
    add("--batch-size", f"rows of a batch; default {DEFAULT_BATCH_SIZE}", type=int,
        metavar="ROWS")  # fmt: skip
    add("--optimizer", f"{', '.join(OPTIMIZERS)}; or a solver, which takes all rows at once and "
        f"whose iterations count as epochs: {', '.join(SOLVERS)} (for regression)",
        _DEFAULTS.optimizer, choices=OPTIMIZERS + SOLVERS, metavar="NAME")  # fmt: skip
    add("--learning-rate", "default: the learning rate of the optimizer", type=float,
        metavar="RATE")  # fmt: skip
    add("--schedule", "cosine decreases the learning rate to 0 over all epochs, flat_cosine after "
        "half of them, cosine_log in four waves; plateau multiplies it by a factor when the "
        "validation loss has stopped falling",
        _DEFAULTS.schedule, choices=SCHEDULES)  # fmt: skip
    add("--plateau-factor", f"factor of --schedule plateau; default {DEFAULT_PLATEAU_FACTOR:g}",
        type=float, metavar="FACTOR")  # fmt: skip
    add("--plateau-patience", "epochs without a lower validation loss before --schedule plateau "
        f"decreases the learning rate; default {DEFAULT_PLATEAU_PATIENCE}", type=int,
        metavar="EPOCHS")  # fmt: skip
    add("--l2", "factor of the penalty on squared weights", _DEFAULTS.l2, type=float,
        metavar="FACTOR")  # fmt: skip
    add("--patience", "end the training after so many epochs without a lower validation loss, "
        f"0 never; default {DEFAULT_PATIENCE}", type=int, metavar="EPOCHS")  # fmt: skip
    add("--class-weight", "balanced: weigh each training row by n / (K count), for n rows of K "
        "classes, count of them of its class", choices=("balanced",))  # fmt: skip
    add("--weights-mean", "with --class-weight, the divisor of the weighted losses of a batch. "
        "data: its rows times the mean weight of all rows; batch: the sum of its weights; count: "
        "the number of its rows", _DEFAULTS.weights_mean, choices=WEIGHTS_MEANS)  # fmt: skip


def _add_csv_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--delimiter",
        metavar="CHAR",
        help="character between the cells of a CSV file; default: detected",
    )
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of a CSV file has the names of the columns; default: it has "
        "if no cell of it is a number",
    )
    group.add_argument("--encoding", metavar="NAME", help="encoding of a CSV file; default UTF-8")
    group.add_argument(
        "--missing",
        action="append",
        metavar="CELL",
        help="text that stands for a missing value in every column; among numbers NA, nan, null, "
        "None and ? do anyway; may be repeated",
    )
    group.add_argument(
        "--decimal", choices=(".", ","), metavar="SIGN", help="decimal point of numbers: . or ,"
    )
    group.add_argument(
        "--thousands", metavar="SIGN", help="sign between groups of three digits of numbers"
    )
    for name, example in (("percent", "12 %% is the number 0.12"), ("currency", "$ 12 is 12")):
        group.add_argument(f"--{name}", action="store_true", default=None, help=example)


def _add_predict(commands: object) -> None:
    parser = _command(commands, "predict", "_predict:predict", "apply a model to a table")
    _add_model_and_data(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="CSV file, or Parquet for a name that ends in .parquet; default standard output",
    )
    parser.add_argument(
        "--interval",
        type=float,
        metavar="COVERAGE",
        help="add the columns lower and upper, which hold the target in this share of rows like "
        "those of the training; for classes, whether each is in such a set",
    )
    parser.add_argument("--proba", action="store_true", help="add the probability of each class")
    parser.add_argument(
        "--score",
        action="store_true",
        help="compare with the target column of DATA; the result goes to standard error",
    )
    _add_csv_options(parser.add_argument_group("CSV files"))


def _add_model_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file that train has written")
    parser.add_argument(
        "file",
        metavar="DATA",
        help="a file with the model's columns, of any kind that train reads; - is standard input",
    )


def _add_evaluate(commands: object) -> None:
    parser = _command(
        commands, "evaluate", "_predict:evaluate", "compare a model with the target of a table"
    )
    _add_model_and_data(parser)
    _add_json(parser)
    _add_csv_options(parser.add_argument_group("CSV files"))


def _add_info(commands: object) -> None:
    parser = _command(commands, "info", "_commands:info", "show what a model's file holds")
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a file that train has written, or of ONNX (.onnx) or safetensors (.safetensors)",
    )
    _add_json(parser)


def _add_export(commands: object) -> None:
    parser = _command(
        commands, "export", "_export:export", "write a model in the format of another program"
    )
    parser.add_argument("model", metavar="MODEL", help="a file that train or save has written")
    parser.add_argument("output", metavar="OUT", help="the file to write; it is replaced")
    parser.add_argument(
        "--to",
        choices=("onnx", "c", "torch", "safetensors"),
        help="onnx: a model of ONNX (.onnx); c: a file of C99 (.c); torch: a program of "
        "torch.export (.pt2); safetensors: the parameters as PyTorch names them (.safetensors). "
        "Default: by the ending of OUT",
    )
    parser.add_argument(
        "--network-only",
        action="store_true",
        help="of a model for tables, the network without the preparation of the columns",
    )


def _add_import(commands: object) -> None:
    parser = _command(
        commands, "import", "_export:import_", "make a model of a file of another program"
    )
    parser.add_argument(
        "file", metavar="FILE", help="a model of ONNX (.onnx), or parameters in safetensors"
    )
    parser.add_argument(
        "--to",
        default="model.fastnn",
        metavar="MODEL",
        help="the file to write; default %(default)s; it is replaced",
    )
    parser.add_argument(
        "--like",
        metavar="MODEL",
        help="a model with the layers of a file of safetensors that does not describe them",
    )


def _add_demo(commands: object) -> None:
    parser = _command(commands, "demo", "_demo:run", "learn handwritten digits in seconds")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the split, the initial values and the batches"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_bench(commands: object) -> None:
    parser = _command(
        commands, "bench", "_bench:run", "time the compiled backend against the reference"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds instead of a minute")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="default %(default)s")


def _add_config(commands: object) -> None:
    _command(commands, "config", "_commands:config", "show backend, instruction set and versions")


def _levels(text: str) -> tuple[float, ...]:
    """Levels of quantiles from text such as "0.1,0.9"."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of levels; write 0.5 or 0.05,0.5,0.95"
        ) from None


def _add_completion(commands: object) -> None:
    parser = _command(
        commands, "completion", "_completion:run", "print the completion of commands for a shell"
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the lines")


def _widths(text: str) -> tuple[int, ...]:
    """Widths of hidden layers from text such as "100,50"."""
    if text == "none":
        return ()
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of widths; write 100 or 100,50 or none"
        ) from None
    if min(widths) < 1:
        raise argparse.ArgumentTypeError(f"a width must be at least 1, got {min(widths)}")
    return widths
