"""Two diagrams as one: what was added, removed and changed from the first to the second.

`overlay` lays the sketches of two topologies over each other, box on box and arrow on arrow, and
gives a `Sketch` that `graphspec.backends.dot` and `graphspec.backends.mermaid` write down. Colours
never stand alone: what differs has a sign (``+``, ``−``, ``~``), what was removed is dashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from graphspec.backends.differing import Counterparts, box_changes, counterparts
from graphspec.backends.drawing import sketch
from graphspec.backends.figures import (
    FAINT_INK,
    FRAME,
    LINES,
    PAPER,
    Arrow,
    Box,
    Cluster,
    Key,
    Mark,
    Paint,
    Sketch,
    marked,
)
from graphspec.backends.wording import change_text, clean, count_text
from graphspec.graph.analysis import Analysis
from graphspec.graph.comparison import Comparison
from graphspec.graph.difference import Difference

_PAINTS = {
    Mark.ADDED: Paint("#D5F0E6", LINES[Mark.ADDED]),
    Mark.REMOVED: Paint("#FBE3DE", LINES[Mark.REMOVED]),
    Mark.CHANGED: Paint("#FFEBC4", LINES[Mark.CHANGED]),
    Mark.SAME: Paint("#F1F3F4", FRAME),
}
_WORDS = {
    Mark.ADDED: "+ added",
    Mark.REMOVED: "− removed",
    Mark.CHANGED: "~ changed",
    Mark.SAME: "unchanged",
}


def overlay(found: Comparison, labels: tuple[str, str], depth: int | None = None) -> Sketch:
    """Return what a diagram of two topologies shows.

    Args:
        found: The two side by side.
        labels: What to call them.
        depth: How many levels of instances of blocks are open; None for all. A closed one that
            differs says how many of its nodes do.
    """
    old, new = (sketch(side.graph, depth) for side in (found.old, found.new))
    names = counterparts(found, old, new, depth)
    boxes = _boxes(found, old, new, names)
    arrows = list(_arrows(old, new, names))
    ordered = _ordered(boxes, new, arrows)
    place = {box.name: number for number, box in enumerate(ordered)}
    clusters = _clusters(old, new, names, ordered)
    return Sketch(
        title=" → ".join(clean(label) for label in labels),
        description=(_summary(found.structure, len(found.new.graph.nodes)),),
        size=_sizes(found.old.cost, found.new.cost),
        tasks={},
        boxes=tuple(ordered),
        arrows=tuple(_placed(arrow, place) for arrow in arrows),
        clusters=clusters,
        legend=tuple(_legend(ordered, arrows)),
    )


def _summary(structure: Difference, nodes: int) -> str:
    """Return how many nodes differ, in words."""
    differ = structure.changed.keys() | structure.old_names.keys()
    counts = {
        "removed": len(structure.removed),
        "added": len(structure.added),
        "changed": len(differ),
        "the same": nodes - len(structure.added) - len(differ),
    }
    return "nodes: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _sizes(old: Analysis, new: Analysis) -> str:
    pairs = {
        "parameters": (old.parameters, new.parameters),
        "FLOPs per sample": (old.flops, new.flops),
    }
    return "; ".join(_grown(word, *pair) for word, pair in pairs.items() if any(pair))


def _grown(word: str, old: int, new: int) -> str:
    """Return an old and a new number of something: ``18.8 M → 18.5 M parameters (−1.6 %)``."""
    if old == new:
        return f"{count_text(new)} {word}"
    return f"{count_text(old)} → {count_text(new)} {word} ({change_text(old, new)})"


def _between(old: str, new: str) -> str:
    """Return an old and a new text, with what they end in once: ``297 k → 74 k parameters``."""
    if old == new:
        return new
    first, second = (text or "none" for text in (old, new))
    for unit in (" parameters", " parameter"):
        if first.endswith(unit) and second.endswith(unit):
            first = first.removesuffix(unit)
    return f"{first} → {second}"


def _boxes(found: Comparison, old: Sketch, new: Sketch, names: Counterparts) -> dict[str, Box]:
    """Return every box of the two, those of the second by their names."""
    before = {names.new_name.get(box.name, box.name): box for box in old.boxes}
    here = {box.name for box in new.boxes}
    boxes = {}
    for box in new.boxes:
        then = before.get(box.name)
        changes = box_changes(found, names, then, box) if then else ()
        mark = Mark.ADDED if then is None else Mark.CHANGED if changes else Mark.SAME
        if then is not None:
            size, badge = _between(then.size, box.size), _between(then.badge, box.badge)
            box = replace(box, size=size, badge=badge if box.badge else "", changes=changes)
            mark = Mark.CHANGED if then.size != size else mark
        boxes[box.name] = _painted(box, mark)
    for box in old.boxes:
        if names.new_name.get(box.name, box.name) not in here:
            frame = names.new_frame.get(box.frame, box.frame)
            boxes[box.name] = _painted(replace(box, frame=frame), Mark.REMOVED)
    return boxes


def _painted(box: Box, mark: Mark) -> Box:
    title = (marked(box.title[0], mark), *box.title[1:]) if box.title else ()
    return replace(box, title=title, mark=mark, paint=_PAINTS[mark])


def _arrows(old: Sketch, new: Sketch, names: Counterparts) -> Iterator[Arrow]:
    """Yield every arrow of the two: those of the second, then those that it has no more."""
    before: dict[tuple[str, str], list[Arrow]] = {}
    for arrow in old.arrows:
        tail, head = (names.new_name.get(each, each) for each in (arrow.tail, arrow.head))
        moved = replace(arrow, tail=tail, head=head)
        before.setdefault((moved.tail, moved.head), []).append(moved)
    kept: set[int] = set()
    for number, arrow in enumerate(new.arrows):
        there = before.get((arrow.tail, arrow.head), [])
        if arrow in there:
            there.remove(arrow)
            kept.add(number)
    for number, arrow in enumerate(new.arrows):
        there = before.get((arrow.tail, arrow.head), [])
        if number in kept:
            yield replace(arrow, mark=Mark.SAME)
        elif there:
            yield _changed(there.pop(0), arrow)
        else:
            yield _signed(arrow, Mark.ADDED)
    rest = (arrow for arrows in before.values() for arrow in arrows)
    yield from (_signed(arrow, Mark.REMOVED) for arrow in rest)


def _signed(arrow: Arrow, mark: Mark) -> Arrow:
    return replace(arrow, mark=mark, label=marked(arrow.label, mark))


def _changed(old: Arrow, new: Arrow) -> Arrow:
    """Return an arrow that carries something else, or does something else to it."""
    shapes = [arrow.label.removesuffix(arrow.policy).rstrip() for arrow in (old, new)]
    label = shapes[1] if shapes[0] == shapes[1] else " → ".join(shapes)
    if old.policy != new.policy:
        label += f" ({old.policy or 'as it is'} → {new.policy or 'as it is'})"
    elif new.policy:
        label += f" {new.policy}"
    return _signed(replace(new, label=label), Mark.CHANGED)


def _ordered(boxes: Mapping[str, Box], new: Sketch, arrows: Iterable[Arrow]) -> list[Box]:
    """Return the boxes of the second in their order, each removed one after what it reads."""
    place = {box.name: (number, 0) for number, box in enumerate(new.boxes)}
    reads: dict[str, list[str]] = {}
    for arrow in arrows:
        if arrow.mark is Mark.REMOVED:
            reads.setdefault(arrow.head, []).append(arrow.tail)
    for number, name in enumerate(boxes, start=1):
        if name not in place:
            last = max((place[tail] for tail in reads.get(name, ()) if tail in place), default=None)
            place[name] = (-1 if last is None else last[0], number)
    return sorted(boxes.values(), key=lambda box: place[box.name])


def _placed(arrow: Arrow, place: Mapping[str, int]) -> Arrow:
    """Return an arrow that was removed such that it does not turn the diagram upside down."""
    backwards = arrow.mark is Mark.REMOVED and place[arrow.tail] >= place[arrow.head]
    return replace(arrow, loose=True) if backwards else arrow


def _clusters(
    old: Sketch, new: Sketch, names: Counterparts, boxes: Iterable[Box]
) -> tuple[Cluster, ...]:
    """Return the frames of both that still have something in them, each after the one around it."""
    before = {names.new_frame.get(each.name, each.name): each for each in old.clusters}
    found: dict[str, Cluster] = {}
    for cluster in new.clusters:
        then = before.get(cluster.name)
        size = cluster.size if then is None else _between(then.size, cluster.size)
        mark = Mark.ADDED if then is None else Mark.SAME
        found[cluster.name] = replace(cluster, size=size, mark=mark)
    for name, cluster in before.items():
        parent = names.new_frame.get(cluster.parent, cluster.parent)
        gone = replace(cluster, name=name, parent=parent, mark=Mark.REMOVED)
        found.setdefault(name, gone)
    filled = {box.frame for box in boxes}
    for cluster in reversed(found.values()):
        if cluster.name in filled:
            filled.add(cluster.parent)
    return tuple(cluster for cluster in found.values() if cluster.name in filled)


def _legend(boxes: Iterable[Box], arrows: Iterable[Arrow]) -> Iterator[Key]:
    marks = {box.mark for box in boxes} | {arrow.mark for arrow in arrows}
    for mark in (Mark.ADDED, Mark.REMOVED, Mark.CHANGED, Mark.SAME):
        if mark in marks:
            yield Key(_WORDS[mark], _PAINTS[mark], dashed=mark is Mark.REMOVED)
    if any(arrow.stopped for arrow in arrows):
        yield Key("dotted: no gradient flows back", Paint(PAPER, FAINT_INK))
