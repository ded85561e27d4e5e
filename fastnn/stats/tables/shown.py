"""The methods of results that describe themselves as sheets."""

from __future__ import annotations

from fastnn.stats.tables.sheet import Sheet


class Shown:
    """Methods of a result that describes itself as sheets."""

    def _sheets(self) -> tuple[Sheet, ...]:
        raise NotImplementedError

    def sheets(self) -> tuple[Sheet, ...]:
        """The result as sheets, which text, HTML and LaTeX are made from."""
        return self._sheets()

    def __str__(self) -> str:
        from fastnn.stats.tables.plain import as_text

        return "\n\n".join(map(as_text, self._sheets()))

    def _repr_html_(self) -> str:
        """The result as HTML, which Jupyter shows."""
        from fastnn.stats.tables.markup import as_html

        return "\n".join(map(as_html, self._sheets()))

    def to_latex(self) -> str:
        """The result as LaTeX, for documents that load the package booktabs.

        Returns
        -------
        str
            Environments ``tabular``, without a float around them.
        """
        from fastnn.stats.tables.latex import as_latex

        return "\n\n".join(map(as_latex, self._sheets()))
