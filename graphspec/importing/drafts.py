"""The nodes of an imported topology, before they are written down.

A `Draft` is a node: what it does, what it reads, and where in the model it comes from. A `Ref` is
what one reads of another. Both are plain values of the spec's language; torch's are left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from graphspec.importing.tracing import Place
from graphspec.ops.registry import OpError
from graphspec.ops.types import TensorType


@dataclass(frozen=True, slots=True)
class Ref:
    """What a node reads.

    Attributes:
        node: A node or an input.
        port: Which of its outputs, or None where it has one.
        form: The policy ``as`` of the edge; ``logits`` for the value itself.
        detach: Whether no gradient flows back.
        scale: Factor of the gradient that flows back.
    """

    node: str
    port: int | None = None
    form: str = "logits"
    detach: bool = False
    scale: float = 1.0

    @property
    def name(self) -> str:
        """The node, or its output, as a spec names it."""
        return self.node if self.port is None else f"{self.node}.{self.port}"

    @property
    def is_plain(self) -> bool:
        """Whether the edge passes on what it reads as it is."""
        return self.form == "logits" and not self.detach and self.scale == 1.0

    def plain(self) -> Any:
        """Return it as a spec writes it."""
        if self.is_plain:
            return self.name
        found: dict[str, Any] = {"node": self.name}
        if self.form != "logits":
            found["as"] = self.form
        if self.detach:
            found["detach"] = True
        if self.scale != 1.0:
            found["gradient_scale"] = self.scale
        return found

    def at(self, name: str) -> Ref:
        """Return the same edge from another node."""
        return replace(self, node=name)


@dataclass(frozen=True, slots=True)
class Raw:
    """A parameter of the model that is no node yet.

    Attributes:
        path: Its name in the model.
        shape: The shape in which it is used.
        batched: Whether it is repeated for each sample.
    """

    path: str
    shape: tuple[int, ...]
    batched: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One op with its arguments, as a spec writes them.

    Attributes:
        op: Name of the op.
        args: Its arguments, those that are defaults left out.
    """

    op: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Draft:
    """A node in the making.

    Attributes:
        name: Its name.
        parts: One op, or those of a sequence.
        inputs: What it reads, in order.
        types: Type of its output; for several, of the first.
        scope: The call of a module that it belongs to.
        place: The line of the model's code that calls it.
        module: The module that it is, where it is one.
        path: That module's path in the model.
        share: The node whose weights it uses.
        own_statistics: Whether it shares parameters only.
        ties: Parameters that are another node's, by their names here.
        trainable: Whether its parameters are trained.
        task: The task that it predicts.
        weights: For each parameter and buffer its name in the model, by its name here.
        is_sequence: Whether it is written as ``layers:``.
    """

    name: str
    parts: tuple[Part, ...]
    inputs: tuple[Ref, ...]
    types: TensorType
    scope: str
    place: Place | None
    module: nn.Module | None = None
    path: str | None = None
    share: str | None = None
    own_statistics: bool = False
    ties: dict[str, str] = field(default_factory=dict)
    trainable: bool = True
    task: str | None = None
    weights: dict[str, str] = field(default_factory=dict)
    is_sequence: bool = False

    def plain(self) -> dict[str, Any]:
        """Return what the node says, without what it reads."""
        if self.share is not None:
            mode = {"mode": "parameters"} if self.own_statistics else {}
            found: dict[str, Any] = {"share": self.share, **mode}
        elif self.is_sequence:
            found = {"layers": [_short(part) for part in self.parts]}
        else:
            found = {"op": self.parts[0].op, **self.parts[0].args}
        if self.ties:
            found["tie"] = dict(self.ties)
        if not self.trainable:
            found["trainable"] = False
        return found

    @property
    def from_(self) -> Any:
        """What it reads, as a spec writes it; None for nothing."""
        if not self.inputs:
            return None
        items = [ref.plain() for ref in self.inputs]
        return items[0] if len(items) == 1 else items


def _short(part: Part) -> Any:
    """Return a layer of a sequence in its shortest form."""
    from graphspec.ops.registry import OPS

    if not part.args:
        return part.op
    (name, value), *more = part.args.items()
    if not more and name == OPS.get(part.op).shorthand and not isinstance(value, dict):
        return {part.op: value}
    return {part.op: dict(part.args)}


class UnsupportedError(Exception):
    """A call of the model that the language has no word for.

    Attributes:
        message: What it is, in a diagnostic's grammar.
        hint: What to do, or None.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @classmethod
    def of(cls, error: OpError) -> UnsupportedError:
        """Return the same for an op that cannot be built as the model would need it."""
        return cls(error.message, error.hint)


def refs_in(value: Any) -> Iterator[Ref]:
    """Yield every `Ref` in nested lists, tuples and mappings."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from refs_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from refs_in(item)


@dataclass(frozen=True, slots=True)
class Absent:
    """A value that the language does not have, which is told where it is used.

    Attributes:
        message: What it is; empty where a mistake was reported already.
        hint: What to do, or None.
    """

    message: str = ""
    hint: str | None = None
