"""Names in an ejected file: variables that are free, classes as people call them."""

from __future__ import annotations

import keyword
from collections.abc import Iterable

RESERVED = frozenset(
    {
        "_", "self", "torch", "nn", "F", "Tensor", "OrderedDict", "operator", "reduce", "partial",
        "range", "share_parameters", "copy_values",
    }
)  # fmt: skip
"""Names that no variable may take in an ejected file."""


class Names:
    """Variables of one scope."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def new(self, wish: str) -> str:
        """Return a variable that is free: the wish, or the wish with a number."""
        base = wish.replace(".", "_")
        if not base.isidentifier() or keyword.iskeyword(base):
            base = f"{base}_" if base.isidentifier() else f"_{base}"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name


def class_name(text: str) -> str:
    """Return a name as those of classes are written: ``resnet50``, ``my net / v2``."""
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in text).split()
    name = "".join(word[:1].upper() + word[1:] for word in words) or "Net"
    return f"Net{name}" if name[0].isdigit() or keyword.iskeyword(name) else name
