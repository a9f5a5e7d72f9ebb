"""A body of nodes in the making: the spec's own, or that of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hypothesis import strategies as st

from tests.random_specs.types import Block, Readable, Reusable, Tensor, Type, Width

_T = TypeVar("_T")

_NAMES = (
    *("relu", "linear", "nn", "torch", "F", "x", "input_1", "out", "weight", "model", "list"),
    *("operator", "cat", "tensor", "layer", "add", "Linear", "softmax", "super", "t", "tasks"),
)
"""Names that generated code may have uses for itself."""


@dataclass
class Body:
    """Nodes of one body, written one after the other.

    Attributes:
        draw: Hypothesis's.
        blocks: The blocks that may be used.
        in_block: Whether there is a parameter ``units``.
        readables: What may be read.
        reusables: What may be used again.
        tensors: What may be tied to.
        lines: The nodes as text.
        names: What has been named.
        odd_names: Whether some names are such that generated code may have uses for itself.
    """

    draw: st.DrawFn
    blocks: list[Block] = field(default_factory=list)
    in_block: bool = False
    readables: list[Readable] = field(default_factory=list)
    reusables: list[Reusable] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    odd_names: bool = True

    # -- drawing ----------------------------------------------------------------------------------

    def pick(self, items: Sequence[_T]) -> _T:
        return self.draw(st.sampled_from(list(items)))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(0, one_in - 1)) == one_in - 1

    def fresh(self) -> str:
        """Return a name that nothing has."""
        odd = [name for name in _NAMES if self.odd_names and name not in self.names]
        name = self.pick(odd) if odd and self.chance(8) else f"n{len(self.names)}"
        self.names.add(name)
        return name

    def width(self) -> tuple[str, Width]:
        """Return a width as a spec says it, and what it is."""
        choices = [("3", Width(3)), ("2", Width(2)), ("4", Width(4)), ("=w", Width(3))]
        if self.in_block:
            choices += [("=units", Width(0, 1)), ("=units + 1", Width(1, 1))]
            choices += [("=twice", Width(0, 2))]
        return self.pick(choices)

    def single(self, kind: str | None = None) -> Readable:
        """Return something of one node to read."""
        found = [r for r in self.readables if r.count == 1 and kind in (None, r.type.kind)]
        return self.pick(found)

    def has(self, kind: str) -> bool:
        return any(r.count == 1 and r.type.kind == kind for r in self.readables)

    def alike(self, type_: Type) -> list[Readable]:
        """Return everything of one node and this form."""
        return [r for r in self.readables if r.count == 1 and r.type == type_]

    # -- writing ----------------------------------------------------------------------------------

    def edge(self, readable: Readable, plain: bool = False) -> str:
        """Return what ``from`` says of something, perhaps with a policy."""
        if plain or not self.chance(5):
            return readable.name
        policies = ["detach: true", "gradient_scale: 0.5", "gradient_scale: 0"]
        if not readable.formed:
            policies += ["as: softmax", "as: sigmoid", "as: onehot", "as: logits"]
            policies += ["as: softmax, detach: true", "as: sigmoid, gradient_scale: 2.0"]
            policies += ["as: teacher"] * 3 if readable.head and readable.count == 1 else []
        return f"{{node: {readable.name}, {self.pick(policies)}}}"

    def add(
        self,
        text: str,
        inputs: Sequence[Readable],
        output: Type,
        *,
        tensors: Sequence[Tensor] = (),
        layers: Sequence[tuple[Type, Type]] = (),
        own: str = "",
    ) -> Readable:
        """Write a node, perhaps several times.

        Args:
            text: What it is, without ``from``.
            inputs: What it reads.
            output: What it gives.
            tensors: Its weights that others may be tied to, under their names in it.
            layers: For each layer of a sequence what it reads and gives.
            own: Keys that only an owner of weights has, such as ``trainable``.
        """
        name = self.fresh()
        same = bool(inputs) and inputs[0].count == 1 and inputs[0].type == output
        several, counted, inside = self._multiplied(same)
        # What is left out stands for its first input, which must then be free of `as`.
        left_out = same and self.chance(8)
        edges = [self.edge(r, plain=left_out and i == 0) for i, r in enumerate(inputs)]
        read = edges[0] if len(edges) == 1 else f"[{', '.join(edges)}]"
        parts = [several, text, f"from: {read}" if inputs else "", own]
        if left_out:
            conditions = ["false", "true", "=deep", "=w > 5"]
            conditions += ["=index > 0"] if "each" not in several and several else []
            conditions += ["=units > 3"] if self.in_block else []
            conditions += ["\"=k == 'p'\""] if "each" in several else []
            never = not several and self.chance(4)
            parts.append("repeat: 0" if never else f"when: {self.pick(conditions)}")
        self.lines.append(f"{name}: {{{', '.join(part for part in parts if part)}}}")
        made = Readable(name, output, counted, formed=left_out and inputs[0].formed)
        self.readables.append(made)
        self.readables += [replace(made, name=f"{name}.{label}", count=1) for label in inside]
        if left_out:
            return made
        forms = tuple(r.type for r in inputs for _ in range(r.count))
        for part in [name, *(f"{name}.{label}" for label in inside)]:
            count = counted if part == name else 1
            result = Readable("", output, count)
            if forms:
                self.reusables.append(Reusable(part, forms, result, (), False))
            if part != name or not several:
                self.tensors += [replace(t, name=f"{part}.{t.name}") for t in tensors]
                for index, (reads, gives) in enumerate(layers):
                    again = Reusable(f"{part}.{index}", (reads,), Readable("", gives), (), True)
                    self.reusables.append(again)
        return made

    def _multiplied(self, same: bool) -> tuple[str, int, tuple[str, ...]]:
        """Return what multiplies a node, for how many it stands, and the labels inside."""
        if not self.chance(4):
            return "", 1, ()
        if same and not self.chance(3):
            return self.pick([("repeat: 2", 1, ("0", "1")), ("repeat: =two", 1, ("0",))])
        return self.pick(
            [
                ("copies: 2", 2, ("0", "1")),
                ("copies: =two", 2, ("0", "1")),
                ("each: {k: [p, q]}", 2, ("p", "q")),
                ("each: {k: =kinds}", 2, ("p", "q")),
                ("each: {k: [p, 7]}, copies: 1", 2, ("p.0",)),
                ("each: {k: [p], j: =range(2)}", 2, ("p.1",)),
            ]
        )
