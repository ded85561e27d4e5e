"""Tables from files of separated values (CSV, TSV): by pyarrow, or without it by the csv module.

Both readers give the cells as text, and the same rules make columns of them, for a whole file and
for a part of it.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import util
from itertools import islice
from typing import Any

import numpy as np

from fastnn.tabular.cells import (
    MISSING,
    PLAIN,
    Notation,
    is_missing,
    number,
    numbers,
    resembles_number,
)
from fastnn.tabular.frames import as_column, merged, unique_names
from fastnn.tabular.sources import Source
from fastnn.tabular.table import Column, DataError, Numbers, Table, Texts, listing

__all__ = ["CsvFormat", "DelimitedFile"]

_DELIMITERS = ",;\t|"
_LEAST_INEXACT = 2.0**53  # integers from here on share a float64 with others
_DIGITS = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_BLOCK = 1 << 20  # bytes that pyarrow takes at a time
_ROWS_OF_BLOCK = 64  # at least: each block costs some time for each column
_LARGEST_BLOCK = 2**31 - 2
_BATCH = 50_000  # rows of a part that the csv module reads
_ROWS_OF_GUESS = 100
_MOST_FAILURES = 3
_NO_NUMBER = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to double")
_WRITTEN_MISSING = sorted(
    {write(mark) for mark in MISSING for write in (str.lower, str.upper, str.title)} | {"NaN"}
)
"""Marks of missing values as they are often written; pyarrow compares them letter by letter."""


@dataclass(frozen=True)
class CsvFormat:
    """How the cells of a file of separated values are written.

    Parameters
    ----------
    delimiter : str, optional
        One character; by default the one of ``, ; tab |`` that occurs most often in the
        first line.
    header : bool, optional
        Whether the first line has the names of the columns; by default it has if none of its
        cells is a number.  Without a header the names are column_1, column_2...
    encoding : str, default "utf-8"
    notation : Notation
        How numbers are written.
    missing : tuple of str
        Cells that stand for a missing value in every column, beside empty ones.
    text : frozenset of str
        Columns that stay text even if all their cells are numbers.
    """

    delimiter: str | None = None
    header: bool | None = None
    encoding: str = "utf-8"
    notation: Notation = PLAIN
    missing: tuple[str, ...] = ()
    text: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise DataError(f"delimiter must be one character, got {self.delimiter!r}")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise DataError(f"unknown encoding {self.encoding!r}") from None

    @property
    def codec(self) -> str:
        """The encoding; UTF-8 ignores a byte order mark."""
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding

    def column(self, texts: Texts, name: str) -> Column:
        """Cells as numbers if all are numbers or missing; otherwise as text.

        Whole numbers that float64 does not hold exactly stay text.
        """
        is_text = name in self.text
        if not is_text:
            values, slip = numbers(_without(texts.levels.tolist(), self.missing), self.notation)
            if slip is None and not _has_long_integer(values, texts.levels.tolist()):
                return Numbers(np.append(values, np.nan)[texts.codes])
        levels = [level.strip() or None for level in texts.levels]
        levels = [None if level in self.missing else level for level in levels]
        return merged(texts.codes, levels, "text" if is_text else "cells", self.notation)


def _without(levels: Sequence[str], missing: Sequence[str]) -> list[str]:
    return ["" if level.strip() in missing else level for level in levels]


def _has_long_integer(values: np.ndarray, levels: Sequence[str]) -> bool:
    with np.errstate(invalid="ignore"):
        large = np.flatnonzero((np.abs(values) >= _LEAST_INEXACT) & np.isfinite(values))
    return any(_DIGITS.fullmatch(levels[i]) for i in large.tolist())


class DelimitedFile:
    """A file of separated values, of which `names` are known and no row has been read.

    Parameters
    ----------
    source : Source
    form : CsvFormat

    Raises
    ------
    DataError
        If the file is empty, is no text, or two columns have one name.
    """

    def __init__(self, source: Source, form: CsvFormat) -> None:
        self._source = source
        self._form = form
        self.name = source.name
        try:
            self._read_first_line()
        except BaseException:
            source.close()
            raise
        if source.can_reopen:
            source.close()

    def _read_first_line(self) -> None:
        form, source = self._form, self._source
        text = self._head_text()
        self._delimiter = form.delimiter or _guess_delimiter(text)
        cells, self._first_line = self._first_record(text)
        has_header = _looks_like_header(cells) if form.header is None else form.header
        self.names = _column_names(cells, has_header, self.name)
        # pyarrow takes a quotation mark behind a space for a part of the cell
        is_spaced = re.search(rf'{re.escape(self._delimiter)} +"', text) is not None
        self._takes_pyarrow = util.find_spec("pyarrow") is not None and not is_spaced
        self._header_lines = self._first_line if has_header else 0
        # the rows of a wide file are longer than the head, by which numbers are recognised
        while 0 < source.head.count(b"\n") < self._first_line + 2 and source.grow_head():
            pass

    def keep_text(self, columns: Sequence[str]) -> None:
        """Take no numbers from some columns, which `CsvFormat.text` adds to."""
        self._form = replace(self._form, text=self._form.text | set(columns))

    def table(self, columns: Sequence[str] | None = None) -> Table:
        """The table of some columns, by default of all, in their order.

        Raises
        ------
        DataError
            If a column is absent, there are no rows, a row differs from the first one in its
            number of cells, or the text cannot be decoded.
        """
        selected = self._selected(columns)
        if self._takes_pyarrow:
            read = self._read_by_pyarrow(selected)
        else:
            read = self._part([row for _, row in self._rows_by_csv()], selected)
        table = Table(self.name, read, self._line_of)
        if not len(table):
            raise DataError(f"{self.name} has a header but no rows")
        return table

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Table]:
        """The rows in parts, for files that are larger than the memory; errors as in `table`."""
        selected = self._selected(columns)
        parts = self._batches_by_pyarrow if self._takes_pyarrow else self._parts_by_csv
        start = 0
        for columns_of_part in parts(selected):
            part = Table(self.name, columns_of_part, _shifted(self._line_of, start))
            start += len(part)
            if len(part):
                yield part
        if not start:
            raise DataError(f"{self.name} has a header but no rows")

    def _selected(self, columns: Sequence[str] | None) -> list[str]:
        selected = self.names if columns is None else list(columns)
        known = set(self.names)
        for column in [*selected, *self._form.text]:
            if column not in known:
                raise DataError(
                    f"{self.name} has no column {column!r}; it has {listing(self.names)}"
                )
        return selected

    # ---------------------------------------------------------------- first line

    def _head_text(self) -> str:
        """Text from the start of the file that has its first line that is not blank."""
        source = self._source
        while True:
            decoder = codecs.getincrementaldecoder(self._form.codec)()
            try:
                text = decoder.decode(source.head)
            except UnicodeError as error:
                raise self._not_text(error) from error
            line = text.lstrip()
            if "\n" in line or "\r" in line or not source.grow_head():
                return text

    def _not_text(self, error: Exception | str) -> DataError:
        return DataError(
            f"{self.name} is not {self._form.encoding} text ({error}): save it as UTF-8, or name "
            "its encoding"
        )

    def _first_record(self, text: str) -> tuple[list[str], int]:
        """The cells of the first row, and the number of the line on which it ends."""
        while True:
            reader = csv.reader(
                io.StringIO(text, newline=""), delimiter=self._delimiter, skipinitialspace=True
            )
            try:
                row = next((row for row in reader if _is_row(row)), None)
            except csv.Error as error:
                raise DataError(f"{self.name}, line {reader.line_num}: {error}") from error
            if row is not None:
                return row, reader.line_num
            if not self._source.grow_head():
                raise DataError(f"{self.name} is empty")
            text = self._head_text()

    # ------------------------------------------------------------------- pyarrow

    def _arrow_options(
        self,
        columns: Sequence[str],
        block: int,
        skip: Any,
        numbers: Collection[str] = (),
    ) -> dict[str, Any]:
        """Options of pyarrow: all columns are text, except those of `numbers`."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        codec = self._form.codec
        types = {name: pa.float64() if name in numbers else pa.string() for name in columns}
        return {
            "read_options": arrow_csv.ReadOptions(
                use_threads=False,  # threads read ahead, and hold the text of the whole file
                column_names=self.names,
                skip_rows=self._header_lines,
                block_size=block,
                encoding="utf8" if codec == "utf-8-sig" else codec,
            ),
            "parse_options": arrow_csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            "convert_options": arrow_csv.ConvertOptions(
                include_columns=list(columns),
                column_types=types,
                null_values=[*_WRITTEN_MISSING, *self._form.missing],
                strings_can_be_null=False,
            ),
        }

    def _block(self) -> int:
        """Bytes of a block; a row must fit into it, and pyarrow converts blocks in parallel."""
        head, end = self._source.head, 0
        for _ in range(self._first_line):
            end = head.find(b"\n", end) + 1 or len(head)
        return min(max(_BLOCK, _ROWS_OF_BLOCK * end), _LARGEST_BLOCK)

    def _read_by_pyarrow(self, columns: Sequence[str]) -> dict[str, Column]:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        block = self._block()
        content = None if self._source.can_reopen else self._content()
        pool = pa.system_memory_pool()  # it returns to the system what is freed
        numeric = self._numbers_of_head(columns)
        failures = 0
        while True:
            faults: list[Any] = []
            options = self._arrow_options(columns, block, _blank_or(faults), numeric)
            try:
                with (
                    self._source.naming(),
                    self._source.open() if content is None else io.BytesIO(content) as file,
                ):
                    cells = arrow_csv.read_csv(file, **options, memory_pool=pool).columns
                pairs = zip(columns, cells, strict=True)
                long = [name for name, c in pairs if name in numeric and _has_large(c)]
                if not long:
                    break
                numeric -= set(long)  # integers that float64 does not hold are text
            except (pa.ArrowInvalid, UnicodeError) as error:
                no_number = _NO_NUMBER.match(str(error))
                if no_number and not faults:
                    failures += 1
                    numeric.discard(self.names[int(no_number[1])])
                    if failures == _MOST_FAILURES:
                        numeric.clear()
                elif "straddling" in str(error) and block < _LARGEST_BLOCK:
                    block = min(16 * block, _LARGEST_BLOCK)
                else:
                    raise self._fault(error, faults) from error
        del content
        typed = self._typed(cells, columns)
        pool.release_unused()
        return typed

    def _numbers_of_head(self, columns: Sequence[str]) -> set[str]:
        """Columns whose cells are numbers in the first rows; pyarrow makes numbers of them.

        That takes less memory than their text, from which later cells may prove them to be
        columns of text.
        """
        if not self._form.notation.is_plain:
            return set()
        text = self._source.head.decode(self._form.codec, "ignore")
        lines = io.StringIO(text[: text.rfind("\n") + 1], newline="")
        reader = csv.reader(lines, delimiter=self._delimiter, skipinitialspace=True)
        wanted = set(columns) - self._form.text
        width, n_rows = len(self.names), 0
        try:
            for row in islice(reader, _ROWS_OF_GUESS):
                if reader.line_num <= self._header_lines or len(row) != width:
                    continue
                n_rows += 1
                cells = dict(zip(self.names, row, strict=True))
                wanted = {name for name in wanted if self._may_be_number(cells[name])}
        except csv.Error:
            return set()
        return wanted if n_rows else set()

    def _may_be_number(self, cell: str) -> bool:
        return number(cell) is not None or is_missing(cell) or cell.strip() in self._form.missing

    def _content(self) -> bytes:
        """All bytes of a pipe, which may have to be read twice."""
        with self._source.naming(), self._source.open() as file:
            return file.read()

    def _batches_by_pyarrow(self, columns: Sequence[str]) -> Iterator[dict[str, Column]]:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        faults: list[Any] = []
        options = self._arrow_options(columns, 8 * self._block(), _blank_or(faults))
        try:
            with (
                self._source.naming(),
                self._source.open() as file,
                arrow_csv.open_csv(file, **options) as stream,
            ):
                for batch in stream:
                    yield self._typed(batch.columns, columns)
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise self._fault(error, faults) from error

    def _typed(self, cells: list[Any], columns: Sequence[str]) -> dict[str, Column]:
        """Columns of text as columns of a table; the text of each is freed before the next.

        `cells` has the columns of pyarrow in the order of `columns`, and is emptied.
        """
        import pyarrow as pa

        cells.reverse()
        typed = {name: self._typed_column(cells.pop(), name) for name in columns}
        pa.default_memory_pool().release_unused()
        return typed

    def _typed_column(self, cells: Any, name: str) -> Column:
        import pyarrow as pa

        if pa.types.is_float64(cells.type):
            return Numbers(cells.to_numpy())
        if name not in self._form.text and self._form.notation.is_plain:
            values = _plain_numbers(cells, self._form.missing)
            if values is not None:
                return Numbers(values)
        texts = as_column(cells, f"{self.name}, column {name!r}")
        assert isinstance(texts, Texts)
        return self._form.column(texts, name)

    def _fault(self, error: Exception, faults: list[Any]) -> DataError:
        """The error of a row of another length, or of text that cannot be decoded."""
        if faults:
            row = faults[0]
            message = (
                f"{row.actual_columns} columns, expected {row.expected_columns} as in the first "
                "line"
            )
            return DataError(self._first_fault(message))
        if isinstance(error, UnicodeError) or "UTF8" in str(error):
            return self._not_text(error)
        return DataError(f"{self.name}: {error}")

    def _first_fault(self, message: str) -> str:
        """A message about the first row of another length, with its line where it is known."""
        if not self._source.can_reopen:
            return f"{self.name}: a row has {message}"
        try:
            for _ in self._rows_by_csv():
                pass
        except DataError as error:
            return str(error)
        return f"{self.name}: a row has {message}"

    # ---------------------------------------------------------------- csv module

    def _rows_by_csv(self) -> Iterator[tuple[int, list[str]]]:
        """The line on which each row ends, and its cells; the header is left out."""
        with (
            self._source.naming(),
            io.TextIOWrapper(self._source.open(), encoding=self._form.codec, newline="") as file,
        ):
            reader = csv.reader(file, delimiter=self._delimiter, skipinitialspace=True, strict=True)
            width = len(self.names)
            try:
                for row in reader:
                    if not _is_row(row):
                        continue
                    line = reader.line_num
                    if len(row) != width:
                        raise DataError(
                            f"{self.name}, line {line}: {len(row)} columns, expected {width} as in "
                            "the first line"
                        )
                    if line > self._header_lines:
                        yield line, row
            except csv.Error as error:
                raise DataError(f"{self.name}, line {reader.line_num}: {error}") from error
            except UnicodeError as error:
                raise self._not_text(error) from error

    def _parts_by_csv(self, columns: Sequence[str]) -> Iterator[dict[str, Column]]:
        rows: list[list[str]] = []
        for _, row in self._rows_by_csv():
            rows.append(row)
            if len(rows) == _BATCH:
                yield self._part(rows, columns)
                rows = []
        yield self._part(rows, columns)

    def _part(self, rows: list[list[str]], columns: Sequence[str]) -> dict[str, Column]:
        cells = zip(*rows, strict=True) if rows else [() for _ in self.names]
        of_names = dict(zip(self.names, cells, strict=True))
        return {name: self._form.column(_texts(of_names[name]), name) for name in columns}

    @cached_property
    def _lines(self) -> list[int]:
        return [line for line, _ in self._rows_by_csv()]

    def _line_of(self, row: int) -> int | None:
        """The line of a row; None for a pipe, which cannot be read again."""
        if not self._source.can_reopen:
            return None
        try:
            return self._lines[row]
        except (DataError, OSError, IndexError):
            return None


def _texts(cells: Sequence[str]) -> Texts:
    column = as_column(list(cells), "cells")
    return (
        column if isinstance(column, Texts) else Texts(np.empty(0, np.int32), np.empty(0, object))
    )


def _shifted(line: Callable[[int], int | None], start: int) -> Callable[[int], int | None]:
    return lambda row: line(start + row)


def _blank_or(faults: list[Any]) -> Callable[[Any], str]:
    """A handler for pyarrow that skips blank rows, and notes the first row of another length."""

    def handle(row: Any) -> str:
        if row.text is not None and not row.text.strip():
            return "skip"
        faults.append(row)
        return "error"

    return handle


def _has_large(numbers: Any) -> bool:
    """Whether a column of pyarrow has numbers among which there may be inexact integers."""
    from pyarrow import compute

    ends = compute.min_max(numbers).as_py()
    return any(end is not None and abs(end) >= _LEAST_INEXACT for end in ends.values())


def _plain_numbers(cells: Any, missing: Sequence[str]) -> np.ndarray | None:
    """Cells of pyarrow as float64, or None where they must be looked at one by one."""
    import pyarrow as pa
    from pyarrow import compute

    attempts = [lambda: _without_marks(cells, missing)]
    if not missing:
        attempts.insert(0, lambda: cells)
    for attempt in attempts:
        try:
            numbers = compute.cast(attempt(), pa.float64())
        except pa.ArrowInvalid:
            continue
        values: np.ndarray = numbers.to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            large = np.abs(values) >= _LEAST_INEXACT
        return None if large.any() else values
    return None


def _without_marks(cells: Any, missing: Sequence[str]) -> Any:
    """Cells without surrounding space, null where one stands for a missing value."""
    import pyarrow as pa
    from pyarrow import compute

    cells = compute.utf8_trim_whitespace(cells)
    marks = pa.array(sorted(MISSING))
    is_missing = compute.is_in(compute.utf8_lower(cells), value_set=marks)
    if missing:
        also = compute.is_in(cells, value_set=pa.array(list(missing)))
        is_missing = compute.or_(is_missing, also)
    return compute.if_else(is_missing, pa.scalar(None, pa.string()), cells)


def _is_row(row: Sequence[str]) -> bool:
    """Whether a row of the csv module is more than a blank line."""
    return len(row) > 1 or (len(row) == 1 and bool(row[0].strip()))


def _guess_delimiter(text: str) -> str:
    """The delimiter that occurs most often in the first line, quoted cells ignored."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub('"[^"]*"', "", line)
    if any(delimiter in bare for delimiter in _DELIMITERS.replace(",", "")):
        bare = re.sub(r"(?<=\d),(?=\d)", "", bare)  # decimal commas, not delimiters
    return max(_DELIMITERS, key=bare.count)


def _looks_like_header(row: Sequence[str]) -> bool:
    return any(cell.strip() for cell in row) and not any(map(resembles_number, row))


def _column_names(row: Sequence[str], has_header: bool, table: str) -> list[str]:
    names = [f"column_{i}" for i in range(1, len(row) + 1)]
    if has_header:
        names = [cell.strip() or name for cell, name in zip(row, names, strict=True)]
    return unique_names(names, table)
