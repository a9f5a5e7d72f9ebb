"""The structural difference of two topologies: nodes added, removed and changed, and in what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphspec.graph.ir import Edge, Graph, Node, Weights
from graphspec.ops.registry import Step


@dataclass(frozen=True, slots=True)
class Change:
    """One respect in which a node differs.

    Attributes:
        what: The respect: ``op``, ``from``, ``gives``, ``weights``, or an argument's name.
        old: What it was, in words; None where it was not.
        new: What it is now; None where it is not any more.
    """

    what: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.what} {self.new} added"
        if self.new is None:
            return f"{self.what} {self.old} removed"
        return f"{self.what} {self.old} -> {self.new}"


@dataclass(frozen=True, slots=True)
class Difference:
    """How one topology differs from another.

    Attributes:
        added: Nodes that only the new one has, each with its op.
        removed: Nodes that only the old one has, likewise.
        changed: For each node of both that differs, in what.
        tasks: For each task that differs, what it predicts.
        inputs: For each input that differs, its type.
    """

    added: Mapping[str, str]
    removed: Mapping[str, str]
    changed: Mapping[str, tuple[Change, ...]]
    tasks: tuple[Change, ...] = ()
    inputs: tuple[Change, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the two are the same."""
        return not (self.added or self.removed or self.changed or self.tasks or self.inputs)

    def lines(self) -> list[str]:
        """Return a line for each thing that differs."""
        return [
            *(f"input {change}" for change in self.inputs),
            *(f"task {change}" for change in self.tasks),
            *(f"- {name} ({words})" for name, words in self.removed.items()),
            *(f"+ {name} ({words})" for name, words in self.added.items()),
            *(
                f"~ {name}: {', '.join(map(str, changes))}"
                for name, changes in self.changed.items()
            ),
        ]


def difference(old: Graph, new: Graph) -> Difference:
    """Return how a topology differs from another.

    Args:
        old: A typed graph.
        new: Another.

    Returns:
        The difference, nodes in the order of their graphs. A node is the same if it has the same
        op, arguments, inputs, shapes and weights.
    """
    changed = {}
    for name, node in new.nodes.items():
        if name in old.nodes:
            changes = tuple(_changes(old, old.nodes[name], new, node))
            if changes:
                changed[name] = changes
    return Difference(
        added={n: _op(new, node) for n, node in new.nodes.items() if n not in old.nodes},
        removed={n: _op(old, node) for n, node in old.nodes.items() if n not in new.nodes},
        changed=changed,
        tasks=tuple(_named(old.tasks, new.tasks, lambda task: f"({task.text})")),
        inputs=tuple(_named(old.inputs, new.inputs, str)),
    )


def _op(graph: Graph, node: Node) -> str:
    weights = graph.weights[node.weights]
    return weights.op_name if weights.name == node.name else f"weights of {weights.name}"


def _changes(old: Graph, before: Node, new: Graph, after: Node) -> Iterable[Change]:
    """Yield in what a node differs."""
    first, second = old.weights[before.weights], new.weights[after.weights]
    if first.op_name != second.op_name:
        yield Change("op", first.op_name, second.op_name)
    elif before.weights == before.name and after.weights == after.name:
        yield from _steps(first, second)
    yield from _one("weights", _whose(first, before), _whose(second, after))
    yield from _one("from", _edges(before.inputs), _edges(after.inputs))
    yield from _one("gives", _types(before), _types(after))
    if (first.name, second.name) == (before.name, after.name):
        yield from _own(first, second)


def _own(first: Weights, second: Weights) -> Iterable[Change]:
    """Yield in what weights differ besides their steps; their owner alone tells it."""
    for name in dict.fromkeys([*first.ties, *second.ties]):
        ties = [w.ties.get(name) for w in (first, second)]
        words = [None if tie is None else f"{tie.owner}.{tie.parameter}" for tie in ties]
        yield from _one(f"tie {name}", *words)
    yield from _one("init", _inits(first), _inits(second))
    yield from _one("trainable", str(first.trainable).lower(), str(second.trainable).lower())


def _one(what: str, old: str | None, new: str | None) -> Iterable[Change]:
    if old != new:
        yield Change(what, old, new)


def _whose(weights: Weights, node: Node) -> str:
    """Return whose weights or initial values a node has."""
    if weights.name != node.name:
        return f"of {weights.name}"
    if weights.parameters_of is not None:
        return f"own, parameters of {weights.parameters_of}"
    if weights.copy_of is not None:
        return f"own, copied from {weights.copy_of}"
    return "own" if weights.layer_of is None else f"of {weights.layer_of}"


def _inits(weights: Weights) -> str | None:
    """Return how parameters start, if the spec says so."""
    words = [f"{i.parameter} {i.function} {dict(i.kwargs) or ''}".strip() for i in weights.inits]
    return ", ".join(words) or None


def _edges(edges: Iterable[Edge]) -> str:
    words = [_edge(edge) for edge in edges]
    return words[0] if len(words) == 1 else f"[{', '.join(words)}]"


def _edge(edge: Edge) -> str:
    words = str(edge) if edge.name is None else f"{edge.name}: {edge}"
    if edge.form != "logits":
        words += f" as {edge.form}"
    if edge.detach:
        words += " detach"
    if edge.gradient_scale != 1.0:
        words += f" gradient ×{edge.gradient_scale:g}"
    return words


def _types(node: Node) -> str:
    return ", ".join(map(str, node.outputs))


def _steps(old: Weights, new: Weights) -> Iterable[Change]:
    """Yield the arguments in which weights of the same kind differ."""
    if not old.sequence:
        yield from _arguments("", old.steps[0], new.steps[0])
        return
    before, after = [[step.op.name for step in each.steps] for each in (old, new)]
    if before != after:
        yield Change("layers", f"[{', '.join(before)}]", f"[{', '.join(after)}]")
        return
    for number, (first, second) in enumerate(zip(old.steps, new.steps, strict=True)):
        yield from _arguments(f"{number}.", first, second)


def _arguments(prefix: str, old: Step, new: Step) -> Iterable[Change]:
    first, second = old.args.model_dump(), new.args.model_dump()
    for key in dict.fromkeys([*first, *second]):
        yield from _one(f"{prefix}{key}", _text(first, key), _text(second, key))


def _text(arguments: Mapping[str, object], key: str) -> str | None:
    if key not in arguments:
        return None
    value = arguments[key]
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(_listed(value))


def _listed(value: Any) -> Any:
    """Return a value with lists for tuples, as a spec has them."""
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def _named(
    old: Mapping[str, Any], new: Mapping[str, Any], words: Callable[[Any], str]
) -> Iterable[Change]:
    for name in dict.fromkeys([*old, *new]):
        texts = [words(each[name]) if name in each else None for each in (old, new)]
        if texts[0] != texts[1]:
            yield Change(name, *texts)
