"""Bodies of one block that differ by nodes which ``when:`` leaves out of some instances.

Where a node is left out, what reads it reads its input instead. So the fuller body becomes the
class, with ``nn.Identity()`` in the place of what an instance lacks.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphspec.backends.source.bodies import Body, Line
from graphspec.backends.source.calls import Applied
from graphspec.backends.source.code import Brackets, Code, Prefixed, flat
from graphspec.backends.source.parts import Value, shape_of


class _Unset:
    """The value of what an instance lacks."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()


@dataclass(slots=True)
class Aligned:
    """Bodies that become one class, the fullest first.

    Attributes:
        bodies: The bodies.
        places: Each value of the fullest: its name, the value, what it is in each body (`UNSET`
            where that lacks it), and whether it stands in the forward pass.
        optional: The modules, and functions, that some bodies lack, and which have them.
    """

    bodies: list[Body]
    places: list[tuple[str, Value, tuple[object, ...], bool]] = field(default_factory=list)
    optional: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)


def align(groups: Sequence[Sequence[Body]]) -> Iterator[Aligned]:
    """Join groups of bodies of one shape where one is another without some nodes.

    Args:
        groups: Bodies, each group of one shape, all of one block.
    """
    rest = sorted(groups, key=lambda group: -len(group[0].lines))
    while rest:
        first, *others = rest
        joined, rest = [first], []
        missing: dict[int, set[str]] = {0: set()}
        for group in others:
            left_out = _left_out(first[0], group[0])
            if left_out is None:
                rest.append(group)
            else:
                missing[len(joined)] = left_out
                joined.append(group)
        yield _aligned(joined, missing)


def _aligned(groups: Sequence[Sequence[Body]], missing: Mapping[int, set[str]]) -> Aligned:
    bodies = [body for group in groups for body in group]
    lacks = [missing[number] for number, group in enumerate(groups) for _ in group]
    tables = [_table(body) for body in bodies]
    counted: dict[tuple[str, bool], int] = {}
    places = []
    for where, value, late in bodies[0].values():
        number = counted.get((where, late), 0)
        counted[where, late] = number + 1
        found = [table.get((where, late)) for table in tables]
        values = tuple(UNSET if each is None else each[number] for each in found)
        places.append((where, value, values, late))
    names = sorted({name for each in lacks for name in each})
    optional = {name: tuple(name not in each for each in lacks) for name in names}
    ordered = [line.target for line in bodies[0].lines if line.target in optional]
    return Aligned(bodies, places, {name: optional[name] for name in ordered})


def _table(body: Body) -> dict[tuple[str, bool], list[object]]:
    found: dict[tuple[str, bool], list[object]] = {}
    for where, value, late in body.values():
        found.setdefault((where, late), []).append(value.value)
    return found


def _left_out(full: Body, body: Body) -> set[str] | None:
    """Return the nodes without which one body is another, or None where it is not."""
    there = {line.target for line in body.lines}
    missing = {line.target for line in full.lines} - there
    if not missing or full.inputs != body.inputs:
        return None
    instead: dict[str, str] = {}
    for line in full.lines:
        if line.target in missing:
            read = _passed_on(line)
            if read is None or not _may_be_missing(full, body, line):
                return None
            instead[line.target] = instead.get(read, read)
    kept = [line for line in full.lines if line.target not in missing]
    if [_line_shape(line, instead) for line in kept] != [_line_shape(x, {}) for x in body.lines]:
        return None
    if tuple(instead.get(name, name) for name in full.results) != body.results:
        return None
    return missing if _entries_fit(full, body, missing) else None


def _passed_on(line: Line) -> str | None:
    """Return the variable that takes the place of a line that is left out, or None.

    It is the first that the line reads; a module, for which an identity can stand, reads no other.
    """
    if isinstance(line.value, Applied):
        operands: Sequence[Code] = line.value.operands[:1]
    else:
        operands = line.value.items if isinstance(line.value, Brackets) else ()
    if len(operands) != 1 or not isinstance(operands[0], str):
        return None
    return operands[0] if operands[0].isidentifier() else None


def _may_be_missing(full: Body, body: Body, line: Line) -> bool:
    """Return whether a line is a function, or the only call of a module of the class."""
    if isinstance(line.value, Applied):
        return True
    call = flat(line.value)
    own = re.match(r"self\.(\w+)\(", call)
    if own is None or own[1] != line.target:
        return False
    uses = [each for each in full.lines if f"self.{own[1]}" in flat_value(each)]
    said = any(f"self.{own[1]}" in flat(code) for _, code in full.statements)
    return len(uses) == 1 and not said and own[1] not in {name for name, _, _ in body.entries}


def flat_value(line: Line) -> str:
    """Return what a line computes on one line; of functions only what they read."""
    return " ".join(line.value.operands) if isinstance(line.value, Applied) else flat(line.value)


def _entries_fit(full: Body, body: Body, missing: set[str]) -> bool:
    kept = [entry for entry in full.entries if entry[0] not in missing]
    ours = [(name, shape_of(part), remark) for name, part, remark in kept]
    theirs = [(name, shape_of(part), remark) for name, part, remark in body.entries]
    said = [(remark, flat(code)) for remark, code in full.statements]
    return ours == theirs and said == [(remark, flat(code)) for remark, code in body.statements]


def _line_shape(line: Line, instead: Mapping[str, str]) -> Hashable:
    """Return what two lines have in common, after some variables were replaced."""
    if isinstance(line.value, Applied):
        operands = tuple(_replaced(each, instead) for each in line.value.operands)
        value: Hashable = (line.value.form, shape_of(line.value.make), operands)
    elif isinstance(line.value, Brackets):
        items = tuple(_replaced_code(each, instead) for each in line.value.items)
        value = (line.value.head, items, line.value.tail)
    else:
        value = _replaced(flat(line.value), instead)
    return (line.target, value, line.remark)


def _replaced_code(code: Code, instead: Mapping[str, str]) -> Hashable:
    if isinstance(code, Prefixed):
        return (code.prefix, _replaced_code(code.code, instead))
    return _replaced(flat(code), instead)


def _replaced(text: str, instead: Mapping[str, str]) -> str:
    """Return an expression with some variables replaced; attributes are none."""
    if not instead:
        return text
    return re.sub(r"(?<![.\w])\w+", lambda found: instead.get(found[0], found[0]), text)
