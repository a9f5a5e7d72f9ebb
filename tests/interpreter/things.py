"""What may stand under a name: one call, several things, a sub-graph, or nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.interpreter.values import Env
from tests.interpreter.weights import Weights


@dataclass(eq=False)
class Read:
    """A source as written: a name in a scope, with what the edge does to it."""

    scope: Scope
    name: str
    policy: dict[str, Any]


@dataclass(eq=False)
class Previous:
    """The thing before this one in a chain, or one output of it."""

    thing: Thing
    output: str | None = None


Source: TypeAlias = "Read | Previous"


@dataclass(eq=False)
class Call:
    """One node of the flat graph: weights applied to what the sources stand for."""

    name: str
    weights: Weights
    sources: list[tuple[str | None, Source]]


@dataclass(eq=False)
class Many:
    """Several things under one name; a chain stands for its last, else it is all of them."""

    members: dict[str, Thing]
    chain: bool


@dataclass(eq=False)
class Passed:
    """What is left out: it stands for what it reads first."""

    source: Source


@dataclass(eq=False)
class Instance:
    """An instance of a block."""

    block: dict[str, Any]
    scope: Scope


Thing: TypeAlias = "Call | Many | Passed | Instance"


@dataclass(eq=False)
class Scope:
    """One body of nodes: the spec's own, or that of an instance.

    Attributes:
        prefix: What full names begin with.
        nodes: The nodes as written.
        env: Values for expressions.
        inputs: What each input of the block stands for.
        outer: The scope around it.
        added: Keys that the instance gives to each node that does not say them itself.
        things: What was made so far.
    """

    prefix: str
    nodes: dict[str, dict[str, Any]]
    env: Env
    inputs: dict[str, list[Source]] = field(default_factory=dict)
    outer: Scope | None = None
    added: dict[str, Any] = field(default_factory=dict)
    things: dict[str, Thing] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """What a call really reads: a call or an input of the model, and the policies on the way."""

    target: Call | str
    port: int | None
    policies: tuple[tuple[str, Any], ...] = ()


def calls_of(thing: Thing) -> Iterator[Call]:
    if isinstance(thing, Call):
        yield thing
    elif isinstance(thing, Many):
        for member in thing.members.values():
            yield from calls_of(member)
    elif isinstance(thing, Instance):
        for name in thing.scope.nodes:
            yield from calls_of(thing.scope.things[name])
