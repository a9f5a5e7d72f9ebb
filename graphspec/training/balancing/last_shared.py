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

    Looked at are the nodes whose parameters the most losses reach; those with a weight matrix or
    kernel, if there are any. The last of them that lies on every way from an input to the heads of
    those tasks is taken: there their gradients come together whole. In hard parameter sharing that
    is the end of the trunk, also where one head feeds another. Where no node lies on all ways, it
    is every one after which there is no other, such as all the experts of a mixture. Of each node's
    parameters the last matrix or kernel counts, as in the paper's "last shared layer of weights";
    where there is none, all of them.

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
    widest = {
        owner: max((site.reached(name) for name in names), key=len)
        for owner, names in owners.items()
    }
    most = max(len(tasks) for tasks in widest.values())
    tasks = next(each for each in reversed(widest.values()) if len(each) == most)
    measured = {
        owner: _last_matrix(site, [n for n in owners[owner] if site.reached(n) == tasks])
        for owner, each in widest.items()
        if each == tasks
    }
    matrices = {owner: names for owner, names in measured.items() if _is_matrix(site, names)}
    measured = matrices or measured
    found = _last(site.graph, list(measured), tasks)
    return tuple(name for owner in found for name in measured[owner]), tasks


def shares_at(graph: Graph, at: str, by_node: Mapping[str, Iterable[str]]) -> bool:
    """Return whether a node has shared parameters."""
    return _owner(graph, at, by_node) is not None


def _owner(graph: Graph, at: str, by_node: Mapping[str, Iterable[str]]) -> str | None:
    """Return the owner of the shared parameters that a node uses."""
    if at in by_node:
        return at
    node = graph.nodes.get(at)
    return node.weights if node is not None and node.weights in by_node else None


def _is_matrix(site: Site, names: Iterable[str]) -> bool:
    return any(site.parameters[name].type.rank > 1 for name in names)


def _last_matrix(site: Site, names: list[str]) -> list[str]:
    """Return the last of a node's parameters that is a matrix or kernel, or all of them."""
    return [name for name in names if _is_matrix(site, [name])][-1:] or names


def _last(graph: Graph, owners: list[str], tasks: frozenset[str]) -> list[str]:
    """Return the last owner on every way to the heads, or those after which there is no other.

    Args:
        graph: The graph.
        owners: Owners of parameters, in topological order.
        tasks: The tasks whose heads are meant.
    """
    calls = {node.name: owner for owner in owners for node in graph.calls[owner]}
    through = [calls[name] for name in _on_every_way(graph, tasks) if name in calls]
    if through:
        return [max(through, key=owners.index)]
    before: dict[str, bool] = {}
    for node in reversed(graph.order):
        after = graph.digraph.successors(node.name)
        before[node.name] = any(name in calls or before[name] for name in after)
    final = {owner for name, owner in calls.items() if not before[name]}
    return [owner for owner in owners if owner in final]


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
