"""Weights that only other weights need: not modules of the model, but variables of its constructor.

Where an owner is not called by any node (its call was pruned away, or only one of its layers is
used), the compiled model does not have it, but still shares its parameters or starts with its
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from graphspec.graph.inits import matching
from graphspec.graph.ir import Graph, Init, Weights, needed_by


@dataclass(frozen=True)
class Lean:
    """A graph without what no node calls.

    Attributes:
        graph: The graph; a layer whose sequence is not called owns its weights.
        hidden: Weights that no node calls, but others share, copy or are tied to.
    """

    graph: Graph
    hidden: Mapping[str, Weights]


def lean(graph: Graph) -> Lean:
    """Return a graph with the weights that nodes call, and apart from them those that only help."""
    called = {node.weights for node in graph.nodes.values()}
    kept: dict[str, Weights] = {}
    for name, weights in graph.weights.items():
        if name in called:
            alone = weights.layer_of is not None and weights.layer_of not in called
            kept[name] = _own(weights, graph.weights) if alone else weights
    needs = [other for w in kept.values() if w.layer_of is None for other in w.needs]
    needed = needed_by(graph.weights, needs)
    hidden = {
        name: weights
        for name, weights in graph.weights.items()
        if name in needed and name not in called and weights.is_module and weights.layer_of is None
    }
    for name, weights in kept.items():
        if graph.weights[name].layer_of in hidden:
            kept[name] = replace(weights, parameters_of=name, copy_of=None, inits=())
    return Lean(replace(graph, weights=kept), hidden)


def _own(layer: Weights, weights: Mapping[str, Weights]) -> Weights:
    """Return a layer as weights of its own, with what its sequence says about it."""
    parent = weights[str(layer.layer_of)]
    last = layer.name[len(parent.name) :]
    prefix = f"{last[1:]}."
    ranks = {name: type_.rank for name, type_ in parent.parameters.items()}
    inits = tuple(
        Init(name.removeprefix(prefix), init.function, init.kwargs, init.span)
        for init in parent.inits
        for name in matching(init, ranks)
        if name.startswith(prefix)
    )
    ties = {n.removeprefix(prefix): tie for n, tie in parent.ties.items() if n.startswith(prefix)}
    return replace(
        layer,
        layer_of=None,
        parameters_of=parent.parameters_of and parent.parameters_of + last,
        copy_of=parent.copy_of and parent.copy_of + last,
        ties=ties,
        inits=inits,
    )
