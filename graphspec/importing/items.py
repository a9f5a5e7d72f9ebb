"""Nodes while structure is folded: what may differ between two alike ones stands apart.

An `Item` is a node or an instance of a block. Its `shape` is what must be the same for two of them
to be one node of a block; its `values` may differ, and become parameters of the block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from graphspec.importing.drafts import Draft, Ref
from graphspec.ops.registry import OPS

Key: TypeAlias = "tuple[int, str]"
"""A value of a node: the number of its layer, and the name of the argument."""


@dataclass
class Item:
    """A node, or an instance of a block.

    Attributes:
        name: Its name.
        ops: Its op, or those of a sequence; for an instance the name of the block.
        form: ``op``, ``layers``, ``block``, or ``fixed`` for what is never part of a block.
        values: Arguments, those that are not written left out.
        inputs: What it reads.
        plain: What a fixed node says.
        trainable: Whether its parameters are trained.
        repeat: How many instances it chains, or None.
        when: The parameter of the block that leaves it out, or None.
    """

    name: str
    ops: tuple[str, ...]
    form: str
    values: dict[Key, Any]
    inputs: tuple[Ref, ...]
    plain: Mapping[str, Any] = field(default_factory=dict)
    trainable: bool = True
    repeat: int | None = None
    when: str | None = None

    @classmethod
    def of(cls, draft: Draft) -> Item:
        """Make an item of a node."""
        fixed = bool(draft.task or draft.share or draft.ties)
        form = "fixed" if fixed else "layers" if draft.is_sequence else "op"
        values = {
            (number, name): value
            for number, part in enumerate(draft.parts)
            for name, value in part.args.items()
        }
        ops = tuple(part.op for part in draft.parts)
        return cls(draft.name, ops, form, values, draft.inputs, draft.plain(), draft.trainable)

    @property
    def shape(self) -> tuple[Any, ...]:
        """What must be the same in every instance of a block."""
        return self.form, self.ops, self.trainable, self.repeat, self.when

    def default(self, key: Key, blocks: Mapping[str, Mapping[str, Any]]) -> Any:
        """Return what an argument is where it is not written."""
        number, name = key
        if self.form == "block":
            return blocks[self.ops[0]][name]
        value = OPS.get(self.ops[number]).Args.model_fields[name].get_default()
        return list(value) if isinstance(value, tuple) else value

    def written(self, inputs: Any) -> dict[str, Any]:
        """Return it as a spec writes it.

        Args:
            inputs: What it reads, as a spec writes that; None for nothing.
        """
        if self.form == "fixed":
            found = dict(self.plain)
        elif self.form == "layers":
            found = {"layers": [self._layer(number) for number in range(len(self.ops))]}
        else:
            found = {self.form: self.ops[0]}
            found.update(self._args(0))
        if inputs is not None:
            found["from"] = inputs
        if not self.trainable and self.form != "fixed":
            found["trainable"] = False
        if self.repeat is not None:
            found["repeat"] = self.repeat
        if self.when is not None:
            found["when"] = f"={self.when}"
        return found

    def _args(self, number: int) -> dict[str, Any]:
        """Return the arguments of one op, in the order in which it documents them."""
        found = {name: value for (at, name), value in self.values.items() if at == number}
        if self.form == "block":
            return found
        fields = OPS.get(self.ops[number]).Args.model_fields
        return {name: found[name] for name in fields if name in found}

    def _layer(self, number: int) -> Any:
        op = self.ops[number]
        args = self._args(number)
        if not args:
            return op
        (name, value), *more = args.items()
        if not more and name == OPS.get(op).shorthand and not isinstance(value, dict):
            return {op: value}
        return {op: args}


def is_expression(value: Any) -> bool:
    """Return whether a value is worked out where it stands, so that it cannot be handed on."""
    return isinstance(value, str) and value.startswith("=")
