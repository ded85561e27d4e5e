"""Formulas with the values that R prints for the examples of its documentation."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

pd = pytest.importorskip("pandas")
pytest.importorskip("formulaic")


def check(result, table, half_digit=0.6):
    """Estimates and errors in a table that R printed, to half a unit of the last digit."""
    names, rows = [], []
    for line in table.strip().splitlines():
        name, *cells = line.rsplit(maxsplit=2)
        names.append(name.strip())
        rows.append(cells)
    assert list(result.names) == names
    for place, ours in enumerate((result.coefficients, result.standard_errors)):
        for value, cell in zip(ours, [row[place] for row in rows], strict=True):
            unit = 10.0 ** -len(cell.partition(".")[2])
            assert value == pytest.approx(float(cell), abs=half_digit * unit)


def test_plant_weights():
    # example(lm): lm.D9, from Dobson (1990), An Introduction to Generalized Linear Models.
    control = [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14]
    treatment = [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69]
    data = pd.DataFrame({"weight": control + treatment, "group": ["Ctl"] * 10 + ["Trt"] * 10})
    result = stats.linear_regression("weight ~ group", data=data)
    check(
        result,
        """
        Intercept      5.0320  0.2202
        group[T.Trt]  -0.3710  0.3114
    """,
    )
    assert result.residual_standard_deviation == pytest.approx(0.6964, abs=5e-5)
    assert result.r_squared == pytest.approx(0.07308, abs=5e-6)
    assert result.adjusted_r_squared == pytest.approx(0.02158, abs=5e-6)
    table = result.anova(1)  # anova(lm.D9)
    assert table.sums_of_squares[0] == pytest.approx(0.6882, abs=5e-5)
    assert table.residual_sum_of_squares == pytest.approx(8.7292, abs=6e-5)
    assert table.fvalues[0] == pytest.approx(1.4191, abs=5e-5)
    assert table.pvalues[0] == pytest.approx(0.249, abs=5e-4)
    levels = stats.linear_regression("weight ~ group - 1", data=data)  # lm.D90
    check(
        levels,
        """
        group[Ctl]  5.0320  0.2202
        group[Trt]  4.6610  0.2202
    """,
    )


def test_warp_breaks():
    # example(warpbreaks): summary and anova of lm(breaks ~ wool*tension); Tippett (1950).
    cells = {
        "AL": [26, 30, 54, 25, 70, 52, 51, 26, 67], "AM": [18, 21, 29, 17, 12, 18, 35, 30, 36],
        "AH": [36, 21, 24, 18, 10, 43, 28, 15, 26], "BL": [27, 14, 29, 19, 29, 31, 41, 20, 44],
        "BM": [42, 26, 19, 16, 39, 28, 21, 39, 29], "BH": [20, 21, 24, 17, 13, 15, 15, 16, 28],
    }  # fmt: skip
    rows = [(cell[0], cell[1], value) for cell, values in cells.items() for value in values]
    data = pd.DataFrame(rows, columns=["wool", "tension", "breaks"])
    data["tension"] = pd.Categorical(data.tension, categories=["L", "M", "H"])
    result = stats.linear_regression("breaks ~ wool * tension", data=data)
    check(
        result,
        """
        Intercept                 44.556  3.647
        wool[T.B]                -16.333  5.157
        tension[T.M]             -20.556  5.157
        tension[T.H]             -20.000  5.157
        wool[T.B]:tension[T.M]    21.111  7.294
        wool[T.B]:tension[T.H]    10.556  7.294
    """,
    )
    assert result.f_pvalue == pytest.approx(0.0002772, abs=5e-8)
    table = result.anova(1)
    np.testing.assert_allclose(table.sums_of_squares, [450.7, 2034.3, 1002.8], atol=0.05)
    np.testing.assert_allclose(table.fvalues, [3.7653, 8.4980, 4.1891], atol=5e-5)
    np.testing.assert_allclose(table.pvalues, [0.0582130, 0.0006926, 0.0210442], atol=5e-8)
    # The design is balanced: types I and II are equal.
    np.testing.assert_allclose(result.anova(2).fvalues, table.fvalues, rtol=1e-10)


def test_heights_and_weights_of_women():
    # example(bs) of splines: lm(weight ~ bs(height, df = 5), data = women).
    weight = [115, 117, 120, 123, 126, 129, 132, 135, 139, 142, 146, 150, 154, 159, 164]
    women = pd.DataFrame({"height": np.arange(58.0, 73.0), "weight": weight})
    result = stats.linear_regression("weight ~ bs(height, df=5)", data=women)
    check(
        result,
        """
        Intercept           114.8799  0.2167
        bs(height, df=5)[1]   3.4657  0.4595
        bs(height, df=5)[2]  13.0300  0.3965
        bs(height, df=5)[3]  27.6161  0.4571
        bs(height, df=5)[4]  40.8481  0.3866
        bs(height, df=5)[5]  49.1296  0.3090
    """,
    )
    assert result.residual_standard_deviation == pytest.approx(0.2276, abs=5e-5)
    assert result.pvalues.iloc[1] == pytest.approx(3.53e-05, abs=5e-8)
