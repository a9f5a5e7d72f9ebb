"""What can be told about a graph before shapes: cycles, heads, names, nodes that do nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise

from graphspec.errors import Code, Related, Sink, arrows
from graphspec.graph.expand import Expanded
from graphspec.graph.ir import LABELS, Graph, Node
from graphspec.language.models import Spec


def check(expanded: Expanded, spec: Spec, sink: Sink) -> Expanded:
    """Check a graph's structure.

    Args:
        expanded: The graph and what was left out of it.
        spec: The spec, for places and for what it declares.
        sink: Where mistakes and lint go.

    Returns:
        The graph without nodes on a cycle or behind one, so that the rest can be typed.
    """
    acyclic = _without_cycles(expanded, sink)
    _check_names(acyclic.graph, sink)
    _check_heads(expanded, spec, sink)
    if not expanded.broken and acyclic is expanded:
        _lint_inputs(acyclic.graph, spec, sink)
        _lint_unused(acyclic.graph, sink)
    return acyclic


def _without_cycles(expanded: Expanded, sink: Sink) -> Expanded:
    graph = expanded.graph
    if len(graph.order) == len(graph.nodes):
        return expanded
    import networkx as nx

    cyclic = [
        component
        for component in nx.strongly_connected_components(graph.digraph)
        if len(component) > 1
    ]
    lost: set[str] = set()
    for component in sorted(cyclic, key=min):
        _report_cycle(graph, component, sink)
        lost |= component
    waiting = list(lost)
    while waiting:
        new = set(graph.digraph.successors(waiting.pop())) - lost
        lost |= new
        waiting.extend(new)
    kept = [name for name in graph.nodes if name not in lost]
    return replace(expanded, graph=graph.keep(kept), broken=expanded.broken | lost)


def _report_cycle(graph: Graph, component: Collection[str], sink: Sink) -> None:
    """Report one shortest cycle of a strongly connected component, from its first name on."""
    import networkx as nx

    start = min(component)
    inside = graph.digraph.subgraph(component)
    lengths = nx.single_source_shortest_path(inside, start)
    closing = min(inside.predecessors(start), key=lambda name: (len(lengths[name]), name))
    path = [*lengths[closing], start]
    first = graph.nodes[start]
    edge = next(edge for edge in first.inputs if edge.node == closing)
    related = tuple(
        Related(
            next(e.span for e in graph.nodes[b].inputs if e.node == a and e.span),
            f"`{b}` reads `{a}`",
        )
        for a, b in pairwise(path[:-1])
    )
    sink.error(
        Code.CYCLE,
        edge.span,
        f"nodes read each other in a circle: {arrows(path)}",
        "remove one of these edges; to apply weights again, add a node with `share:`",
        related[:3],
    )


def _check_names(graph: Graph, sink: Sink) -> None:
    """Report names that PyTorch's modules need for themselves."""
    from torch import fx, nn

    inner = set(dir(nn.Module)) | set(vars(nn.Module()))
    outer = inner | set(dir(fx.GraphModule)) | {"graph", "self", "takes_labels"}
    for name, weights in graph.weights.items():
        parts = name.split(".")
        bad = [part for i, part in enumerate(parts) if part in (inner if i else outer)]
        if bad and weights.layer_of is None:
            sink.error(
                Code.RESERVED_NAME,
                weights.span,
                f"`{bad[0]}` is a name that every torch.{_kind(bad[0], inner)} uses itself",
                f"rename the node, for example to `{bad[0]}_`",
            )
    taught = any(edge.form == "teacher" for node in graph.nodes.values() for edge in node.inputs)
    for name in graph.inputs:
        if name == "self":
            sink.error(Code.RESERVED_NAME, None, "an input cannot be called `self`", "rename it")
        if name == LABELS and taught:
            message = f"the input `{name}` has the name under which `as: teacher` gets true labels"
            sink.error(Code.RESERVED_NAME, None, message, "rename the input")


def _kind(name: str, inner: Collection[str]) -> str:
    """Return whose name it is: a module's, or only that of a compiled model."""
    return "nn.Module" if name in inner else "fx.GraphModule"


def _check_heads(expanded: Expanded, spec: Spec, sink: Sink) -> None:
    graph = expanded.graph
    heads: dict[str, str] = {}
    for node in graph.nodes.values():
        if node.task is None:
            continue
        if node.task in heads:
            sink.error(
                Code.DUPLICATE_HEAD,
                node.span,
                f"the task `{node.task}` has a second head `{node.name}`",
                "a task has one head: rename the task of one of them, or remove it",
                (Related(graph.nodes[heads[node.task]].span, "the first head"),),
            )
        heads.setdefault(node.task, node.name)
    if not heads and not expanded.broken:
        example = next(iter(spec.tasks), "fine")
        sink.error(
            Code.NO_HEAD,
            spec.locate("nodes", key=True),
            "no node is a head, so there is nothing to train",
            f"add one: `label: {{op: head, from: ..., task: {example}}}`",
        )
    lent = {name for task in spec.tasks.values() for name in (task.labels, task.parent)}
    for task in spec.tasks:
        if task in heads or task in lent:
            continue
        if task in expanded.tasks and heads and not expanded.broken:
            sink.warning(
                Code.UNTRAINED_TASK,
                spec.locate("tasks", task, key=True),
                f"the task `{task}` has no head, so it is not trained",
                f"add a node `{{op: head, from: ..., task: {task}}}`, or remove the task",
            )


def _lint_inputs(graph: Graph, spec: Spec, sink: Sink) -> None:
    """Warn of inputs that the spec states and nothing reads; a data set may well offer more."""
    if not graph.heads:
        return  # told already
    read = {edge.node for node in graph.nodes.values() for edge in node.inputs}
    for name in spec.inputs if spec.data is None else ():
        if name not in read:
            sink.warning(
                Code.UNUSED_NODE,
                spec.locate("inputs", name, key=True),
                f"no node reads the input `{name}`, so the model does not take it",
                "remove it, or read it somewhere",
            )


def _lint_unused(graph: Graph, sink: Sink) -> None:
    used = {_place(node) for node in graph.nodes.values() if graph.tasks_of[node.name]}
    for node in graph.nodes.values():
        # A node of a block has its use if some instance has a use for it: the last one of a chain
        # often hands on more than is read.
        if not graph.tasks_of[node.name] and (node.span.via is None or _place(node) not in used):
            sink.warning(
                Code.UNUSED_NODE,
                node.span,
                f"the node `{node.name}` reaches no head, so it is left out",
                "remove it, or read it somewhere",
            )


def _place(node: Node) -> tuple[str, int]:
    """Return where a node is written, which is one place for all instances of a block."""
    return node.span.source.name, node.span.start
