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
class Cluster:
    """A frame around the calls of one instance of a block.

    Attributes:
        name: Name of the instance.
        block: Name of the block.
        size: Its parameters; empty where there are none.
        parent: Name of the frame around it; empty where it is outermost.
    """

    name: str
    block: str
    size: str
    parent: str


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
