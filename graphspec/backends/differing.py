"""Which box of one diagram is which of another, and what the box says of how it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphspec.backends.figures import Box, Role, Sketch
from graphspec.backends.grouping import Grouping, group
from graphspec.backends.wording import wrap
from graphspec.graph.comparison import Comparison
from graphspec.graph.difference import Difference
from graphspec.graph.ir import Graph
from graphspec.language.changes import Change

_WIDTH = 40
"""Longest line in a box, in characters."""

_MOST = 8
"""Most lines of changes in a box."""


@dataclass(frozen=True, slots=True)
class Counterparts:
    """Which box of a second diagram each box of a first one is.

    Attributes:
        new_name: For each box of the first that has another name in the second that name.
        new_frame: For each frame of the first likewise.
        inside: For each box of the second that stands for several nodes how many of them differ,
            in words.
    """

    new_name: Mapping[str, str]
    new_frame: Mapping[str, str]
    inside: Mapping[str, str]


def counterparts(found: Comparison, old: Sketch, new: Sketch, depth: int | None) -> Counterparts:
    """Return which boxes belong together: those of one name, and those of renamed nodes.

    Args:
        found: The two topologies side by side.
        old: The diagram of the first.
        new: The diagram of the second.
        depth: The depth at which both were drawn.
    """
    groups = [group(side.graph, depth) for side in (found.old, found.new)]
    structure = found.structure
    moved: dict[str, set[str]] = {}
    for name, box in groups[0].box_of.items():
        after = structure.renamed.get(name, name)
        moved.setdefault(box, set()).add(groups[1].box_of.get(after, ""))
    taken, news = ({box.name for box in each.boxes} for each in (old, new))
    names: dict[str, str] = {}
    for box, others in moved.items():
        other = next(iter(others))
        if box not in news and len(others) == 1 and other in news and other not in taken:
            names[box] = other
            taken.add(other)
    frames = _frames(old, new, names)
    return Counterparts(names, frames, _inside(found, groups[0], groups[1], names))


def _frames(old: Sketch, new: Sketch, names: Mapping[str, str]) -> dict[str, str]:
    """Return for each frame of the first that was renamed with all in it its new name."""
    frame_of = {box.name: box.frame for box in new.boxes}
    here = {each.name for each in new.clusters}
    there = {each.name for each in old.clusters}
    moved: dict[str, set[str]] = {}
    for box in old.boxes:
        after = frame_of.get(names.get(box.name, box.name), "")
        before = box.frame
        parts = (before.count("."), after.count("."))
        while before and parts[0] == parts[1]:
            moved.setdefault(before, set()).add(after)
            before, after = before.rpartition(".")[0], after.rpartition(".")[0]
            parts = (before.count("."), after.count("."))
    found: dict[str, str] = {}
    for before, others in moved.items():
        after = next(iter(others))
        free = after in here and after not in there and after not in found.values()
        if before not in here and len(others) == 1 and free:
            found[before] = after
    return found


def _inside(
    found: Comparison, first: Grouping, second: Grouping, names: Mapping[str, str]
) -> dict[str, str]:
    """Return for each closed box how many of the nodes in it differ."""
    structure = found.structure
    counts: dict[str, dict[str, int]] = {}
    for name, box in first.box_of.items():
        if name in structure.removed:
            kinds = counts.setdefault(names.get(box, box), {})
            kinds["removed"] = kinds.get("removed", 0) + 1
    for name, box in second.box_of.items():
        for word, those in (("added", structure.added), ("changed", structure.changed)):
            if name in those:
                kinds = counts.setdefault(box, {})
                kinds[word] = kinds.get(word, 0) + 1
    return {
        box: "nodes inside: " + ", ".join(f"{count} {word}" for word, count in kinds.items())
        for box, kinds in counts.items()
    }


def box_changes(found: Comparison, names: Counterparts, old: Box, new: Box) -> tuple[str, ...]:
    """Return in what a box of the second differs from its counterpart, a few short lines."""
    texts = [f"was {old.name}"] if old.name != new.name else []
    if Role.BLOCK in (old.role, new.role):
        texts += _of_block(names, old, new)
    elif new.role is Role.INPUT or old.role is Role.INPUT:
        texts += [_text(c) for c in found.structure.inputs if c.what == new.name]
    else:
        texts += _of_node(found.structure, found.old.graph, found.new.graph, new.name)
    lines = [line for text in texts for line in _broken(text)]
    if len(lines) > _MOST:
        lines = [*lines[: _MOST - 1], f"… and {len(lines) - _MOST + 1} lines more"]
    return tuple(lines)


def _of_block(names: Counterparts, old: Box, new: Box) -> Iterator[str]:
    if old.what != new.what:
        yield f"{' '.join(old.what)} → {' '.join(new.what)}"
    if old.count != new.count:
        yield f"{old.count or '×1'} → {new.count or '×1'}"
    if new.name in names.inside:
        yield names.inside[new.name]


def _of_node(structure: Difference, old: Graph, new: Graph, name: str) -> Iterator[str]:
    before = structure.old_names.get(name, name)
    for change in structure.changed.get(name, ()):
        yield (
            _text(change)
            if change.what != "from"
            else _rewired(
                [structure.renamed.get(e.node, e.node) for e in old.nodes[before].inputs],
                [e.node for e in new.nodes[name].inputs],
            )
        )


def _rewired(old: list[str], new: list[str]) -> str:
    """Return how inputs differ, of which the arrows tell the rest."""
    if sorted(old) != sorted(new):
        return "rewired"
    return "reads in another order" if old != new else "gets an input otherwise"


def _broken(text: str) -> Iterator[str]:
    """Yield a text in lines, the new value on one of its own where both do not fit into one."""
    old, arrow, new = text.partition(" → ")
    if arrow and len(text) > _WIDTH:
        yield from wrap(old, _WIDTH)
        yield from wrap(f"→ {new}", _WIDTH)
    else:
        yield from wrap(text, _WIDTH)


def _text(change: Change) -> str:
    if change.old is None or change.new is None:
        return str(change)
    return f"{change.what} {change.old} → {change.new}"
