"""What the makers of members have in common while a spec is unrolled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphspec.errors import Sink, Span
from graphspec.language.blocks.bodies import Bodies
from graphspec.language.blocks.declare import Block
from graphspec.language.blocks.members import (
    Before,
    Frame,
    Leaf,
    Lost,
    Member,
    Reads,
    Source,
    Written,
)
from graphspec.language.reader import Tree
from graphspec.language.scope import Scope, is_broken

MAX_NODES = 200_000
"""Most nodes of a flat graph."""

ADDED = ("trainable", "init")
"""Keys of an instance that every node inside it gets."""


class TooManyError(Exception):
    """More nodes than a graph may have."""

    def __init__(self, span: Span) -> None:
        super().__init__()
        self.span = span


@dataclass(slots=True)
class Site:
    """Where a node is being made: its full name and what is in reach.

    Attributes:
        name: The full name so far.
        scope: The variables, those of ``each`` and ``index`` included.
        first: What takes the place of its first input, in a chain.
    """

    name: str
    scope: Scope
    first: Member | None = None


@dataclass
class Work:
    """The state of one unrolling.

    Attributes:
        blocks: Blocks by name; None for one with a mistake.
        sink: Where mistakes go.
        member: Gives what stands under a name of a frame, looking into it if need be.
        used: Blocks of which there is an instance.
        broken: Full names that stand for nothing.
        made: Number of nodes so far.
        instances: The block of each instance, by the instance's full name.
        bodies: The nodes of bodies, evaluated.
        copies: For each copy of a group or an instance the nodes that it consists of.
    """

    blocks: dict[str, Block | None]
    sink: Sink
    member: Callable[[Frame, str], Member]
    used: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    made: int = 0
    instances: dict[str, str] = field(default_factory=dict)
    bodies: Bodies = field(default_factory=Bodies)
    copies: list[list[Leaf]] = field(default_factory=list)

    def lost(self, name: str) -> Lost:
        """Return the member for a node with a mistake that was reported."""
        self.broken.add(name)
        return Lost(name)

    def count(self, key: Span) -> None:
        """Count a node.

        Raises:
            TooManyError: If there are too many.
        """
        self.made += 1
        if self.made > MAX_NODES:
            raise TooManyError(key)

    def leaf(self, frame: Frame, site: Site, tree: Tree, key: Span, reads: Reads | None) -> Leaf:
        """Return the member for one node of the flat graph."""
        self.count(key)
        return Leaf(site.name, tree, key, reads, frame)


def reads_of(frame: Frame, tree: Tree, site: Site) -> Reads | None:
    """Return what ``from`` says, with the first input of a chain's later instances replaced."""
    given = tree.get("from")
    if given is None or given.value is None or is_broken(given):
        return None
    named = given.mapping is not None and "node" not in given.mapping
    items: list[tuple[str | None, Source]]
    if named:
        items = [(n, Written(frame, t)) for n, t in (given.mapping or {}).items()]
    else:
        written = given.items if given.items is not None else [given]
        items = [(None, Written(frame, t)) for t in written]
    if site.first is not None and items:
        items[0] = (items[0][0], Before(site.first))
    return Reads(named, items, given, tree.keys["from"])
