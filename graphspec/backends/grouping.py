"""Which boxes of a diagram belong together: instances of blocks, open or closed.

An open instance is a frame around its nodes, a closed one is a single box. The closed instances of
one ``repeat`` or ``copies`` are one box together, as a large network is read: ``layer3 ×6``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphspec.graph.ir import Graph, Node


@dataclass(frozen=True, slots=True)
class Closed:
    """A box that stands for one or several instances of a block.

    Attributes:
        name: Name of the instance, or of the group of them.
        block: The block.
        instances: How many instances it stands for.
        nodes: Their nodes, in topological order.
    """

    name: str
    block: str
    instances: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """An open instance.

    Attributes:
        name: Its name.
        block: The block.
        parent: Name of the frame around it; empty where it is outermost.
    """

    name: str
    block: str
    parent: str


@dataclass(frozen=True, slots=True)
class Grouping:
    """How the nodes of a graph are drawn.

    Attributes:
        box_of: For each node the name of its box: its own, or that of a closed one.
        closed: The closed boxes by name.
        frame_of: For each box the innermost frame around it; boxes outside all are left out.
        frames: The frames, each after the one around it.
    """

    box_of: Mapping[str, str]
    closed: Mapping[str, Closed]
    frame_of: Mapping[str, str]
    frames: tuple[Frame, ...]


def group(graph: Graph, depth: int | None = None) -> Grouping:
    """Group the nodes of a graph by the instances of blocks that they are part of.

    Args:
        graph: A typed graph.
        depth: How many levels of instances are open; None for all. At 0 each instance that the
            spec's own nodes make is closed.
    """
    shut: dict[str, list[Node]] = {}
    boxes: dict[str, str] = {}
    frames: dict[str, Frame] = {}
    inside: dict[str, str] = {}
    for node in graph.order:
        chain = _instances(graph, node.name)
        is_shut = depth is not None and len(chain) > depth
        boxes[node.name] = chain[depth or 0] if is_shut else node.name
        if is_shut:
            shut.setdefault(chain[depth or 0], []).append(node)
        opened = [name for name in chain[:depth] if name != node.name]
        for parent, name in zip(["", *opened], opened, strict=False):
            frames.setdefault(name, Frame(name, graph.blocks[name], parent))
        if opened:
            inside[boxes[node.name]] = opened[-1]
    merged = _merged(graph, shut)
    for name, nodes in list(shut.items()):
        if len(nodes) == 1 and name not in merged:  # the node itself says more
            boxes[nodes[0].name] = nodes[0].name
            if name in inside:
                inside[nodes[0].name] = inside.pop(name)
            del shut[name]
    return Grouping(
        {name: merged.get(box, box) for name, box in boxes.items()},
        _closed(graph, shut, merged),
        {merged.get(box, box): frame for box, frame in inside.items()},
        tuple(frames.values()),
    )


def _instances(graph: Graph, name: str) -> list[str]:
    """Return the instances that a node is part of, the outermost first."""
    if not graph.blocks:
        return []
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return [prefix for prefix in prefixes if prefix in graph.blocks]


def _merged(graph: Graph, shut: Mapping[str, list[Node]]) -> dict[str, str]:
    """Return for each closed instance that is drawn with others the name of their group.

    They are numbered, of one block, and serve the same tasks.
    """
    groups: dict[str, list[str]] = {}
    for name in shut:
        group, _, number = name.rpartition(".")
        if group and number.isdecimal() and group not in graph.nodes:
            groups.setdefault(group, []).append(name)
    return {
        name: group
        for group, names in groups.items()
        if len({(graph.blocks[each], _tasks(graph, shut[each])) for each in names}) == 1
        for name in names
    }


def _tasks(graph: Graph, nodes: list[Node]) -> frozenset[str]:
    return frozenset().union(*(graph.tasks_of[node.name] for node in nodes))


def _closed(
    graph: Graph, shut: Mapping[str, list[Node]], merged: Mapping[str, str]
) -> dict[str, Closed]:
    found: dict[str, Closed] = {}
    for name, nodes in shut.items():
        box = merged.get(name, name)
        known = found.get(box, Closed(box, graph.blocks[name], 0, ()))
        found[box] = Closed(box, known.block, known.instances + 1, (*known.nodes, *nodes))
    return found
