"""``graphspec summary``: shapes, parameters, cost and sharing of a topology, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphspec.cli import sharing as shared
from graphspec.cli import terminal
from graphspec.cli.options import (
    Assignments,
    DataName,
    DataRoot,
    Format,
    MemoryLimit,
    Plugins,
    Specs,
    Tasks,
    TextOrJson,
    overrides,
    split,
)

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.compiler import Checked
    from graphspec.graph.analysis import Analysis
    from graphspec.graph.ir import Graph, Node
    from graphspec.graph.reachability import Sharing

EXAMPLES = (
    "graphspec summary arch5",
    "graphspec summary specs/arch5.yaml --set width=16 --tasks fine",
    "graphspec summary zoo/ple --sharing",
    "graphspec summary arch1 arch5 --format json",
)


@dataclass(frozen=True)
class _Page:
    """What is said of one spec: its graph, what it costs and shares, the batch of its recipe."""

    graph: Graph
    cost: Analysis
    sharing: Sharing
    batch: int


def command(
    specs: Specs,
    tasks: Tasks = None,
    assignments: Assignments = None,
    data: DataName = None,
    data_root: DataRoot = None,
    memory_limit: MemoryLimit = None,
    plugins: Plugins = None,
    sharing: Annotated[
        bool,
        typer.Option("--sharing", help="Who shares what, and which tasks train which weights."),
    ] = False,
    form: TextOrJson = Format.TEXT,
) -> None:
    """Show shapes, parameters, costs and what is shared."""
    from graphspec import compiler

    asked = overrides(assignments, data=data, data_root=data_root)
    wanted = split(tasks)
    records = []
    for number, spec in enumerate(specs):
        checked = compiler.check(spec, asked, memory_limit)
        terminal.report(checked.warnings)
        page = _page(checked, wanted)
        if form is Format.JSON:
            extra = {"sharing": shared.record(page.graph, page.sharing)} if sharing else {}
            records.append({**record(page), **extra})
            continue
        title = page.graph.name + (f": {page.graph.description}" if page.graph.description else "")
        print("\n" * bool(number) + f"{title}\n")
        if sharing:
            shared.show(page.graph, page.sharing)
            continue
        terminal.show(_wide(page), partial(_narrow, page))
        print("\n".join(["", *_totals(page)]), flush=True)
    if form is Format.JSON:
        shown: Any = records[0] if len(specs) == 1 else records
        print(json.dumps(shown, indent=2, ensure_ascii=False))


def _page(checked: Checked, tasks: list[str] | None) -> _Page:
    from graphspec import compiler
    from graphspec.graph import analysis, passes

    graph = passes.run(passes.select(checked.graph, tasks))
    cost = analysis.analyse(graph)
    return _Page(graph, cost, compiler.sharing(graph), checked.spec.train.batch_size)


def _wide(page: _Page) -> Table:
    """Return one row a node."""
    table = _empty("node", "op", "reads", "gives")
    for row in _rows(page):
        table.add_row(row.node, row.op, row.reads, row.gives, *row.numbers, row.trained)
    return table


def _narrow(page: _Page) -> Table:
    """Return what a node does and reads below its name, for 80 columns."""
    table = _empty("node", "gives")
    for row in _rows(page):
        below = [row.op] + ([f"from {row.reads}"] if row.reads else [])
        node = "\n".join([row.node, *(f"  {text}" for text in below)])
        table.add_row(node, row.gives, *row.numbers, row.trained)
    return table


def _empty(*titles: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    for title in ("parameters", "FLOPs", "memory"):
        table.add_column(title, justify="right", overflow="fold")
    table.add_column("trained by", overflow="fold")
    return table


@dataclass(frozen=True)
class _Row:
    """What the table says of a node or an input."""

    node: str
    op: str
    reads: str
    gives: str
    numbers: tuple[str, str, str] = ("", "", "")
    trained: str = ""


def _rows(page: _Page) -> Iterator[_Row]:
    from graphspec.backends.wording import call_text, count_text, edge_text
    from graphspec.graph.analysis import bytes_text

    for name, kind in page.graph.inputs.items():
        yield _Row(name, "input", "", str(kind))
    for node in page.graph.order:
        cost = page.cost.nodes[node.name]
        yield _Row(
            node.name,
            call_text(page.graph, node),
            ", ".join(edge_text(edge) for edge in node.inputs),
            "; ".join(str(kind) for kind in node.outputs),
            (
                _parameters(node, page),
                count_text(cost.flops) if cost.flops else "",
                bytes_text(cost.activation_bytes) if cost.activation_bytes else "",
            ),
            shared.trained_text(node, page.graph, page.sharing),
        )


def _parameters(node: Node, page: _Page) -> str:
    """Return how many parameters a node has; those of another are counted there."""
    cost = page.cost.nodes[node.name]
    other = cost.parameters - cost.counted
    if not other:
        return f"{cost.parameters:,}" if cost.parameters else ""
    shown = ", ".join(cost.elsewhere)
    return f"{cost.counted:,} + {other:,} of {shown}" if cost.counted else f"shared with {shown}"


def _totals(page: _Page) -> list[str]:
    from graphspec.backends.wording import count_text
    from graphspec.graph.analysis import bytes_text

    cost = page.cost
    parameters = f"{cost.parameters:,} ({count_text(cost.parameters)})"
    if cost.naive_parameters != cost.parameters:
        parameters += f"; {cost.naive_parameters:,} if nothing were shared"
    if cost.frozen_parameters:
        parameters += f"; {cost.frozen_parameters:,} frozen"
    training = bytes_text(cost.training_bytes(page.batch))
    lines = [
        ("parameters", parameters),
        ("FLOPs", f"{count_text(cost.flops)} per sample, forward"),
        ("activations", f"{bytes_text(cost.activation_bytes)} per sample"),
        (
            "training",
            f"about {training} with batches of {page.batch}",
        ),
    ]
    taught = shared.taught(page.graph)
    if taught:
        lines.append(("labels", f"training needs the true labels of {', '.join(taught)}"))
    if cost.shared:
        calls = "; ".join(f"{owner}: {', '.join(names)}" for owner, names in cost.shared.items())
        lines.append(("shared", calls))
    return [f"{label:<12}{text}" for label, text in lines]


def record(page: _Page) -> dict[str, Any]:
    """Return a summary as plain data; ``N`` in a shape is the batch."""
    from graphspec.backends.wording import call_text, policy_text
    from graphspec.ops.types import size_text

    def shape(kind: Any) -> list[Any]:
        sizes = (size_text(size) for size in kind.shape)
        return [int(text) if text.isdigit() else text for text in sizes]

    graph, cost = page.graph, page.cost
    nodes = [
        {
            "name": node.name,
            "op": graph.weights[node.weights].op_name,
            "description": call_text(graph, node),
            "reads": [str(edge) for edge in node.inputs],
            "policies": [policy_text(edge) for edge in node.inputs],
            "outputs": [{"shape": shape(kind), "dtype": kind.dtype} for kind in node.outputs],
            "weights": node.weights,
            "parameters": cost.nodes[node.name].parameters,
            "counted": cost.nodes[node.name].counted,
            "shared": cost.nodes[node.name].counted < cost.nodes[node.name].parameters,
            "trainable": graph.weights[node.weights].trainable,
            "flops": cost.nodes[node.name].flops,
            "activation_bytes": cost.nodes[node.name].activation_bytes,
            "tasks": [task for task in graph.heads if task in cost.nodes[node.name].tasks],
            "trained_by": shared.trained_by(node, graph, page.sharing),
        }
        for node in graph.order
    ]
    return {
        "name": graph.name,
        "description": graph.description,
        "inputs": {n: {"shape": shape(k), "dtype": k.dtype} for n, k in graph.inputs.items()},
        "tasks": {
            name: {
                "type": graph.tasks[name].type,
                "classes": graph.tasks[name].classes,
                "shape": list(graph.tasks[name].shape),
                "head": head,
            }
            for name, head in graph.heads.items()
        },
        "nodes": nodes,
        "parameters": cost.parameters,
        "naive_parameters": cost.naive_parameters,
        "frozen_parameters": cost.frozen_parameters,
        "flops": cost.flops,
        "activation_bytes": cost.activation_bytes,
        "batch_size": page.batch,
        "training_bytes": page.cost.training_bytes(page.batch),
        "shared": {owner: list(names) for owner, names in cost.shared.items()},
    }
