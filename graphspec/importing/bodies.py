"""Blocks made of the modules of one class: which of them are alike, and what they differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphspec.importing.drafts import Ref
from graphspec.importing.items import Item, Key, is_expression
from graphspec.language.blocks.declare import RESERVED

_ABSENT = object()
"""A value of a node that an instance leaves out."""


@dataclass
class Body:
    """One module: its nodes, by names relative to it.

    Attributes:
        scope: Its name.
        items: Its nodes; they read each other by relative names, what is outside as ``@0``, ``@1``.
        outside: What these numbers stand for.
        output: The node that is read from outside.
    """

    scope: str
    items: dict[str, Item]
    outside: tuple[str, ...]
    output: str

    @property
    def shape(self) -> tuple[Any, ...]:
        """What must be the same for two modules to be instances of one block."""
        nodes = tuple((name, item.shape, item.inputs) for name, item in self.items.items())
        return nodes, len(self.outside), self.output


def body_of(
    scope: str, items: Mapping[str, Item], readers: Mapping[str, Sequence[str]]
) -> Body | None:
    """Return a module as the body of a block, or None if it cannot be one."""
    prefix = f"{scope}."
    inside = {n[len(prefix) :]: item for n, item in items.items() if n.startswith(prefix)}
    if len(inside) < 2 or any(item.form == "fixed" for item in inside.values()):
        return None
    if any(name[0].isdigit() for name in inside):
        return None
    outside: list[str] = []
    relative = {}
    for name, item in inside.items():
        refs = []
        for ref in item.inputs:
            if ref.node.startswith(prefix):
                refs.append(ref.at(ref.node[len(prefix) :]))
                continue
            if ref.name not in outside:
                outside.append(ref.name)
            number = f"@{outside.index(ref.name)}"
            refs.append(replace(ref, node=number, port=None))
        relative[name] = replace(item, name=name, inputs=tuple(refs))
    read = {
        name
        for name in inside
        if any(not r.startswith(prefix) for r in readers.get(prefix + name, ()))
    }
    if len(read) != 1 or not outside:
        return None
    return Body(scope, relative, tuple(outside), read.pop())


@dataclass
class Group:
    """Modules that are instances of one block.

    Attributes:
        bodies: The modules.
        base: The body that has all nodes.
        optional: Nodes that some of the modules leave out.
    """

    bodies: list[Body]
    base: Body
    optional: frozenset[str] = frozenset()


def groups_of(bodies: Sequence[Body]) -> list[Group]:
    """Return which modules are alike; those that only lack some nodes are instances of the same."""
    alike: dict[tuple[Any, ...], list[Body]] = {}
    for body in bodies:
        alike.setdefault(body.shape, []).append(body)
    by_size = sorted(alike.values(), key=lambda each: -len(each[0].items))
    groups: list[Group] = []
    for same in by_size:
        for group in groups:
            lacking = frozenset(group.base.items) - frozenset(same[0].items)
            fits = not group.optional or group.optional == lacking
            if lacking and fits and _without(group.base, lacking) == same[0].shape:
                group.bodies += same
                group.optional = lacking
                break
        else:
            groups.append(Group(list(same), same[0]))
    return groups


def _without(base: Body, names: frozenset[str]) -> tuple[Any, ...] | None:
    """Return the shape of a body that leaves nodes out, whose readers read what these read."""
    if base.output in names:
        return None
    instead: dict[str, Ref] = {}
    for name, item in base.items.items():
        if name in names:
            if not item.inputs or not item.inputs[0].is_plain or item.repeat is not None:
                return None
            first = item.inputs[0]
            instead[name] = instead.get(first.node, first)
    items = {}
    for name, item in base.items.items():
        if name not in names:
            refs = []
            for ref in item.inputs:
                other = instead.get(ref.node)
                refs.append(
                    ref if other is None else replace(ref, node=other.node, port=other.port)
                )
            items[name] = replace(item, inputs=tuple(refs))
    return replace(base, items=items).shape


@dataclass
class Block:
    """A block and its instances.

    Attributes:
        written: The block as a spec writes it.
        defaults: The defaults of its parameters; a parameter without one has none.
        names: Names of all parameters.
        instances: For each module the values of the parameters.
    """

    written: dict[str, Any]
    defaults: dict[str, Any]
    names: tuple[str, ...]
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)


def block_of(group: Group, blocks: Mapping[str, Mapping[str, Any]]) -> Block | None:
    """Return the block of a group, or None where values differ that cannot be handed on.

    Args:
        group: Modules that are alike.
        blocks: For each block the defaults of its parameters.
    """
    inputs = _input_names(group)
    parameters = _Parameters({*RESERVED, "index", "tasks", *inputs, "op", "share", "copy"})
    flag = None
    if group.optional:
        given = [group.optional <= body.items.keys() for body in group.bodies]
        first = next(name for name in group.base.items if name in group.optional)
        last = first.rpartition(".")[2]
        flag = parameters.add(first.replace(".", "_") if last.isdigit() else last, given)
    nodes = {}
    for name, item in group.base.items.items():
        values: dict[Key, Any] = {}
        for key in _keys(group, name):
            found = [_value(body, name, key, blocks) for body in group.bodies]
            known = [value for value in found if value is not _ABSENT]
            if name in group.optional and parameters.has(found):
                values[key] = parameters.expression(name, key[1], found)
            elif all(_same(value, known[0]) for value in known):
                if not _same(known[0], _default(item, key, blocks)):
                    values[key] = known[0]
            elif any(map(is_expression, known)):
                return None
            else:
                values[key] = parameters.expression(name, key[1], found)
        when = flag if name in group.optional else None
        written = replace(item, values=values, when=when)
        nodes[name] = written.written(_inputs(item, inputs))
    return _finished(group, parameters, nodes, inputs)


def _finished(
    group: Group, parameters: _Parameters, nodes: dict[str, Any], inputs: list[str]
) -> Block:
    declared, defaults = parameters.declared()
    written: dict[str, Any] = {}
    if declared:
        written["parameters"] = declared
    if inputs != ["input"]:
        written["inputs"] = inputs
    unread = set(nodes) - {ref.node for i in group.base.items.values() for ref in i.inputs}
    if unread != {group.base.output} or ("output" in nodes and group.base.output != "output"):
        written["output"] = group.base.output
    written["nodes"] = nodes
    block = Block(written, defaults, tuple(declared))
    for number, body in enumerate(group.bodies):
        block.instances[body.scope] = parameters.values(number)
    return block


def _input_names(group: Group) -> list[str]:
    count = len(group.base.outside)
    wanted = ["input"] if count == 1 else [f"input{number}" for number in range(1, count + 1)]
    taken = {name.partition(".")[0] for name in group.base.items}
    return [f"{name}_" if name in taken else name for name in wanted]


def _inputs(item: Item, names: list[str]) -> Any:
    if not item.inputs:
        return None
    refs = [ref.at(names[int(ref.node[1:])]) if ref.node[0] == "@" else ref for ref in item.inputs]
    return refs[0].plain() if len(refs) == 1 else [ref.plain() for ref in refs]


def _keys(group: Group, name: str) -> list[Key]:
    found: dict[Key, None] = {}
    for body in group.bodies:
        if name in body.items:
            found.update(dict.fromkeys(body.items[name].values))
    return list(found)


def _value(body: Body, name: str, key: Key, blocks: Mapping[str, Mapping[str, Any]]) -> Any:
    if name not in body.items:
        return _ABSENT
    item = body.items[name]
    return item.values[key] if key in item.values else _default(item, key, blocks)


def _default(item: Item, key: Key, blocks: Mapping[str, Mapping[str, Any]]) -> Any:
    try:
        return item.default(key, blocks)
    except KeyError:
        return _ABSENT  # a parameter without a default is always written


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


class _Parameters:
    """Parameters of a block in the making: a name and the value of every instance."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._found: dict[str, list[Any]] = {}

    def add(self, wanted: str, values: list[Any]) -> str:
        """Return the name of a new parameter."""
        name, number = wanted, 2
        while name in self._taken or name in self._found:
            name = f"{wanted}_{number}" if wanted not in RESERVED else f"{wanted}_"
            number += 1
            wanted = wanted if wanted not in RESERVED else f"{wanted}_"
        self._found[name] = list(values)
        return name

    def has(self, values: list[Any]) -> bool:
        """Return whether there is a parameter with these values, a number above 1 among them."""
        large = any(type(value) is int and value > 1 for value in values)
        return large and any(
            all(_fits(a, b) for a, b in zip(known, values, strict=True))
            for known in self._found.values()
        )

    def expression(self, node: str, argument: str, values: list[Any]) -> str:
        """Return what a node says in the place of a value that differs."""
        for name, known in self._found.items():
            if all(_fits(a, b) for a, b in zip(known, values, strict=True)):
                merged = zip(known, values, strict=True)
                self._found[name] = [b if a is _ABSENT else a for a, b in merged]
                return f"={name}"
        for name, known in self._found.items():
            factor = _factor(known, values)
            if factor is not None:
                return f"={factor}*{name}"
        if argument in self._found or argument in self._taken:
            argument = f"{node.replace('.', '_')}_{argument}"
        return f"={self.add(argument, values)}"

    def declared(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the section ``parameters``, and the defaults among them."""
        declared: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        for name, values in self._found.items():
            known = [value for value in values if value is not _ABSENT]
            common, count = Counter(map(repr, known)).most_common(1)[0]
            default = next(value for value in known if repr(value) == common)
            kind = _type(known)
            self._found[name] = [default if value is _ABSENT else value for value in values]
            if isinstance(default, bool):
                default, count = False, len(values)
            if 2 * count <= len(known) or default is None:
                declared[name] = {"type": kind}
                continue
            plain = kind not in ("any", "list") and not (kind == "float" and type(default) is int)
            declared[name] = default if plain else {"type": kind, "default": default}
            defaults[name] = default
        return declared, defaults

    def values(self, number: int) -> dict[str, Any]:
        """Return the values of one instance."""
        return {name: values[number] for name, values in self._found.items()}


def _fits(one: Any, other: Any) -> bool:
    return one is _ABSENT or other is _ABSENT or _same(one, other)


def _factor(known: list[Any], values: list[Any]) -> int | None:
    """Return the number of which all values are that many times a parameter."""
    pairs = [(a, b) for a, b in zip(known, values, strict=True) if b is not _ABSENT]
    if not all(type(a) is int and type(b) is int and a and b % a == 0 for a, b in pairs):
        return None
    factors = {b // a for a, b in pairs}
    return factors.pop() if len(factors) == 1 else None


def _type(values: list[Any]) -> str:
    kinds = {type(value) for value in values}
    if len(kinds) == 1:
        return {bool: "bool", int: "int", float: "float", str: "str", list: "list"}.get(
            kinds.pop(), "any"
        )
    return "float" if kinds == {int, float} else "any"
