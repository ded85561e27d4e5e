"""Tables of pandas as arrays of numbers: columns of different, boolean and nullable types."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn._shared.arrays import as_real

pd = pytest.importorskip("pandas")

REAL = {
    "bool": [True, False, True],
    "int8": [1, -2, 3],
    "uint32": [1, 2, 3],
    "float32": [0.5, np.nan, 2],
    "float64": [1.5, 2.5, -1],
    "boolean": [True, None, False],
    "Int64": [1, None, 3],
    "UInt8": [1, 2, None],
    "Float64": [1.5, None, 2],
}


def column(dtype):
    return pd.Series(pd.array(REAL[dtype], dtype=dtype))


def numbers(dtype):
    return np.array([np.nan if value is None else float(value) for value in REAL[dtype]])


@pytest.mark.parametrize("dtype", REAL)
def test_column_is_read_as_numbers(dtype):
    np.testing.assert_array_equal(as_real(column(dtype), "y").astype(float), numbers(dtype))


@pytest.mark.parametrize("one", REAL)
@pytest.mark.parametrize("other", REAL)
def test_table_of_two_types_is_read_as_numbers(one, other):
    table = pd.DataFrame({"a": column(one), "b": column(other)})
    expected = np.column_stack([numbers(one), numbers(other)])
    np.testing.assert_array_equal(as_real(table, "X").astype(float), expected)


def test_columns_of_one_name_are_all_read():
    table = pd.DataFrame([[True, 1.5], [False, 2.5]], columns=["a", "a"]).astype(object)
    mixed = pd.concat([table.iloc[:, 0].astype(bool), table.iloc[:, 1].astype(float)], axis=1)
    np.testing.assert_array_equal(as_real(mixed, "X"), [[1, 1.5], [0, 2.5]])


@pytest.mark.parametrize("values", [["a", "b"], [1, "b"], pd.to_datetime(["2020", "2021"])])
def test_column_of_another_type_is_named(values):
    table = pd.DataFrame({"size": [1.0, 2.0], "kind": values})
    with pytest.raises(TypeError, match="X must hold real numbers, got column 'kind' of type"):
        as_real(table, "X")


def test_network_takes_dummies_beside_numbers(backend):
    table = pd.get_dummies(pd.DataFrame({"x": [0.5, 1.5, -1.0], "kind": ["a", "b", "a"]}))
    X, y = table.to_numpy(dtype=float), pd.array([1, 2, 3], dtype="Int64")
    nets = [fnn.Sequential([fnn.Dense(3, 1)], seed=0) for _ in range(2)]
    for net, data in zip(nets, (table, X), strict=True):
        net.compile("mean_squared_error", "adam")
        net.fit(data, pd.Series(y), epochs=2)
    np.testing.assert_array_equal(nets[0].predict(table), nets[1].predict(X))
    assert nets[0].evaluate(table, y) == nets[1].evaluate(X, y)


def test_missing_value_of_a_table_is_refused_by_its_place(backend):
    net = fnn.Sequential([fnn.Dense(2, 1)], seed=0)
    table = pd.DataFrame({"a": column("Int64"), "b": column("bool")})
    with pytest.raises(ValueError, match=r"\[1, 0\] = nan"):
        net.predict(table)


def test_estimators_take_dummies_beside_numbers():
    pytest.importorskip("sklearn")
    from fastnn.estimators import MLPRegressor

    table = pd.DataFrame({"a": column("Int64").fillna(0), "b": column("bool"), "c": [0.5, 1, 2]})
    model, expected = (MLPRegressor(hidden_layer_sizes=4, tol=9.0, random_state=0) for _ in "ab")
    model.fit(table, [1.0, 2.0, 3.0])
    expected.fit(table.to_numpy(dtype=float), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(model.predict(table), expected.predict(table.to_numpy(float)))
