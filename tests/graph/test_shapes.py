"""Inferred types, shared weights on other inputs, and specs that ask for too much."""

from __future__ import annotations

import time

import pytest
import torch

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.graph.complaints import complaint
from tests.strategies import HEAD, errors_of, found_in

LABEL = "  label: {op: head, from: x, task: fine}\n"


def types_of(nodes: str, head: str = HEAD) -> dict[str, list[str]]:
    graph = compiler.check(compiler.load_text(f"{head}nodes:\n{nodes}", "spec.yaml")).graph
    return {name: [str(each) for each in node.outputs] for name, node in graph.nodes.items()}


def test_the_batch_stays_a_symbol() -> None:
    found = types_of(
        "  a: {op: conv, from: image, channels: [4, [6]]}\n"
        "  b: {op: reshape, from: a, shape: [-1]}\n"
        "  c: {op: Flatten, from: a, start_dim: 2}\n"
        "  x: {op: fc, from: a, units: 4}\n" + LABEL
    )
    assert found["a"] == ["[N, 6, 4, 4]"]
    assert found["b"] == ["[N, 96]"]
    assert found["c"] == ["[N, 6, 16]"]


def test_parameters_have_the_names_of_the_module() -> None:
    graph = compiler.check(
        compiler.load_text(
            f"{HEAD}nodes:\n  x: {{layers: [Flatten, {{Linear: 4}}, BatchNorm1d], from: image}}\n"
            + LABEL
        )
    ).graph
    model = compiler.compile(graph)
    weights = graph.weights["x"]
    assert set(weights.parameters) == {n for n, _ in model.x.named_parameters()}  # type: ignore[union-attr]
    assert set(weights.buffers) == {n for n, _ in model.x.named_buffers()}  # type: ignore[union-attr]


def test_equal_nodes_have_weights_of_their_own() -> None:
    nodes = "  a: {op: fc, from: image, units: 4}\n  b: {op: fc, from: image, units: 4}\n"
    model = compiler.compile(
        compiler.load_text(f"{HEAD}nodes:\n{nodes}  x: {{op: add, from: [a, b]}}\n{LABEL}")
    )
    a, b = model.get_parameter("a.0.weight"), model.get_parameter("b.0.weight")
    assert not torch.equal(a, b)


def test_one_and_true_are_different_arguments() -> None:
    nodes = "  a: {op: Dropout, from: image, p: 1.0}\n  b: {op: Dropout, from: image, p: true}\n"
    assert errors_of(f"{HEAD}nodes:\n{nodes}")[0].startswith("bad-argument@6")


def test_convolutions_are_shared_between_maps_of_other_sizes() -> None:
    found = types_of(
        "  small: {op: pool, from: image, size: 2}\n"
        "  a: {op: conv, from: image, channels: 4}\n"
        "  b: {share: a, from: small}\n"
        "  c: {op: global_pool, from: a}\n  d: {op: global_pool, from: b}\n"
        "  x: {op: concat, from: [c, d]}\n" + LABEL
    )
    assert (found["a"], found["b"]) == (["[N, 4, 8, 8]"], ["[N, 4, 4, 4]"])


def test_recurrent_weights_are_shared_between_lengths() -> None:
    head = HEAD.replace("{image: {shape: [3, 8, 8]}}", "{p: {shape: [5, 4]}, q: {shape: [9, 4]}}")
    found = types_of(
        "  a: {op: LSTM, from: p, hidden_size: 6}\n  b: {share: a, from: q}\n"
        "  c: {op: fc, from: a.0, units: 4}\n  x: {op: fc, from: b.0, units: 4}\n" + LABEL,
        head,
    )
    assert found["b"] == ["[N, 9, 6]", "[1, N, 6]", "[1, N, 6]"]


def test_weights_of_another_size_are_told_with_both_sides() -> None:
    nodes = (
        "  a: {op: fc, from: image, units: 4}\n  b: {share: a, from: a}\n"
        "  x: {op: add, from: [a, b]}\n"
    )
    (found,) = [d for d in found_in(f"{HEAD}nodes:\n{nodes}{LABEL}") if d.severity.value == "error"]
    assert found.message == (
        "`b` applies the weights of `a` to [N, 4], but they were made for [N, 3, 8, 8]: "
        "its weights take 192 features, got 4"
    )


HUGE = 1_000_000_000


@pytest.mark.parametrize(
    ("node", "code"),
    [
        (f"{{op: conv, from: image, channels: {HUGE}}}", "out-of-memory"),
        (f"{{op: conv, from: image, channels: [{HUGE}, {HUGE}]}}", "out-of-memory"),
        (f"{{op: fc, from: image, units: [{HUGE}, {HUGE}, {HUGE}]}}", "out-of-memory"),
        (f"{{op: fc, from: image, units: {HUGE**9}}}", "bad-argument"),
        (f"{{op: Conv2d, from: image, out_channels: 4, kernel_size: {HUGE}}}", None),
        (f"{{op: conv, from: image, channels: 4, kernel_size: {HUGE + 1}}}", "out-of-memory"),
        (f"{{op: conv, from: image, channels: 4, stride: {HUGE}}}", None),
        (f"{{op: ZeroPad2d, from: image, padding: {HUGE}}}", None),
        (f"{{op: upsample, from: image, factor: {HUGE}}}", None),
        ("{op: upsample, from: image, factor: .inf}", "bad-argument"),
        (f"{{op: AdaptiveAvgPool2d, from: image, output_size: {HUGE}}}", None),
        (f"{{op: reshape, from: image, shape: [{HUGE}, {HUGE}, {HUGE}]}}", None),
        (f"{{op: GroupNorm, from: image, num_groups: {HUGE}}}", "bad-argument"),
        (f"{{op: PixelShuffle, from: image, upscale_factor: {HUGE}}}", None),
        ("{op: fc, from: image, units: 4, dropout: .nan}", "bad-argument"),
        (f"{{op: fc, from: image, units: {'[' * 50 + ']' * 50}}}", "bad-argument"),
        (f"{{op: fc, from: image, units: {[8] * 100_000}}}", "bad-argument"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_asks_for_too_much_is_told_at_once(node: str, code: str | None) -> None:
    text = f"{HEAD}nodes:\n  x: {node}\n{LABEL}"
    start = time.process_time()
    try:
        compiler.check(compiler.load_text(text), memory_limit="16GiB")
        found = []
    except SpecError as error:
        found = [d.code.value for d in error.diagnostics if d.severity.value == "error"]
    assert time.process_time() - start < 10
    assert code is None or code in found
    assert found  # none of them is a good spec


@pytest.mark.parametrize("shape", [[2**40], [2**31 - 1] * 3, [0], [-1], [1.5], [], [1] * 9])
def test_inputs_beyond_counting_are_refused(shape: list[float]) -> None:
    text = f"graphspec: 1\ninputs: {{image: {{shape: {shape}}}}}\ntasks: {{fine: {{classes: 2}}}}\n"
    codes = {each.partition("@")[0] for each in errors_of(f"{text}nodes: {{}}\n")}
    assert codes <= {"bad-value", "wrong-type"}
    assert codes


def test_torch_s_words_are_put_into_ours() -> None:
    with torch.device("meta"), pytest.raises(RuntimeError) as caught:
        torch.nn.Linear(8, 4)(torch.empty(1_000_003, 7))
    assert complaint(caught.value).text == "its weights take 8 features, got 7"
    unknown = complaint(RuntimeError("strange shape [2000006, 3]\nand more"))
    assert unknown.text == "strange shape [2N, 3]"
    assert complaint(RuntimeError("")).text == "RuntimeError"
