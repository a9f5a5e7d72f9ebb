"""CSV files as columns, each with the narrowest type that all its cells have.

A file is read in blocks of rows, so that a million rows take little more memory than their numbers.
Where text follows what looked like numbers, the text of the first cells is read again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from graphspec.data.column import Column, Kind, objects
from graphspec.errors import Code, fail

if TYPE_CHECKING:
    from _csv import Reader

ROWS = 1 << 14
"""Rows of a block."""

_DELIMITERS = (",", ";", "\t", "|")
_QUOTED = re.compile('"[^"]*"')
_EXCEL = re.compile("sep=(.)\r?\n?")
"""A first line by which Excel is told the delimiter."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_DIGITS = frozenset("0123456789+- \t")
_TRUTH = {"true": 1.0, "false": 0.0}
_ABSENT = frozenset(("nan", "na", "n/a", "null", "none", "?"))
"""What says that a number or a truth value is missing, in lower case; an empty cell always does."""

_INTERNED = 1 << 17
"""Different texts of a column of which equal ones are kept once."""


def read(path: Path) -> dict[str, Column]:
    """Return the columns of a CSV file with a header, by name.

    Args:
        path: The file, in UTF-8.

    Raises:
        SpecError: ``data-corrupt``.
        OSError: If it cannot be read.
    """
    with _sound(path), _Rows.of(path) as rows:
        columns = [_Growing(rows.has_decimal_comma) for _ in rows.names]
        for block in rows.blocks():
            for column, cells in zip(columns, zip(*block, strict=True), strict=True):
                column.add(cells)
    if not any(column.rows for column in columns):
        what = "has a header and no rows" if rows.names else "is empty"
        raise fail(Code.DATA_CORRUPT, f"`{path}` {what}", "write a header and one row a sample")
    again = [i for i, each in enumerate(columns) if each.is_lost or each.kind is None]
    if again:
        with _sound(path), _Rows.of(path) as rows:
            _read_texts(rows, {i: columns[i] for i in again})
    kept = {i: name for i, name in enumerate(rows.names) if name or not columns[i].is_empty}
    _check_names(path, list(kept.values()))
    return {name: columns[i].column(name) for i, name in kept.items()}


@dataclass(eq=False)
class _Rows:
    """An open file: its header, and then its rows."""

    path: Path
    file: TextIO
    delimiter: str
    names: list[str]
    reader: Reader
    before: int

    @classmethod
    @contextmanager
    def of(cls, path: Path) -> Iterator[_Rows]:
        """Open a file and read its header."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            told = _EXCEL.fullmatch(first)
            unquoted = _QUOTED.sub("", first)
            delimiter = told[1] if told else max(_DELIMITERS, key=unquoted.count)
            lines = _lines(path, file if told else _put_back(first, file))
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            rows = cls(path, file, delimiter, [], reader, 1 if told else 0)
            with rows.located():
                header = next((row for row in reader if row), [])
            rows.names = [name.strip() for name in header]
            yield rows

    @property
    def has_decimal_comma(self) -> bool:
        """Whether numbers may be written as ``3,5``, as where ``;`` separates the cells."""
        return self.delimiter == ";"

    def blocks(self) -> Iterator[list[list[str]]]:
        """Give the rows, some at a time, without those that have nothing in any cell."""
        while True:
            with self.located():
                block = list(islice(self._rows(), ROWS))
            if not block:
                return
            yield block

    def _rows(self) -> Iterator[list[str]]:
        wanted = len(self.names)
        for row in self.reader:
            if len(row) == wanted:
                if any(row):
                    yield row
            elif row:
                message = f"line {self._line} of `{self.path}` has {len(row)} cells, and the "
                message += f"header has {wanted}"
                hint = 'quote cells that hold commas: `"a, b"`'
                if wanted == 1:
                    hint = "the first line must be the header, with a name for each column"
                raise fail(Code.DATA_CORRUPT, message, hint)

    @property
    def _line(self) -> int:
        return self.before + self.reader.line_num

    @contextmanager
    def located(self) -> Iterator[None]:
        """Turn what the reader raises into a mistake at its line."""
        try:
            yield
        except csv.Error as error:
            message = f"line {self._line} of `{self.path}` is no CSV: {error}"
            hint = "quote cells that hold quotes or commas"
            raise fail(Code.DATA_CORRUPT, message, hint) from error


def _put_back(first: str, file: TextIO) -> Iterator[str]:
    yield first
    yield from file


def _lines(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            raise fail(Code.DATA_CORRUPT, f"`{path}` is no text", "save it as CSV in UTF-8")
        yield line


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Turn what is no UTF-8 into a mistake at its byte."""
    try:
        yield
    except UnicodeDecodeError as error:
        place = error.start
        try:
            path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as whole:
            place = whole.start
        message = f"`{path}` is no text in UTF-8: byte {place:,}"
        raise fail(Code.DATA_CORRUPT, message, "save it as CSV in UTF-8") from error


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        message = f"the header of `{path}` names `{twice}` twice" if twice else (
            f"the header of `{path}` leaves two columns without a name"
        )  # fmt: skip
        raise fail(Code.DATA_CORRUPT, message, "give every column a name of its own")


@dataclass(eq=False)
class _Growing:
    """A column as far as it was read.

    Attributes:
        has_comma: Whether its numbers may have a decimal comma.
        kind: What all cells so far are; None as long as all are missing.
        numbers: The numbers so far, unless it is text.
        texts: The texts so far, if it is text.
        is_lost: Whether it is text, and the first cells were taken for something else.
        rows: How many cells were read.
        is_empty: Whether nothing is in any of them.
    """

    has_comma: bool
    kind: Kind | None = None
    numbers: list[NDArray[np.float64]] = field(default_factory=list)
    texts: list[NDArray[Any]] = field(default_factory=list)
    is_lost: bool = False
    rows: int = 0
    is_empty: bool = True
    _known: dict[str, str] = field(default_factory=dict)

    def add(self, cells: Sequence[str]) -> None:
        """Take the cells of a block."""
        self.rows += len(cells)
        self.is_empty = self.is_empty and not any(cells)
        if self.kind != "text":
            kind, values = _parsed(cells, self.has_comma)
            self.kind = _joint(self.kind, kind)
            if self.kind != "text":
                self.numbers.append(values)
                return
            self.is_lost = bool(self.numbers)
            self.numbers.clear()
        if not self.is_lost:
            self.add_texts(cells)

    def add_texts(self, cells: Sequence[str]) -> None:
        """Take the cells of a block as texts; equal ones are kept once."""
        texts = [cell.strip() or None for cell in cells]
        if len(self._known) < _INTERNED:
            known = self._known
            texts = [None if text is None else known.setdefault(text, text) for text in texts]
        self.texts.append(objects(texts))

    def column(self, name: str) -> Column:
        """Return the column."""
        if self.kind == "text" or self.kind is None:
            return Column(name, "text", np.concatenate(self.texts))
        return Column(name, self.kind, np.concatenate(self.numbers))


def _read_texts(rows: _Rows, lost: dict[int, _Growing]) -> None:
    """Read the texts of columns that were taken for something else."""
    for column in lost.values():
        column.texts.clear()
    for block in rows.blocks():
        for i, column in lost.items():
            column.add_texts([row[i] for row in block])


def _joint(one: Kind | None, other: Kind | None) -> Kind | None:
    """Return the narrowest type of cells of two types; None is that of missing ones."""
    if one is None or other is None or one == other:
        return one or other
    return "number" if {one, other} == {"whole", "number"} else "text"


def _parsed(cells: Sequence[str], has_comma: bool) -> tuple[Kind | None, NDArray[np.float64]]:
    """Return the narrowest type of some cells, and their numbers unless it is text."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return _looked_at(cells, has_comma)
    written = set("".join(cells))
    if "_" in written or np.isnan(values).any():
        return _looked_at(cells, has_comma)
    whole = written <= _DIGITS and all(len(cell.strip(" \t+-")) <= 15 for cell in cells)
    return ("whole" if whole else "number"), values


def _looked_at(cells: Sequence[str], has_comma: bool) -> tuple[Kind | None, NDArray[np.float64]]:
    """Return the same of cells of which some are no numbers."""
    stripped = [cell.strip() for cell in cells]
    told = {cell for cell in stripped if cell and cell.lower() not in _ABSENT}
    parsed: dict[str, float] = {}
    kind: Kind | None = None
    for cell in told:
        found = _cell(cell, has_comma)
        kind = "text" if found is None else _joint(kind, found[0])
        if found is None or kind == "text":
            return "text", np.empty(0)
        parsed[cell] = found[1]
    return kind, np.array([parsed.get(cell, np.nan) for cell in stripped])


def _cell(cell: str, has_comma: bool) -> tuple[Kind, float] | None:
    """Return the type and the number of one cell, or None where it is text."""
    if cell.lower() in _TRUTH:
        return "truth", _TRUTH[cell.lower()]
    if has_comma and "." not in cell:
        cell = cell.replace(",", ".", 1)
    try:
        value = float(cell)
    except ValueError:
        return None
    if "_" in cell:
        return None
    return ("whole" if _WHOLE.fullmatch(cell) else "number"), value
