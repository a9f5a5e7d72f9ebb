"""A typed graph as DOT, the language of Graphviz.

`write` takes what `graphspec.backends.drawing` describes and gives text that is the same, byte for
byte, for the same graph; `graphspec.backends.picture` makes images of it. Labels are HTML-like
tables, so that a name, what it does and its parameters can differ in weight and size.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

import graphviz

from graphspec.backends.drawing import sketch
from graphspec.backends.figures import (
    FAINT_INK,
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

_FONT = "Helvetica"
_THIN, _BOLD, _THICK = "1.2", "2.4", "3.2"
"""Outlines, in points: of a call, of a head, of shared weights."""

_LEGEND_WIDTH = 110
"""Characters in a row of the legend."""

_STYLES = ("", ' STYLE="dashed"')
"""Outlines of the legend, by whether they are dashed."""

_MANY_ARROWS = 250
"""From here on Graphviz is told to try less."""

_VERY_MANY_ARROWS = 1_000
"""From here on arrows are straight; from `_MANY_ARROWS` on where a box has more than three."""


def write(graph: Graph, depth: int | None = None) -> str:
    """Return the diagram of ``graph`` as DOT, from the inputs at the top to the heads.

    Args:
        graph: A typed graph.
        depth: How many levels of instances of blocks are open; None for all.

    Returns:
        The text of a ``.dot`` file. A node has its own name in it where that is letters, digits,
        ``_`` and ``.``, else ``#`` and its number.
    """
    return draw(sketch(graph, depth))


def draw(drawn: Sketch) -> str:
    """Return what `graphspec.backends.drawing` or `graphspec.backends.overlay` describes as DOT."""
    ids = {box.name: _identifier(box.name, i) for i, box in enumerate(drawn.boxes)}
    dot = graphviz.Digraph(
        name=graphviz.escape(drawn.title),
        graph_attr={
            "rankdir": "TB",
            "label": _heading(drawn),
            "labelloc": "t",
            "fontname": _FONT,
            "bgcolor": PAPER,
            "pad": "0.25",
            "nodesep": "0.4",
            "ranksep": "0.35",
            "outputorder": "edgesfirst",
            **_haste(len(drawn.boxes), len(drawn.arrows)),
        },
        node_attr={
            "shape": "box",
            "style": "filled",
            "fontname": _FONT,
            "fontcolor": INK,
            "fontsize": "13",
            "margin": "0.14,0.07",
            "height": "0.4",
        },
        edge_attr={
            "color": FAINT_INK,
            "fontname": _FONT,
            "fontcolor": FAINT_INK,
            "fontsize": "10.5",
            "arrowsize": "0.75",
            "penwidth": "1.1",
        },
    )
    frames = {"": dot} | {each.name: _frame(i, each) for i, each in enumerate(drawn.clusters)}
    for box in drawn.boxes:
        frames[box.frame].node(ids[box.name], _box_label(box), **_outline(box))
    for cluster in reversed(drawn.clusters):  # what is inside is complete first
        frames[cluster.parent].subgraph(frames[cluster.name])
    for arrow in drawn.arrows:
        dot.edge(ids[arrow.tail], ids[arrow.head], _arrow_label(arrow), **_arrow_line(arrow))
    return str(dot.source)


def _frame(number: int, cluster: Cluster) -> graphviz.Digraph:
    """Return an empty subgraph that is drawn as a frame around what is put into it."""
    title = _text(marked(cluster.name, cluster.mark), 12, INK, bold=True)
    rest = ", ".join(text for text in (cluster.block, cluster.size) if text)
    attributes = {
        "label": f"<{title} {_text(rest, 10.5, FAINT_INK)}>",
        "labeljust": "l",
        "style": "rounded",
        "color": FRAME,
        "penwidth": _THIN,
        "margin": "10",
    }
    if cluster.mark:
        attributes["color"] = LINES[cluster.mark]
        attributes["style"] = "rounded,dashed" if cluster.mark is Mark.REMOVED else "rounded"
    return graphviz.Digraph(name=f"cluster_{number}", graph_attr=attributes)


def _haste(boxes: int, arrows: int) -> dict[str, str]:
    """What a large diagram gives up for time.

    Measured: 1,200 arrows between 200 boxes take 2 s instead of 14 s with these limits, and 820
    between 42 take 2 s instead of 90 s with straight arrows; boxes are drawn over the arrows.
    """
    if arrows < _MANY_ARROWS:
        return {}
    limits = {"nslimit": "1", "mclimit": "0.1"}
    if arrows >= _VERY_MANY_ARROWS or arrows > 3 * boxes:
        limits["splines"] = "line"
    return limits


def _identifier(name: str, index: int) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_.]+", name) else f"#{index}"


def _outline(box: Box) -> dict[str, str]:
    """Attributes of a box beside its label."""
    attributes = {
        "fillcolor": box.paint.fill,
        "color": box.paint.line,
        "penwidth": _THIN,
        "tooltip": graphviz.escape(box.details),
    }
    if box.role is Role.INPUT:
        attributes["shape"] = "ellipse"
        attributes["margin"] = "0.06,0.03"
    elif box.role is Role.SMALL:
        attributes["style"] = "filled,rounded"
        attributes["margin"] = "0.1,0.02"
        attributes["height"] = "0.3"
    elif box.role is Role.BLOCK:
        attributes["shape"] = "box3d"
        attributes["margin"] = "0.2,0.13"
    elif box.role is Role.HEAD:
        attributes["penwidth"] = _BOLD
    if not box.tasks and box.role is not Role.INPUT:
        attributes["style"] = "filled,dashed"
    if box.badge:
        attributes["penwidth"] = _THICK
    if box.mark is not None:
        attributes["penwidth"] = _BOLD if box.mark else _THIN
        attributes["style"] = f"filled{',rounded' if box.role is Role.SMALL else ''}"
        attributes["style"] += ",dashed" if box.mark is Mark.REMOVED else ""
        if box.role is Role.SMALL and box.mark:  # its outline is thicker, its title larger
            attributes["margin"] = "0.12,0.06"
    return attributes


def _arrow_line(arrow: Arrow) -> dict[str, str]:
    """Attributes of an arrow beside its label."""
    if arrow.mark is None:
        return {"style": "dashed"} if arrow.stopped else {}
    dashed = "dashed" if arrow.mark is Mark.REMOVED else "dotted" if arrow.stopped else ""
    style = {"style": dashed} if dashed else {}
    if arrow.mark:
        style |= {"color": LINES[arrow.mark], "penwidth": "2"}
    return style | ({"constraint": "false"} if arrow.loose else {})


def _box_label(box: Box) -> str:
    bold = box.role is not Role.SMALL
    rows = [_cell(box.title, 13 if bold else 12, INK, bold or bool(box.mark))]
    rows += [_cell(box.what, 11, INK if box.role is Role.HEAD else FAINT_INK)]
    rows += [_cell((box.size,), 10.5, FAINT_INK)] if box.size else []
    rows += [_cell(box.changes, 10.5, INK)]
    rows += [_cell((box.count,), 10.5, PAPER, True, FAINT_INK)] if box.count else []
    rows += [_cell((box.badge,), 10.5, PAPER, True, box.paint.line)] if box.badge else []
    return _table(rows, 'CELLPADDING="1" CELLSPACING="1"')


def _arrow_label(arrow: Arrow) -> str:
    # On paper-coloured ground: where an arrow is flat, its own line would run through the text.
    colour = LINES[arrow.mark] if arrow.mark else FAINT_INK
    row = _cell((arrow.label,), 10.5, colour, bool(arrow.mark), fill=PAPER)
    return _table([row], 'CELLPADDING="1" CELLSPACING="4"')


def _heading(drawn: Sketch) -> str:
    """Title, description, size and legend; as the label of the whole they never are in the way."""
    rows = [_cell((drawn.title,), 18, INK, True)]
    rows += [_cell(drawn.description, 12, FAINT_INK)]
    rows += [_cell((drawn.size,), 12, FAINT_INK)]
    rows += [f"<TR><TD>{_keys(keys)}</TD></TR>" for keys in _legend_rows(drawn.legend)]
    rows.append('<TR><TD HEIGHT="8"></TD></TR>')
    return _table(rows, 'CELLPADDING="2" CELLSPACING="0"')


def _legend_rows(legend: Iterable[Key]) -> list[list[Key]]:
    """Break the legend into rows of similar width."""
    rows: list[list[Key]] = []
    room = 0
    for key in legend:
        room -= len(key.text) + 6
        if not rows or room < 0:
            rows.append([])
            room = _LEGEND_WIDTH - len(key.text) - 6
        rows[-1].append(key)
    return rows


def _keys(legend: Iterable[Key]) -> str:
    cells = "".join(
        f'<TD BORDER="{3 if key.thick else 1}"{_STYLES[key.dashed]} COLOR="{key.paint.line}"'
        f' BGCOLOR="{key.paint.fill}">{_text(" " + key.text + " ", 11, INK)}</TD>'
        for key in legend
    )
    return f'<TABLE BORDER="0" CELLPADDING="4" CELLSPACING="6"><TR>{cells}</TR></TABLE>'


def _table(rows: Iterable[str], spacing: str) -> str:
    return f'<<TABLE BORDER="0" {spacing}>{"".join(rows)}</TABLE>>'


def _cell(
    lines: Iterable[str], size: float, colour: str, bold: bool = False, fill: str = ""
) -> str:
    """A row of one cell, or nothing where there is no text."""
    texts = [_text(line, size, colour, bold) for line in lines if line]
    background = f' BGCOLOR="{fill}" CELLPADDING="3"' if fill else ""
    return f"<TR><TD{background}>{'<BR/>'.join(texts)}</TD></TR>" if texts else ""


def _text(text: str, size: float, colour: str, bold: bool = False) -> str:
    escaped = html.escape(text)
    weighted = f"<B>{escaped}</B>" if bold else escaped
    return f'<FONT POINT-SIZE="{size:g}" COLOR="{colour}">{weighted}</FONT>'
