"""One column of a table: its name, the type of its cells, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Use:
    """How a column of a table was read, and what for.

    Attributes:
        column: Its name.
        holds: The type of its cells, in words.
        missing: How many of them are empty.
        purpose: What it is used for, in words: an input, the target of a task, the split, nothing.
    """

    column: str
    holds: str
    missing: int
    purpose: str


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return an array of Python objects, however they are alike."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
