"""Typed graphs for the tests of diagrams, built by hand so that they need no other stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import create_model

from graphspec.errors import Source, Span
from graphspec.graph.ir import Edge, Graph, Node, Weights
from graphspec.language.signature import TaskSpec
from graphspec.ops.registry import MANY, ONE, Args, Op, Step
from graphspec.ops.types import BATCH, TensorType

SPAN = Span(Source("drawn.yaml", "x"), 0, 1)
CIFAR = {"fine": TaskSpec(100), "coarse": TaskSpec(20)}


def tensor(*shape: int, dtype: str = "float32") -> TensorType:
    return TensorType((BATCH, *shape), dtype)


def op(name: str, family: str = "other", shorthand: str | None = None, **fields: Any) -> Op:
    """An op whose arguments are ``name=(type, default)``."""
    model = create_model(f"{name}Args", __base__=Args, **fields)
    arity = MANY if family == "merge" else ONE
    return Op(name, name, "kind", family, model, arity, lambda *_: None, shorthand)  # type: ignore[arg-type, return-value]


CONV = op("conv", "conv", "channels", channels=(Any, ...), kernel_size=(int, 3), pool=(Any, "max"))
FC = op("fc", "dense", "units", units=(Any, ...), dropout=(float, 0.25))
HEAD = op("head", "head", task=(str, ...))
CONCAT = op("concat", "merge", dim=(int, 1))
LSTM = op("LSTM", "recurrent", "hidden_size", hidden_size=(int, ...), bidirectional=(bool, False))
RELU = op("ReLU", "activation")
MAX_POOL = op("MaxPool2d", "pool", "kernel_size", kernel_size=(int, ...))


def step(kind: Op, **arguments: Any) -> Step:
    return Step(kind, kind.Args(**arguments))


class Sketchbook:
    """Collects nodes: ``book.call("fc", step(FC, units=8), "image", out=tensor(8), count=24)``."""

    def __init__(
        self, inputs: Mapping[str, TensorType], tasks: Mapping[str, TaskSpec], name: str = "drawn"
    ) -> None:
        self.name, self.description = name, ""
        self.inputs, self.tasks = dict(inputs), dict(tasks)
        self.nodes: dict[str, Node] = {}
        self.weights: dict[str, Weights] = {}

    def call(
        self,
        name: str,
        steps: Step | list[Step],
        *reads: str | Edge,
        out: TensorType | tuple[TensorType, ...],
        count: int = 0,
    ) -> None:
        sequence = isinstance(steps, list)
        listed = tuple(steps) if isinstance(steps, list) else (steps,)
        sizes = {"0.weight": TensorType((count,))} if count else {}
        self.weights[name] = Weights(name, listed, sequence, SPAN, parameters=sizes)
        task = getattr(listed[0].args, "task", None)
        self._add(name, name, reads, task, out)

    def share(self, name: str, owner: str, *reads: str | Edge) -> None:
        self._add(name, owner, reads, None, self.nodes[owner].outputs)

    def head(self, task: str, read: str, count: int = 0, name: str | None = None) -> None:
        out = tensor(self.tasks[task].classes)
        self.call(name or f"{task}_label", step(HEAD, task=task), read, out=out, count=count)

    def graph(self) -> Graph:
        heads = {node.task: name for name, node in self.nodes.items() if node.task}
        return Graph(
            self.name, self.description, self.inputs, self.tasks, self.nodes, self.weights, heads
        )

    def _add(
        self,
        name: str,
        owner: str,
        reads: tuple[str | Edge, ...],
        task: str | None,
        out: TensorType | tuple[TensorType, ...],
    ) -> None:
        edges = tuple(read if isinstance(read, Edge) else Edge(read) for read in reads)
        outputs = out if isinstance(out, tuple) else (out,)
        self.nodes[name] = Node(name, owner, edges, task, SPAN, outputs)


def architecture(number: int) -> Graph:
    """One of the six of the founding study, at full width."""
    book = Sketchbook({"image": tensor(3, 32, 32)}, CIFAR, f"arch{number}")
    book.description = _DESCRIPTIONS[number]
    trunk = step(CONV, channels=[[64, 64, 64], [128, 128]])
    first, second = ("coarse", "fine") if number in (1, 2, 3, 5) else ("fine", "coarse")
    shared = number in (2, 5, 6)
    trunks = {task: "conv_layers" if shared else f"conv_{task}" for task in CIFAR}
    for name in dict.fromkeys(trunks.values()):
        book.call(name, trunk, "image", out=tensor(128, 8, 8), count=297_472)
    book.call(
        "fc_layers",
        step(FC, units=[1024, 512, 256, 128]),
        trunks[first],
        out=tensor(128),
        count=9_082_496,
    )
    book.head(first, "fc_layers", count=129 * CIFAR[first].classes)
    if number in (1, 2):
        name = f"fc_{second}"
        book.call(
            name,
            step(FC, units=[1024, 512, 256, 128]),
            trunks[second],
            out=tensor(128),
            count=9_082_496,
        )
        book.head(second, name, count=129 * CIFAR[second].classes)
        return book.graph()
    classes = CIFAR[first].classes
    book.call(
        "fc_layers_1",
        step(FC, units=[1024, 512]),
        trunks[second],
        out=tensor(512),
        count=8_917_504,
    )
    book.call(
        "concat",
        step(CONCAT),
        "fc_layers_1",
        f"{first}_label",
        out=tensor(512 + classes),
    )
    book.call(
        "fc_layers_2",
        step(FC, units=[256, 128]),
        "concat",
        out=tensor(128),
        count=(513 + classes) * 256 + 33_664,
    )
    book.head(second, "fc_layers_2", count=129 * CIFAR[second].classes)
    return book.graph()


_DESCRIPTIONS = {
    1: "Two independent networks.",
    2: "One conv trunk, two branches.",
    3: "Two networks; the coarse output feeds the fine head.",
    4: "Two networks; the fine output feeds the coarse head.",
    5: "One conv trunk; the coarse output feeds the fine head.",
    6: "One conv trunk; the fine output feeds the coarse head.",
}


def siamese() -> Graph:
    """Two images through one encoder, compared."""
    book = Sketchbook(
        {"left_image": tensor(1, 28, 28), "right_image": tensor(1, 28, 28)},
        {"same": TaskSpec(2)},
        "siamese",
    )
    book.description = "One encoder on two images."
    layers = [step(CONV, channels=[16, 32]), step(RELU), step(MAX_POOL, kernel_size=2)]
    book.call("left", layers, "left_image", out=tensor(32, 14, 14), count=4_800)
    book.share("right", "left", "right_image")
    book.call("left_vector", step(FC, units=64), "left", out=tensor(64), count=401_600)
    book.share("right_vector", "left_vector", "right")
    book.call("concat", step(CONCAT), "left_vector", "right_vector", out=tensor(128))
    book.head("same", "concat", count=258, name="verdict")
    return book.graph()


def recurrent() -> Graph:
    """A node with several outputs, an input of integers, a node that serves no task."""
    book = Sketchbook({"tokens": TensorType((BATCH, 35), "int64")}, {"topic": TaskSpec(5)}, "lstm")
    embedding = op("Embedding", "embedding", "num_embeddings", num_embeddings=(int, ...))
    book.call(
        "embed",
        step(embedding, num_embeddings=10_000),
        "tokens",
        out=tensor(35, 64),
        count=640_000,
    )
    book.call(
        "lstm",
        step(LSTM, hidden_size=64, bidirectional=True),
        "embed",
        out=(tensor(35, 128), TensorType((2, BATCH, 64)), TensorType((2, BATCH, 64))),
        count=66_560,
    )
    book.call(
        "last",
        step(op("select", "reshape", index=(int, 0)), index=-1),
        Edge("lstm", 1),
        out=tensor(64),
    )
    book.call("unread", step(FC, units=8), Edge("lstm", 0), out=tensor(8), count=8_200)
    book.head("topic", "last", count=325)
    return book.graph()


def crowd(tasks: int = 8, depth: int = 6) -> Graph:
    """Many tasks, many nodes, long and odd names."""
    specs = {f"task_{i}_with_a_long_name": TaskSpec(10 + i) for i in range(tasks)}
    book = Sketchbook({"multispectral.satellite-image": tensor(13, 64, 64)}, specs, "crowd")
    book.description = "Experts for every group of tasks, towers for each task, " * 4
    book.call(
        "a_trunk_with_a_name_that_is_much_too_long_for_one_line_and_even_for_two_or_three_of_them",
        step(CONV, channels=[[64, 64, 64], [128, 128, 128], [256] * 3, [512] * 3], kernel_size=5),
        "multispectral.satellite-image",
        out=tensor(512, 4, 4),
        count=123_456_789,
    )
    trunk = next(iter(book.nodes))
    book.call("both", step(FC, units=[64]), trunk, out=tensor(64), count=999_999)
    for i, task in enumerate(specs):
        last = "both" if i < 3 else trunk
        for level in range(depth):
            name = f"tower.{task}.level_{level}_of_{depth}"
            book.call(name, step(FC, units=[64, 64]), last, out=tensor(64), count=999 * (level + 1))
            last = name
        book.head(task, last, count=650)
    return book.graph()


def odd_names() -> Graph:
    """Names that mean something to DOT, HTML and Mermaid."""
    names = [
        'say "hi"', "a<b>&c", "back\\slash\\n", "port:n", "end", "graph", "größe", "名前", "#3",
        "a|b", "line\nbreak", "bell\x07", "[x]", "{y}", "(z)", "50%%", "`code`", "a;b", "--> c",
        "<<B>x</B>>", "&lt;", "#quot;", "x" * 200, "💡", " ",
    ]  # fmt: skip
    book = Sketchbook({"in put": tensor(4)}, {"<t&1>": TaskSpec(3)}, 'odd "graph" <b>')
    last = "in put"
    for name in names:
        book.call(name, step(FC, units=4), last, out=tensor(4), count=20)
        last = name
    book.head("<t&1>", last, count=15, name='head; "h"')
    return book.graph()
