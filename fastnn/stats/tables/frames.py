"""Results as pandas tables, with the names of columns that R's broom has in snake case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def table(columns: Mapping[str, Any], index: Any = None) -> Any:
    """A pandas DataFrame; an ImportError names the package that is absent."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("tables of results need pandas: pip install pandas") from error
    return pandas.DataFrame(dict(columns), index=index)
