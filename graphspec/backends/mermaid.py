"""A typed graph as a Mermaid flowchart, which GitHub, GitLab and many editors draw in Markdown.

The same sketch as `graphspec.backends.dot` writes; the text is the same, byte for byte, for the
same graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphspec.backends.drawing import sketch
from graphspec.backends.figures import (
    FRAME,
    INK,
    LINES,
    PAPER,
    Arrow,
    Box,
    Cluster,
    Key,
    Mark,
    Role,
    Sketch,
    marked,
)
from graphspec.graph.ir import Graph

_SHAPES = {
    Role.INPUT: ('(["', '"])'),
    Role.NODE: ('["', '"]'),
    Role.SMALL: ('("', '")'),
    Role.HEAD: ('[["', '"]]'),
    Role.BLOCK: ('{{"', '"}}'),
}
"""Brackets around a label: stadium, box, rounded box, box with double sides, hexagon."""

_SPECIAL = frozenset('"#&<>`%{}$')
"""What ends a label or means something in it: entities, HTML, Markdown, directives, formulas."""


def write(graph: Graph, depth: int | None = None) -> str:
    """Return the diagram of ``graph`` as a Mermaid flowchart, from the inputs down to the heads.

    Args:
        graph: A typed graph.
        depth: How many levels of instances of blocks are open; None for all.

    Returns:
        The text of a ``.mmd`` file, or of a ``mermaid`` block in Markdown.
    """
    return draw(sketch(graph, depth))


def draw(drawn: Sketch) -> str:
    """Return what `drawing` or `overlay` of this room describe as a Mermaid flowchart."""
    ids = {box.name: f"n{i}" for i, box in enumerate(drawn.boxes)}
    classes = _classes(drawn)
    lines = ["flowchart TB"]
    boxes = {b.name: f"{ids[b.name]}{_shape(b)}:::{classes[_style(b)]}" for b in drawn.boxes}
    lines += [f"  {boxes[box.name]}" for box in drawn.boxes if not box.frame]
    lines += _frames(drawn, boxes)
    lines += [
        f'  {ids[arrow.tail]} {_line(arrow)}|"{_escape(arrow.label)}"| {ids[arrow.head]}'
        for arrow in drawn.arrows
    ]
    lines += _legend(drawn, classes)
    lines += [f"  classDef {name} {style}" for style, name in classes.items()]
    lines += _link_styles(drawn.arrows)
    return "\n".join(lines) + "\n"


def _frames(drawn: Sketch, boxes: Mapping[str, str]) -> Iterable[str]:
    """The frames with the boxes in them: subgraphs, which may hold others."""
    content: dict[str, list[str]] = {cluster.name: [] for cluster in drawn.clusters}
    for box in drawn.boxes:
        if box.frame:
            content[box.frame].append(boxes[box.name])
    for number, cluster in reversed(list(enumerate(drawn.clusters))):
        rest = ", ".join(filter(None, (cluster.block, cluster.size)))
        lines = [
            f'subgraph f{number} ["{_bold(marked(cluster.name, cluster.mark))} {_escape(rest)}"]',
            *(f"  {line}" for line in content[cluster.name]),
            "end",
            f"style f{number} fill:none,stroke:{_frame_line(cluster)},color:{INK}",
        ]
        if cluster.parent:
            content[cluster.parent] += lines
        else:
            yield from (f"  {line}" for line in lines)


def _frame_line(cluster: Cluster) -> str:
    if not cluster.mark:
        return FRAME
    dashed = ",stroke-dasharray:6 4" if cluster.mark is Mark.REMOVED else ""
    return LINES[cluster.mark] + dashed


def _line(arrow: Arrow) -> str:
    """Return the line of an arrow, dotted where no gradient flows back."""
    return "-.->" if arrow.stopped else "-->"


def _link_styles(arrows: Iterable[Arrow]) -> Iterable[str]:
    """The colours of arrows that differ, by their numbers."""
    found: dict[Mark, list[str]] = {}
    for number, arrow in enumerate(arrows):
        if arrow.mark:
            found.setdefault(arrow.mark, []).append(str(number))
    for mark, numbers in found.items():
        dashed = ",stroke-dasharray:6 4" if mark is Mark.REMOVED else ""
        style = f"stroke:{LINES[mark]},stroke-width:2px,color:{LINES[mark]}{dashed}"
        yield f"  linkStyle {','.join(numbers)} {style}"


def _shape(box: Box) -> str:
    first, last = _SHAPES[box.role]
    is_bold = box.role is not Role.SMALL or box.mark
    title = [_bold(line) if is_bold else _escape(line) for line in box.title]
    rest = [_escape(line) for line in (*box.what, box.size, *box.changes) if line]
    badge = [_bold(text) for text in (box.count, box.badge) if text]
    return first + "<br/>".join([*title, *rest, *badge]) + last


def _legend(drawn: Sketch, classes: dict[str, str]) -> Iterable[str]:
    """The title and the legend, as a group of boxes without arrows."""
    size = f", {drawn.size}" if drawn.size else ""
    yield f'  subgraph legend ["{_escape(drawn.title + size)}"]'
    for i, key in enumerate(drawn.legend):
        yield f'    k{i}["{_escape(key.text)}"]:::{classes[_key_style(key)]}'
    yield "  end"
    yield f"  style legend fill:{PAPER},stroke:{FRAME},color:{INK}"


def _classes(drawn: Sketch) -> dict[str, str]:
    """A class for each style that occurs, in the order of first use."""
    styles = [*map(_style, drawn.boxes), *map(_key_style, drawn.legend)]
    return {style: f"c{i}" for i, style in enumerate(dict.fromkeys(styles))}


def _style(box: Box) -> str:
    if box.mark is not None:
        dashed = ",stroke-dasharray:6 4" if box.mark is Mark.REMOVED else ""
        return _css(box.paint.fill, box.paint.line, 3 if box.mark else 1) + dashed
    width = 4 if box.badge else 3 if box.role is Role.HEAD else 1
    dashed = ",stroke-dasharray:5 4" if not box.tasks and box.role is not Role.INPUT else ""
    return _css(box.paint.fill, box.paint.line, width) + dashed


def _key_style(key: Key) -> str:
    dashed = ",stroke-dasharray:6 4" if key.dashed else ""
    return _css(key.paint.fill, key.paint.line, 4 if key.thick else 1) + dashed


def _css(fill: str, line: str, width: int) -> str:
    return f"fill:{fill},stroke:{line},stroke-width:{width}px,color:{INK}"


def _bold(text: str) -> str:
    return f"<b>{_escape(text)}</b>"


def _escape(text: str) -> str:
    """Write special characters by their number, in the notation of Mermaid: ``#35;``."""
    # A backslash before an n is a new line to Mermaid, however it is written.
    text = text.replace("\\", "∖")
    escaped = "".join(f"#{ord(c)};" if c in _SPECIAL else c for c in text)
    # A label that begins like a list item ("1. ", "- ") would be read as Markdown.
    return escaped.replace(". ", "#46; ").replace("- ", "#45; ")
