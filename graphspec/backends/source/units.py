"""Which groups of names become modules with a forward pass of their own.

A group is a *unit* where it can be called as a whole: nothing leaves it and comes back, and it uses
no weights but its own. Units are classes, or an ``nn.Sequential`` where they are a numbered chain.
Other groups only hold modules (``nn.ModuleList``, ``nn.ModuleDict``), and their nodes are called
one by one.
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterator, Mapping, Sequence

import networkx as nx
from torch import nn

from graphspec.backends.source.tree import (
    MOST_NESTED,
    Group,
    Kind,
    Leaf,
    Read,
    Tree,
    has_module,
    is_plain,
    read_of,
)

FEWEST_IN_FAMILY = 3
"""Members of a list from which on one line calls them all, where they read the same."""

_DICT = nn.ModuleDict()


def decide(tree: Tree) -> None:
    """Give every group of a tree its kind and its twin."""
    _Decision(tree).decide()


class _Decision:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._graph = tree.graph
        self._dissolved: set[str] = set()
        self._inside_out = sorted(tree.groups.values(), key=lambda g: -g.path.count("."))

    def decide(self) -> None:
        """Dissolve groups that cannot be called as a whole, until all others can."""
        for _ in range(MOST_NESTED):
            self._set_kinds()
            tangled = {path for scope in self._tree.scopes() for path in self._tangled(scope)}
            if not tangled:
                return
            self._dissolved |= tangled
        self._dissolved = set(self._tree.groups)
        self._set_kinds()

    def _set_kinds(self) -> None:
        for group in self._inside_out:
            group.kind = self._kind(group)
            group.twin, group.is_family = None, False
            group.twins.clear()
        self._tree.root.kind = Kind.CLASS
        for group in self._inside_out:
            self._find_twin(group)
        for group in self._inside_out:
            group.is_family = group.kind is Kind.LIST and self._is_family(group)

    def _tangled(self, scope: Group) -> Iterator[str]:
        """Yield the units of a scope that would have to be called before themselves."""
        items = self._tree.items(scope)
        for component in nx.strongly_connected_components(self._tree.dependencies(items)):
            found = [items[number] for number in component] if len(component) > 1 else []
            yield from (item.path for item in found if isinstance(item, Group))

    # -- kinds ------------------------------------------------------------------------------------

    def _kind(self, group: Group) -> Kind:
        if not group.modules:
            return Kind.NOTHING
        bearing = [name for name, child in group.children.items() if has_module(child)]
        numbered = set(bearing) == set(map(str, range(len(bearing))))
        if group.path not in self._dissolved and self._is_whole(group):
            if all(name.isidentifier() and not keyword.iskeyword(name) for name in bearing):
                if group.path in self._graph.blocks or self._is_connected(group):
                    return Kind.CLASS
            elif numbered and self._is_chain(group):
                return Kind.ROW
        if numbered:
            return Kind.LIST
        return Kind.NAMED if any(hasattr(_DICT, name) for name in bearing) else Kind.DICT

    def _is_whole(self, group: Group) -> bool:
        """Return whether its nodes need nothing that only the outside has but inputs."""
        for node in group.nodes:
            weights = self._graph.weights[node.weights]
            if weights.is_module and not group.holds(weights.name):
                return False
            # The true labels reach the outermost forward pass alone.
            if any(e.form == "teacher" and group.holds(e.node) for e in node.inputs):
                return False
        return bool(group.nodes)

    def _is_connected(self, group: Group) -> bool:
        """Return whether one of its children reads another."""
        return any(
            edge.node in self._graph.nodes
            and group.holds(edge.node)
            and group.part_of(edge.node) != group.part_of(node.name)
            for node in group.nodes
            for edge in node.inputs
        )

    def _is_chain(self, group: Group) -> bool:
        """Return whether its children follow each other as the parts of an ``nn.Sequential`` do."""
        before: tuple[str, int] | None = None
        for number in range(len(group.children)):
            child = group.children.get(str(number))
            ends = None if child is None or not has_module(child) else self._ends(child)
            if ends is None:
                return False
            read, given = ends
            if before is not None and (read[:2] != before or not is_plain(read)):
                return False
            before = given
        return self._tree.outputs(group) == [before]

    def _ends(self, child: Leaf | Group) -> tuple[Read, tuple[str, int]] | None:
        """Return the one input and the one output of a link of a chain, or None."""
        if isinstance(child, Group):
            if not child.is_unit:
                return None
            reads, outputs = list(self._tree.inputs(child)), self._tree.outputs(child)
            return (reads[0], outputs[0]) if len(reads) == len(outputs) == 1 else None
        node = child.node
        if node is None or node.weights != child.path or len(node.inputs) != 1:
            return None
        if node.ports != ((),) or node.inputs[0].name is not None:
            return None
        return read_of(node.inputs[0]), (node.name, 0)

    def _is_family(self, group: Group) -> bool:
        """Return whether the members of a list all read the same, and nothing else is in it."""
        if len(group.children) < FEWEST_IN_FAMILY or group.path in self._dissolved:
            return False
        found: list[list[Read]] = []
        for child in group.children.values():
            if isinstance(child, Group):
                if not child.is_unit or len(self._tree.gives(child)) != 1 or child.twins:
                    return False
                found.append(list(self._tree.inputs(child)))
                continue
            node = child.node
            if node is None or child.weights is None or node.weights != child.path:
                return False
            if node.ports != ((),) or any(edge.name for edge in node.inputs):
                return False
            found.append([read_of(edge) for edge in node.inputs])
        return all(reads == found[0] for reads in found)

    # -- twins ------------------------------------------------------------------------------------

    def _find_twin(self, group: Group) -> None:
        """Find the unit that a group without weights of its own calls again."""
        if group.modules or not group.nodes or group.path in self._dissolved:
            return
        for node in group.nodes:
            weights = self._graph.weights[node.weights]
            if not weights.is_module:
                continue
            end = "." + group.relative(node.name)
            other = self._tree.groups.get(weights.name.removesuffix(end))
            if other is None or weights.name != other.path + end:
                return
            if self._are_alike(group, other):
                group.twin = other
                other.twins.append(group)
            return

    def _are_alike(self, group: Group, other: Group) -> bool:
        """Return whether a group is another called again: the same nodes, wired in the same way."""
        if not other.is_unit or len(group.nodes) != len(other.nodes):
            return False
        moved = {f"{other.path}.{group.relative(node.name)}": node for node in group.nodes}
        theirs: dict[Read, Read] = {}
        for node in other.nodes:
            ours = moved.get(node.name)
            if ours is None or len(ours.inputs) != len(node.inputs):
                return False
            if ours.weights != node.weights or ours.ports != node.ports:
                return False
            for mine, its in zip(ours.inputs, node.inputs, strict=True):
                if group.holds(mine.node) != other.holds(its.node) or mine.name != its.name:
                    return False
                read, wanted = read_of(mine), read_of(its)
                if group.holds(mine.node):
                    read = (f"{other.path}.{group.relative(mine.node)}", *read[1:])
                else:
                    wanted = theirs.setdefault(wanted, read)
                if read != wanted:
                    return False
        ours_read = self._tree.outputs(group)
        outputs = {(f"{other.path}.{group.relative(name)}", port) for name, port in ours_read}
        return other.kind is Kind.CLASS or outputs <= set(self._tree.outputs(other))


def levels(tree: Tree) -> list[list[Group]]:
    """Return the scopes of a tree such that those inside others come first.

    Instances of one block are in one level, so that they can become one class, unless a block is
    inside itself.
    """
    scopes = tree.scopes()
    blocks = {s.path: tree.graph.blocks[s.path] for s in scopes if s.path in tree.graph.blocks}
    heights = _heights(tree, scopes, {})
    for _ in range(MOST_NESTED):
        highest: dict[str, int] = {}
        for path, block in blocks.items():
            highest[block] = max(highest.get(block, 0), heights[path])
        raised = _heights(tree, scopes, {path: highest[block] for path, block in blocks.items()})
        if raised == heights:
            break
        heights = raised
    else:
        heights = _heights(tree, scopes, {})
    found: dict[int, list[Group]] = {}
    for scope in scopes:
        found.setdefault(heights[scope.path], []).append(scope)
    return [level for _, level in sorted(found.items())]


def _heights(tree: Tree, scopes: Sequence[Group], least: Mapping[str, int]) -> dict[str, int]:
    """Return for each scope how many are inside each other in it, or what it is at least."""
    known: Collection[str] = {scope.path for scope in scopes}
    heights: dict[str, int] = {}
    for scope in sorted(scopes, key=lambda s: -len(s.path.split(".")) if s.path else 1):
        height = max(heights.get(scope.path, 0), least.get(scope.path, 0))
        heights[scope.path] = height
        for group in tree.around(scope.path) if scope.path else ():
            if group.path in known:
                heights[group.path] = max(heights.get(group.path, 0), height + 1)
    return heights
