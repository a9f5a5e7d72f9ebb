"""What stands under a name while blocks are unrolled: one node, several, or a whole sub-graph.

A `Frame` is one body of nodes: the spec's own, or that of an instance of a block. Its members are
found by name in any order; `graphspec.language.unroll` makes them and asks what they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from graphspec.errors import Span
from graphspec.language.blocks.declare import Block
from graphspec.language.reader import Tree
from graphspec.language.scope import Scope


@dataclass(frozen=True, slots=True)
class Ref:
    """One edge of the flat graph: a node's full name with what its reader does to it.

    Attributes:
        node: Name of a node or an input, perhaps with an output (``lstm.0``).
        policy: The keys beside ``node``: ``as``, ``detach``, ``gradient_scale``.
    """

    node: str
    policy: Mapping[str, Tree] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """A source as written: a name in a frame, with its policy."""

    frame: Frame
    tree: Tree


@dataclass(frozen=True, slots=True)
class Before:
    """A source that follows from ``repeat``: the instance before this one."""

    member: Member
    output: str | None = None


Source: TypeAlias = "Written | Before"


@dataclass(slots=True)
class Reads:
    """What a node's ``from`` says.

    Attributes:
        named: Whether it is a mapping.
        items: The sources with the name of the input where it is a mapping.
        tree: The ``from`` itself.
        key: Where the word ``from`` stands.
    """

    named: bool
    items: list[tuple[str | None, Source]]
    tree: Tree
    key: Span


@dataclass(slots=True, eq=False)
class Leaf:
    """One node of the flat graph.

    Attributes:
        name: Its full name.
        tree: What it is, evaluated.
        key: Where its name stands.
        reads: What it reads.
        home: The frame in whose names it is written.
    """

    name: str
    tree: Tree
    key: Span
    reads: Reads | None
    home: Frame


@dataclass(slots=True, eq=False)
class Alias:
    """A node that is left out and stands for what it reads."""

    name: str
    reads: Reads | None
    key: Span


@dataclass(slots=True, eq=False)
class Group:
    """Several nodes under one name: a chain (``repeat``) stands for its last, else for all."""

    name: str
    members: dict[str, Member]
    chain: bool


@dataclass(slots=True, eq=False)
class Instance:
    """An instance of a block."""

    name: str
    block: Block
    frame: Frame
    key: Span


@dataclass(slots=True, eq=False)
class Lost:
    """A node with a mistake, which was reported."""

    name: str


Member: TypeAlias = "Leaf | Alias | Group | Instance | Lost"


@dataclass(slots=True, eq=False)
class Frame:
    """One body of nodes.

    Attributes:
        prefix: What its nodes' full names begin with: ``stage2.1.``, or nothing.
        body: The nodes as written.
        scope: The variables in reach.
        via: The node that uses the block, or None for the spec's own nodes.
        inputs: What each input of the block stands for.
        outer: The frame around it.
        added: Keys that an instance gives to every node inside it (``trainable``, ``init``).
        depth: Number of blocks around it.
        members: What was found under the names so far.
        open: Names that are being looked into, to notice circles.
        nodes: Names of which it is known whether they are one node, told by ``share`` alone.
    """

    prefix: str
    body: Tree
    scope: Scope
    via: Span | None = None
    inputs: Mapping[str, list[Source]] = field(default_factory=dict)
    outer: Frame | None = None
    added: Mapping[str, tuple[Span, Tree]] = field(default_factory=dict)
    depth: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    nodes: dict[str, bool] = field(default_factory=dict)

    @property
    def names(self) -> Mapping[str, Tree]:
        """The nodes as written, by name."""
        return self.body.mapping or {}
