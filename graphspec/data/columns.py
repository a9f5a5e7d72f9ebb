"""Tables as columns: CSV and Parquet files read whole, each column with its type.

In a CSV file types are inferred from the text of a column's cells, in Parquet they are stated. A
column is ``whole`` (integers), ``number``, ``truth`` (true and false) or ``text``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import csv_columns
from graphspec.data.column import Column, objects
from graphspec.data.recent import Recent
from graphspec.errors import Code, SpecError, fail

INSTALL = "pip install 'graphspec[table]'"

PARQUET = (".parquet", ".pq")
"""Ends of the names of Parquet files; every other file is read as CSV."""

_INDEX = re.compile(r"__index_level_[0-9]+__")
"""Columns in which pandas keeps the names of its rows."""

RECENT: Recent[dict[str, Column]] = Recent()
"""The last table that was read."""


def read(path: Path) -> dict[str, Column]:
    """Return the columns of a table by name, in their order.

    Args:
        path: A CSV file with a header, or a Parquet file.

    Raises:
        SpecError: ``data-not-found``, ``file-unreadable`` or ``data-corrupt``.
    """
    make = _parquet if path.suffix.lower() in PARQUET else csv_columns.read
    try:
        return RECENT.get(path, lambda: (make(path), [path]))
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            hint = "correct `data.path`, or name the folder that it lies in with `--data-root DIR`"
            raise fail(Code.DATA_NOT_FOUND, f"there is no file `{path}`", hint) from error
        message = f"cannot read `{path}`: {error.strerror or error}"
        raise fail(Code.FILE_UNREADABLE, message, "check the path and its permissions") from error


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
    twice = next((n for i, n in enumerate(table.column_names) if n in table.column_names[:i]), None)
    if twice is not None:
        message = f"`{path}` has two columns `{twice}`"
        raise fail(Code.DATA_CORRUPT, message, "give every column a name of its own")
    names = [name for name in table.column_names if not _INDEX.fullmatch(name)]
    return {name: _typed(name, table.column(name)) for name in names}


def _damaged(path: Path, error: Exception) -> SpecError:
    message = f"`{path}` is no sound Parquet file: {str(error).splitlines()[0]}"
    return fail(Code.DATA_CORRUPT, message, "write it again; a CSV file ends in `.csv`")


def _typed(name: str, column: Any) -> Column:
    """Return a column of Parquet by the type that it states."""
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        if types.is_floating(kind):
            return Column(name, "number", _numbers(column, kind))
        return Column(name, "truth" if types.is_boolean(kind) else "whole", _numbers(column, kind))
    if types.is_decimal(kind):
        return Column(name, "number", _numbers(column, kind))
    values = column.to_pylist()
    if types.is_null(kind) or str(kind) in ("string", "large_string", "string_view"):
        return Column(name, "text", objects([value or None for value in values]))
    if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        # how data sets with pictures are stored by the library `datasets`
        packed = [None if value is None else value["bytes"] for value in values]
        return Column(name, "bytes", objects([value or None for value in packed]))
    if types.is_binary(kind) or types.is_large_binary(kind):
        return Column(name, "bytes", objects([value or None for value in values]))
    return Column(name, "other", objects(values))


def _numbers(column: Any, kind: Any) -> NDArray[np.float64]:
    """Return numbers, NaN where one is missing."""
    import pyarrow

    values = column.cast(kind).cast(pyarrow.float64(), safe=False).to_numpy()
    return np.asarray(values, np.float64)
