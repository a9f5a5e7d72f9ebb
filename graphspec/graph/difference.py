"""The structural difference of two topologies: nodes added, removed and changed, and in what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphspec.graph.ir import Edge, Graph, Node, Tie, Weights
from graphspec.graph.renames import renamed
from graphspec.language.changes import Change, between, words
from graphspec.ops.registry import Step


@dataclass(frozen=True, slots=True)
class Difference:
    """How one topology differs from another.

    Attributes:
        added: Nodes that only the new one has, each with its op.
        removed: Nodes that only the old one has, likewise.
        changed: For each node of both that differs, in what; by its new name.
        tasks: For each task that differs, what it predicts.
        inputs: For each input that differs, its type.
        renamed: For each node that is the same under another name its new name, by the old one.
    """

    added: Mapping[str, str]
    removed: Mapping[str, str]
    changed: Mapping[str, tuple[Change, ...]]
    tasks: tuple[Change, ...] = ()
    inputs: tuple[Change, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the two are the same."""
        nodes = self.added or self.removed or self.changed or self.renamed
        return not (nodes or self.tasks or self.inputs)

    @property
    def old_names(self) -> Mapping[str, str]:
        """For each node that was renamed its old name, by the new one."""
        return {after: before for before, after in self.renamed.items()}

    def lines(self) -> list[str]:
        """Return a line for each thing that differs."""
        before = self.old_names
        named = {name: f"{before[name]} -> {name}" for name in before} | {
            name: name if name not in before else f"{before[name]} -> {name}"
            for name in self.changed
        }
        return [
            *(f"input {change}" for change in self.inputs),
            *(f"task {change}" for change in self.tasks),
            *(f"- {name} ({op})" for name, op in self.removed.items()),
            *(f"+ {name} ({op})" for name, op in self.added.items()),
            *(
                f"~ {text}: {', '.join(map(str, self.changed[name]))}"
                if name in self.changed
                else f"~ {text}"
                for name, text in named.items()
            ),
        ]


def difference(old: Graph, new: Graph) -> Difference:
    """Return how a topology differs from another.

    Args:
        old: A typed graph.
        new: Another.

    Returns:
        The difference, nodes in the order of their graphs. A node is the same if it has the same
        op, arguments, inputs, shapes and weights; see `graphspec.graph.renames` for those that
        are the same under another name.
    """
    moved = renamed(old, new)
    before = {after: name for name, after in moved.items()}
    changed = {}
    for name, node in new.nodes.items():
        then = before.get(name, name)
        if then in old.nodes:
            changes = tuple(_changes(old, old.nodes[then], new, node, moved))
            if changes:
                changed[name] = changes
    return Difference(
        added={
            n: op_text(new, node)
            for n, node in new.nodes.items()
            if n not in old.nodes and n not in before
        },
        removed={
            n: op_text(old, node)
            for n, node in old.nodes.items()
            if n not in new.nodes and n not in moved
        },
        changed=changed,
        tasks=tuple(_named(old.tasks, new.tasks, lambda task: f"({task.text})")),
        inputs=tuple(_named(old.inputs, new.inputs, str)),
        renamed=moved,
    )


def op_text(graph: Graph, node: Node) -> str:
    """Return the op of a node, or whose weights it uses."""
    weights = graph.weights[node.weights]
    return weights.op_name if weights.name == node.name else f"weights of {weights.name}"


_Names = Mapping[str, str]
"""New names of what was renamed."""


def _changes(old: Graph, before: Node, new: Graph, after: Node, moved: _Names) -> Iterable[Change]:
    """Yield in what a node differs."""
    found = [*_stated(old, before, new, after, moved)]
    yield from found or _sizes(old.weights[before.weights], new.weights[after.weights])


def _sizes(first: Weights, second: Weights) -> Iterable[Change]:
    """Yield the parameters whose sizes follow from an input that changed, if nothing else did."""
    for name in dict.fromkeys([*first.parameters, *second.parameters]):
        kinds = [each.parameters.get(name) for each in (first, second)]
        yield from between(name, *(kind and str(kind) for kind in kinds))


def _stated(old: Graph, before: Node, new: Graph, after: Node, moved: _Names) -> Iterable[Change]:
    """Yield in what a node differs as it is written, and in what it gives."""
    first, second = old.weights[before.weights], new.weights[after.weights]
    own = before.weights == before.name and after.weights == after.name
    if first.op_name != second.op_name:
        yield Change("op", first.op_name, second.op_name)
    elif own:
        yield from _steps(first, second)
    whose = [_whose(first, before, moved), _whose(second, after, {})]
    if whose[0] != whose[1]:
        yield Change("weights", _whose(first, before, {}), whose[1])
    if _edges(before.inputs, moved) != _edges(after.inputs, {}):
        yield Change("from", _edges(before.inputs, {}), _edges(after.inputs, {}))
    yield from between("gives", _types(before), _types(after))
    if own:
        yield from _own(first, second, moved)


def _own(first: Weights, second: Weights, moved: _Names) -> Iterable[Change]:
    """Yield in what weights differ besides their steps; their owner alone tells it."""
    for name in dict.fromkeys([*first.ties, *second.ties]):
        before, after = first.ties.get(name), second.ties.get(name)
        if _tied(before, moved) != _tied(after, {}):
            yield Change(f"tie {name}", _tied(before, {}), _tied(after, {}))
    yield from between("init", _inits(first), _inits(second))
    yield from between("trainable", first.trainable, second.trainable)


def _tied(tie: Tie | None, moved: _Names) -> str | None:
    return None if tie is None else f"{moved.get(tie.owner, tie.owner)}.{tie.parameter}"


def _whose(weights: Weights, node: Node, moved: _Names) -> str:
    """Return whose weights or initial values a node has."""

    def named(name: str) -> str:
        return moved.get(name, name)

    if weights.name != node.name:
        return f"of {named(weights.name)}"
    if weights.parameters_of is not None:
        return f"own, parameters of {named(weights.parameters_of)}"
    if weights.copy_of is not None:
        return f"own, copied from {named(weights.copy_of)}"
    return "own" if weights.layer_of is None else f"of {named(weights.layer_of)}"


def _inits(weights: Weights) -> str | None:
    """Return how parameters start, if the spec says so."""
    texts = [f"{i.parameter} {i.function} {dict(i.kwargs) or ''}".strip() for i in weights.inits]
    return ", ".join(texts) or None


def _edges(edges: Iterable[Edge], moved: _Names) -> str:
    texts = [_edge(edge, moved) for edge in edges]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _edge(edge: Edge, moved: _Names) -> str:
    port = "" if edge.port is None else f".{edge.port}"
    text = moved.get(edge.node, edge.node) + port
    text = text if edge.name is None else f"{edge.name}: {text}"
    if edge.form != "logits":
        text += f" as {edge.form}"
    if edge.detach:
        text += " detach"
    if edge.gradient_scale != 1.0:
        text += f" gradient ×{edge.gradient_scale:.12g}"
    return text


def _types(node: Node) -> str:
    return ", ".join(map(str, node.outputs))


def _steps(old: Weights, new: Weights) -> Iterable[Change]:
    """Yield the arguments in which weights of the same kind differ."""
    if not old.sequence:
        yield from _arguments("", old.steps[0], new.steps[0])
        return
    before, after = [[step.op.name for step in each.steps] for each in (old, new)]
    if before != after:
        yield from between("layers", before, after)
        return
    for number, (first, second) in enumerate(zip(old.steps, new.steps, strict=True)):
        yield from _arguments(f"{number}.", first, second)


def _arguments(prefix: str, old: Step, new: Step) -> Iterable[Change]:
    if old.args == new.args:
        return
    first, second = old.args.model_dump(), new.args.model_dump()
    for key in dict.fromkeys([*first, *second]):
        texts = [words(each[key]) if key in each else None for each in (first, second)]
        yield from between(f"{prefix}{key}", *texts)


def _named(
    old: Mapping[str, Any], new: Mapping[str, Any], text: Callable[[Any], str]
) -> Iterable[Change]:
    for name in dict.fromkeys([*old, *new]):
        texts = [text(each[name]) if name in each else None for each in (old, new)]
        yield from between(name, *texts)
