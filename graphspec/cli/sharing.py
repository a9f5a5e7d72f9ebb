"""What ``graphspec summary --sharing`` shows: who shares what, and which tasks train it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from graphspec.cli import terminal

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.graph.ir import Graph, Node
    from graphspec.graph.reachability import Link, Sharing

_HOW = {
    "module": "module",
    "parameters": "parameters, buffers of its own",
    "copy": "starts as a copy",
}


def show(graph: Graph, sharing: Sharing) -> None:
    """Print who shares what, which tasks train each node with weights, totals and notes."""
    from graphspec.errors import render_text

    if sharing.owners:
        terminal.show(_owners(sharing))
        print()
    terminal.show(_trained(graph, sharing))
    print("\n".join(["", *_totals(graph, sharing)]), flush=True)
    if sharing.notes:
        print(f"\n{render_text(sharing.notes)}", flush=True)


def _owners(sharing: Sharing) -> Table:
    table = _table("weights of", "used by", "how")
    table.add_column("saved", justify="right", overflow="fold")
    for shared in sharing.owners:
        for link in shared.links:
            saved = f"{link.parameters:,}" if link.parameters else ""
            table.add_row(shared.owner, link.node, _how(link), saved)
    return table


def _how(link: Link) -> str:
    return _HOW.get(link.how) or (link.what if link.how == "layer" else f"tied: {link.what}")


def _trained(graph: Graph, sharing: Sharing) -> Table:
    table = _table("node")
    table.add_column("parameters", justify="right", overflow="fold")
    table.add_column("trained by", overflow="fold")
    for node in graph.order:
        if node.name in sharing.trained_by:
            count = sum(t.size_per_sample for t in graph.weights[node.weights].parameters.values())
            table.add_row(node.name, f"{count:,}", trained_text(node, graph, sharing))
    return table


def _table(*titles: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _totals(graph: Graph, sharing: Sharing) -> list[str]:
    lines = [("parameters", f"{sharing.parameters:,}")]
    if sharing.naive_parameters != sharing.parameters:
        lines.append(("not shared", f"{sharing.naive_parameters:,} if every call had its own"))
    for tasks, count in _by_tasks(graph, sharing):
        words = f"trained by {_text(tasks, graph)}" if tasks else "not trained"
        lines.append(("", f"{count:,} {words}"))
    if sharing.frozen_parameters:
        lines.append(("", f"{sharing.frozen_parameters:,} frozen"))
    return [f"{label:<12}{text}" for label, text in lines]


def _by_tasks(graph: Graph, sharing: Sharing) -> list[tuple[list[str], int]]:
    """Return the numbers of parameters by tasks, most tasks first, frozen ones left out."""
    found = dict(sharing.by_tasks)
    none: frozenset[str] = frozenset()
    found[none] = found.get(none, 0) - sharing.frozen_parameters
    ordered = sorted(found, key=lambda tasks: (-len(tasks), sorted(tasks)))
    return [(_ordered(tasks, graph), found[tasks]) for tasks in ordered if found[tasks]]


def trained_by(node: Node, graph: Graph, sharing: Sharing) -> list[str]:
    """Return the tasks that train a node's weights, or whose gradient passes where it has none."""
    return _ordered(sharing.trained_by.get(node.name, graph.trained_by[node.name]), graph)


def trained_text(node: Node, graph: Graph, sharing: Sharing) -> str:
    """Return `trained_by` as a table shows it: tasks, ``all``, ``frozen`` or ``nothing``."""
    weights = graph.weights[node.weights]
    if weights.parameters and not weights.trainable:
        return "frozen"
    tasks = trained_by(node, graph, sharing)
    return _text(tasks, graph) if tasks or not weights.parameters else "nothing"


def _text(tasks: list[str], graph: Graph) -> str:
    return "all" if len(tasks) == len(graph.heads) > 1 else ", ".join(tasks)


def _ordered(tasks: Collection[str], graph: Graph) -> list[str]:
    return [task for task in graph.heads if task in tasks]


def taught(graph: Graph) -> list[str]:
    """Return the tasks whose true labels other nodes read while training."""
    found = {
        graph.nodes[edge.node].task
        for node in graph.nodes.values()
        for edge in node.inputs
        if edge.form == "teacher"
    }
    return sorted(str(task) for task in found)


def record(graph: Graph, sharing: Sharing) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "owners": [
            {
                "owner": shared.owner,
                "parameters": shared.parameters,
                "naive_parameters": shared.naive_parameters,
                "used_by": [
                    {
                        "node": link.node,
                        "how": link.how,
                        "what": link.what,
                        "parameters": link.parameters,
                    }
                    for link in shared.links
                ],
            }
            for shared in sharing.owners
        ],
        "trained_by": {name: _ordered(tasks, graph) for name, tasks in sharing.trained_by.items()},
        "by_tasks": [
            {"tasks": tasks, "parameters": count} for tasks, count in _by_tasks(graph, sharing)
        ],
        "frozen_parameters": sharing.frozen_parameters,
        "notes": [
            {
                "code": note.code.value,
                "location": note.location,
                "message": note.message,
                "hint": note.hint,
            }
            for note in sharing.notes
        ],
    }
