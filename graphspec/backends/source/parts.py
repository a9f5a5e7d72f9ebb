"""What stands in ``__init__``: constructor calls, before they are text.

A `Make` is a call with the values of all its arguments, defaults included, so that calls which
differ only in values can become one class with parameters: `values_of` lists the values of a part
in a fixed order, `shape_of` gives what is left without them, and `with_values` puts others in.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphspec.backends.source.code import (
    Brackets,
    Code,
    Prefixed,
    flat,
    listed,
    literal,
    quoted,
)


class _Required:
    """The default of an argument that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


@dataclass(frozen=True, slots=True)
class Name:
    """A value that is written as an expression over the parameters of a class: ``4 * width``."""

    text: str


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument.

    Attributes:
        name: Its name.
        value: Its value, or the `Name` that stands for it.
        default: What the callee takes where it is left out.
        bare: Whether it is written without its name.
    """

    name: str
    value: object
    default: object = REQUIRED
    bare: bool = False

    @property
    def is_default(self) -> bool:
        """Whether it can be left out."""
        same = type(self.value) is type(self.default) or not isinstance(self.value, (bool, Name))
        return same and not isinstance(self.value, Name) and self.value == self.default


@dataclass(frozen=True, slots=True)
class Make:
    """A call: of a constructor, or of a function on what it is given.

    Attributes:
        callee: What is called, as it is written.
        args: All its arguments.
        swappable: Whether another callee could stand in its place in the same class: activations.
    """

    callee: str
    args: tuple[Arg, ...] = ()
    swappable: bool = False

    @property
    def is_short(self) -> bool:
        """Whether it is written without arguments."""
        return all(arg.is_default for arg in self.args)


@dataclass(frozen=True, slots=True)
class Row:
    """Parts that are numbered: ``nn.Sequential`` and ``nn.ModuleList``.

    Attributes:
        kind: The class.
        runs: Parts, each with how often it stands there in a row (a number or a `Name`).
    """

    kind: str
    runs: tuple[tuple[Part, object], ...]

    def at(self, number: int) -> Part:
        """Return the part with a number."""
        for part, count in self.runs:
            assert isinstance(count, int)
            if number < count:
                return part
            number -= count
        raise IndexError(number)


@dataclass(frozen=True, slots=True)
class Named:
    """Parts with names: ``nn.ModuleDict``, or an ``nn.Sequential`` with names of its own."""

    kind: str
    items: tuple[tuple[str, Part], ...]


Part: TypeAlias = "Make | Row | Named"


def row(kind: str, parts: list[Part]) -> Row:
    """Return parts as a row, equal neighbours as one run."""
    runs: list[tuple[Part, int]] = []
    for part in parts:
        if runs and runs[-1][0] == part:
            runs[-1] = (part, runs[-1][1] + 1)
        else:
            runs.append((part, 1))
    return Row(kind, tuple(runs))


@dataclass(frozen=True, slots=True)
class Value:
    """One value in a part.

    Attributes:
        owner: The callee whose argument it is.
        name: The argument's name.
        value: The value.
        default: The argument's default.
    """

    owner: str
    name: str
    value: object
    default: object


def values_of(part: Part) -> Iterator[Value]:
    """Yield the values of a part in a fixed order."""
    if isinstance(part, Make):
        if part.swappable and part.is_short:
            yield Value(part.callee, "activation", Name(part.callee), REQUIRED)
            return
        for arg in part.args:
            yield Value(part.callee, arg.name, arg.value, arg.default)
    elif isinstance(part, Row):
        for each, count in part.runs:
            yield from values_of(each)
            if count != 1:
                yield Value(part.kind, "count", count, REQUIRED)
    else:
        for _, each in part.items:
            yield from values_of(each)


def shape_of(part: Part) -> Hashable:
    """Return what is left of a part without its values."""
    if isinstance(part, Make):
        if part.swappable and part.is_short:
            return "activation"
        return (part.callee, *(arg.name for arg in part.args))
    if isinstance(part, Row):
        return (part.kind, *((shape_of(each), count != 1) for each, count in part.runs))
    return (part.kind, *((name, shape_of(each)) for name, each in part.items))


def with_values(part: Part, values: Iterator[object]) -> Part:
    """Return a part with other values, in the order of `values_of`."""
    if isinstance(part, Make):
        if part.swappable and part.is_short:
            callee = next(values)
            assert isinstance(callee, Name)
            return Make(callee.text, (), swappable=True)
        return replace(part, args=tuple(replace(arg, value=next(values)) for arg in part.args))
    if isinstance(part, Row):
        runs = []
        for each, count in part.runs:
            filled = with_values(each, values)
            runs.append((filled, next(values) if count != 1 else 1))
        return Row(part.kind, tuple(runs))
    return Named(part.kind, tuple((name, with_values(each, values)) for name, each in part.items))


MOST_WRITTEN_OUT = 3
"""Equal neighbours in a row from which on they become a comprehension."""


LONGEST_WRITTEN_TWICE = 40
"""Characters of a part up to which it is written again for each name of a dictionary."""


def code_of(part: Part) -> Code:
    """Return a part as code."""
    if isinstance(part, Make):
        return Brackets(f"{part.callee}(", tuple(arguments(part.args)))
    if isinstance(part, Named):
        return _named(part)
    items: list[Code] = []
    for each, count in _growing(part.runs):
        if isinstance(count, range):
            loop = f"for i in range({len(count)})"
            items.append(Brackets("*(", (code_of(each), loop), joint=""))
            continue
        code = code_of(each)
        if isinstance(count, int) and count <= MOST_WRITTEN_OUT:
            items += [code] * count
            continue
        times = count.text if isinstance(count, Name) else str(count)
        head, tail = ("*(", ")")
        if len(part.runs) == 1 and part.kind == "nn.ModuleList":
            head, tail = "[", "]"
        items.append(Brackets(head, (code, f"for _ in range({times})"), tail, joint=""))
    if part.kind == "nn.ModuleList" and not _is_comprehension(items):
        items = [Brackets("[", tuple(items), "]", spread=len(items) > 1)]
        return Brackets(f"{part.kind}(", tuple(items))
    return Brackets(f"{part.kind}(", tuple(items), spread=len(items) > 3)


FEWEST_GROWING = 4
"""Neighbours in a row whose numbers grow evenly from which on they become a comprehension."""


def _growing(runs: tuple[tuple[Part, object], ...]) -> Iterator[tuple[Part, object]]:
    """Yield runs, with neighbours that differ by evenly growing numbers as one over a range."""
    at = 0
    while at < len(runs):
        end = at + 1
        steps: dict[str, int] | None = None
        while end < len(runs) and runs[end][1] == runs[end - 1][1] == 1:
            found = _steps(runs[end - 1][0], runs[end][0])
            if found is None or (steps is not None and found != steps):
                break
            steps = found
            end += 1
        first = runs[at][0]
        if steps is not None and end - at >= FEWEST_GROWING and isinstance(first, Make):
            args = tuple(
                replace(arg, value=_grown(arg.value, steps[arg.name])) if arg.name in steps else arg
                for arg in first.args
            )
            yield replace(first, args=args), range(end - at)
            at = end
        else:
            yield runs[at]
            at += 1


def _steps(part: Part, after: Part) -> dict[str, int] | None:
    """Return by how much each number of a call is larger than in the one before it, or None."""
    if not isinstance(part, Make) or not isinstance(after, Make) or part.callee != after.callee:
        return None
    found: dict[str, int] = {}
    for old, new in zip(part.args, after.args, strict=False):
        if old.name != new.name or (isinstance(old.value, Name) and old.value.text == "i"):
            return None
        if repr(old.value) == repr(new.value):
            continue
        if type(old.value) is not int or type(new.value) is not int:
            return None
        found[old.name] = new.value - old.value
    return found if found and len(part.args) == len(after.args) else None


def _grown(value: object, step: int) -> Name:
    word = "i" if abs(step) == 1 else f"{abs(step)} * i"
    return Name(f"{value} {'-' if step < 0 else '+'} {word}")


def _is_comprehension(items: list[Code]) -> bool:
    return len(items) == 1 and isinstance(items[0], Brackets) and items[0].head == "["


def _named(part: Named) -> Code:
    if part.kind == "nn.Sequential":
        pairs = tuple(Brackets("(", (quoted(name), code_of(each))) for name, each in part.items)
        inner = Brackets("[", pairs, "]", spread=len(pairs) > 1)
        return Brackets("nn.Sequential(", (Brackets("OrderedDict(", (inner,)),))
    if len(part.items) > 1 and all(each == part.items[0][1] for _, each in part.items):
        alike = code_of(part.items[0][1])
        if len(flat(alike)) > LONGEST_WRITTEN_TWICE:
            names = flat(listed([quoted(name) for name, _ in part.items], "()"))
            loop = (Prefixed("name: ", alike), f"for name in {names}")
            return Brackets("nn.ModuleDict(", (Brackets("{", loop, "}", joint=""),))
    entries = tuple(Prefixed(f"{quoted(name)}: ", code_of(each)) for name, each in part.items)
    return Brackets("nn.ModuleDict(", (Brackets("{", entries, "}", spread=len(entries) > 1),))


def arguments(args: tuple[Arg, ...]) -> Iterator[Code]:
    """Yield the arguments that are written: those that are not their defaults."""
    skipped = False
    for arg in args:
        if arg.is_default:
            skipped = True
            continue
        code = _value_code(arg.value)
        yield code if arg.bare and not skipped else Prefixed(f"{arg.name}=", code)


def _value_code(value: object) -> Code:
    if isinstance(value, (Make, Row, Named)):
        return code_of(value)
    return value.text if isinstance(value, Name) else literal(value)
