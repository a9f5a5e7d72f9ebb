"""Whole specs: inputs, tasks of every type, variables, blocks, nodes and heads."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.random_specs.blocks import write_block, write_node
from tests.random_specs.bodies import Body
from tests.random_specs.types import Readable, Reusable, Tensor, Type, Width

TASKS = {
    "fine": "{classes: 4}",
    "coarse": "{classes: 3, type: classification}",
    "several": "{classes: 3, type: multilabel}",
    "number": "{type: regression}",
    "vector": "{type: regression, shape: [2, 2]}",
    "mask": "{type: segmentation, classes: 2, shape: [4, 4]}",
}
"""Tasks of every type; `mask` needs maps."""


@dataclass(frozen=True)
class Drawn:
    """A valid spec.

    Attributes:
        inputs: The ``inputs:`` section.
        tasks: Names of the tasks.
        blocks: Lines under ``blocks:``.
        nodes: Lines under ``nodes:``, one a node.
    """

    inputs: str
    tasks: tuple[str, ...]
    blocks: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def text(self) -> str:
        return self._text(self.nodes)

    def shuffled(self, seed: int) -> str:
        """Return the same spec with its nodes in another order."""
        nodes = list(self.nodes)
        random.Random(seed).shuffle(nodes)
        return self._text(nodes)

    def _text(self, nodes: tuple[str, ...] | list[str]) -> str:
        tasks = ", ".join(f"{name}: {TASKS[name]}" for name in self.tasks)
        lines = [
            "graphspec: 1",
            "name: drawn",
            "vars: {w: =two + 1, two: 2, deep: true, kinds: [p, q]}",
        ]
        lines += [f"inputs: {{{self.inputs}}}", f"tasks: {{{tasks}}}"]
        lines += ["blocks:", *self.blocks] if self.blocks else []
        return "\n".join([*lines, "nodes:", *(f"  {node}" for node in nodes)]) + "\n"


@st.composite
def drawn_specs(draw: st.DrawFn, most: int = 8, odd_names: bool = True) -> Drawn:
    """Valid specs of up to ``most`` nodes as written, beside their heads.

    Args:
        draw: Hypothesis's.
        most: Nodes as written, at most.
        odd_names: Whether some have names that generated code may have uses for itself.
    """
    body = Body(draw, odd_names=odd_names)
    inputs = ["image: {shape: [2, 4, 4]}"]
    body.readables.append(Readable("image", Type("map", Width(2))))
    body.names.add("image")
    if body.chance(2):
        inputs.append("extra: {shape: [3]}")
        body.names.add("extra")
        body.readables.append(Readable("extra", Type("flat", Width(3))))
    if body.chance(4):
        inputs.append("tokens: {shape: [2], dtype: int64}")
        body.names |= {"tokens", "embed"}
        body.lines.append(
            "embed: {layers: [{Embedding: {num_embeddings: 8, embedding_dim: 3}}, Flatten],"
            " from: tokens}"
        )
        body.readables.append(Readable("embed", Type("flat", Width(6))))
        body.tensors.append(Tensor("embed.0.weight", Width(8), Width(3)))
    core: list[Reusable] = []
    if "extra" in body.names and body.chance(2):
        body.names.add("core")
        body.lines.append("core: {layers: [{Linear: 3}, BatchNorm1d], from: extra}")
        flat = Type("flat", Width(3))
        body.readables.append(Readable("core", flat))
        core = [Reusable("core", (flat,), Readable("", flat))]
        core += [Reusable(f"core.{n}", (flat,), Readable("", flat), (), True) for n in (0, 1)]
        body.reusables += core
    tasks = draw(st.lists(st.sampled_from(list(TASKS)), min_size=1, max_size=3, unique=True))
    blocks: list[str] = []
    for number in range(body.pick((0, 1, 2, 3))):
        blocks += write_block(body, f"b{number}", core)
    waiting = tasks[:]
    for _ in range(body.pick(range(1, most + 1))):
        write_node(body)
        if waiting and body.chance(4):
            _write_heads(body, waiting)
    while waiting:
        _write_heads(body, waiting)
    return Drawn(", ".join(inputs), tuple(tasks), tuple(blocks), tuple(body.lines))


def _write_heads(body: Body, waiting: list[str]) -> None:
    """Write the head of the next task, or with ``each`` the heads of several."""
    flat = [task for task in waiting if task != "mask"]
    if len(flat) > 1 and body.has("flat") and body.chance(2):
        tower, name = body.fresh(), body.fresh()
        each = f"each: {{t: [{', '.join(flat)}]}}"
        source = body.edge(body.single("flat"))
        text, _ = body.width()
        body.lines += [
            f"{tower}: {{{each}, op: Linear, from: {source}, out_features: {text}}}",
            f"{name}: {{{each}, op: head, from: {tower}.$t, task: $t}}",
        ]
        body.readables += [r for task in flat for r in _head(f"{name}.{task}", task)]
        waiting[:] = [task for task in waiting if task not in flat]
        return
    task = waiting.pop(0)
    kind = "map" if task == "mask" else "flat"
    if not body.has(kind):
        name = body.fresh()
        body.lines.append(f"{name}: {{op: flatten, from: image}}")
        body.readables.append(Readable(name, Type("flat", Width(32))))
    name = body.fresh()
    body.lines.append(f"{name}: {{op: head, from: {body.edge(body.single(kind))}, task: {task}}}")
    body.readables += _head(name, task)


def _head(name: str, task: str) -> list[Readable]:
    """Return what reads a head, where others can."""
    widths = {"fine": 4, "coarse": 3, "several": 3, "number": 1}
    if task == "mask":
        return [Readable(name, Type("map", Width(2)), head=True)]
    return [Readable(name, Type("flat", Width(widths[task])), head=True)] if task in widths else []
