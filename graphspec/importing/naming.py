"""Names of an imported topology: paths of modules, made into names that a spec may have."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from torch import fx, nn

_INNER = frozenset(dir(nn.Module)) | frozenset(vars(nn.Module()))
_OUTER = _INNER | frozenset(dir(fx.GraphModule)) | {"graph", "self", "takes_labels"}

ROOT = "net"
"""Begins the names where a model's own children are numbered, since a name begins with a letter."""


def clean(path: str) -> str:
    """Return the name that stands for a path.

    Example:
        >>> clean("layer1.0.conv1"), clean("0.weight"), clean("blocks.in-out.type")
        ('layer1.0.conv1', 'net.0.weight', 'blocks.in_out.type_')
    """
    parts = [re.sub(r"[^A-Za-z0-9_]", "_", part) or "_" for part in path.split(".")]
    if not re.match(r"[A-Za-z_]", parts[0]):
        parts.insert(0, ROOT)
    for number, part in enumerate(parts):
        if part in (_INNER if number else _OUTER) or keyword.iskeyword(part):
            parts[number] = f"{part}_"
    return ".".join(parts)


class Names:
    """Gives every node a name of its own."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def new(self, wanted: str) -> str:
        """Return a name, with a number at its end where it is taken."""
        name, number = wanted, 1
        while name in self._taken:
            name = f"{wanted}_{number}"
            number += 1
        self._taken.add(name)
        return name


def word(text: str) -> str:
    """Return a name of one part, such as that of a block, an input or a task, from any text."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "x"
    if name[0].isdigit():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) else name


def snake(name: str) -> str:
    """Return a class name as the name of a block: ``BasicBlock`` as ``basic_block``."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return word(text.lower())
