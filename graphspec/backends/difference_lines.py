"""The nodes that differ between two topologies, a line each; what repeats is told once.

All nodes of an instance of a block that came or went are one line, instances that follow each other
by number likewise, and so is a change that all instances have in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphspec.backends.wording import call_text, count_text, edge_text
from graphspec.graph.comparison import Comparison, Side
from graphspec.language.changes import Change


def node_lines(found: Comparison) -> list[str]:
    """Return a line for each node or group of nodes that was removed, added or changed."""
    structure = found.structure
    return [
        *(f"- {text}" for text in _listed(found.old, structure.removed)),
        *(f"+ {text}" for text in _listed(found.new, structure.added)),
        *(f"~ {text}" for text in _renamed(structure.renamed, structure.changed)),
        *(f"~ {text}" for text in _changed(structure.changed, structure.old_names)),
    ]


@dataclass(frozen=True, slots=True)
class _Group:
    """Nodes that are told together: one alone, or all of an instance of a block."""

    name: str
    nodes: tuple[str, ...]
    block: str = ""


def _listed(side: Side, names: Iterable[str]) -> Iterator[str]:
    """Yield what is said of nodes that only one side has."""
    groups = _groups(side, set(names))
    at = 0
    while at < len(groups):
        end = at + 1
        while end < len(groups) and _follows(groups[end - 1], groups[end]):
            end += 1
        yield _text(side, groups[at:end])
        at = end


def _groups(side: Side, names: set[str]) -> list[_Group]:
    """Put nodes together whose whole instance is among them, the outermost such instance."""
    whole: dict[str, list[str]] = {}
    for name in side.graph.nodes:
        for prefix in prefixes(name):
            if prefix in side.graph.blocks:
                whole.setdefault(prefix, []).append(name)
    complete = {prefix for prefix, nodes in whole.items() if names.issuperset(nodes)}
    groups: dict[str, _Group] = {}
    for node in side.graph.order:
        name = node.name
        if name in names:
            outer = next((each for each in prefixes(name) if each in complete), name)
            nodes = tuple(whole.get(outer, [name]))
            block = side.graph.blocks[outer] if len(nodes) > 1 else ""
            groups.setdefault(outer, _Group(outer if block else name, nodes, block))
    return list(groups.values())


def prefixes(name: str) -> Iterator[str]:
    """Yield the instances that a name may be in, the outermost first, and the name itself."""
    at = name.find(".")
    while at >= 0:
        yield name[:at]
        at = name.find(".", at + 1)
    yield name


def _follows(first: _Group, second: _Group) -> bool:
    """Return whether two instances of one block have numbers that follow each other."""
    (stem, _, number), (other, _, then) = (each.name.rpartition(".") for each in (first, second))
    counted = number.isdecimal() and then.isdecimal() and int(then) == int(number) + 1
    return bool(first.block) and first.block == second.block and stem == other and counted


def _text(side: Side, groups: Sequence[_Group]) -> str:
    nodes = [name for group in groups for name in group.nodes]
    costs = [side.cost.nodes[name] for name in nodes if name in side.cost.nodes]
    counted = sum(cost.counted for cost in costs)
    size = f", {count_text(counted)} parameter{'s' if counted != 1 else ''}" if counted else ""
    unused = "" if costs else ", not used"
    first = groups[0]
    if first.block:
        many = "" if len(groups) == 1 else f" to {groups[-1].name}"
        number = "" if len(groups) == 1 else f"{len(groups)} × "
        return f"{first.name}{many}: {number}block {first.block}, {len(nodes)} nodes{size}{unused}"
    node = side.graph.nodes[nodes[0]]
    reads = ", ".join(edge_text(edge) for edge in node.inputs)
    gives = "; ".join(map(str, node.outputs))
    source = f" from {reads}" if reads else ""
    return f"{node.name}: {call_text(side.graph, node)}{source}, gives {gives}{size}{unused}"


def _renamed(
    renamed: Mapping[str, str], changed: Mapping[str, tuple[Change, ...]]
) -> Iterator[str]:
    """Yield the nodes that have another name and are else the same."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for before, after in renamed.items():
        if after not in changed:
            groups.setdefault(_stems(before, after), []).append((before, after))
    for (first, second), pairs in groups.items():
        if len(pairs) == 1:
            yield " -> ".join(pairs[0])
        else:
            yield f"{first}.* -> {second}.* ({len(pairs)} nodes)"


def _stems(before: str, after: str) -> tuple[str, str]:
    """Return two names without the last parts that they have in common."""
    first, second = before.split("."), after.split(".")
    while len(first) > 1 and len(second) > 1 and first[-1] == second[-1]:
        del first[-1], second[-1]
    return ".".join(first), ".".join(second)


def _changed(
    changed: Mapping[str, tuple[Change, ...]], old_names: Mapping[str, str]
) -> Iterator[str]:
    """Yield in what nodes differ; numbered instances that differ alike are one line."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, changes in changed.items():
        before = old_names.get(name)
        title = name if before is None else f"{before} -> {name}"
        text = ", ".join(map(str, changes))
        stem = re.match(r".*\.\d+(?=\.|$)", name)
        key = (name, text)
        if stem is not None:
            general = re.sub(r"\d+", "*", stem[0])
            key = (title.replace(stem[0], general), text.replace(f"{stem[0]}.", f"{general}."))
        groups.setdefault(key, []).append((title, text))
    for (title, text), members in groups.items():
        if len(members) == 1:
            yield ": ".join(members[0])
        else:
            yield f"{title} ({len(members)} nodes): {text}"
