"""The order of the calls in a forward pass: that of the spec, as far as numbers allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

import networkx as nx

from graphspec.backends.source.tree import Group, Tree, nodes_of
from graphspec.graph.ir import Node


class Order:
    """Orders the calls of scopes."""

    def __init__(self, tree: Tree, is_touchy: Callable[[str], bool]) -> None:
        """Take what is needed for all scopes.

        Args:
            tree: The names.
            is_touchy: Whether calls of weights draw random numbers, or change buffers that other
                calls change too.
        """
        self._tree = tree
        self._is_touchy = is_touchy
        self._compiled = {node.name: number for number, node in enumerate(tree.graph.order)}

    def of(self, items: Sequence[Node | Group]) -> list[Node | Group]:
        """Return items such that each comes after what it reads; ties in the order of the spec.

        What is touchy keeps the order of the compiled module, so that training gives the same
        numbers, unless the nodes of two units take turns there.
        """
        before = self._tree.dependencies(items)
        touchy = [
            (min(self._compiled[node.name] for node in nodes_of(item)), number)
            for number, item in enumerate(items)
            if any(self._is_touchy(node.weights) for node in nodes_of(item))
        ]
        strict = before.copy()
        strict.add_edges_from((a, b) for (_, a), (_, b) in pairwise(sorted(touchy)))
        position = [self._tree.position(item) for item in items]
        found = _sorted(strict, position)
        if len(found) < len(items):
            found = _sorted(before, position)
        return [items[number] for number in found]


def _sorted(digraph: nx.DiGraph[int], position: Sequence[int]) -> list[int]:
    """Return numbers in topological order, ties by position; fewer where there is a circle."""
    open_ = {number: digraph.in_degree(number) for number in digraph}
    ready = [(position[number], number) for number, count in open_.items() if not count]
    heapify(ready)
    found: list[int] = []
    while ready:
        _, number = heappop(ready)
        found.append(number)
        for after in digraph.successors(number):
            open_[after] -= 1
            if not open_[after]:
                heappush(ready, (position[after], after))
    return found
