"""Names, edges, inputs and shared weights; a mistake silences what follows from it."""

from __future__ import annotations

import pytest
import torch

from graphspec import compiler
from graphspec.graph.ir import Graph
from tests.strategies import HEAD, errors_of

WORDS = """\
graphspec: 1
inputs: {words: {shape: [7, 8]}, other: {shape: [7, 8]}}
tasks: {fine: {classes: 5}}
"""


def graph_of(nodes: str, head: str = HEAD) -> Graph:
    return compiler.analyze(compiler.load_text(f"{head}nodes:\n{nodes}", "spec.yaml"))


def errors(nodes: str, head: str = HEAD) -> list[str]:
    """Return the errors of nodes as ``code@node line:column``; the first node is on line 1."""
    found = []
    for each in errors_of(f"{head}nodes:\n{nodes}"):
        code, _, place = each.partition("@")
        line, _, column = place.partition(":")
        found.append(f"{code}@{int(line) - 4}:{column}")
    return found


LABEL = "  label: {op: head, from: x, task: fine}\n"


def test_edges_keep_their_order_and_number() -> None:
    graph = graph_of(
        "  a: {op: fc, from: image, units: 2}\n"
        "  b: {op: fc, from: image, units: 3}\n"
        "  x: {op: concat, from: [b, a, b]}\n" + LABEL
    )
    assert [str(edge) for edge in graph.nodes["x"].inputs] == ["b", "a", "b"]
    assert graph.nodes["x"].outputs[0].shape[1] == 8


def test_shared_weights_are_one_owner_with_several_calls() -> None:
    graph = graph_of(
        "  a: {op: fc, from: image, units: 4, norm: none}\n"
        "  b: {share: c, from: image}\n"
        "  c: {share: a, from: image}\n"
        "  x: {op: concat, from: [a, b, c]}\n" + LABEL
    )
    assert {graph.nodes[name].weights for name in "abc"} == {"a"}
    assert set(graph.weights) == {"a", "x", "label"}
    assert [node.name for node in graph.calls["a"]] == ["a", "b", "c"]
    model = compiler.compile(graph)
    assert sum(name.startswith("a.") for name, _ in model.named_parameters()) == 2


def test_named_inputs_come_in_the_order_of_the_op() -> None:
    graph = graph_of(
        "  k: {op: Linear, from: other, out_features: 6}\n"
        "  att: {op: MultiheadAttention, num_heads: 2, from: "
        "{value: words, query: words, key: k}}\n"
        "  x: {op: fc, from: att.0, units: 4}\n" + LABEL,
        WORDS,
    )
    assert [edge.name for edge in graph.nodes["att"].inputs] == ["query", "key", "value"]
    assert graph.nodes["att"].outputs[0].shape[1:] == (7, 8)
    model = compiler.compile(graph).eval()
    assert model(words=torch.randn(2, 7, 8), other=torch.randn(2, 7, 8))["fine"].shape == (2, 5)


def test_outputs_are_read_by_number() -> None:
    graph = graph_of(
        "  lstm: {op: LSTM, from: words, hidden_size: 6}\n"
        "  gru: {op: GRU, from: lstm.0, hidden_size: 4}\n"
        "  last: {op: chunk, from: gru.0, chunks: 7, dim: 1}\n"
        "  x: {op: fc, from: last.6, units: 4}\n" + LABEL,
        WORDS,
    )
    assert [str(t) for t in graph.nodes["lstm"].outputs] == ["[N, 7, 6]", "[1, N, 6]", "[1, N, 6]"]
    assert graph.nodes["lstm"].ports == ((0,), (1, 0), (1, 1))
    assert [str(t) for t in graph.nodes["gru"].outputs] == ["[N, 7, 4]", "[1, N, 4]"]
    assert len(graph.nodes["last"].outputs) == 7
    model = compiler.compile(graph).eval()
    assert model(words=torch.randn(2, 7, 8))["fine"].shape == (2, 5)


def test_an_input_may_have_the_name_of_a_builtin() -> None:
    head = HEAD.replace("image", "input")
    spec = compiler.load_text(f"{head}nodes:\n  x: {{op: fc, from: input, units: 4}}\n{LABEL}")
    model = compiler.compile(spec).eval()
    assert model(input=torch.randn(2, 3, 8, 8))["fine"].shape == (2, 5)


@pytest.mark.parametrize(
    "name", ["torch", "len", "_", "dict", "operator", "getitem", "add", "device"]
)
def test_nodes_inputs_and_tasks_may_have_names_of_python_and_torch(name: str) -> None:
    nodes = f"  {name}: {{op: fc, from: image, units: 4}}\n  x: {{op: relu, from: {name}}}\n"
    for head, image in ((HEAD, "image"), (HEAD.replace("image", f"{name}_"), f"{name}_")):
        text = f"{head}nodes:\n{nodes.replace('image', image)}{LABEL}"
        model = compiler.compile(compiler.load_text(text)).eval()
        assert model(**{image: torch.randn(2, 3, 8, 8)})["fine"].shape == (2, 5)
    tasks = HEAD.replace("fine", name)
    text = f"{tasks}nodes:\n  x: {{op: fc, from: image, units: 4}}\n{LABEL.replace('fine', name)}"
    assert compiler.compile(compiler.load_text(text)).eval()(image=torch.randn(2, 3, 8, 8))[
        name
    ].shape == (2, 5)


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ("  x: {op: fc, from: imag, units: 4}\n", ["unknown-node@1:21"]),
        ("  x: {op: fc, from: image.z, units: 4}\n", ["unknown-node@1:21"]),
        ("  x: {op: fc, from: image.1, units: 4}\n", ["unknown-output@1:21"]),
        ("  x: {op: fc, from: x, units: 4}\n", ["self-reference@1:21"]),
        ("  x: {op: fc, from: x.0, units: 4}\n", ["self-reference@1:21"]),
        ("  x: {op: fc, from: [], units: 4}\n", ["wrong-inputs@1:21"]),
        ("  x: {op: fc, from: [image, image], units: 4}\n", ["wrong-inputs@1:21"]),
        ("  x: {op: fc, from: {a: image}, units: 4}\n", ["wrong-inputs@1:22"]),
        ("  x: {share: x, from: image}\n", ["share-cycle@1:14"]),
        ("  x: {share: y, from: image}\n", ["unknown-node@1:14"]),
        ("  x: {share: image, from: image}\n", ["unknown-node@1:14"]),
        ("  image: {op: fc, from: x, units: 3}\n  x: {op: relu, from: image}\n", ["bad-name@1:3"]),
        ("  x: {layers: [{fcc: 3}, RELUU], from: image}\n", ["unknown-op@1:17", "unknown-op@1:26"]),
        ("  x: {layers: [{head: fine}], from: image}\n", ["wrong-inputs@1:17"]),
        ("  x: {layers: [{Identity: 3}], from: image}\n", ["bad-argument@1:27"]),
    ],
)  # fmt: skip
def test_mistakes(nodes: str, found: list[str]) -> None:
    assert errors(nodes + LABEL) == found


@pytest.mark.parametrize(
    "first",
    [
        "{op: fcc, from: image}",
        "{op: fc, from: imag, units: 4}",
        "{op: fc, from: image}",
        "{op: fc, from: image, units: -1}",
        "{op: fc, from: [image, image], units: 4}",
        "{op: fc, from: a, units: 4}",
        "{op: Flatten, from: image, start_dim: 9}",
        "{op: Conv1d, from: image, out_channels: 4, kernel_size: 3}",
        "{share: nothing, from: image}",
        "3",
    ],
)
def test_what_follows_from_a_mistake_is_silent(first: str) -> None:
    nodes = (
        f"  a: {first}\n"
        "  b: {op: fc, from: a.0, units: 4}\n"
        "  c: {share: a, from: image}\n"
        "  d: {op: concat, from: [b, c, image]}\n"
        "  e: {share: d, from: [a, a, a, a]}\n"
        "  x: {op: fc, from: d, units: 4}\n"
    )
    assert len(errors(nodes + LABEL)) == 1
