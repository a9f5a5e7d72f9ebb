"""The difference of two specs as plain data, for JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from graphspec.backends.wording import call_text, edge_text
from graphspec.graph.comparison import Comparison, Side, Size
from graphspec.language.changes import Change


def record(found: Comparison, labels: tuple[str, str]) -> dict[str, Any]:
    """Return how two specs differ as plain data.

    Args:
        found: The two side by side.
        labels: What to call them.

    Returns:
        A mapping that JSON can hold. ``a`` is the first of the two and ``b`` the second; null
        stands for what one of them does not have.
    """
    structure = found.structure
    return {
        "a": _side(found.old, labels[0]),
        "b": _side(found.new, labels[1]),
        "same": found.is_empty,
        "inputs": _changes(structure.inputs),
        "tasks": _changes(structure.tasks),
        "removed": [_node(found.old, name) for name in structure.removed],
        "added": [_node(found.new, name) for name in structure.added],
        "renamed": dict(structure.renamed),
        "changed": {name: _changes(each) for name, each in structure.changed.items()},
        "sizes": {name: {"a": _size(a), "b": _size(b)} for name, a, b in found.sizes()},
        "trained_by": {
            name: {"a": _tasks(a), "b": _tasks(b)} for name, a, b in found.trained() if a != b
        },
        "settings": _changes(found.settings),
        "transfer": {"taken": found.transfer.taken, "left": found.transfer.left},
    }


def _side(side: Side, label: str) -> dict[str, Any]:
    cost = side.cost
    return {
        "name": label,
        "nodes": len(side.lean.nodes),
        "parameters": cost.parameters,
        "naive_parameters": cost.naive_parameters,
        "frozen_parameters": cost.frozen_parameters,
        "flops": cost.flops,
        "activation_bytes": cost.activation_bytes,
        "shared": {
            each.owner: [{"node": u.node, "how": u.how, "what": u.what} for u in each.links]
            for each in side.sharing.owners
        },
    }


def _changes(changes: Iterable[Change]) -> list[dict[str, str | None]]:
    return [{"what": each.what, "a": each.old, "b": each.new} for each in changes]


def _node(side: Side, name: str) -> dict[str, Any]:
    node = side.graph.nodes[name]
    cost = side.cost.nodes.get(name)
    return {
        "name": name,
        "op": side.graph.weights[node.weights].op_name,
        "description": call_text(side.graph, node),
        "reads": [edge_text(edge) for edge in node.inputs],
        "gives": [str(kind) for kind in node.outputs],
        "used": cost is not None,
    }


def _size(size: Size | None) -> dict[str, int] | None:
    return None if size is None else {"parameters": size.parameters, "flops": size.flops}


def _tasks(tasks: Collection[str] | None) -> list[str] | None:
    return None if tasks is None else sorted(tasks)
