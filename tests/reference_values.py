"""Values of other programs beside those of fastnn: the tables of docs/reference-values.md.

The values of R were printed by R 4.2.2 with lmtest 0.9-40, sandwich 3.0-2, car 3.1-1, strucchange
1.5-3 and nortest 1.0-4; the column shows the call.  ``python tests/reference_values.py`` prints the
tables of the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import nist
import numpy as np
from datasets import INVESTMENT, LAKE_HURON, SAVINGS

from fastnn import stats

NAMES = ["pop15", "pop75", "dpi", "ddpi"]
ROW = [[30.0, 3.0, 1000.0, 4.0]]
YEARS = np.arange(1875.0, 1973.0) - 1920


@dataclass(frozen=True)
class Table:
    """Values for one set of data.

    Attributes
    ----------
    data : str
        Title of the table.
    source : str
        Title of the column of calls.
    values : tuple of (code, call, numbers)
        Code for fastnn, the call or the place of the other program, and what that prints.
    names : dict
        Names that the code uses.
    tolerance : float
        Relative.
    rough : float
        The same for values that the other program computes by differences.
    """

    data: str
    source: str
    values: tuple[tuple[str, str, str], ...]
    names: dict
    tolerance: float
    rough: float = 1e-3


def savings() -> Table:
    """Regressions of R's LifeCycleSavings."""
    X, y = SAVINGS[:, 1:], SAVINGS[:, 0]
    weights = 1 / SAVINGS[:, 1]
    m = stats.linear_regression(X, y, names=NAMES)
    names = {
        "m": m,
        "null": stats.linear_regression(np.ones(50), y, names=["one"], add_intercept=False),
        "small": stats.linear_regression(X[:, 0], y, names=NAMES[:1]),
        "weighted": stats.linear_regression(X, y, names=NAMES, weights=weights),
        "groups": np.arange(50) // 5,
        "new": ROW,
        "libya": 48,
        "zambia": 45,
    }
    return Table("LifeCycleSavings", "R", SAVINGS_VALUES, names, 2e-9)


SAVINGS_VALUES = (
    ("m.coefficients", "coef(m)",
     "28.5660865407468 -0.461193147122768 -1.69149767674954 -0.000336901869141 0.409694927870671"),
    ("m.standard_errors", "sqrt(diag(vcov(m)))",
     "7.354516106178737 0.144642224760937 1.083598930703355 0.000931107182318 0.196197127592527"),
    ("m.r_squared, m.adjusted_r_squared", "summary(m): r.squared, adj.r.squared",
     "0.33845637499 0.279652497211"),
    ("m.residual_standard_deviation", "summary(m)$sigma", "3.80266864822"),
    ("m.fvalue", "summary(m)$fstatistic", "5.75568121992"),
    ("m.log_likelihood", "logLik(m)", "-135.098068574"),
    ("m.aic + 2, m.bic + np.log(50)", "AIC(m), BIC(m): they count the variance",
     "282.196137148 293.66827518"),
    ("[end[4] for end in m.confidence_intervals()]", 'confint(m)["ddpi", ]',
     "0.0145336282979 0.8048562274435"),
    ('m.predict(new, "prediction")[:3]', 'predict(m, new, interval = "prediction")',
     "10.95767693916 3.13220209027 18.78315178804"),
    ('stats.durbin_watson_test(m, alternative="positive")', "lmtest::dwtest(m)",
     "1.934149225044 0.389688204181"),
    ("stats.durbin_watson_test(m)", 'dwtest(m, alternative = "two.sided")',
     "1.934149225044 0.779376408361"),
    ("stats.breusch_godfrey(m, 2)", "lmtest::bgtest(m, order = 2)",
     "4.489814065220 0.105937388638"),
    ('stats.breusch_godfrey(m, 2, form="f")', 'bgtest(m, order = 2, type = "F")',
     "2.121085651915 0.132275684777"),
    ("stats.breusch_pagan(m)", "lmtest::bptest(m)", "4.985161299125 0.288823430283"),
    ("stats.breusch_pagan(m, studentize=False)", "bptest(m, studentize = FALSE)",
     "5.144607480897 0.272779078593"),
    ("stats.breusch_pagan(m, m.design[:, 1])", "bptest(m, ~ pop15)",
     "4.4646603882886 0.0346029677124"),
    ("stats.reset(m)", "lmtest::resettest(m)", "1.199902961470 0.311107781613"),
    ('stats.reset(m, kind="regressors")', 'resettest(m, type = "regressor")',
     "1.095665728467 0.388062227023"),
    ('stats.reset(m, kind="princomp")', 'resettest(m, type = "princomp")',
     "0.430454435584 0.652984421154"),
    ("stats.rainbow(m)", "lmtest::raintest(m)", "1.000031409142 0.506279035116"),
    ("stats.harvey_collier(m)", "lmtest::harvtest(m)", "0.529803960413 0.598911254373"),
    ('stats.rainbow(m, order_by="dpi")', "raintest(m, order.by = ~ dpi)",
     "1.103775095882 0.415327071042"),
    ('stats.harvey_collier(m, order_by="dpi")', "harvtest(m, order.by = ~ dpi)",
     "0.721677171970 0.474310786182"),
    ("stats.goldfeld_quandt(m)", "lmtest::gqtest(m)", "1.25587835418 0.30762504809"),
    ('stats.goldfeld_quandt(m, order_by="dpi", alternative="two-sided")',
     'gqtest(m, order.by = ~ dpi, alternative = "two.sided")', "0.3833949379264 0.0376172033421"),
    ("stats.ljung_box(m, 4)", 'Box.test(resid(m), 4, type = "Ljung")',
     "6.350752999559 0.174440430877"),
    ("stats.box_pierce(m, 4)", "Box.test(resid(m), 4)", "5.764829612836 0.217412790172"),
    ("stats.shapiro_wilk(m)", "shapiro.test(resid(m))", "0.986984386008 0.852396189073"),
    ("stats.anderson_darling(m)", "nortest::ad.test(resid(m))", "0.265534501010 0.678611091642"),
    ("stats.chow(m, 25)", 'strucchange::sctest(formula, type = "Chow", point = 25)',
     "1.24803192171 0.30519474697"),
    ('stats.cusum(m, kind="ols")', 'sctest(efp(formula, type = "OLS-CUSUM"))',
     "0.412167919391 0.995732909244"),
    ("stats.cusum(m)", 'sctest(efp(formula, type = "Rec-CUSUM"))', "0.456544611733 0.725313281202"),
    ("m.variance_inflation[1:]", "car::vif(m)",
     "5.93766137742 6.62910530494 2.88436920891 1.07430856609"),
    ('m.with_covariance("HC0").standard_errors', 'sandwich::vcovHC(m, "HC0")',
     "6.379342651515793 0.125914152289986 1.014680655088370 0.000523128308472 0.170318350277533"),
    ('m.with_covariance("HC1").standard_errors', 'vcovHC(m, "HC1")',
     "6.724417584482773 0.132725170295223 1.069567322596990 0.000551425654428 0.179531304733126"),
    ('m.with_covariance("HC2").standard_errors', 'vcovHC(m, "HC2")',
     "7.157676146262243 0.140124715413395 1.117782325214005 0.000563602901142 0.203807940764963"),
    ('m.with_covariance("HC3").standard_errors', 'vcovHC(m, "HC3")',
     "8.240200941062673 0.159344941679302 1.248679201270995 0.000610573265962 0.256675571277829"),
    ('m.with_covariance("HAC", lags=3).standard_errors', "NeweyWest(m, lag = 3, prewhite = FALSE)",
     "5.463096062123221 0.109186777271093 0.820600220534525 0.000466079405579 0.150251871756939"),
    ('m.with_covariance("HAC", lags=3, small_sample=True).standard_errors',
     "NeweyWest(m, lag = 3, prewhite = FALSE, adjust = TRUE)",
     "5.758608877535364 0.115092968850053 0.864988581775204 0.000491290830709 0.158379379151818"),
    ('m.with_covariance("HAC", lags="newey-west", prewhiten=1).standard_errors', "NeweyWest(m)",
     "5.750119835677852 0.113394352234253 0.882444599085371 0.000432564046065 0.142549013344213"),
    ('m.with_covariance("HAC", lags="andrews", kernel="quadratic-spectral", prewhiten=1, '
     "small_sample=True).standard_errors", "kernHAC(m)",
     "6.179996258037182 0.126163890076219 1.026395378105553 0.000488332854674 0.143215052323156"),
    ('m.with_covariance("CR0", groups=groups).standard_errors',
     'vcovCL(m, groups, type = "HC0", cadjust = FALSE)',
     "5.661932737882939 0.107498628594645 0.867932238856866 0.000344848712144 0.127138195846212"),
    ('m.with_covariance("CR1S", groups=groups).standard_errors', "vcovCL(m, groups)",
     "6.227808274456462 0.118242458829486 0.954676755987275 0.000379314231086 0.139844880669946"),
    ('m.with_covariance("CR2", groups=groups).standard_errors', 'vcovCL(m, groups, type = "HC2")',
     "6.897988318715527 0.127673122484933 0.987153511606722 0.000366549421362 0.204927918586399"),
    ('m.test("pop15 = pop75")', 'car::linearHypothesis(m, "pop15 = pop75")',
     "1.584652469032 0.214583268566"),
    ('m.test("dpi = 0, ddpi = 0.5")', 'linearHypothesis(m, c("dpi = 0", "ddpi = 0.5"))',
     "0.137835826223 0.871608129442"),
    ('m.with_covariance("HC3").test("pop75 = 0, ddpi = 0.5")',
     "linearHypothesis(m, ..., vcov. = vcovHC)", "1.002344040987 0.375063774821"),
    ("stats.anova(null, small, m).fvalues[1:]", "anova(lm(sr ~ 1), small, m)",
     "14.11573223176 2.96899754931"),
    ("m.anova(1).fvalues", "anova(m)", "14.11573223176 3.68891038302 0.85758634020 4.36049592472"),
    ("m.anova().fvalues", "car::Anova(m)",
     "10.166594567405 2.436720267965 0.130920449441 4.360495924723"),
    ("m.anova(3).fvalues", "Anova(m, type = 3)",
     "15.086666437894 10.166594567405 2.436720267965 0.130920449441 4.360495924723"),
    ('m.with_covariance("HC3").anova().fvalues', 'Anova(m, vcov. = hccm(m, "hc3"))',
     "8.377011811649 1.835021070709 0.304460720972 2.547722367962"),
    ("stats.anova(small, m)", "anova(small, m)", "2.9689975493140 0.0417709183742"),
    ("m.cooks_distance[libya], m.dffits[libya]", "cooks.distance(m), dffits(m)",
     "0.268070416127 -1.16013340851"),
    ("m.leverage[libya], m.covariance_ratio[libya]", "hatvalues(m), covratio(m)",
     "0.531456761343 2.09057356736"),
    ("m.studentized_residuals[zambia]", "rstudent(m)", "2.85355833823"),
    ("weighted.coefficients", "coef(weighted)",
     "28.6019147920863 -0.467812120748562 -1.67058893834645 -0.000394808001916 0.466266475481433"),
    ("weighted.standard_errors", "sqrt(diag(vcov(weighted)))",
     "6.784509552234176 0.134413818245492 0.975112647719676 0.000828188744931 0.198978399311080"),
    ('weighted.with_covariance("HC3").standard_errors', 'vcovHC(weighted, "HC3")',
     "7.956255476534993 0.156105433235591 1.178691229899024 0.000626529031124 0.259425177611653"),
    ("weighted.r_squared, weighted.log_likelihood", "r.squared, logLik(weighted)",
     "0.375405392902 -132.926864328"),
    ('weighted.predict(new, "prediction", weights=[1 / 30])[:3]',
     'predict(weighted, new, interval = "prediction", weights = 1/30)',
     "11.02604225460 3.98488322869 18.06720128051"),
    ("weighted.dffits[libya], weighted.studentized_residuals[zambia]",
     "dffits(weighted), rstudent(weighted)", "-1.11885947552 2.51368432607"),
)  # fmt: skip


def lake() -> Table:
    """Regressions of the level of Lake Huron on the year."""
    names = {
        f"ar{order}": stats.autoregressive_regression(YEARS, LAKE_HURON, order)
        for order in (1, 2, 3)
    }
    names["ahead"] = np.array([53.0, 54.0, 55.0])
    return Table("LakeHuron", "R", LAKE_VALUES, names, 5e-7)


LAKE_VALUES = (
    ("ar1.ar, ar1.coefficients", "arima(LakeHuron, c(1, 0, 0), xreg = year)",
     "0.7834751135478 579.1556038413877 -0.0203844674865"),
    ("ar2.ar, ar2.coefficients", "arima(LakeHuron, c(2, 0, 0), xreg = year)",
     "1.0048175739196 -0.2913012564678 579.0994112476388 -0.0215681436238"),
    ("ar2.innovation_variance", "sigma2", "0.45661834947"),
    ("ar2.ar_standard_errors, ar2.standard_errors", "sqrt(diag(vcov(...))), by differences",
     "0.09761067507150 0.10036481935884 0.23701901480266 0.00809899910546"),
    ("ar2.log_likelihood, ar2.aic, ar2.bic", "logLik(...), AIC(...), BIC(...)",
     "-101.198267167 212.396534333 225.321371726"),
    ("ar2.predict(ahead, following=True)", "predict(..., n.ahead = 3, newxreg = 53:55)",
     "579.397257234 578.805233403 578.368106208"),
    ("ar3.ar, ar3.coefficients", "arima(LakeHuron, c(3, 0, 0), xreg = year)",
     "1.0241705168869 -0.3568419573821 0.0654750538999 579.1066748880529 -0.0212524271446"),
    ("ar3.log_likelihood", "logLik(...)", "-101.003432437"),
)  # fmt: skip


def longley() -> Table:
    """NIST's Longley data, whose certified values have 15 digits."""
    data = nist.REFERENCES["Longley"]
    names = {"longley": stats.linear_regression(data.X, data.response)}
    values = (
        ("longley.coefficients[:4]", "certified coefficients B0 to B3",
         " ".join(f"{value:.15g}" for value in data.coefficients[:4])),
        ("longley.standard_errors[:4]", "certified standard deviations",
         " ".join(f"{value:.15g}" for value in data.standard_errors[:4])),
        ("longley.residual_standard_deviation", "residual standard deviation",
         f"{data.residual_sd:.15g}"),
        ("longley.r_squared, longley.fvalue", "R-squared, F statistic",
         f"{data.r_squared:.15g} {data.f:.15g}"),
    )  # fmt: skip
    return Table("Longley", "NIST", values, names, 1e-13)


def investment() -> Table:
    """Greene's investment equation, with the values of sandwich's reference output."""
    gnp, real, price, interest = INVESTMENT.T
    rate = interest[1:] - 100 * np.diff(price) / price[:-1]
    X = np.column_stack([(gnp / price)[1:], rate])
    names = {"i": stats.linear_regression(X, (real / price)[1:])}
    values = (
        ('np.diag(i.with_covariance("HAC", lags=4).covariance)',
         "NeweyWest(fm, lag = 4, prewhite = FALSE)", "359.4170681 0.0002805888 11.171472998"),
        ('np.diag(i.with_covariance("HAC", lags="newey-west", prewhiten=1).covariance)',
         "NeweyWest(fm)", "594.1004817 0.0005563172 13.24912546"),
    )  # fmt: skip
    return Table("Investment", "sandwich-Ex.Rout.save", values, names, 2e-6)


TABLES = (savings, lake, longley, investment)


def figures(table: Table, code: str) -> list[float]:
    """The numbers that a piece of code gives: those of tuples and arrays, or of a test."""
    value = eval(code, {"np": np, "stats": stats, **table.names})
    if isinstance(value, stats.HypothesisTest):
        value = value.fvalue, value.f_pvalue
    elif isinstance(value, stats.AnovaTable):
        value = value.fvalues[-1], value.pvalues[-1]
    elif isinstance(value, stats.TestResult | stats.DurbinWatsonResult):
        value = value.statistic, value.pvalue
    parts = value if isinstance(value, tuple | list) else [value]
    return np.concatenate([np.ravel(np.asarray(part, float)) for part in parts]).tolist()


def rows(table: Table) -> Iterator[str]:
    """Rows of the page: code, the figures of fastnn, the call, its numbers."""
    for code, call, numbers in table.values:
        expected = [float(number) for number in numbers.split()]
        ours = " ".join(f"{value:.6g}" for value in figures(table, code))
        theirs = " ".join(f"{value:.6g}" for value in expected)
        yield f"| `{code}` | {ours} | `{call}` | {theirs} |"


def text(table: Table) -> str:
    """A table of the page."""
    titles = f"| fastnn | value | {table.source} | value |\n|---|---|---|---|"
    return "\n".join([titles, *rows(table)])


if __name__ == "__main__":
    print(*(text(make()) for make in TABLES), sep="\n\n")
