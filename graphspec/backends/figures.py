"""What a diagram consists of: boxes, arrows, frames and a legend, whatever language draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

INK = "#1F2933"
"""Colour of text."""

FAINT_INK = "#46525E"
"""Colour of the text below a title and of arrows."""

FRAME = "#8A949D"
"""Colour of the frames around instances of blocks."""

PAPER = "#FFFFFF"
"""Colour behind everything."""


class Role(str, Enum):
    """What a box is, which decides its outline."""

    INPUT = "input"
    NODE = "node"
    SMALL = "small"
    """A call that only joins values, such as ``concat``."""
    HEAD = "head"
    BLOCK = "block"
    """Closed instances of a block."""


class Mark(str, Enum):
    """In a diagram of two topologies, what became of something from the first to the second."""

    SAME = ""
    ADDED = "+"
    REMOVED = "−"
    CHANGED = "~"


LINES = {Mark.ADDED: "#00674B", Mark.REMOVED: "#B3261E", Mark.CHANGED: "#8F6200"}
"""Outlines and arrows of what differs: green, red, amber, all dark enough for text on paper."""


def marked(text: str, mark: Mark | None) -> str:
    """Return a text after the sign of what became of what it names; nothing is told by colour."""
    return f"{mark.value} {text}" if mark else text


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
        title: Its name, in one or more lines; in a frame without that of the frame.
        what: What it does, in no, one or more lines.
        size: Its parameters, or whose weights it uses, so that the numbers of a diagram add up;
            empty where there are none.
        tasks: The tasks that it serves, by name.
        paint: Its colours.
        badge: ``shared ×2`` where its weights have two calls, which then have the same outline;
            empty where no other call uses them.
        details: Name and description at full length.
        count: ``×2`` where it stands for two instances of a block; empty for one, and for a call.
        frame: Name of the frame that it is in; empty where it is in none.
        mark: What became of it, in a diagram of two topologies; None in one of one.
        changes: In what it changed, a line each.
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
    count: str = ""
    frame: str = ""
    mark: Mark | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """One input of a call; two equal inputs are two arrows.

    Attributes:
        tail: The box that is read.
        head: The box that reads it.
        label: Names, shape, and what the edge does to what it passes on.
        stopped: Whether no gradient flows back.
        policy: The end of the label that says what the edge does; empty where that is nothing.
        mark: What became of it, in a diagram of two topologies.
        loose: Whether it has no say in where the boxes stand.
    """

    tail: str
    head: str
    label: str
    stopped: bool = False
    policy: str = ""
    mark: Mark | None = None
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of the legend; ``thick`` and ``dashed`` are outlines: of shared weights, say."""

    text: str
    paint: Paint
    thick: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A frame around the calls of one instance of a block.

    Attributes:
        name: Name of the instance.
        block: Name of the block.
        size: Its parameters; empty where there are none.
        parent: Name of the frame around it; empty where it is outermost.
        mark: What became of it, in a diagram of two topologies.
    """

    name: str
    block: str
    size: str
    parent: str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Sketch:
    """A diagram.

    Attributes:
        title: Name of the spec.
        description: Its description, in no, one or more lines.
        size: All parameters, each counted once; empty where there are none.
        tasks: The tasks, each with the colours of its head.
        boxes: Inputs, then calls and closed instances in topological order.
        arrows: Inputs of the calls, in the order of the boxes.
        clusters: Frames, each after the one around it.
        legend: What the colours mean: only those that occur.
    """

    title: str
    description: tuple[str, ...]
    size: str
    tasks: Mapping[str, Paint]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    clusters: tuple[Cluster, ...]
    legend: tuple[Key, ...]
