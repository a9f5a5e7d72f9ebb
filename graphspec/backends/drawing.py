"""What a diagram shows, whatever language it is written in.

`sketch` turns a typed graph into a `Sketch`: a box per call and per input, arrows with shapes, the
colours of the tasks, a legend. `graphspec.backends.dot` and `graphspec.backends.mermaid` write it
down; the words are those of `graphspec.backends.wording`.

Hues are those of Okabe and Ito, tinted so that dark text stays readable on paper. Nothing is said
by colour alone: heads name their task, and calls of shared weights carry a badge and a thick line.

Source:
    Okabe and Ito, "Color Universal Design", 2008. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import prod

from graphspec.backends.wording import (
    arguments_text,
    clean,
    count_text,
    policy_text,
    shape_text,
    step_text,
    wrap,
)
from graphspec.graph.ir import Edge, Graph, Node, Weights
from graphspec.graph.reachability import count_parameters

INK = "#1F2933"
"""Colour of text."""

FAINT_INK = "#46525E"
"""Colour of the text below a title and of arrows."""

PAPER = "#FFFFFF"
"""Colour behind everything."""


class Role(str, Enum):
    """What a box is, which decides its outline."""

    INPUT = "input"
    NODE = "node"
    SMALL = "small"
    """A call that only joins values, such as ``concat``."""
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Paint:
    """Fill and outline of a box, as ``#RRGGBB``."""

    fill: str
    line: str


@dataclass(frozen=True, slots=True)
class Box:
    """One call or one input.

    Attributes:
        name: Its name in the graph, unique in the sketch.
        role: What it is.
        title: Its name, in one or more lines.
        what: What it does, in no, one or more lines.
        size: Its parameters, or whose weights it uses, so that the numbers of a diagram add up;
            empty where there are none.
        tasks: The tasks that it serves, by name.
        paint: Its colours.
        badge: ``shared ×2`` where its weights have two calls, which then have the same outline;
            empty where no other call uses them.
        details: Name and description at full length.
    """

    name: str
    role: Role
    title: tuple[str, ...]
    what: tuple[str, ...]
    size: str
    tasks: tuple[str, ...]
    paint: Paint
    badge: str
    details: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """One input of a call; two equal inputs are two arrows. ``stopped``: no gradient flows back."""

    tail: str
    head: str
    label: str
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of the legend; ``thick`` stands for the outline of shared weights."""

    text: str
    paint: Paint
    thick: bool = False


@dataclass(frozen=True, slots=True)
class Sketch:
    """A diagram.

    Attributes:
        title: Name of the spec.
        description: Its description, in no, one or more lines.
        size: All parameters, each counted once; empty where there are none.
        tasks: The tasks, each with the colours of its head.
        boxes: Inputs, then calls in topological order.
        arrows: Inputs of the calls, in the order of the boxes.
        legend: What the colours mean: only those that occur.
    """

    title: str
    description: tuple[str, ...]
    size: str
    tasks: Mapping[str, Paint]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    legend: tuple[Key, ...]


_TINTS = ("#D9EAF7", "#FFEBC4", "#D5F0E6", "#F8E2EE", "#FBF7C6", "#FBDECD")
_STRONG = ("#92C5E8", "#FFC659", "#84D3B8", "#E5A5C9", "#EFE36A", "#F0A478")
_LINES = ("#005F96", "#8F6200", "#00674B", "#8E3F6E", "#6E6700", "#9A4300")
"""Blue, orange, bluish green, reddish purple, yellow, vermillion: calls, heads, outlines."""

_ALL_TASKS = Paint("#E3E7EA", "#55616B")
_SOME_TASKS = Paint("#F4F4F2", "#55616B")
_NO_TASK = Paint(PAPER, "#8A949D")
_INPUT = Paint(PAPER, INK)
_SHARED_LINES = ("#C2185B", "#5E35B1", "#00796B", "#BF360C", "#283593")

_TITLE_WIDTH = 32
_WHAT_WIDTH = 40


def sketch(graph: Graph) -> Sketch:
    """Return what a diagram of ``graph`` shows.

    Args:
        graph: A typed graph: shapes on its ports, parameters in its weights.

    Returns:
        The diagram. It depends on the graph only, not on the order of nodes in the file; tasks get
        their colours in the order of their names, so that the variants of a study agree.
    """
    boxes = [_input_box(graph, name) for name in graph.inputs]
    outlines = _shared_outlines(graph)
    boxes += [_call_box(graph, node, outlines.get(node.weights)) for node in graph.order]
    arrows = [
        Arrow(edge.node, node.name, _edge_text(graph, edge), not edge.passes_gradient)
        for node in graph.order
        for edge in node.inputs
    ]
    total = count_parameters(graph)
    return Sketch(
        title=clean(graph.name) or "graph",
        description=wrap(graph.description, 72, most=4),
        size=_parameters_text(total),
        tasks={task: _task_paint(graph, task, head=True) for task in sorted(graph.tasks)},
        boxes=tuple(boxes),
        arrows=tuple(arrows),
        legend=_legend(graph, boxes),
    )


def _input_box(graph: Graph, name: str) -> Box:
    return Box(
        name=name,
        role=Role.INPUT,
        title=wrap(name, _TITLE_WIDTH),
        what=("input",),
        size="",
        tasks=_tasks(graph, name),
        paint=_INPUT,
        badge="",
        details=clean(f"{name}: input {shape_text(graph.inputs[name])}"),
    )


def _call_box(graph: Graph, node: Node, shared_outline: str | None) -> Box:
    weights = graph.weights[node.weights]
    tasks = _tasks(graph, node.name)
    words = _words(graph, node, weights)
    what = () if words == node.name else wrap(words, _WHAT_WIDTH)
    if 1 < len(tasks) < len(graph.tasks):
        names = f"for {', '.join(tasks)}"
        fits = len(names) <= _WHAT_WIDTH
        what += (names if fits else f"for {len(tasks)} of {len(graph.tasks)} tasks",)
    paint = _paint(graph, node, tasks)
    return Box(
        name=node.name,
        role=_role(node, weights),
        title=wrap(node.name, _TITLE_WIDTH),
        what=what,
        size=_size(graph, node, weights),
        tasks=tasks,
        paint=Paint(paint.fill, shared_outline or paint.line),
        badge=f"shared ×{len(graph.calls[node.weights])}" if shared_outline else "",
        details=clean(f"{node.name}: {words}"),
    )


def _size(graph: Graph, node: Node, weights: Weights) -> str:
    count = _parameters(weights)
    # Pruning may have taken the owner's own call away: then the first call that is left counts.
    counting = weights.name if weights.name in graph.nodes else graph.calls[weights.name][0].name
    if not count or node.name == counting:
        return _parameters_text(count)
    return "weights of " + " ".join(wrap(weights.name, _TITLE_WIDTH, most=1))


def _role(node: Node, weights: Weights) -> Role:
    if node.task is not None:
        return Role.HEAD
    return Role.SMALL if weights.family == "merge" else Role.NODE


def _tasks(graph: Graph, name: str) -> tuple[str, ...]:
    served = graph.tasks_of[name]
    return tuple(sorted(served & graph.tasks.keys()))


def _task_paint(graph: Graph, task: str, head: bool) -> Paint:
    hue = sorted(graph.tasks).index(task) % len(_TINTS)
    return Paint((_STRONG if head else _TINTS)[hue], _LINES[hue])


def _paint(graph: Graph, node: Node, tasks: tuple[str, ...]) -> Paint:
    if node.task in graph.tasks:
        return _task_paint(graph, str(node.task), head=True)
    if not tasks:
        return _NO_TASK
    if len(tasks) == 1:
        return _task_paint(graph, tasks[0], head=False)
    return _ALL_TASKS if len(tasks) == len(graph.tasks) else _SOME_TASKS


def _shared_outlines(graph: Graph) -> dict[str, str]:
    """The outline of each weights owner that has several calls and something to share."""
    shared = [
        name
        for name, calls in graph.calls.items()
        if len(calls) > 1 and (graph.weights[name].parameters or graph.weights[name].buffers)
    ]
    return {name: _SHARED_LINES[i % len(_SHARED_LINES)] for i, name in enumerate(sorted(shared))}


def _legend(graph: Graph, boxes: list[Box]) -> tuple[Key, ...]:
    keys = [
        Key(f"{clean(task)}: {spec.text}", _task_paint(graph, task, head=True))
        for task, spec in sorted(graph.tasks.items())
    ]
    fills = {box.paint.fill for box in boxes if box.role is not Role.INPUT}
    if _ALL_TASKS.fill in fills:
        keys.append(Key("both tasks" if len(graph.tasks) == 2 else "all tasks", _ALL_TASKS))
    if _SOME_TASKS.fill in fills:
        keys.append(Key("several tasks", _SOME_TASKS))
    if any(not box.tasks for box in boxes if box.role is not Role.INPUT):
        keys.append(Key("no task", _NO_TASK))
    lines = dict.fromkeys(box.paint.line for box in boxes if box.badge)
    if lines:
        keys.append(Key("shared weights", Paint(PAPER, next(iter(lines))), thick=True))
    return tuple(keys)


def _edge_text(graph: Graph, edge: Edge) -> str:
    source = graph.nodes.get(edge.node)
    several = source is not None and len(source.outputs) > 1
    name = f"{clean(edge.name)}: " if edge.name else ""
    port = f".{edge.port or 0}: " if several else ""
    policy = f" {policy_text(edge)}" if not edge.is_plain else ""
    return name + port + shape_text(graph.type_of(edge)) + policy


def _parameters(weights: Weights) -> int:
    return sum(prod(kind.shape) for kind in weights.parameters.values())


def _parameters_text(count: int) -> str:
    return f"{count_text(count)} parameter{'s' if count != 1 else ''}" if count else ""


def _words(graph: Graph, node: Node, weights: Weights) -> str:
    """What a call does: its op and the arguments that are not the defaults."""
    if node.task in graph.tasks and not weights.sequence:
        step = weights.steps[0]
        rest = arguments_text(step, without=("task",))
        return f"{step.op.name} {node.task}: {graph.tasks[str(node.task)].text}{rest}"
    return " → ".join(step_text(step) for step in weights.steps)
