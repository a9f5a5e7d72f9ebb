"""Whose parameters the calls of a diagram use, so that its numbers add up and sharing is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphspec.graph.ir import Graph
from graphspec.graph.reachability import parameters


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose parameters the nodes of a graph use.

    Attributes:
        counts: For each node the number of parameters that are counted at it: those that its
            weights own, at the first call. All together they are the model's.
        lenders: For each node that uses parameters counted elsewhere the nodes where they are.
        users: For each weights whose parameters or buffers several nodes use, those nodes in
            topological order.
        shared: For each such node the weights, its own before another's.
        numbers: For each such weights its number, by name, from 0.
    """

    counts: Mapping[str, int]
    lenders: Mapping[str, tuple[str, ...]]
    users: Mapping[str, tuple[str, ...]]
    shared: Mapping[str, str]
    numbers: Mapping[str, int]


def ownership(graph: Graph) -> Ownership:
    """Return whose parameters the nodes of a typed graph use."""
    sizes: dict[str, int] = {}
    owners: dict[str, dict[str, None]] = {}
    for parameter in parameters(graph).values():
        sizes[parameter.owner] = sizes.get(parameter.owner, 0) + parameter.count
        for user in parameter.users:
            owners.setdefault(user, {})[parameter.owner] = None
    users: dict[str, list[str]] = {}
    for node in graph.order:
        used = dict(owners.get(node.weights, {}))
        if graph.weights[node.weights].buffers:
            used[node.weights] = None
        for owner in used:
            users.setdefault(owner, []).append(node.name)
    # Pruning may have taken the owner's own call away: then the first call that is left counts.
    counting = {
        owner: owner if owner in graph.nodes else nodes[0] for owner, nodes in users.items()
    }
    counts: dict[str, int] = {}
    for owner, size in sizes.items():
        counts[counting[owner]] = counts.get(counting[owner], 0) + size
    lenders = {
        node.name: tuple(
            counting[owner]
            for owner in owners.get(node.weights, {})
            if counting[owner] != node.name
        )
        for node in graph.order
    }
    several = {owner: tuple(users[owner]) for owner in sorted(users) if len(users[owner]) > 1}
    shared: dict[str, str] = {}
    for owner, nodes in several.items():
        for name in nodes:
            if name not in shared or graph.nodes[name].weights == owner:
                shared[name] = owner
    return Ownership(
        counts,
        {name: each for name, each in lenders.items() if each},
        several,
        shared,
        {owner: number for number, owner in enumerate(several)},
    )
