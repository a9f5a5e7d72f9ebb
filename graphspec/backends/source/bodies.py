"""What stands in each class of an ejected file, before alike classes become one.

A `Body` is written in the words of its own scope: names are relative, so the bodies of two
instances of one block differ in values alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from graphspec.backends.source.calls import Applied
from graphspec.backends.source.code import Code, flat
from graphspec.backends.source.parts import Part, Value, shape_of, values_of
from graphspec.backends.source.tree import Group
from graphspec.ops.types import TensorType


@dataclass(slots=True)
class Line:
    """One line of a forward pass.

    Attributes:
        target: What is assigned.
        value: A function of tensors, or the call of a module.
        remark: A comment after it.
        types: Types of what is assigned, where it is one tensor.
    """

    target: str
    value: Applied | Code
    remark: str = ""
    types: TensorType | None = None


@dataclass(slots=True)
class Body:
    """A class for one group of names.

    Attributes:
        group: The group.
        inputs: Names of what its forward pass takes.
        entries: Its modules by name, each with a comment.
        statements: What follows them in the constructor, each with a comment.
        lines: The forward pass.
        results: What it returns: variables, with the task of each for the whole.
    """

    group: Group
    inputs: tuple[str, ...]
    entries: list[tuple[str, Part, str]] = field(default_factory=list)
    statements: list[tuple[str, Code]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    results: tuple[str, ...] = ()

    def values(self) -> Iterator[tuple[str, Value, bool]]:
        """Yield all values with the name beside which each stands, and whether in the forward."""
        for name, part, _ in self.entries:
            for value in values_of(part):
                yield name, value, False
        for line in self.lines:
            if isinstance(line.value, Applied):
                for value in values_of(line.value.make):
                    yield line.target, value, True

    def shape(self) -> Hashable:
        """Return what two bodies have in common that can become one class."""
        return (
            len(self.inputs),
            tuple((name, shape_of(part), remark) for name, part, remark in self.entries),
            tuple((remark, flat(code)) for remark, code in self.statements),
            tuple((line.target, _shape_of_value(line.value), line.remark) for line in self.lines),
            self.results,
        )


def _shape_of_value(value: Applied | Code) -> Hashable:
    if isinstance(value, Applied):
        return (value.form, shape_of(value.make), value.operands)
    return flat(value)
