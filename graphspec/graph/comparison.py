"""Two topologies side by side: how they differ, what each costs and shares, which weights fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from graphspec.graph import passes
from graphspec.graph.analysis import Analysis, analyse
from graphspec.graph.difference import Difference, difference
from graphspec.graph.ir import Graph
from graphspec.graph.reachability import Sharing, sharing
from graphspec.graph.transfer import Transfer, saved_shapes, transfer
from graphspec.language.changes import Change


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        graph: Its typed graph, unused nodes included.
        lean: What is compiled of it: unused nodes left out.
        cost: What that costs.
        sharing: What that shares, and which tasks train it.
    """

    graph: Graph
    lean: Graph
    cost: Analysis
    sharing: Sharing


@dataclass(frozen=True)
class Comparison:
    """Two topologies side by side.

    Attributes:
        old: The first.
        new: The second.
        structure: How the second differs from the first, unused nodes included.
        settings: How data, recipe and the tasks' losses differ.
        transfer: Which weights of the first the second can take over.
    """

    old: Side
    new: Side
    structure: Difference
    settings: tuple[Change, ...]
    transfer: Transfer

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs: neither the graph, nor data, nor recipe."""
        return self.structure.is_empty and not self.settings

    @cached_property
    def pairs(self) -> tuple[tuple[str | None, str | None], ...]:
        """Every node by its old and its new name: those that were removed, then the new ones."""
        before = self.structure.old_names
        found: list[tuple[str | None, str | None]] = [
            (node.name, None)
            for node in self.old.graph.order
            if node.name in self.structure.removed
        ]
        for node in self.new.graph.order:
            is_new = node.name in self.structure.added
            found.append((None if is_new else before.get(node.name, node.name), node.name))
        return tuple(found)

    def sizes(self) -> Iterator[tuple[str, Size | None, Size | None]]:
        """Yield each node whose parameters or FLOPs differ, by its new name if it has one.

        A node that no head reads has no size: it is not compiled.
        """
        for before, after in self.pairs:
            sizes = [_size(self.old, before), _size(self.new, after)]
            if sizes[0] != sizes[1]:
                yield str(after or before), sizes[0], sizes[1]

    def trained(self) -> Iterator[tuple[str, frozenset[str] | None, frozenset[str] | None]]:
        """Yield which tasks train each node with weights in the first and in the second.

        None where there is no such node, or where it has no weights.
        """
        for before, after in self.pairs:
            found = (_trained(self.old, before), _trained(self.new, after))
            if found != (None, None):
                yield str(after or before), *found


@dataclass(frozen=True, slots=True)
class Size:
    """Parameters that are counted at a node, and its FLOPs per sample."""

    parameters: int
    flops: int

    @property
    def is_any(self) -> bool:
        """Whether there is anything to count."""
        return bool(self.parameters or self.flops)

    def __add__(self, other: Size | None) -> Size:
        if other is None:
            return self
        return Size(self.parameters + other.parameters, self.flops + other.flops)


def compare(old: Graph, new: Graph, settings: tuple[Change, ...] = ()) -> Comparison:
    """Return two typed graphs side by side.

    Args:
        old: The first, unused nodes included.
        new: The second likewise.
        settings: How the rest of their specs differs.
    """
    sides = []
    for graph in (old, new):
        lean = passes.run(graph)
        sides.append(Side(graph, lean, analyse(lean), sharing(lean)))
    found = difference(old, new)
    fits = transfer(sides[1].lean, saved_shapes(sides[0].lean), old_names=found.old_names)
    return Comparison(sides[0], sides[1], found, settings, fits)


def _size(side: Side, name: str | None) -> Size | None:
    cost = side.cost.nodes.get(name) if name is not None else None
    return None if cost is None else Size(cost.counted, cost.flops)


def _trained(side: Side, name: str | None) -> frozenset[str] | None:
    by: Mapping[str, frozenset[str]] = side.sharing.trained_by
    return by.get(name) if name is not None else None
