"""Nodes that are the same in two topologies but for their name.

A node was renamed if its op, arguments and shapes are the same, and so is its position: what it
reads, and who reads it. Names that both topologies have are the fixed points: what lies between
them is compared by its structure, as colour refinement does, so a chain of renamed nodes is found
like a single one. Where two nodes could be meant, none is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from graphspec.graph.ir import Edge, Graph, Node, Weights
from graphspec.language.changes import words

_Colours = Mapping[str, Hashable]


def renamed(old: Graph, new: Graph) -> dict[str, str]:
    """Return the new name of each node that has another name now, in the order of the new graph.

    Args:
        old: A typed graph.
        new: Another.

    Example:
        ``image -> fc -> head`` and ``image -> dense -> head`` give ``{"fc": "dense"}``, if the two
        are alike.
    """
    common = old.nodes.keys() & new.nodes.keys()
    if len(common) == len(old.nodes) or len(common) == len(new.nodes):
        return {}
    numbers: dict[Hashable, int] = {}

    def number(colour: Hashable) -> int:
        return numbers.setdefault(colour, len(numbers))

    downward = [_downward(graph, common, number) for graph in (old, new)]
    upward = [_upward(graph, common, number) for graph in (old, new)]
    whole = [{n: (d[n], u[n]) for n in d} for d, u in zip(downward, upward, strict=True)]
    found = dict(_pairs(whole[0], whole[1]))
    # Who reads it may differ, as long as it is clear who is meant and one reader stayed.
    taken = set(found.values())
    first = {name: colour for name, colour in downward[0].items() if name not in found}
    second = {name: colour for name, colour in downward[1].items() if name not in taken}
    likely = dict(_pairs(first, second))
    readers = [_readers(graph) for graph in (old, new)] if likely else []
    for name in (node.name for node in reversed(old.order) if node.name in likely):
        stayed = (r for r in readers[0].get(name, ()) if r in found or r in common)
        if {found.get(r, r) for r in stayed} & readers[1].get(likely[name], set()):
            found[name] = likely[name]
    by_new = {after: before for before, after in found.items()}
    return {by_new[name]: name for name in new.nodes if name in by_new}


def _pairs(old: _Colours, new: _Colours) -> Iterable[tuple[str, str]]:
    """Yield the nodes whose colour no other node of their graph has."""
    sides = []
    for colours in (old, new):
        found: dict[Hashable, list[str]] = {}
        for name, colour in colours.items():
            found.setdefault(colour, []).append(name)
        sides.append(found)
    for colour, names in sides[0].items():
        others = sides[1].get(colour, [])
        if len(names) == len(others) == 1:
            yield names[0], others[0]


def _downward(
    graph: Graph, common: Iterable[str], number: Callable[[Hashable], int]
) -> dict[str, Hashable]:
    """Return for each node of one graph alone what it is and what it reads."""
    fixed = set(common)
    found: dict[str, Hashable] = {}
    for node in graph.order:
        if node.name not in fixed:
            reads = tuple((found.get(e.node, e.node), *_policy(e)) for e in node.inputs)
            found[node.name] = number((_kind(graph, node, fixed), reads))
    return found


def _upward(
    graph: Graph, common: Iterable[str], number: Callable[[Hashable], int]
) -> dict[str, Hashable]:
    """Return for each node of one graph alone who reads it, and at which place."""
    fixed = set(common)
    found: dict[str, Hashable] = {}
    uses: dict[str, list[tuple[str, Any]]] = {}
    for node in reversed(graph.order):
        if node.name not in fixed:
            readers = ((found.get(r, r), *rest) for r, rest in uses.get(node.name, ()))
            kind = _kind(graph, node, fixed)
            found[node.name] = number((kind, tuple(sorted(readers, key=repr))))
        for place, edge in enumerate(node.inputs):
            uses.setdefault(edge.node, []).append((node.name, (place, *_policy(edge))))
    return found


def _readers(graph: Graph) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in graph.order:
        for edge in node.inputs:
            found.setdefault(edge.node, set()).add(node.name)
    return found


def _policy(edge: Edge) -> tuple[Hashable, ...]:
    return (edge.port, edge.name, edge.form, edge.detach, edge.gradient_scale)


def _kind(graph: Graph, node: Node, fixed: set[str]) -> Hashable:
    """Return what a node is, whatever its name: its weights, its task, its shapes."""
    weights = graph.weights[node.weights]
    owner = "own" if weights.name == node.name else _known(weights.name, fixed)
    return (owner, node.task, node.outputs, node.ports, _structure(weights, fixed))


def _structure(weights: Weights, fixed: set[str]) -> Hashable:
    steps = tuple((step.op.name, words(step.args.model_dump())) for step in weights.steps)
    ties = tuple((n, _known(t.owner, fixed), t.parameter) for n, t in weights.ties.items())
    inits = tuple((i.parameter, i.function, words(i.kwargs)) for i in weights.inits)
    others = (weights.layer_of, weights.parameters_of, weights.copy_of)
    relations = tuple(each and _known(each, fixed) for each in others)
    return (weights.sequence, steps, ties, inits, relations, weights.trainable)


def _known(name: str, fixed: set[str]) -> str:
    """Return the name of other weights, or nothing where that itself may have changed."""
    return name if name in fixed else ""
