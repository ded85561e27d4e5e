"""Parameters in error messages become flags of the command line."""

import pytest

from fastnn.cli._arguments import in_flags, naming_flags
from fastnn.tabular import DataError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("batch_size must be >= 1, got 0", "--batch-size must be >= 1, got 0"),
        ("dropout needs hidden layers, but hidden=()",
         "--dropout needs hidden layers, but --hidden none"),
        ("l2 does not go with optimizer='lbfgs', which",
         "--l2 does not go with --optimizer lbfgs, which"),
        ("patience needs data, but validation=0", "--patience needs data, but --validation 0"),
        ("optimizer='lbfgs' is slow", "--optimizer lbfgs is slow"),
    ],
)  # fmt: skip
def test_a_message_that_begins_with_a_parameter_names_flags(message, expected):
    assert in_flags(message) == expected


@pytest.mark.parametrize(
    "message", ["row 2 of the test part is wrong", "testing takes long", "the task is unknown"]
)
def test_other_messages_do_not_change(message):
    assert in_flags(message) == message
    with pytest.raises(ValueError, match=f"^{message}$"), naming_flags():
        raise ValueError(message)


def test_messages_about_data_do_not_change():
    with pytest.raises(DataError, match=r"^test has no column"), naming_flags():
        raise DataError("test has no column 'x'")
