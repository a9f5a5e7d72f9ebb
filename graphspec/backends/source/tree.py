"""The names of a graph as a tree, by their dots: what each group of names reads, gives and calls.

`graphspec.backends.source.units` decides what the groups become.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

import networkx as nx

from graphspec.errors import Code, fail
from graphspec.graph.ir import Edge, Graph, Node, Weights

MOST_NESTED = 150
"""Dots of a name, beyond which Python itself gives up."""

Read: TypeAlias = tuple[str, int, str, bool, float]
"""What an edge carries, whoever reads it: node, output, form, detach and gradient scale."""


def read_of(edge: Edge) -> Read:
    """Return what an edge carries."""
    return (edge.node, edge.port or 0, edge.form, edge.detach, edge.gradient_scale)


def is_plain(read: Read) -> bool:
    """Return whether what is read is passed on as it is."""
    return read[2:] == ("logits", False, 1.0)


class Kind(Enum):
    """What a group of names becomes."""

    CLASS = "class"
    ROW = "nn.Sequential"
    LIST = "nn.ModuleList"
    DICT = "nn.ModuleDict"
    NAMED = "nn.Sequential with names"
    NOTHING = "nothing"


@dataclass(slots=True, eq=False)
class Leaf:
    """A name without names inside it: a node, weights, or a node with weights of its own."""

    path: str
    name: str
    node: Node | None = None
    weights: Weights | None = None


@dataclass(slots=True, eq=False)
class Group:
    """The names that begin with one prefix.

    Attributes:
        path: The prefix, without the dot; empty for all names.
        name: Its last part.
        parent: The group around it.
        children: Leaves and groups by the part that follows the prefix, those with modules first
            and in the order of the ``state_dict``.
        nodes: All nodes inside, in the order of the spec.
        modules: Number of modules inside.
        kind: What it becomes.
        twin: The group whose weights its nodes use one by one, where it is that group called again.
        twins: The groups of which this is the twin.
        is_family: Whether it is a list whose members all read the same, so that one line calls
            them.
    """

    path: str
    name: str
    parent: Group | None
    children: dict[str, Leaf | Group] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    modules: int = 0
    kind: Kind = Kind.NOTHING
    twin: Group | None = None
    twins: list[Group] = field(default_factory=list)
    is_family: bool = False

    @property
    def is_unit(self) -> bool:
        """Whether it is called as a whole."""
        return self.kind in (Kind.CLASS, Kind.ROW)

    def holds(self, name: str) -> bool:
        """Return whether a full name is inside."""
        return not self.path or name.startswith(f"{self.path}.")

    def relative(self, name: str) -> str:
        """Return a full name without the prefix."""
        return name[len(self.path) + 1 :] if self.path else name

    def part_of(self, name: str) -> str:
        """Return the part of a full name that follows the prefix."""
        start = len(self.path) + 1 if self.path else 0
        end = name.find(".", start)
        return name[start : end if end >= 0 else len(name)]


def has_module(child: Leaf | Group) -> bool:
    """Return whether anything under a name is a module."""
    return child.modules > 0 if isinstance(child, Group) else child.weights is not None


def nodes_of(item: Node | Group) -> Collection[Node]:
    """Return the nodes of what is called: itself, or those inside."""
    return item.nodes if isinstance(item, Group) else (item,)


class Tree:
    """The tree of a graph's names.

    Attributes:
        graph: The graph.
        root: The group of all names.
        groups: All groups by prefix.
    """

    def __init__(self, graph: Graph) -> None:
        """Make the tree.

        Raises:
            SpecError: ``cannot-eject`` if names nest too deeply.
        """
        self.graph = graph
        self.root = Group("", "", None)
        self.groups: dict[str, Group] = {"": self.root}
        self._positions = {name: number for number, name in enumerate(graph.nodes)}
        self._readers: dict[str, list[tuple[str, int]]] = {}
        self._heads = set(graph.heads.values())
        for name, weights in graph.weights.items():
            if weights.is_module and weights.layer_of is None:
                self._leaf(name, module=True).weights = weights
        for name, node in graph.nodes.items():
            self._leaf(name, module=False).node = node
            for group in self.around(name):
                group.nodes.append(node)
            for edge in node.inputs:
                self._readers.setdefault(edge.node, []).append((name, edge.port or 0))

    def _leaf(self, name: str, module: bool) -> Leaf:
        parts = name.split(".")
        if len(parts) > MOST_NESTED:
            message = f"`{name[:60]}...` nests more than {MOST_NESTED} deep"
            raise fail(Code.CANNOT_EJECT, message, "use fewer dots in the names")
        group = self.root
        group.modules += module
        for end in range(1, len(parts)):
            path = ".".join(parts[:end])
            inner = self.groups.get(path)
            if inner is None:
                inner = Group(path, parts[end - 1], group)
                self.groups[path] = group.children[parts[end - 1]] = inner
            inner.modules += module
            group = inner
        leaf = group.children.setdefault(parts[-1], Leaf(name, parts[-1]))
        assert isinstance(leaf, Leaf)
        return leaf

    def position(self, item: Node | Group) -> int:
        """Return the place of a node, or of a group's first, in the spec."""
        return min(self._positions[node.name] for node in nodes_of(item))

    def around(self, name: str) -> Iterator[Group]:
        """Yield the groups around the name of a node, or of a layer in one, from the outside in."""
        yield self.root
        end = name.find(".")
        while end >= 0 and name[:end] in self.groups:
            yield self.groups[name[:end]]
            end = name.find(".", end + 1)

    # -- what a group reads and gives -------------------------------------------------------------

    def inputs(self, group: Group) -> dict[Read, tuple[str, int]]:
        """Return what a group reads from outside, each with its first reader and which input."""
        found: dict[Read, tuple[str, int]] = {}
        for node in group.nodes:
            for number, edge in enumerate(node.inputs):
                if not group.holds(edge.node) or edge.node in self.graph.inputs:
                    found.setdefault(read_of(edge), (node.name, number))
        return found

    def reads(self, item: Group) -> list[Read]:
        """Return what a unit is called with, in the order in which it takes it."""
        if item.twin is None:
            return list(self.inputs(item))
        found = []
        for first, number in self.inputs(item.twin).values():
            ours = self.graph.nodes[f"{item.path}.{item.twin.relative(first)}"]
            found.append(read_of(ours.inputs[number]))
        return found

    def outputs(self, group: Group) -> list[tuple[str, int]]:
        """Return the nodes of a group that are read outside, with the output that is."""
        found: dict[tuple[str, int], None] = {}
        for node in group.nodes:
            for reader, port in self._readers.get(node.name, ()):
                if not group.holds(reader):
                    found[node.name, port] = None
            if node.name in self._heads:
                found[node.name, 0] = None
        return list(found)

    def gives(self, unit: Group) -> list[tuple[str, int]]:
        """Return what a unit returns to any of its callers: nodes by relative name, and outputs."""
        found: dict[tuple[str, int], None] = {}
        for caller in (unit, *unit.twins):
            given = ((caller.relative(name), port) for name, port in self.outputs(caller))
            found.update(dict.fromkeys(given))
        return list(found)

    def ports_read(self, name: str) -> set[int]:
        """Return which outputs of a node are read by any node, or are a result."""
        found = {port for _, port in self._readers.get(name, ())}
        return found | {0} if name in self._heads else found

    def wish(self, unit: Group, name: str) -> str:
        """Return the name under which a unit's output is known outside: as short as is clear.

        Args:
            unit: The unit.
            name: The node inside it that gives the output.
        """
        if len(self.gives(unit.twin or unit)) == 1:
            return unit.path
        for group in self.around(name):
            inside = len(group.path) > len(unit.path)
            if inside and group.is_unit and len(self.gives(group)) == 1:
                return group.path
        return name

    # -- what is called where ---------------------------------------------------------------------

    def scopes(self) -> list[Group]:
        """Return the groups that become classes, the whole first, each before those inside it."""
        found: list[Group] = []
        waiting = [self.root]
        while waiting:
            group = waiting.pop()
            if group.kind is Kind.CLASS:
                found.append(group)
            waiting += [item for item in reversed(self.items(group)) if isinstance(item, Group)]
        return found

    def items(self, scope: Group) -> list[Node | Group]:
        """Return what is called in a scope: nodes, units, families, also those in containers."""
        found: list[Node | Group] = []
        waiting: list[Leaf | Group] = list(reversed(scope.children.values()))
        while waiting:
            child = waiting.pop()
            if isinstance(child, Group):
                if child.is_unit or child.twin is not None or child.is_family:
                    found.append(child)
                else:
                    waiting += reversed(child.children.values())
            elif child.node is not None:
                found.append(child.node)
        return found

    def members(self, family: Group) -> list[tuple[str, int]]:
        """Return the one output of each member of a family, in order."""
        found: list[tuple[str, int]] = []
        for number in range(len(family.children)):
            child = family.children[str(number)]
            found.append((child.path, 0) if isinstance(child, Leaf) else self.outputs(child)[0])
        return found

    def dependencies(self, items: Iterable[Node | Group]) -> nx.DiGraph[int]:
        """Return which of the items of a scope reads which, by number."""
        listed = list(items)
        owner = {n.name: i for i, item in enumerate(listed) for n in nodes_of(item)}
        digraph: nx.DiGraph[int] = nx.DiGraph()
        digraph.add_nodes_from(range(len(listed)))
        for number, item in enumerate(listed):
            for node in nodes_of(item):
                for edge in node.inputs:
                    before = owner.get(edge.node)
                    if before is not None and before != number:
                        digraph.add_edge(before, number)
        return digraph
