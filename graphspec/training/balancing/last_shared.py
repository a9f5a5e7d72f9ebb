"""Where GradNorm measures: the last parameters that the tasks share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import networkx as nx

from graphspec.training.balancing.site import Site

if TYPE_CHECKING:
    from graphspec.graph.ir import Graph

_ROOT = ""
"""A node before all inputs; a spec cannot have this name."""


def last_shared(site: Site, at: str | None = None) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the parameters at which the gradients of the tasks are comparable.

    Among the nodes whose parameters the most losses reach, it is the last one that lies on every
    way from an input to the heads of those tasks: there their gradients come together whole. In
    hard parameter sharing that is the end of the trunk, also where one head feeds another. Where no
    node lies on all ways, it is the last of them in topological order. Of the node's parameters
    it is the last weight matrix or kernel that is shared, as in the paper's "last shared layer of
    weights"; where there is none, all of them.

    Args:
        site: The model.
        at: The node to take instead.

    Returns:
        Names of parameters, and the tasks whose losses reach them; both are empty where nothing is
        shared.
    """
    owners = dict(site.by_node)
    if at is not None:
        chosen = _owner(site.graph, at, owners)
        owners = {chosen: owners[chosen]} if chosen is not None else {}
    if not owners:
        return (), frozenset()
    reached = {
        owner: max((site.reached(name) for name in names), key=len)
        for owner, names in owners.items()
    }
    most = max(len(tasks) for tasks in reached.values())
    widest = [owner for owner in owners if len(reached[owner]) == most]
    tasks = reached[widest[-1]]
    through = _on_every_way(site.graph, tasks)
    owner = widest[-1]
    for each in widest:
        calls = {node.name for node in site.graph.calls[each]}
        if reached[each] == tasks and calls & through:
            owner = each
    names = [name for name in owners[owner] if site.reached(name) == reached[owner]]
    matrices = [name for name in names if site.model.get_parameter(name).dim() > 1]
    return tuple(matrices[-1:] or names), reached[owner]


def shares_at(graph: Graph, at: str, by_node: Mapping[str, Iterable[str]]) -> bool:
    """Return whether a node has shared parameters."""
    return _owner(graph, at, by_node) is not None


def _owner(graph: Graph, at: str, by_node: Mapping[str, Iterable[str]]) -> str | None:
    """Return the owner of the shared parameters that a node uses."""
    if at in by_node:
        return at
    node = graph.nodes.get(at)
    return node.weights if node is not None and node.weights in by_node else None


def _on_every_way(graph: Graph, tasks: frozenset[str]) -> set[str]:
    """Return the nodes on every way from an input to every head of these tasks."""
    ways = graph.digraph.copy()
    ways.add_edges_from([(_ROOT, name) for name in graph.digraph if not graph.digraph.pred[name]])
    above = nx.immediate_dominators(ways, _ROOT)
    found: set[str] | None = None
    for task in tasks:
        chain = set()
        name: str | None = graph.heads[task]
        while name is not None and name != _ROOT:
            chain.add(name)
            name = above.get(name)
        found = chain if found is None else found & chain
    return found or set()
