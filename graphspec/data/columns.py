"""Tables as columns: CSV and Parquet files read whole, each column with its type.

In a CSV file types are inferred from the text of a column's cells, in Parquet they are stated. A
column is ``whole`` (integers), ``number``, ``truth`` (true and false) or ``text``.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphspec.data.recent import Recent
from graphspec.errors import Code, SpecError, fail

INSTALL = "pip install 'graphspec[table]'"

PARQUET = (".parquet", ".pq")
"""Ends of the names of Parquet files; every other file is read as CSV."""

_DELIMITERS = (",", ";", "\t", "|")
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_TRUTH = {"true": 1.0, "false": 0.0}
_ABSENT = frozenset(("nan", "na", "n/a", "null", "none"))
"""What says that a number or a truth value is missing, in lower case; an empty cell always does."""

Kind = Literal["whole", "number", "truth", "text", "bytes", "other"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column.

    Attributes:
        name: Its name.
        kind: What its cells are.
        values: Numbers as float64, NaN where one is missing; of ``text`` an array of str and None,
            of ``bytes`` one of bytes and None.
    """

    name: str
    kind: Kind
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which cells are empty."""
        if self.kind in ("text", "bytes", "other"):
            return np.array([value is None for value in self.values], np.bool_)
        return np.asarray(np.isnan(self.values))

    @property
    def text(self) -> str:
        """What it holds, in words."""
        words = {
            "whole": "whole numbers",
            "number": "numbers",
            "truth": "true and false",
            "text": "text",
            "bytes": "bytes of files",
        }
        return words.get(self.kind, "values of another kind")


RECENT: Recent[dict[str, Column]] = Recent()
"""The last table that was read."""


def read(path: Path) -> dict[str, Column]:
    """Return the columns of a table by name, in their order.

    Args:
        path: A CSV file with a header, or a Parquet file.

    Raises:
        SpecError: ``data-not-found``, ``file-unreadable`` or ``data-corrupt``.
    """
    make = _parquet if path.suffix.lower() in PARQUET else _csv
    try:
        return RECENT.get(path, lambda: (make(path), [path]))
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            hint = "correct `data.path`, or name the folder that it lies in with `--data-root DIR`"
            raise fail(Code.DATA_NOT_FOUND, f"there is no file `{path}`", hint) from error
        message = f"cannot read `{path}`: {error.strerror or error}"
        raise fail(Code.FILE_UNREADABLE, message, "check the path and its permissions") from error


def _csv(path: Path) -> dict[str, Column]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"`{path}` is no text in UTF-8: byte {error.start:,}"
        raise fail(Code.DATA_CORRUPT, message, "save it as CSV in UTF-8") from error
    if "\0" in text:
        raise fail(Code.DATA_CORRUPT, f"`{path}` is no text", "save it as CSV in UTF-8")
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    names: list[str] | None = None
    try:
        for row in reader:
            if not row:
                continue
            if names is None:
                names = [name.strip() for name in row]
            elif len(row) != len(names):
                message = f"line {reader.line_num} of `{path}` has {len(row)} cells, and the "
                message += f"header has {len(names)}"
                raise fail(Code.DATA_CORRUPT, message, 'quote cells that hold commas: `"a, b"`')
            else:
                rows.append(row)
    except csv.Error as error:
        message = f"line {reader.line_num} of `{path}` is no CSV: {error}"
        raise fail(Code.DATA_CORRUPT, message, "quote cells that hold quotes or commas") from error
    if not rows:
        what = "has a header and no rows" if names else "is empty"
        raise fail(Code.DATA_CORRUPT, f"`{path}` {what}", "write a header and one row a sample")
    _check_names(path, names or [])
    cells = zip(*rows, strict=True)
    return {name: _inferred(name, each) for name, each in zip(names or [], cells, strict=True)}


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        message = f"the header of `{path}` names `{twice}` twice" if twice else (
            f"the header of `{path}` leaves two columns without a name"
        )  # fmt: skip
        raise fail(Code.DATA_CORRUPT, message, "give every column a name of its own")


def _inferred(name: str, cells: Sequence[str]) -> Column:
    """Return a column of text with the narrowest type that all its cells have."""
    stripped = [cell.strip() for cell in cells]
    told = {cell for cell in stripped if cell and cell.lower() not in _ABSENT}
    kind: Kind = "text"
    if told and all(_WHOLE.fullmatch(cell) for cell in told):
        kind = "whole"
    elif told and all(map(_is_number, told)):
        kind = "number"
    elif told and all(cell.lower() in _TRUTH for cell in told):
        kind = "truth"
    if kind == "text":
        return Column(name, kind, _objects([cell or None for cell in stripped]))
    parsed = {cell: _TRUTH[cell.lower()] if kind == "truth" else float(cell) for cell in told}
    return Column(name, kind, np.array([parsed.get(cell, np.nan) for cell in stripped]))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _parquet(path: Path) -> dict[str, Column]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        message = f"`{path}` is a Parquet file, which pyarrow reads, and pyarrow is not installed"
        raise fail(Code.FILE_UNREADABLE, message, f"`{INSTALL}`, or save it as CSV") from error
    with path.open("rb") as file:
        try:
            table = parquet.read_table(file)
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
    if not table.num_rows or not table.num_columns:
        raise fail(Code.DATA_CORRUPT, f"`{path}` has no rows", "write one row a sample")
    _check_names(path, table.column_names)
    return {name: _typed(name, table.column(name)) for name in table.column_names}


def _damaged(path: Path, error: Exception) -> SpecError:
    message = f"`{path}` is no sound Parquet file: {str(error).splitlines()[0]}"
    return fail(Code.DATA_CORRUPT, message, "write it again; a CSV file ends in `.csv`")


def _typed(name: str, column: Any) -> Column:
    """Return a column of Parquet by the type that it states."""
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    values = column.to_pylist()
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        numbers = np.array([math.nan if v is None else float(v) for v in values])
        if types.is_floating(kind):
            return Column(name, "number", numbers)
        return Column(name, "truth" if types.is_boolean(kind) else "whole", numbers)
    if types.is_string(kind) or types.is_large_string(kind):
        return Column(name, "text", _objects([value or None for value in values]))
    if types.is_decimal(kind):
        numbers = np.array([math.nan if v is None else float(v) for v in values])
        return Column(name, "number", numbers)
    if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        # how data sets with pictures are stored by the library `datasets`
        packed = [None if value is None else value["bytes"] for value in values]
        return Column(name, "bytes", _objects([value or None for value in packed]))
    if types.is_binary(kind) or types.is_large_binary(kind):
        return Column(name, "bytes", _objects([value or None for value in values]))
    return Column(name, "other", _objects(values))
