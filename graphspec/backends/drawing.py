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

from dataclasses import replace

from graphspec.backends.figures import INK, PAPER, Arrow, Box, Cluster, Key, Paint, Role, Sketch
from graphspec.backends.grouping import Closed, Grouping, group
from graphspec.backends.ownership import Ownership, ownership
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


def sketch(graph: Graph, depth: int | None = None) -> Sketch:
    """Return what a diagram of ``graph`` shows.

    Args:
        graph: A typed graph: shapes on its ports, parameters in its weights.
        depth: How many levels of instances of blocks are open; None for all (see
            `graphspec.backends.grouping`).

    Returns:
        The diagram. It depends on the graph only, not on the order of nodes in the file; tasks get
        their colours in the order of their names, so that the variants of a study agree.
    """
    grouping, owned = group(graph, depth), ownership(graph)
    boxes = [_input_box(graph, name) for name in graph.inputs]
    boxes += _boxes(graph, grouping, owned)
    total = count_parameters(graph)
    return Sketch(
        title=clean(graph.name) or "graph",
        description=wrap(graph.description, 72, most=4),
        size=_parameters_text(total),
        tasks={task: _task_paint(graph, task, head=True) for task in sorted(graph.tasks)},
        boxes=tuple(boxes),
        arrows=_arrows(graph, grouping),
        clusters=_clusters(graph, grouping, owned),
        legend=_legend(graph, boxes),
    )


def _boxes(graph: Graph, grouping: Grouping, owned: Ownership) -> list[Box]:
    boxes: dict[str, Box] = {}
    for node in graph.order:
        name = grouping.box_of[node.name]
        if name in boxes:
            continue
        closed = grouping.closed.get(name)
        if closed is None:
            box = _call_box(graph, node, owned)
        else:
            box = _closed_box(graph, closed, grouping, owned)
        boxes[name] = _framed(box, grouping.frame_of.get(name, ""))
    return list(boxes.values())


def _framed(box: Box, frame: str) -> Box:
    """Return a box in a frame, whose title need not repeat the frame's."""
    if not frame:
        return box
    return replace(box, title=wrap(box.name[len(frame) + 1 :], _TITLE_WIDTH), frame=frame)


def _arrows(graph: Graph, grouping: Grouping) -> tuple[Arrow, ...]:
    """Return the inputs of all calls; what goes on inside a closed box is not seen."""
    found: list[Arrow] = []
    seen: set[Arrow] = set()
    for node in graph.order:
        head = grouping.box_of[node.name]
        for edge in node.inputs:
            tail = grouping.box_of.get(edge.node, edge.node)
            stopped, policy = not edge.passes_gradient, policy_text(edge)
            arrow = Arrow(tail, head, _edge_text(graph, edge), stopped, policy)
            if head in grouping.closed or tail in grouping.closed:
                if tail == head or arrow in seen:
                    continue
                seen.add(arrow)
            found.append(arrow)
    return tuple(found)


def _clusters(graph: Graph, grouping: Grouping, owned: Ownership) -> tuple[Cluster, ...]:
    counts = dict.fromkeys((frame.name for frame in grouping.frames), 0)
    for node in graph.order if counts else ():
        own = owned.counts.get(node.name, 0)
        parts = node.name.split(".")
        for length in range(1, len(parts)):
            name = ".".join(parts[:length])
            if name in counts:
                counts[name] += own
    return tuple(
        Cluster(frame.name, frame.block, _parameters_text(counts[frame.name]), frame.parent)
        for frame in grouping.frames
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


def _call_box(graph: Graph, node: Node, owned: Ownership) -> Box:
    weights = graph.weights[node.weights]
    tasks = _tasks(graph, node.name)
    words = _words(graph, node, weights)
    what = () if words == node.name else wrap(words, _WHAT_WIDTH)
    if 1 < len(tasks) < len(graph.tasks):
        names = f"for {', '.join(tasks)}"
        fits = len(names) <= _WHAT_WIDTH
        what += (names if fits else f"for {len(tasks)} of {len(graph.tasks)} tasks",)
    paint = _paint(graph, node.task, tasks)
    shared = owned.shared.get(node.name)
    return Box(
        name=node.name,
        role=_role(node, weights),
        title=wrap(node.name, _TITLE_WIDTH),
        what=what,
        size=_size_text(owned.counts.get(node.name, 0), owned.lenders.get(node.name, ())),
        tasks=tasks,
        paint=_outlined(paint, shared, owned),
        badge=_badge(shared, owned),
        details=clean(f"{node.name}: {words}"),
    )


def _closed_box(graph: Graph, closed: Closed, grouping: Grouping, owned: Ownership) -> Box:
    """Return the box of closed instances: all that is inside them together."""
    served = {task for node in closed.nodes for task in _tasks(graph, node.name)}
    tasks = tuple(sorted(served))
    heads = [str(node.task) for node in closed.nodes if node.task is not None]
    what = wrap(closed.block, _WHAT_WIDTH)
    if heads:
        what += wrap(f"predicts {', '.join(heads)}", _WHAT_WIDTH)
    lenders = dict.fromkeys(
        grouping.box_of[each] for node in closed.nodes for each in owned.lenders.get(node.name, ())
    )
    lenders.pop(closed.name, None)
    # what is shared inside the box alone is its own affair
    inside = {node.name for node in closed.nodes}
    owners = (owned.shared[name] for name in sorted(inside & owned.shared.keys()))
    shared = next((each for each in owners if not inside.issuperset(owned.users[each])), None)
    only = heads[0] if heads and heads == list(tasks) else None
    paint = _paint(graph, only, tasks)
    number = "" if closed.instances == 1 else f"{closed.instances} × "
    return Box(
        name=closed.name,
        role=Role.BLOCK,
        title=wrap(closed.name, _TITLE_WIDTH),
        what=what,
        size=_size_text(sum(owned.counts.get(name, 0) for name in inside), tuple(lenders)),
        tasks=tasks,
        paint=_outlined(paint, shared, owned),
        badge=_badge(shared, owned),
        details=clean(f"{closed.name}: {number}{closed.block}, {len(closed.nodes)} nodes"),
        count="" if closed.instances == 1 else f"×{closed.instances}",
    )


def _size_text(count: int, lenders: tuple[str, ...]) -> str:
    """Return a box's own parameters and where the others that it uses are counted."""
    own = _parameters_text(count)
    if not lenders:
        return own
    more = f" and {len(lenders) - 1} more" if len(lenders) > 1 else ""
    borrowed = "weights of " + " ".join(wrap(lenders[0], _TITLE_WIDTH, most=1)) + more
    return f"{own}, {borrowed}" if own else borrowed


def _outlined(paint: Paint, shared: str | None, owned: Ownership) -> Paint:
    """Return the colours of a box; all that share weights have one outline."""
    if shared is None:
        return paint
    return Paint(paint.fill, _SHARED_LINES[owned.numbers[shared] % len(_SHARED_LINES)])


def _badge(shared: str | None, owned: Ownership) -> str:
    return "" if shared is None else f"shared ×{len(owned.users[shared])}"


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


def _paint(graph: Graph, predicted: str | None, tasks: tuple[str, ...]) -> Paint:
    if predicted in graph.tasks:
        return _task_paint(graph, str(predicted), head=True)
    if not tasks:
        return _NO_TASK
    if len(tasks) == 1:
        return _task_paint(graph, tasks[0], head=False)
    return _ALL_TASKS if len(tasks) == len(graph.tasks) else _SOME_TASKS


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


def _parameters_text(count: int) -> str:
    return f"{count_text(count)} parameter{'s' if count != 1 else ''}" if count else ""


def _words(graph: Graph, node: Node, weights: Weights) -> str:
    """What a call does: its op and the arguments that are not the defaults."""
    if node.task in graph.tasks and not weights.sequence:
        step = weights.steps[0]
        rest = arguments_text(step, without=("task",))
        return f"{step.op.name} {node.task}: {graph.tasks[str(node.task)].text}{rest}"
    return " → ".join(step_text(step) for step in weights.steps)
