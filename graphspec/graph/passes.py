"""Rewrites of a checked graph: each a function from graph to graph that changes no result."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from graphspec.errors import Code, did_you_mean, fail
from graphspec.graph.ir import Graph


def prune(graph: Graph) -> Graph:
    """Leave out nodes, weights and inputs that no head reads.

    Safe because a node has no effect but its outputs.

    Example:
        A graph ``image -> a -> head`` with a side branch ``a -> b`` becomes one without ``b``.
    """
    waiting = list(graph.heads.values())
    needed = set(waiting)
    while waiting:
        for edge in graph.nodes[waiting.pop()].inputs:
            if edge.node not in needed:
                needed.add(edge.node)
                if edge.node in graph.nodes:
                    waiting.append(edge.node)
    inputs = {name: type_ for name, type_ in graph.inputs.items() if name in needed}
    kept = graph.keep(needed)
    return kept if len(inputs) == len(graph.inputs) else replace(kept, inputs=inputs)


def select(graph: Graph, tasks: Collection[str] | None) -> Graph:
    """Return the graph with the heads of these tasks only; other heads stay where those read them.

    Args:
        graph: A checked graph.
        tasks: Names of tasks, or None for all.

    Raises:
        SpecError: ``unknown-task`` if no head predicts one of them.
    """
    if tasks is None:
        return graph
    for task in tasks:
        if task not in graph.heads:
            raise fail(
                Code.UNKNOWN_TASK,
                f"no head predicts the task `{task}`",
                did_you_mean(task, graph.heads, "tasks here"),
            )
    heads = {task: node for task, node in graph.heads.items() if task in tasks}
    return replace(graph, heads=heads, tasks={task: graph.tasks[task] for task in graph.tasks})


PASSES: tuple[Callable[[Graph], Graph], ...] = (prune,)
"""What runs before a backend, in this order."""


def run(graph: Graph) -> Graph:
    """Apply every pass in order."""
    for each in PASSES:
        graph = each(graph)
    return graph
