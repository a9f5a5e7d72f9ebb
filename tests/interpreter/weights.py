"""Whose tensors a call uses: every name as it must stand in the ``state_dict``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(eq=False)
class Weights:
    """One owner: a definition under a name, perhaps with tensors that are another's.

    Attributes:
        name: Its full name.
        what: The node that defines it, evaluated: with ``op`` or ``layers``.
        trainable: Whether training changes it.
        parameters_of: The owner whose parameters these are; buffers are its own.
        copy_of: The owner that it starts as.
        layer_of: The owner of the sequence of which this is one layer, and which.
        ties: Parameters that are another's, with their name there.
    """

    name: str
    what: dict[str, Any]
    trainable: bool = True
    parameters_of: Weights | None = None
    copy_of: Weights | None = None
    layer_of: tuple[Weights, int] | None = None
    ties: dict[str, tuple[Weights, str]] = field(default_factory=dict)

    def home(self, parameter: str) -> str:
        """Return the full name under which a parameter of this owner really lives."""
        if self.layer_of is not None:
            return self.layer_of[0].home(f"{self.layer_of[1]}.{parameter}")
        if parameter in self.ties:
            owner, name = self.ties[parameter]
            return owner.home(name)
        if self.parameters_of is not None:
            return self.parameters_of.home(parameter)
        return f"{self.name}.{parameter}"

    def buffer_home(self, buffer: str) -> str:
        """Return the full name of a buffer."""
        if self.layer_of is not None:
            return self.layer_of[0].buffer_home(f"{self.layer_of[1]}.{buffer}")
        return f"{self.name}.{buffer}"

    def needs(self) -> Iterator[Weights]:
        """Yield the owners without which this one is nothing."""
        for other in (self.parameters_of, self.copy_of):
            if other is not None:
                yield other
        if self.layer_of is not None:
            yield self.layer_of[0]
        for owner, _ in self.ties.values():
            yield owner


def layer_of(weights: Weights, index: int) -> Weights:
    """Return one layer of a sequence."""
    layer = weights.what["layers"][index]
    part = Weights(f"{weights.name}.{index}", {"layers": [layer]}, weights.trainable)
    part.layer_of = (weights, index)
    return part


def again(uses: list[tuple[str, str, Weights]], what: dict[str, Any]) -> list[Weights]:
    """Return the weights of calls that share those of others, or begin as copies of them.

    Args:
        uses: For each call its name, the name of the call that it is like, and whose weights that
            one uses.
        what: The node that says ``share`` or ``copy``.

    Returns:
        The weights for each call. In a copy of several what was one stays one.
    """
    if "share" in what:
        if what.get("mode", "module") == "module":
            return [old for _, _, old in uses]
        return [Weights(name, o.what, o.trainable, parameters_of=o) for name, _, o in uses]
    trainable = bool(what.get("trainable", True))
    twins: dict[Weights, Weights] = {}
    for name, like, old in uses:
        twin = twins.setdefault(old, Weights(name, old.what, trainable, copy_of=old))
        if like == old.name:
            twin.name = name
    for old, twin in twins.items():
        if old.parameters_of in twins:
            twin.parameters_of, twin.copy_of = twins[old.parameters_of], None
        if old.layer_of is not None and old.layer_of[0] in twins:
            twin.layer_of, twin.copy_of = (twins[old.layer_of[0]], old.layer_of[1]), None
        for parameter, (owner, name) in old.ties.items():
            if owner in twins:
                twin.ties[parameter] = (twins[owner], name)
    return [twins[old] for _, _, old in uses]


@dataclass
class Store:
    """The tensors of a model, and which of them were used.

    Attributes:
        tensors: Parameters and buffers by the name that their owner gives them.
        used: The names that were asked for.
        frozen: Those of them that a node with ``trainable: false`` uses.
    """

    tensors: dict[str, Tensor]
    used: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)


@dataclass
class Shelf:
    """What one layer sees of the tensors: its own names only.

    Attributes:
        store: All tensors.
        weights: The owner.
        prefix: What its names begin with inside the owner: ``0.``, or nothing.
    """

    store: Store
    weights: Weights
    prefix: str = ""

    def inside(self, name: str | int) -> Shelf:
        """Return the shelf of one layer of a sequence."""
        return Shelf(self.store, self.weights, f"{self.prefix}{name}.")

    def parameter(self, name: str) -> Tensor:
        """Return a parameter."""
        home = self.weights.home(self.prefix + name)
        if home not in self.store.tensors:
            # The owner reaches no head, so its parameters stand with those that use them.
            home = f"{self.weights.name}.{self.prefix}{name}"
        self.store.used.add(home)
        if not self.weights.trainable:
            self.store.frozen.add(home)
        return self.store.tensors[home]

    def buffer(self, name: str) -> Tensor:
        """Return a buffer."""
        home = self.weights.buffer_home(self.prefix + name)
        self.store.used.add(home)
        return self.store.tensors[home]
