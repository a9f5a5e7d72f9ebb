"""What the names of a spec in the making stand for, so that what is drawn is valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Width(NamedTuple):
    """A number of features or channels: a constant, plus multiples of what an instance decides.

    Inside a block it is not known, but whether two widths are equal is.
    """

    constant: int = 0
    units: int = 0
    first: int = 0
    second: int = 0

    def plus(self, other: Width) -> Width:
        return Width(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, factor: int) -> Width:
        return Width(*(a * factor for a in self))

    def at(self, units: Width, inputs: tuple[Width, ...]) -> Width:
        """Return the width in an instance, by its parameter and the widths of its inputs."""
        first, second, *_ = (*inputs, Width(), Width())
        found = Width(self.constant)
        for factor, value in ((self.units, units), (self.first, first), (self.second, second)):
            found = found.plus(value.times(factor))
        return found

    def text(self) -> str | None:
        """Return how a spec says it, or None where it cannot."""
        if self.first or self.second:
            return None
        if not self.units:
            return str(self.constant)
        return f"={self.units}*units + {self.constant}"


class Type(NamedTuple):
    """The form of a tensor: ``flat`` is ``(N, width)``, ``map`` is ``(N, width, 4, 4)``."""

    kind: str
    width: Width

    def at(self, units: Width, inputs: tuple[Width, ...]) -> Type:
        return Type(self.kind, self.width.at(units, inputs))


@dataclass(frozen=True)
class Readable:
    """A name that ``from`` may say.

    Attributes:
        name: The name.
        type: What it stands for; of a group, each of its members.
        count: How many nodes it stands for.
        head: Whether it predicts a task, so that its label may be passed on instead.
        formed: Whether what it stands for may have ``as:`` already, which cannot stand twice.
    """

    name: str
    type: Type
    count: int = 1
    head: bool = False
    formed: bool = False


@dataclass(frozen=True)
class Reusable:
    """A name that ``share`` and ``copy`` may say: what it reads, and what it then gives.

    Attributes:
        name: The name.
        inputs: The form of each input.
        result: What a second use stands for, under the name ``""``.
        outputs: Names of its outputs where it has several, each with what it stands for.
        layer: Whether it may stand in a sequence too.
    """

    name: str
    inputs: tuple[Type, ...]
    result: Readable
    outputs: tuple[Readable, ...] = ()
    layer: bool = False


@dataclass(frozen=True)
class Tensor:
    """A parameter that another may be tied to: the weight of a Linear, ``(rows, columns)``."""

    name: str
    rows: Width
    columns: Width


@dataclass(frozen=True)
class Block:
    """A block that was written.

    Attributes:
        name: Its name.
        inputs: Its inputs with their forms; those of one whose width is ``units`` are given so.
        outputs: What an instance stands for, by names of outputs; ``""`` where it has one.
        inner: Nodes inside that others may read or use again.
        required: Whether ``units`` must be given.
    """

    name: str
    inputs: tuple[tuple[str, Type], ...]
    outputs: tuple[Readable, ...]
    inner: tuple[Readable, ...] = ()
    again: tuple[Reusable, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    required: bool = False

    @property
    def chains(self) -> bool:
        """Whether an instance may read another one."""
        names = [name for name, _ in self.inputs]
        types = dict(self.inputs)
        if [out.name for out in self.outputs] == [""]:
            return self.outputs[0].type == types[names[0]]
        return all(types.get(out.name) == out.type for out in self.outputs) and len(names) == len(
            self.outputs
        )
